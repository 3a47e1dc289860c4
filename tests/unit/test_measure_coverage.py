"""How often printed intervals hold, by simulation with fixed seeds: on blocks of a real run, and on made-up ones.

Rates over ``RUNS`` runs may miss the claimed range by what chance does to a rate of 95 % in one of a thousand tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.measure.metrics import METRICS
from emu.measure.results import read_folder
from emu.measure.stats import LEVEL, median_over_blocks
from emu.measure.summary import REFERENCE, summarise
from emu.measure.trust import CONTROL, Blocks, Key, control_of, drift
from tests.unit.measure_support import RECORDED_RUN

RUNS = 1000
SLACK = 3.3 * (0.95 * 0.05 / RUNS) ** 0.5
LOWEST, HIGHEST = 0.93 - SLACK, 0.97 + SLACK


@cache
def recorded_ratios() -> tuple[NDArray[np.float64], ...]:
    """The ratios to bare of each metric of each design in a recorded run, a value a block."""
    cells = summarise(read_folder(RECORDED_RUN)).cells.values()
    return tuple(np.array(cell.ratios) for cell in cells if cell.ratios and cell.design != REFERENCE)


Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.float64], float]]
"""So many blocks, and the median of all there could be."""


def recorded(generator: np.random.Generator, blocks: int) -> tuple[NDArray[np.float64], float]:
    ratios = recorded_ratios()[generator.integers(len(recorded_ratios()))]
    return generator.choice(ratios, blocks), float(np.median(ratios))


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
    cells = summarise(read_folder(RECORDED_RUN)).cells
    return {key: np.array(list(cell.blocks.values())) for key, cell in cells.items() if METRICS[key[2]].is_cost}


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
