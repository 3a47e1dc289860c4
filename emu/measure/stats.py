"""Medians and their intervals. Blocks are what repeats, so blocks are what is resampled.

Samples within one block share the machine's mood of that moment; an interval over samples would be far too
narrow. Each block therefore counts as one value, the median of its samples. Percentile bootstrap of the median
over whole blocks (Efron 1979; about 94 % coverage of the nominal 95 % from 6 to 20 blocks, see the tests).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emu.measure.blocks import MINIMUM_BLOCKS

DRAWS = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A median over blocks. ``low`` and ``high`` are ``None`` below ``MINIMUM_BLOCKS`` blocks."""

    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


def block_medians(samples: Mapping[int, list[float]]) -> dict[int, float]:
    """The median of each block's samples; blocks without samples are left out."""
    return {block: float(np.median(values)) for block, values in sorted(samples.items()) if values}


def median_over_blocks(values: NDArray[np.float64], seed: int) -> Estimate:
    """The median of ``values`` (one a block) with its bootstrap interval. Raises ``ValueError`` if empty."""
    if values.size == 0:
        raise ValueError("no block has a value")
    middle = float(np.median(values))
    if values.size < MINIMUM_BLOCKS:
        return Estimate(middle, None, None)
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, values.size, (DRAWS, values.size))
    low, high = np.quantile(np.median(values[draws], axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(middle, float(low), float(high))


def block_ratios(values: Mapping[int, float], reference: Mapping[int, float]) -> NDArray[np.float64]:
    """``values`` over ``reference`` of the same block, where both have that block and the reference is not 0."""
    return np.array([values[block] / reference[block] for block in sorted(values) if reference.get(block)])
