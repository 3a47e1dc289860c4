"""How often printed intervals hold, by simulation with fixed seeds: on blocks of a real run, and on made-up ones.

Rates over ``RUNS`` runs may miss the claimed range by what chance does to a rate of 95 % in one of a thousand tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.measure.metrics import METRICS
from emu.measure.precision import half_width
from emu.measure.sequential import next_look
from emu.measure.stats import LEVEL, SEQUENTIAL_LEVEL, median_over_blocks
from emu.measure.summary import REFERENCE
from emu.measure.trust import CONTROL, Blocks, Key, control_of, drift
from tests.unit.measure_support import DATA

RUNS = 1000
SLACK = 3.3 * (0.95 * 0.05 / RUNS) ** 0.5
SMOOTHING = 0.3
"""Drawn blocks are spread by so much of their scatter (smoothed bootstrap): ten values alone would come back again and
again, as measured ones do not, and an interval that ends on one of them is right too often."""
NORMAL = np.sort(np.random.default_rng(1).standard_normal(2001))
LOWEST, HIGHEST = 0.93 - SLACK, 0.97 + SLACK


@cache
def recorded_cells() -> list[dict[str, Any]]:
    """Blocks of a real run, kept beside the tests: results/reference is made anew from time to time."""
    cells: list[dict[str, Any]] = json.loads((DATA / "recorded_blocks.json").read_text(encoding="utf-8"))["cells"]
    return cells


@cache
def recorded_ratios() -> tuple[NDArray[np.float64], ...]:
    """The ratios to bare of each metric of each design in a recorded run, a value a block."""
    cells = (cell for cell in recorded_cells() if cell["design"] != REFERENCE)
    return tuple(np.array(cell["ratios"]) for cell in cells if cell["ratios"])


Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.float64], float]]
"""So many blocks, and the median of all there could be."""


def recorded(generator: np.random.Generator, blocks: int) -> tuple[NDArray[np.float64], float]:
    ratios = recorded_ratios()[generator.integers(len(recorded_ratios()))]
    width = SMOOTHING * ratios.std()
    drawn = generator.choice(ratios, blocks) + width * generator.standard_normal(blocks)
    return drawn, float(np.median(ratios[:, None] + width * NORMAL))


POPULATIONS: Mapping[str, Draw] = {
    "recorded": recorded,
    "normal": lambda generator, blocks: (generator.normal(1, 0.05, blocks), 1.0),
    "skewed": lambda generator, blocks: (generator.lognormal(0, 0.5, blocks), 1.0),
    "heavy tails": lambda generator, blocks: (1 + 0.05 * generator.standard_t(2, blocks), 1.0),
}


@pytest.mark.parametrize("blocks", [6, 10, 13, 20, 40])
@pytest.mark.parametrize("population", POPULATIONS)
def test_intervals_cover_the_truth_as_often_as_they_say(population: str, blocks: int) -> None:
    generator = np.random.default_rng(blocks)
    covered = 0
    for _ in range(RUNS):
        values, truth = POPULATIONS[population](generator, blocks)
        low, high = median_over_blocks(values).interval or (truth, truth)
        covered += low <= truth <= high
    assert LOWEST <= covered / RUNS <= HIGHEST


@cache
def recorded_blocks() -> dict[Key, NDArray[np.float64]]:
    """The block medians of a recorded run."""
    return {
        (cell["design"], cell["workload"], cell["metric"]): np.array(cell["blocks"])
        for cell in recorded_cells()
        if METRICS[cell["metric"]].is_cost
    }


def sound_run(generator: np.random.Generator, blocks: int) -> Blocks:
    """A run without a fault: blocks of the recorded one, drawn whole, so that what goes together stays together.

    The control is bare with the scatter of a ratio of one block: that of a design to bare about its own median, which
    has to be as likely the other way round, since two equal labs might be swapped.
    """
    medians = recorded_blocks()
    drawn = generator.integers(0, len(next(iter(medians.values()))), blocks)
    sign = generator.choice([-1.0, 1.0], blocks)
    other = sorted({spec for spec, _, _ in medians} - {REFERENCE})[generator.integers(3)]
    run = {key: dict(enumerate(values[drawn])) for key, values in medians.items()}
    for spec, workload, metric in medians:
        if spec == REFERENCE:
            bare = medians[spec, workload, metric]
            ratios = np.log(medians[other, workload, metric] / bare)
            scatter = np.exp(sign * (ratios - np.median(ratios))[drawn])
            run[CONTROL, workload, metric] = dict(enumerate(bare[drawn] * scatter))
    return run


@pytest.mark.parametrize("blocks", [10, 20])
def test_at_most_one_of_a_hundred_sound_runs_is_called_untrusted(blocks: int) -> None:
    """Seven alarms are to be expected by ``CONTROL_LEVEL`` and ``DRIFT_LEVEL``, give or take five by chance."""
    generator = np.random.default_rng(4)
    alarms = 0
    for _ in range(RUNS):
        run = sound_run(generator, blocks)
        control = control_of(run, REFERENCE, LEVEL)
        assert control is not None
        alarms += bool(control.reasons() or drift(run))
    assert alarms <= RUNS / 100


SCATTER: Mapping[str, float] = {"recorded": 0.06, "normal": 0.05, "skewed": 0.5, "heavy tails": 0.09}


@pytest.mark.parametrize("first", [6, 10])
@pytest.mark.parametrize("wanted", [0.4, 0.6, 0.8], ids=lambda wanted: f"{wanted:g}-scatter")
@pytest.mark.parametrize("population", POPULATIONS)
def test_intervals_cover_the_truth_where_their_being_narrow_ended_the_run(
    population: str, wanted: float, first: int
) -> None:
    """The worst case: a single ratio decides. ``wanted``: the half width asked for, in terms of the blocks' scatter."""
    generator = np.random.default_rng(first)
    covered = stopped = 0
    for _ in range(RUNS):
        values, truth = POPULATIONS[population](generator, most := 80)
        blocks, ratio = first, median_over_blocks(values[:first], SEQUENTIAL_LEVEL)
        while half_width(ratio) > wanted * SCATTER[population] and blocks < most:
            blocks = next_look(blocks, most - blocks)
            ratio = median_over_blocks(values[:blocks], SEQUENTIAL_LEVEL)
        low, high = ratio.interval or (truth, truth)
        covered += low <= truth <= high
        stopped += first < blocks < most
    assert LOWEST <= covered / RUNS <= HIGHEST
    assert stopped > RUNS / 10


def test_intervals_cover_the_truth_where_all_ratios_had_to_be_narrow() -> None:
    """As in a run: the ratios of a block are drawn together, the widest of all ends it, and all are printed."""
    ratios, generator = np.array(recorded_ratios()), np.random.default_rng(7)
    widths = SMOOTHING * ratios.std(axis=1, keepdims=True)
    truth = np.median((ratios[:, :, None] + widths[:, None] * NORMAL).reshape(len(ratios), -1), axis=1)
    covered = 0
    for _ in range(RUNS // 4):
        drawn = ratios[:, generator.integers(0, ratios.shape[1], 60)]
        drawn += widths * generator.standard_normal(drawn.shape)
        blocks = 10
        while True:
            found = [median_over_blocks(values[:blocks], SEQUENTIAL_LEVEL) for values in drawn]
            if max(map(half_width, found)) <= 0.06 or blocks == 60:
                break
            blocks = next_look(blocks, 60 - blocks)
        covered += sum((e.low or 0) <= t <= (e.high or 0) for e, t in zip(found, truth, strict=True))
    assert 0.93 <= covered / (RUNS // 4) / len(ratios) <= 0.97
