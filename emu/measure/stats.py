"""Medians and their intervals. Blocks are what repeats, so each block counts as one value.

Samples within one block share the machine's mood of that moment; an interval over samples would be far too narrow.
The interval of a median over blocks lies between order statistics, interpolated to the level that is asked for
(Hettmansperger and Sheather, Statistics & Probability Letters 4 (1986) 75-79): no shape is assumed, nothing is drawn
at random. ``tests/unit/test_measure_coverage.py`` shows what it covers, also of blocks of a real run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.measure.blocks import MINIMUM_BLOCKS

LEVEL = 0.95
SEQUENTIAL_LEVEL = 0.964
"""What intervals are made at to cover ``LEVEL`` where their being narrow ended the measuring."""


def level_of(run: Mapping[str, Any]) -> float:
    """The level that the intervals of a run are made at, by its ``run.json``."""
    return SEQUENTIAL_LEVEL if run.get("precision") else LEVEL


@dataclass(frozen=True)
class Estimate:
    """A median over blocks. ``low`` and ``high`` are ``None`` below ``MINIMUM_BLOCKS`` blocks."""

    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


def interval_entry(estimate: Estimate) -> dict[str, float]:
    """The ends of an interval as JSON documents name them; nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return {}
    return {"ci_low": estimate.low, "ci_high": estimate.high}


def block_medians(samples: Mapping[int, list[float]]) -> dict[int, float]:
    """The median of each block's samples; blocks without samples are left out."""
    return {block: float(np.median(values)) for block, values in sorted(samples.items()) if values}


def median_over_blocks(values: NDArray[np.float64], level: float = LEVEL) -> Estimate:
    """The median of ``values`` (one a block) with its interval. Raises ``ValueError`` if empty."""
    if values.size == 0:
        raise ValueError("no block has a value")
    middle = float(np.median(values))
    if values.size < MINIMUM_BLOCKS:
        return Estimate(middle, None, None)
    rank, share = _ends(values.size, level)
    ascending = np.sort(values)
    low, high = ((1 - share) * side[rank - 1] + share * side[rank] for side in (ascending, ascending[::-1]))
    return Estimate(middle, float(low), float(high))


@cache
def _ends(count: int, level: float) -> tuple[int, float]:
    """Where the interval of the median of ``count`` values begins and ends, counted from the smallest and the largest:
    the rank, from 1, and the share of the way to the next one."""

    def coverage(rank: int) -> float:
        """How often the median lies between the values of this rank from both ends: sign test, exact."""
        return 1 - 2 * sum(comb(count, fewer) for fewer in range(rank)) / float(2**count)

    rank = next(rank for rank in range(1, count) if coverage(rank + 1) < level)
    surplus = (coverage(rank) - level) / (coverage(rank) - coverage(rank + 1))
    return rank, (count - rank) * surplus / (rank + (count - 2 * rank) * surplus)


def block_ratios(values: Mapping[int, float], reference: Mapping[int, float]) -> NDArray[np.float64]:
    """``values`` over ``reference`` of the same block, where both have that block and the reference is not 0."""
    return np.array([values[block] / reference[block] for block in sorted(values) if reference.get(block)])
