"""What is told while a comparison runs: where it is, how long it will take, and how precise it is so far."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emu.designs import plans_for
from emu.measure.asked import comparison_of
from emu.measure.blocks import MINIMUM_BLOCKS, Trial, plan_trials
from emu.measure.compare import Measuring
from emu.measure.labs import Labs
from emu.measure.precision import Tally, Width, half_width
from emu.measure.progress import PLAIN_EVERY_S, Progress
from emu.measure.results import ResultFolder, Sample, read_folder
from emu.measure.stats import LEVEL, SEQUENTIAL_LEVEL, Estimate
from emu.measure.summary import summarise
from emu.model import Scenario
from tests.unit.measure_support import run_json, samples, store

DESIGNS = ["bare", "l2", "overlay"]


def tally_of(taken: Sequence[Sample]) -> Tally:
    """Fed as a run does: trial by trial."""
    tally = Tally()
    for _, trial in groupby(taken, key=lambda s: (s.spec, s.workload, s.block)):
        tally.add(list(trial))
    return tally


def test_the_width_is_that_of_the_widest_ratio_of_the_summary(tmp_path: Path) -> None:
    noisy = [replace(s, value=(s.value or 0) * (1.3 if s.block % 2 and (s.design, s.workload) == ("l2", "http") else 1))
             for s in samples(DESIGNS)]
    cold = [replace(s, value=(s.value or 0) * (1 + s.block)) for s in samples(["l2"]) if s.workload == "first_packet"]
    twin = [replace(s, design="control", value=(s.value or 0) * (1 + s.block)) for s in samples(["bare"])]
    found = tally_of([*noisy, *cold, *twin]).widest()
    cells = summarise(read_folder(store(tmp_path / "run", run_json(DESIGNS), noisy))).cells.values()
    widths = {(c.spec, c.workload, c.metric): half_width(c.ratio) for c in cells
              if c.ratio is not None and c.workload != "first_packet"}
    assert found is not None
    assert (found.spec, found.workload) == ("l2:proxy_arp=controller", "http")
    assert found.half == max(widths.values()) == widths[found.spec, found.workload, found.metric]


def test_there_is_none_below_six_blocks_and_without_bare() -> None:
    assert tally_of(samples(DESIGNS, blocks=MINIMUM_BLOCKS - 1)).widest() is None
    assert tally_of(samples(["l2", "overlay"])).widest() is None
    assert Tally().widest() is None


def test_there_is_none_while_one_ratio_has_no_interval() -> None:
    lacking = [s for s in samples(DESIGNS) if (s.design, s.workload, s.block) != ("l2", "http", 0)]
    assert tally_of(lacking).widest() is None


def test_the_farther_end_of_an_interval_counts() -> None:
    assert half_width(Estimate(2.0, 1.9, 2.2)) == pytest.approx(0.1)
    assert half_width(Estimate(1.0, None, None)) == inf


def test_intervals_are_of_the_level_that_is_asked_for() -> None:
    halves = []
    for tally in (Tally(LEVEL), Tally(SEQUENTIAL_LEVEL)):
        tally.add(samples(DESIGNS, blocks=10))
        widest = tally.widest()
        assert widest is not None
        halves.append(widest.half)
    assert halves[0] < halves[1]


def test_failed_trials_are_no_values() -> None:
    taken = [replace(s, ok=False, value=None, error="x") if s.block == 0 else s for s in samples(DESIGNS)]
    assert tally_of(taken).widest() is None
    assert tally_of(taken + [replace(s, block=6) for s in samples(DESIGNS, blocks=1)]).widest() is not None


@pytest.mark.parametrize(("half", "text"), [(0.123, "±12%"), (0.021, "±2.1%"), (1.5, "±150%")])
def test_a_width_is_told_short(half: float, text: str) -> None:
    assert str(Width(half, "l2", "http", "rate")) == f"widest interval {text} (l2 http rate)"


class Bench:
    """A bench whose trials are made up: no lab, no folder."""

    control = False
    lab = SimpleNamespace(tree=SimpleNamespace(pid=os.getpid()), facts=dict)

    def __init__(self, name: str) -> None:
        self._taken: dict[tuple[str, int], list[Sample]] = {}
        for sample in samples([name], blocks=8):
            self._taken.setdefault((sample.workload, sample.block), []).append(sample)

    def prepare(self, workloads: object) -> None:
        pass

    def measure(self, trial: Trial, workload: object) -> list[Sample]:
        return self._taken[trial.workload, trial.block]

    def errors(self) -> list[str]:
        return []


def told(tmp_path: Path, terminal: bool, seconds_a_step: float) -> list[str]:
    """What a comparison of two designs in eight blocks says."""
    stream, clock = io.StringIO(), iter(range(10**6))
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    benches: Any = {"bare": Bench("bare"), "l2": Bench("l2")}
    plans = plans_for(["bare", "l2"], Scenario(), [])
    asked = comparison_of(plans, ["ping", "http"], "quick", tmp_path / "out")
    trials = plan_trials(list(benches), list(asked.workloads), 8, seed=1)
    run = {"designs": [{"spec": name, "facts": {}} for name in benches], "usage": [], "unlike_labs": [],
           "precision": None, "controller_errors": {}}
    Measuring(asked, Labs(plans, fresh=False), ResultFolder.create(asked.out),
            Progress(stream, lambda: next(clock) * seconds_a_step), benches, run, Tally()).measure(trials)
    return stream.getvalue().split("\r\x1b[K" if terminal else "\n")


def test_every_step_tells_trial_time_left_and_from_the_seventh_block_on_the_width(tmp_path: Path) -> None:
    lines = [line for line in told(tmp_path, terminal=True, seconds_a_step=1) if line]
    assert len(lines) == 8 * 4
    assert all(f"trial {number} of 32" in line and "left" in line for number, line in enumerate(lines, 1))
    assert ["widest interval" in line for line in lines] == [False] * 24 + [True] * 8


@pytest.mark.parametrize(("columns", "shown"), [(40, 39), (0, 140)])
def test_a_step_never_wraps(columns: int, shown: int) -> None:
    """A line that wraps cannot be written over. On a real terminal; one of no columns does not know its size."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        Progress(stream).step("trial 1 of 2  " * 10)
        written = os.read(ours, 1000).decode()
    os.close(ours)
    assert written == "\r\x1b[K" + ("trial 1 of 2  " * 10)[:shown]


def test_without_a_terminal_it_is_plain_and_quiet(tmp_path: Path) -> None:
    lines = [line for line in told(tmp_path, terminal=False, seconds_a_step=PLAIN_EVERY_S / 10) if line]
    assert 1 < len(lines) < 10
    assert not any("\x1b" in line or "\r" in line for line in lines)
    assert "widest interval" in lines[-1]
