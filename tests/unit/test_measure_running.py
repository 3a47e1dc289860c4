"""Trials on a lab: what runs in which order, and what becomes of failures."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from emu.errors import LabError
from emu.live.lab import Completed
from emu.measure.blocks import Trial
from emu.measure.progress import PLAIN_EVERY_S, Progress, left
from emu.measure.results import ResultFolder
from emu.measure.running import Bench, LabDied, about_machine, ask_versions, revision
from emu.measure.scripts import Lengths
from emu.measure.workloads import DEFAULT_WORKLOADS, WORKLOADS, parse_workload
from tests.unit.measure_support import DATA, FakeLab

LENGTHS = Lengths(ping_packets=80, request_s=0.4, stream_s=1, first_packets=3)


def answering(name: str) -> Completed:
    return Completed((), 0, (DATA / name).read_text(), "")


def bench_with(tmp_path: Path, lab: FakeLab) -> Bench:
    return Bench(lab, LENGTHS, ResultFolder.create(tmp_path / "run"), now=lambda: 1738315800.0)  # type: ignore[arg-type]


def trial_of(workload: str) -> Trial:
    return Trial(index=7, block=1, order=2, design="l2:proxy_arp=controller", workload=workload)


def test_each_packet_becomes_a_sample_and_the_call_is_kept(tmp_path: Path) -> None:
    lab = FakeLab(lambda argv: answering("ping.txt"))
    samples = bench_with(tmp_path, lab).measure(trial_of("ping"), WORKLOADS["ping"])
    assert sum(sample.metric == "rtt" for sample in samples) == 80
    assert {(s.design, s.workload, s.block, s.order, s.trial, s.ok) for s in samples} == {("l2", "ping", 1, 2, 7, True)}
    (raw,) = (tmp_path / "run" / "raw").iterdir()
    call = json.loads(raw.read_text())
    assert call["argv"][0] == "ping"
    assert call["argv"][-1] == "10.0.3.2"
    assert call["stdout"] == (DATA / "ping.txt").read_text()


def test_every_first_packet_is_preceded_by_cooling(tmp_path: Path) -> None:
    lab = FakeLab(lambda argv: answering("ping_single.txt"))
    samples = bench_with(tmp_path, lab).measure(trial_of("first_packet"), WORKLOADS["first_packet"])
    assert lab.log == ["cool", "run ping"] * 3
    assert [sample.metric for sample in samples] == ["latency"] * 3


def test_servers_are_started_once_and_waited_for(tmp_path: Path) -> None:
    lab = FakeLab(lambda argv: answering("wrk.txt"))
    bench = bench_with(tmp_path, lab)
    bench.prepare([parse_workload(name) for name in ("tcp_rr", "http", "tcp_stream:flows=2", "udp_rr")])
    assert [line for line in lab.log if not line.startswith("write")] == [
        "spawn sh", "listening 80", "spawn iperf3", "listening 5201", "spawn iperf3", "listening 5202",
        "spawn sockperf", "listening 11111"]
    nginx = lab.log.index("write /run/emu/nginx/nginx.conf")
    assert nginx < lab.log.index("spawn sh")


def test_broken_output_is_a_failed_trial_and_the_server_starts_afresh(tmp_path: Path) -> None:
    lab = FakeLab(lambda argv: answering("iperf3_refused.txt"))
    bench = bench_with(tmp_path, lab)
    bench.prepare([WORKLOADS["tcp_stream"]])
    (sample,) = bench.measure(trial_of("tcp_stream"), WORKLOADS["tcp_stream"])
    assert (sample.ok, sample.value, sample.metric, sample.unit) == (False, None, "throughput", "bit/s")
    assert "Connection refused" in str(sample.error)
    assert lab.log.count("spawn iperf3") == 2


def hangs(argv: Sequence[str]) -> Completed:
    raise LabError("ctr-1: ping did not end within 30 s")


def test_a_hung_client_is_a_failed_trial(tmp_path: Path) -> None:
    (sample,) = bench_with(tmp_path, FakeLab(hangs)).measure(trial_of("ping"), WORKLOADS["ping"])
    assert not sample.ok
    assert "did not end" in str(sample.error)


def test_a_dead_lab_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(LabDied, match="the lab of l2:proxy_arp=controller died"):
        bench_with(tmp_path, FakeLab(hangs, dead=True)).measure(trial_of("ping"), WORKLOADS["ping"])


def test_a_figure_of_a_lab_that_is_not_as_planned_is_none(tmp_path: Path) -> None:
    """Whatever ping printed: what it went through is not what was to be measured."""
    lab = FakeLab(lambda argv: answering("ping.txt"), changed=["node-a: eth0 has MTU 1400, planned was 1500", "x"])
    (sample,) = bench_with(tmp_path, lab).measure(trial_of("ping"), WORKLOADS["ping"])
    assert (sample.ok, sample.value) == (False, None)
    assert sample.error == "node-a: eth0 has MTU 1400, planned was 1500; x"


def test_versions_and_cpu_are_read_tolerantly(tmp_path: Path) -> None:
    said = {
        "ping": "ping from iputils 20221126\nlibcap: yes\n", "wrk": "wrk debian/4.1.0-3+b2 [epoll] Copyright 2012\n",
        "iperf3": "iperf 3.12 (cJSON 1.7.15)\n", "nginx": "nginx version: nginx/1.22.1\n",
        "env": "Model name:  A CPU\n",
    }
    bench = bench_with(tmp_path, FakeLab(lambda argv: Completed((), 0, said[argv[0]], "")))
    assert ask_versions(bench, [WORKLOADS[name] for name in DEFAULT_WORKLOADS]) == {
        "ping": "ping from iputils 20221126", "wrk": "wrk debian/4.1.0-3+b2", "iperf3": "iperf 3.12",
        "nginx": "nginx version: nginx/1.22.1"}
    assert about_machine(bench) == {"cpu": "A CPU", "cpus": None, "virtualisation": "none seen"}


def really(argv: Sequence[str]) -> Completed:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)


def test_asking_for_the_revision_writes_nothing_in_the_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    git = ["git", "-C", str(checkout), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    bench = bench_with(tmp_path, FakeLab(really))
    assert revision(bench, checkout) is None
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    assert revision(bench, checkout) is None
    (checkout / "file").write_text("one")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    os.utime(checkout / "file", (1, 1))  # git would note the new time in its index
    index = (checkout / ".git" / "index").read_bytes()
    before = sorted(checkout.rglob("*"))
    commit = really([*git, "rev-parse", "HEAD"]).stdout[:12]
    assert revision(bench, checkout) == commit
    (checkout / "file").write_text("two")
    assert revision(bench, checkout) == f"{commit}-dirty"
    (checkout / "file").write_text("one")
    assert (checkout / ".git" / "index").read_bytes() == index
    assert sorted(checkout.rglob("*")) == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_steps_share_one_line() -> None:
    stream = Terminal()
    progress = Progress(stream, now=lambda: 0.0)
    progress.step("one")
    progress.step("two")
    progress.say("done")
    assert stream.getvalue() == "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[Kdone\n"


def test_elsewhere_steps_are_plain_lines_now_and_then() -> None:
    stream, clock = io.StringIO(), iter([0.0, PLAIN_EVERY_S / 2, PLAIN_EVERY_S, PLAIN_EVERY_S])
    progress = Progress(stream, now=lambda: next(clock))
    for text in ("one", "two", "three"):
        progress.step(text)
    assert stream.getvalue() == "one\nthree\n"


@pytest.mark.parametrize(("stream", "told"), [
    (Terminal(), "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K"), (io.StringIO(), "one\ntwo\n"),
])
def test_stages_are_told_everywhere(stream: io.StringIO, told: str) -> None:
    progress = Progress(stream, now=lambda: 0.0)
    progress.stage("one")
    progress.stage("two")
    progress.end()
    assert stream.getvalue() == told


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0 s"), (7.4, "7 s"), (44, "40 s"), (204, "3 min 20 s"),
                                               (7499, "2 h 5 min")])
def test_time_left_in_words(seconds: float, text: str) -> None:
    assert left(seconds) == text
