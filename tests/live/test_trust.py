"""Whether a run finds what is there, and knows when it is not to be trusted: on real labs, disturbed and left alone.

The long form (``./run test -m long``) repeats runs, and needs a machine that does nothing else.
"""

from __future__ import annotations

import io
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from emu.designs import plans_for
from emu.live.lab import Lab
from emu.live.tree import enter
from emu.measure import compare as comparing
from emu.measure.asked import comparison_of
from emu.measure.blocks import PROFILES, Profile
from emu.measure.diff import Difference, compare_runs
from emu.measure.progress import Progress
from emu.measure.results import Stored, read_folder
from emu.measure.scripts import Lengths
from emu.measure.summary import summarise
from emu.measure.words import control_text, differs
from emu.model import Scenario
from tests.live.machine import our_labs

pytestmark = pytest.mark.alone

RUNS = 20
ADDED_US = 50
LOADS = 1000
"""Instructions of one filter; a message of rtnetlink holds two thousand."""
_LOAD_RANDOM, _GO_ON = "32 0 0 4294963256", "6 0 0 4294967295"
"""A = a random number, of all instructions of classic BPF the slowest; return TC_ACT_UNSPEC (linux/filter.h)."""


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = Lengths(ping_packets=100, request_s=0.2, stream_s=1, first_packets=2)
    for blocks in (2, 10):
        monkeypatch.setitem(PROFILES, str(blocks), Profile(str(blocks), blocks, lengths))
    monkeypatch.setattr(comparing, "BUDGET_REPEATS", 16)  # what is not looked at need not take long
    monkeypatch.setattr(comparing, "redraw", lambda out: out)


class AtFirstTrial(Progress):
    """Does something before the first trial, when all labs are up."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__(io.StringIO())
        self._action = action

    def step(self, text: str) -> None:
        if text.startswith("trial 1 of"):
            self._action()


def run_of(out: Path, designs: list[str], workloads: list[str], action: Callable[[], None] = lambda: None,
           blocks: int = 10) -> Stored:
    asked = comparison_of(plans_for(designs, Scenario(), []), workloads, str(blocks), out)
    return read_folder(comparing.compare(asked, ["emu", "compare"], AtFirstTrial(action)))


def filters(count: int) -> list[list[str]]:
    """Commands that have all that leaves eth0 pass through so many filters which do nothing but take time."""
    program = ",".join([str(LOADS + 1), *[_LOAD_RANDOM] * LOADS, _GO_ON])
    return [["tc", "qdisc", "add", "dev", "eth0", "clsact"],
            *(["tc", "filter", "add", "dev", "eth0", "egress", "pref", str(pref), "bpf", "da", "bytecode", program]
              for pref in range(1, count + 1))]


def filters_for(microseconds: float) -> int:
    """How many filters take so long on this machine, by pings with and without."""
    many = 4
    with Lab("bare") as lab:
        without = _ping_us(lab)
        for command in filters(many):
            assert lab["node-c"].run(command).returncode == 0
        each = (_ping_us(lab) - without) / many
    assert each > 0
    return max(1, round(microseconds / each))


def _ping_us(lab: Lab) -> float:
    done = lab["node-a"].run(["ping", "-n", "-c", "500", "-i", "0.002", lab.plan.address("node-c")])
    return statistics.median(1000 * float(ms) for ms in re.findall(r"time=([\d.]+)", done.stdout))


def slow_down(spec: str, server: str, count: int) -> None:
    """Put ``count`` filters on a server's way out, in one of our labs of ``spec``: of bare and its control, either."""
    tree = next(tree for tree in our_labs() if tree.spec == spec)
    for command in filters(count):
        assert enter(tree, server, command).wait() == 0


def test_fifty_microseconds_in_the_server_of_one_of_two_equal_labs_are_found(tmp_path: Path) -> None:
    count = filters_for(ADDED_US)
    stored = run_of(tmp_path / "out", ["bare"], ["ping"], lambda: slow_down("bare", "node-c", count))
    summary = summarise(stored)
    assert [reason.workload for reason in summary.verdict.reasons if reason.text.startswith("control:")] == ["ping"]
    assert summary.control is not None
    assert "they differ" in control_text(summary.control)


@contextmanager
def hog() -> Iterator[None]:
    """A program that uses all of a CPU that it can get."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


DESIGNS, WORKLOADS = ["bare", "overlay"], ["ping", "tcp_stream"]


@pytest.mark.long
def test_every_run_beside_a_busy_program_is_flagged(tmp_path: Path) -> None:
    with hog():
        # Few blocks: what is looked at is whose the CPU time was.
        runs = [summarise(run_of(tmp_path / str(run), DESIGNS, WORKLOADS, blocks=2)) for run in range(RUNS)]
    assert all(any("outside the labs" in reason.text for reason in run.verdict.reasons) for run in runs)


@pytest.mark.long
def test_no_run_on_a_quiet_machine_is_flagged_and_no_two_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run_of(tmp_path / str(run), DESIGNS, WORKLOADS) for run in range(RUNS)]
    found = [summarise(run) for run in runs]
    assert [reason.text for run in found for reason in run.verdict.reasons] == []
    assert all(run.control and "no difference shown" in control_text(run.control) for run in found)
    pairs = [compare_runs(*pair) for pair in combinations(runs, 2)]
    with capsys.disabled():
        print(*told_of_pairs(pairs), sep="\n")
    assert [change for pair in pairs for change in pair.regressions(0.1) if change.metric == "rtt"] == []


def told_of_pairs(pairs: Sequence[Difference]) -> Iterator[str]:
    """In how many pairs of equal runs the round trip has changed, by figures and by ratios to bare."""
    for limit in (0.0, 0.05, 0.1):
        for design in DESIGNS:
            of_design = [change for pair in pairs for change in pair.changes
                         if (change.design, change.metric) == (design, "rtt")]
            for what, estimates in (("median", [change.change for change in of_design]),
                                    ("ratio to bare", [change.of_ratio for change in of_design if change.of_ratio])):
                count = sum(differs(estimate) and abs(estimate.value - 1) > limit for estimate in estimates)
                if estimates:
                    yield (f"{design}: of {len(estimates)} pairs {count} show a change of the {what} of RTT"
                           f" by more than {limit:.0%}")


@pytest.mark.long
def test_fifty_microseconds_in_the_server_of_one_design_are_found(tmp_path: Path) -> None:
    count = filters_for(ADDED_US)
    before = run_of(tmp_path / "a", DESIGNS, ["ping"])
    after = run_of(tmp_path / "b", DESIGNS, ["ping"],
                   lambda: slow_down("overlay:backend=vxlan,outside=none", "ctr-4", count))
    (change,) = (c for c in compare_runs(before, after).changes if c.spec.startswith("overlay") and c.metric == "rtt")
    assert change.is_regression(0.1)
