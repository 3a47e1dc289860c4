"""How often printed intervals hold, by simulation with fixed seeds: on blocks of a real run, and on made-up ones.

Rates over ``RUNS`` runs may miss the claimed range by what chance does to a rate of 95 % in one of a thousand tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from emu.measure.precision import half_width
from emu.measure.sequential import next_look
from emu.measure.stats import LEVEL, SEQUENTIAL_LEVEL, median_over_blocks
from emu.measure.summary import REFERENCE
from emu.measure.trust import CONTROL, Key, control_of, drift
from tests.unit.measure_support import DATA

RUNS = 1000
SLACK = 3.3 * (0.95 * 0.05 / RUNS) ** 0.5
SMOOTHING = 0.3
"""Drawn blocks are spread by so much of their scatter (smoothed bootstrap): ten values alone would come back again and
again, as measured ones do not, and an interval that ends on one of them is right too often."""
NORMAL = np.sort(np.random.default_rng(1).standard_normal(2001))
LOWEST, HIGHEST = 0.93 - SLACK, 0.97 + SLACK


@cache
def recorded_blocks() -> dict[Key, NDArray[np.float64]]:
    """Block medians of a real run with a control, kept beside the tests: results/reference is made anew from time to
    time. Costs in CPU time are among them."""
    cells = json.loads((DATA / "recorded_blocks.json").read_text(encoding="utf-8"))["cells"]
    return {(cell["design"], cell["workload"], cell["metric"]): np.array(cell["blocks"]) for cell in cells}


@cache
def recorded_ratios() -> Mapping[Key, NDArray[np.float64]]:
    """The ratios of each metric of each design to bare and to its control, which might as well be bare."""
    found = recorded_blocks()
    return {
        key: np.concatenate([values / found[like(key, REFERENCE)], values / found[like(key, CONTROL)]])
        for key, values in found.items() if key[0] not in (REFERENCE, CONTROL)
    }


def like(key: Key, spec: str) -> Key:
    """The same question, asked of another design."""
    return (spec, *key[1:])


def smoothed_median(ratios: NDArray[np.float64]) -> float:
    """The median of all there could be, smoothing included."""
    return float(np.median(ratios[:, None] + SMOOTHING * ratios.std() * NORMAL))


Draw = Callable[[np.random.Generator, int], tuple[NDArray[np.float64], float]]
"""So many blocks, and the median of all there could be."""


def recorded(generator: np.random.Generator, blocks: int) -> tuple[NDArray[np.float64], float]:
    ratios = list(recorded_ratios().values())[generator.integers(len(recorded_ratios()))]
    drawn = generator.choice(ratios, blocks) + SMOOTHING * ratios.std() * generator.standard_normal(blocks)
    return drawn, smoothed_median(ratios)


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


def sound_run(generator: np.random.Generator, blocks: int) -> dict[Key, NDArray[np.float64]]:
    """A run without a fault: blocks of the recorded one, drawn whole, so that what goes together stays together. Bare
    and its control change places in every second block: of two equal labs either might have been either."""
    found = recorded_blocks()
    drawn = generator.integers(0, len(next(iter(found.values()))), blocks)
    other_way = generator.random(blocks) < 0.5
    run = {key: values[drawn] for key, values in found.items()}
    for key in found:
        if key[0] == REFERENCE:
            twin = like(key, CONTROL)
            run[key], run[twin] = np.where(other_way, (run[twin], run[key]), (run[key], run[twin]))
    return run


def is_called_untrusted(run: Mapping[Key, NDArray[np.float64]]) -> bool:
    blocks = {key: dict(enumerate(map(float, values))) for key, values in run.items()}
    control = control_of(blocks, REFERENCE, LEVEL)
    assert control is not None
    return bool(control.reasons() or drift(blocks))


@pytest.mark.parametrize("blocks", [10, 20])
def test_at_most_one_of_a_hundred_sound_runs_is_called_untrusted(blocks: int) -> None:
    """Seven alarms are to be expected by ``CONTROL_LEVEL`` and ``DRIFT_LEVEL``, give or take five by chance."""
    generator = np.random.default_rng(4)
    assert sum(is_called_untrusted(sound_run(generator, blocks)) for _ in range(RUNS)) <= RUNS / 100


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


def test_runs_that_end_when_all_ratios_are_narrow_cover_the_truth_and_are_trusted() -> None:
    """As ``--precision`` has it: the ratios of a block are drawn together, the widest of all ends the run, all are
    printed, and the run is judged at its end."""
    generator, most = np.random.default_rng(7), 60
    truth = {key: smoothed_median(ratios) for key, ratios in recorded_ratios().items()}
    spread = {key: SMOOTHING * ratios.std() for key, ratios in recorded_ratios().items()}
    covered = stopped = alarms = 0
    for _ in range(RUNS):
        run = sound_run(generator, most)
        drawn = {key: run[key] / run[like(key, REFERENCE)] + width * generator.standard_normal(most)
                 for key, width in spread.items()}
        blocks = 10
        while True:
            found = {key: median_over_blocks(values[:blocks], SEQUENTIAL_LEVEL) for key, values in drawn.items()}
            if blocks == most or max(map(half_width, found.values())) <= 0.12:
                break
            blocks = next_look(blocks, most - blocks)
        stopped += 10 < blocks < most
        covered += sum((e.low or 0) <= truth[key] <= (e.high or 0) for key, e in found.items())
        alarms += is_called_untrusted({key: values[:blocks] for key, values in run.items()})
    assert 0.93 <= covered / RUNS / len(truth) <= 0.97
    assert alarms <= RUNS / 100
    assert stopped > RUNS / 2
