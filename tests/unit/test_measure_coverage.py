"""How often printed intervals hold, by simulation with fixed seeds: on blocks of a real run, and on made-up ones.

Rates over ``RUNS`` runs may miss the claimed range by what chance does to a rate of 95 % in one of a thousand tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.measure.results import read_folder
from emu.measure.stats import median_over_blocks
from emu.measure.summary import REFERENCE, summarise
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
