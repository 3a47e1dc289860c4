"""The main job on real labs: what it leaves in the result folder, and how it ends when it is ended early."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from emu.cli import main
from emu.designs import plans_for
from emu.errors import UsageError
from emu.live.cpu import look
from emu.live.lab import Lab
from emu.measure.asked import comparison_of
from emu.measure.blocks import PROFILES, Profile
from emu.measure.compare import compare
from emu.measure.metrics import METRICS
from emu.measure.progress import Progress
from emu.measure.results import read_folder
from emu.measure.running import LabDied
from emu.measure.scripts import Lengths
from emu.measure.sequential import UNREACHED, Goal
from emu.measure.summary import summarise
from emu.measure.workloads import DEFAULT_WORKLOADS, WORKLOADS
from emu.model import Plan, Scenario
from tests.live.machine import our_labs

pytestmark = pytest.mark.alone

CHECKOUT = Path(__file__).resolve().parents[2]
DESIGNS = ["bare", "overlay"]
SPECS = ["bare", "overlay:backend=vxlan,outside=none"]
LABS = [*SPECS, "control"]
BLOCKS = 2
DEFAULTS = [WORKLOADS[name] for name in DEFAULT_WORKLOADS]
RUN_KEYS = {
    "format", "scenario", "seed", "argv", "revision", "started", "ended", "kernel", "cpu", "virtualisation",
    "ovs_version", "datapath", "offloads", "sysctls", "tools", "warnings", "usage",
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = Lengths(ping_packets=20, request_s=0.2, stream_s=1, first_packets=2)
    monkeypatch.setitem(PROFILES, "tiny", Profile("tiny", BLOCKS, lengths))


class Steps(Progress):
    """Progress that also does something at a chosen trial."""

    def __init__(self, at: int, action: Callable[[], None]) -> None:
        super().__init__(io.StringIO())
        self._at, self._action = at, action

    def step(self, text: str) -> None:
        if text.startswith(f"trial {self._at} of"):
            self._action()


def run_compare(out: Path, progress: Progress | None = None, workloads: tuple[str, ...] = DEFAULT_WORKLOADS) -> Path:
    return measure(plans_for(DESIGNS, Scenario(), []), workloads, out, progress)


def measure(plans: Sequence[Plan], workloads: Sequence[str], out: Path, progress: Progress | None = None,
            **options: Any) -> Path:
    asked = comparison_of(plans, workloads, "tiny", out, **options)
    return compare(asked, ["emu", "compare"], progress or Progress(io.StringIO()))


def test_compare_leaves_a_whole_result_folder(tmp_path: Path) -> None:
    folder = run_compare(tmp_path / "out")
    assert our_labs() == []
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "samples.jsonl", "summary.json", "summary.csv", "budget.json", "raw", "plots", "report.html"}

    run = json.loads((folder / "run.json").read_text())
    assert run.keys() >= RUN_KEYS
    assert run["format"] == "emu-run/1"
    assert not run["interrupted"]
    assert run["ended"] >= run["started"]
    assert run["controller_errors"] == {spec: [] for spec in LABS}
    assert [design["spec"] for design in run["designs"]] == SPECS
    assert all(run["tools"][tool][-1].isdigit() for tool in ("ping", "iperf3", "nginx"))

    samples = read_folder(folder).samples
    assert [sample.error for sample in samples if not sample.ok] == []
    cells = Counter((s.spec, s.workload, s.metric, s.block) for s in samples)
    assert set(cells) == {(spec, workload.name, metric, block) for spec in LABS for workload in DEFAULTS
                          for metric in workload.all_metrics for block in range(BLOCKS)}
    assert {count for (_, workload, metric, _), count in cells.items() if metric == "rtt"} == {20}
    for sample in samples:
        assert sample.value is not None
        assert sample.value > 0 or sample.metric.endswith(("loss", "retransmits", "_controller", "_softirq"))

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["format"] == "emu-summary/1"
    assert len(summary["metrics"]) == len(SPECS) * sum(len(workload.all_metrics) for workload in DEFAULTS)
    assert len(summary["control"]["ratios"]) == sum(METRICS[m].is_cost for w in DEFAULTS for m in w.all_metrics)
    assert not summary["verdict"]["trusted"]
    others = ("buffers", "processes outside", "hypervisor", "sent again")  # what this machine does besides
    reasons = [reason for reason in summary["verdict"]["reasons"] if not any(other in reason for other in others)]
    assert [reason for reason in reasons if "below 6" not in reason] == []

    calls = [json.loads(path.read_text()) for path in sorted((folder / "raw").iterdir())]
    assert all({"argv", "returncode", "stdout", "stderr"} <= call.keys() for call in calls)
    trials = [call for call in calls if "trial" in call]
    more = ("the warm-up of tcp_rr", "the warm-up of http", "the second ping of first_packet")
    assert len(trials) == len(LABS) * BLOCKS * (len(DEFAULTS) + len(more))


def test_the_first_packet_pays_for_what_is_cold_and_the_stream_fits_the_wire(tmp_path: Path) -> None:
    samples = read_folder(run_compare(tmp_path / "out")).samples
    for spec, mtu in zip(SPECS, (1500, 1450), strict=True):
        rtts = sorted(s.value or 0 for s in samples if s.spec == spec and s.metric == "rtt")
        first = sorted(s.value or 0 for s in samples if s.spec == spec and s.workload == "first_packet")
        assert first[len(first) // 2] > rtts[len(rtts) // 2]
        sizes = [s.value or 0 for s in samples if s.spec == spec and s.metric == "packet_size"]
        assert all(mtu - 100 < size <= mtu + 14 for size in sizes)


class Seen(Progress):
    """Progress that also looks which labs there are at each step."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.labs: list[tuple[str, frozenset[str]]] = []

    def step(self, text: str) -> None:
        self.labs.append((text, frozenset(tree.lab_id for tree in our_labs())))


def test_every_block_has_labs_like_the_first_ones_whose_links_are_measured(tmp_path: Path) -> None:
    plans, seen = plans_for(["bare"], Scenario(bw=20.0, loss=1.0), []), Seen()
    folder = measure(plans, ["ping"], tmp_path / "out", seen, fresh_labs=True)
    run = json.loads((folder / "run.json").read_text())
    checks = {check["quantity"]: check for check in run["links"]}
    assert checks.keys() == {"rate", "loss of pings"}
    assert len(run["links"]) == len(checks)
    assert checks["rate"]["achieved"] == pytest.approx(20e6 * 0.99, rel=0.1)
    for check in checks.values():
        assert check["error"] is None
    report = (folder / "report.html").read_text()
    assert "19.8 Mbit/s asked for" in report
    assert "links of 20 Mbit/s with a queue of 50 ms, 1 % loss each way" in report
    assert "fresh ones for each block" in report

    assert run["unlike_labs"] == []
    first, *_, last = (labs for text, labs in seen.labs if text.startswith("trial"))
    assert len(first) == len(last) == 2
    assert not first & last
    assert [labs for text, labs in seen.labs if text.startswith("latency budget")] == [last]
    assert our_labs() == []


def test_an_interrupted_run_keeps_its_samples_and_ends_its_labs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        shutil.copytree(tmp_path / "out", tmp_path / "killed")  # what kill -9 would leave here
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_compare(tmp_path / "out", Steps(4, interrupt), ("ping",))
    assert our_labs() == []
    stored = read_folder(tmp_path / "out")
    assert stored.run["interrupted"]
    assert {sample.trial for sample in stored.samples} == {0, 1, 2}
    capfd.readouterr()
    assert main(["report", str(tmp_path / "killed")]) == 0
    assert "NOT TRUSTED: the run was interrupted" in capfd.readouterr().out


def test_a_run_that_was_killed_goes_on_to_the_same_cells_as_one_left_alone(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "out"
    run_compare(whole, Steps(5, lambda: shutil.copytree(whole, killed) and None), ("ping", "tcp_rr"))
    with (killed / "samples.jsonl").open("a") as file:
        file.write('{"design": "bare", "par')  # a last line that was cut off
    plans = plans_for(DESIGNS, Scenario(), [])
    with pytest.raises(UsageError) as wrong:
        comparison_of(plans[:1], ["ping"], "tiny", killed, resume=True)
    assert [problem.split(" was ")[0] for problem in wrong.value.problems] == [
        "--resume: workloads", "--resume: designs"]

    before = read_folder(killed).samples
    measure(plans, ["ping", "tcp_rr"], killed, resume=True)
    assert our_labs() == []
    left_alone, resumed = read_folder(whole), read_folder(killed)
    assert {sample.trial for sample in before} == {0, 1, 2, 3}
    assert [s for s in resumed.samples if s.trial < 3] == [s for s in before if s.trial < 3]
    cells = [[(s.trial, s.block, s.order, s.spec, s.metric) for s in run.samples] for run in (resumed, left_alone)]
    assert list(dict.fromkeys(cells[0])) == list(dict.fromkeys(cells[1]))
    assert not resumed.run["interrupted"]
    assert [warning.split(" at ")[0] for warning in resumed.run["warnings"]] == ["interrupted, and taken up again"]
    with pytest.raises(UsageError, match="was not interrupted"):
        comparison_of(plans, ["ping", "tcp_rr"], "tiny", killed, resume=True)


def test_a_run_goes_on_until_ratios_are_known_well_enough_or_time_is_over(tmp_path: Path) -> None:
    plans, log = plans_for(DESIGNS, Scenario(), []), io.StringIO()
    measure(plans, ["ping"], tmp_path / "met", Progress(log), goal=Goal(share=50.0, limit_s=600))
    met = read_folder(tmp_path / "met")
    goal = met.run["precision"]
    assert (goal["share"], goal["limit_s"], goal["blocks"]) == (50.0, 600, 7)  # looks at 2, 3, 4, 5 and 7
    assert 0 < goal["took_s"] < 600
    assert {sample.block for sample in met.samples} == set(range(7))
    assert "5 blocks: too few for intervals" in log.getvalue()
    assert not [reason.text for reason in summarise(met).verdict.reasons if "blocks" in reason.text]

    measure(plans, ["ping"], tmp_path / "over", goal=Goal(share=1e-6, limit_s=0))
    over = read_folder(tmp_path / "over")
    assert over.run["precision"]["blocks"] == BLOCKS
    assert UNREACHED in summarise(over).verdict.notes


def test_a_run_beside_a_busy_program_is_not_trusted(tmp_path: Path) -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        stored = read_folder(run_compare(tmp_path / "out", workloads=("ping", "tcp_rr")))
    finally:
        hog.kill()
        hog.wait()
    assert len(stored.run["usage"]) == 2 * BLOCKS
    assert any("processes outside the labs used" in reason.text for reason in summarise(stored).verdict.reasons)


def test_what_a_lab_uses_is_its_own() -> None:
    """However busy this machine is meanwhile: all that a command in the lab used is known as the lab's."""
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(time.process_time())"
    with Lab("bare") as lab:
        before = look([lab.tree.pid])
        used_s = float(lab["node-a"].run([sys.executable, "-c", burn]).stdout)
        assert look([lab.tree.pid]).labs_s - before.labs_s > 0.9 * used_s


def test_a_lab_that_dies_is_told_as_that_and_what_was_measured_is_reported(tmp_path: Path) -> None:
    def kill_overlay() -> None:
        (tree,) = (tree for tree in our_labs() if tree.spec == SPECS[1])
        os.kill(tree.init_pid, signal.SIGKILL)

    with pytest.raises(LabDied, match="the lab of overlay:backend=vxlan,outside=none died"):
        run_compare(tmp_path / "out", Steps(3, kill_overlay), ("ping",))
    assert our_labs() == []
    stored = read_folder(tmp_path / "out")
    assert stored.run["interrupted"]
    assert any("died" in warning for warning in stored.run["warnings"])
    assert {sample.trial for sample in stored.samples} >= {0, 1}
    assert "died" in (tmp_path / "out" / "report.html").read_text()


def test_everything_wrong_is_named_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    plans = plans_for(["bare", "bare"], Scenario(), [])
    with pytest.raises(UsageError) as wrong:
        comparison_of(plans, ["ping", "ping", "pong"], "huge", tmp_path / "out")
    assert [problem.split(";")[0] for problem in wrong.value.problems] == [
        "there is no workload 'pong'", "workload 'ping' is named twice", "design 'bare' is named twice",
        "there is no profile 'huge'", f"the result folder {tmp_path}/out exists already"]
    assert list((tmp_path / "out").iterdir()) == []


def test_an_experiment_runs_by_itself(tmp_path: Path) -> None:
    argv = [str(CHECKOUT / "experiments" / "throughput.py"), "bare", "--out", str(tmp_path / "out")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "plots:" in done.stdout
    assert (tmp_path / "out" / "plots" / "rates.png").exists()
    refused = subprocess.run([*argv, "--nodes", "1"], capture_output=True, text=True, timeout=300, check=False, cwd="/")
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    assert "--nodes" in refused.stderr


def test_an_experiment_reads_a_scenario_file_and_tells_mistakes_as_emu_does(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("mtu: 1400\nnodes: one\n")
    argv = [str(CHECKOUT / "experiments" / "latency.py"), "bear", "--scenario", str(file), "--out", "/proc/x"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, cwd="/")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("latency.py: ") for line in lines)
    for said in (f"{file}:2: --nodes takes", "no design 'bear'", "result folder /proc/x"):
        assert any(said in line for line in lines), said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write in another user's checkout")
def test_an_experiment_of_root_leaves_nothing_in_a_user_s_checkout(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "experiments", tmp_path / "experiments", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "emu", tmp_path / "emu", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".venv").symlink_to(CHECKOUT / ".venv")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 1234, 1234, follow_symlinks=False)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    argv = [str(tmp_path / "experiments" / "latency.py"), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False,
                          env={**env, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.stat().st_uid == 0 and not path.is_symlink()] == []
