"""Links are as asked: rate, loss and delay of real traffic, the same qdiscs in every design, claims none the worse."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest

from emu import Lab
from emu.designs import DEFAULT_DESIGNS
from emu.live import preflight
from emu.live.lab import LabMachine
from emu.measure.blocks import PROFILES
from emu.measure.links import LATENESS, check_links, link_faults
from emu.measure.results import ResultFolder
from emu.measure.running import Bench
from tests.live.machine import emu

pytestmark = pytest.mark.alone

NETEM = preflight.examine().finding("qdisc netem")
FRAME_BYTES, SEGMENT_BYTES = 1514, 1448


def warm(machine: LabMachine, address: str) -> None:
    """Return when a ping is answered: ARP has been lost often enough by then to be found."""
    while machine.run(["ping", "-n", "-c1", "-W1", address]).returncode:
        pass


@pytest.mark.parametrize("design", ["bare", "routed"])
def test_a_stream_gets_the_rate_asked_for(design: str) -> None:
    with Lab(design, bw=20) as lab:
        assert lab.plan.endpoints
        src, dst = lab.plan.endpoints
        lab[dst].spawn(["iperf3", "-s"])
        lab[dst].wait_listening(5201)
        for words in ([], ["-R"]):
            done = lab[src].run(["iperf3", "-J", "-C", "cubic", "-t", "3", "-O", "1", *words,
                                 "-c", lab.plan.address(dst)])
            frames_bps = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] * FRAME_BYTES / SEGMENT_BYTES
            assert frames_bps == pytest.approx(20e6, rel=0.1)


def test_a_link_that_keeps_its_rate_and_stands_still_now_and_then_departs_late(tmp_path: Path) -> None:
    """The switch behind the link stops for 30 ms of each 0.23 s: frames of the first 26 ms, one in nine, are then late
    by more than the 4 ms that a burst makes up for, whatever else the machine does."""
    with Lab("bare", links={"node-a": {"bw": 20}}, datapath="netdev") as lab:
        assert lab.plan.endpoints
        src = lab[lab.plan.endpoints[0]]
        halting = src.spawn(["sh", "-c", "switch=$(pgrep -x ovs-vswitchd) || exit; while :; do kill -STOP $switch; "
                             "sleep 0.03; kill -CONT $switch; sleep 0.2; done"])
        with ResultFolder.create(tmp_path / "run") as folder:
            bench = Bench(lab, PROFILES["quick"].lengths, folder)
            found = {entry["quantity"]: entry for entry in check_links(bench, print)}
        assert halting.alive(), halting.output()
        halting.stop()
    assert found[LATENESS]["achieved"] > found[LATENESS]["high"] == pytest.approx(4000)
    ((design, text),) = link_faults({"links": [found[LATENESS]]})
    assert (design, LATENESS in text) == ("bare", True)


def test_as_many_pings_are_lost_as_four_links_lose() -> None:
    with Lab("bare", loss=10) as lab:
        assert lab.plan.endpoints
        src, dst = lab[lab.plan.endpoints[0]], lab.plan.address(lab.plan.endpoints[1])
        warm(src, dst)
        said = src.run(["ping", "-n", "-q", "-c1000", "-i0.002", "-W1", dst]).stdout
    received = re.search(r"1000 packets transmitted, (\d+) received", said)
    assert received, said
    mean, deviation = 1000 * 0.9**4, (1000 * 0.9**4 * (1 - 0.9**4)) ** 0.5
    assert abs(int(received[1]) - mean) < 3.89 * deviation  # of a normal distribution 99.99 %


def test_one_link_may_be_otherwise_than_the_rest() -> None:
    done = emu("up", "bare", "--links", "{node-c: {loss: 100}}", "--exec", "node-a ping -c1 -W1 192.168.1.2",
               "--exec", "node-a ping -c1 -W1 192.168.1.3")
    assert done.returncode == 1
    assert "1 packets transmitted, 1 received" in done.stdout
    assert "1 packets transmitted, 0 received" in done.stdout


@pytest.mark.skipif(NETEM.state == "absent", reason=NETEM.sentence())
def test_a_round_trip_is_late_by_four_links() -> None:
    with Lab("bare", delay=10, jitter=2) as late, Lab("bare") as prompt:
        assert late.plan.endpoints
        src, dst = late.plan.endpoints
        times = []
        for lab in (late, prompt):
            warm(lab[src], lab.plan.address(dst))
            said = lab[src].run(["ping", "-n", "-c50", "-i0.02", lab.plan.address(dst)]).stdout
            times.append([float(value) for value in re.findall(r"time=([\d.]+) ms", said)])
    assert statistics.median(times[0]) - statistics.median(times[1]) == pytest.approx(40, rel=0.1)
    assert statistics.stdev(times[0]) > 1  # four times evenly within 2 ms either way: 2.3 ms


@pytest.mark.skipif(NETEM.state != "absent", reason="this kernel has netem")
def test_a_delay_without_netem_is_refused_before_anything_is_built() -> None:
    done = emu("up", "bare", "--delay", "5", "--loss", "1", "--exec", "node-a true")
    assert done.returncode == 3
    assert done.stderr == f"emu: --delay on links: {NETEM.sentence()}\n"


def test_every_design_has_the_same_qdiscs_at_both_ends_of_every_link() -> None:
    seen = []
    for design in DEFAULT_DESIGNS:
        with Lab(design, bw=50, loss=1) as lab:
            assert lab.facts()["links"].keys() == {
                end for node in "abcd" for end in (f"node-{node}:eth0", f"switch:node-{node}-eth0")}
            seen.append({tuple(lines) for lines in lab.facts()["links"].values()})
    assert len(seen[0]) == 1
    (lines,) = seen[0]
    assert any("tbf" in line and "rate 50Mbit" in line for line in lines)
    assert any(("netem" in line and "loss 1%" in line) or "bytecode" in line for line in lines)
    assert all(each == seen[0] for each in seen)


def test_claims_hold_over_shaped_links() -> None:
    done = emu("check", "--bw", "100", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    claims = json.loads(done.stdout)["claims"]
    assert {claim["result"] for claim in claims} == {"holds"}
    assert {claim["design"].partition(":")[0] for claim in claims} == {*DEFAULT_DESIGNS}
