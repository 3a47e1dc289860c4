"""Permutation tests over blocks: what chance alone would do, found by rearranging the blocks there are. Pure.

Both tests look at many series at once (metrics, designs) and keep together what one block says of all of them, so that
the p values they give hold for all series together: single-step max-T, Westfall and Young, Resampling-Based Multiple
Testing (1993). No shape is assumed. Where there are too many arrangements to try them all, as many as ``ARRANGEMENTS``
are drawn, the one seen counted in (Phipson and Smyth 2010), the same ones each time.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ARRANGEMENTS = 1 << 12
_TIE = 1e-9
"""Statistics closer than this are the same number, calculated in another order."""


def swapped(log_ratios: Array) -> Array:
    """For each column, how often chance alone takes any column as far from 0 as this one is.

    Rows are blocks: the logarithm of one of two equal things over the other, NaN where a block lacks it. If they are
    equal, each block might as well have had them the other way round: signs are flipped block by block.
    """
    values = np.nan_to_num(log_ratios)
    lengths = np.sqrt((values**2).sum(axis=0))
    return _adjusted(_signs(len(values)) @ (values / np.where(lengths > 0, lengths, 1)))


def drifted(logs: Array) -> Array:
    """For each column, how often chance alone sets first and last third of any column as far apart as this one's are.

    Rows are blocks in order of time, NaN where a block lacks it. Without drift their order means nothing: it is drawn
    anew.
    """
    centred = _centred(logs)
    spreads = centred.std(axis=0)
    return _adjusted(_contrasts(len(centred)) @ (centred / np.where(spreads > 0, spreads, 1)))


def change(logs: Array) -> Array:
    """For each column, the last third over the first: their means, and no longer in logarithms."""
    ratio: Array = np.exp(_contrasts(len(logs))[0] @ _centred(logs))
    return ratio


def _centred(logs: Array) -> Array:
    """With the mean of each column taken off; a block that is missing counts as an average one."""
    centred: Array = np.nan_to_num(logs - np.nanmean(logs, axis=0))
    return centred


def _adjusted(statistics: Array) -> Array:
    """p values from statistics by arrangement and column; the first row is what was seen."""
    sizes = np.abs(statistics)
    most: Array = sizes.max(axis=1)
    shares: Array = 1 - np.searchsorted(np.sort(most), sizes[0] - _TIE) / len(most)
    return shares


@cache
def _signs(count: int) -> Array:
    """Signs for ``count`` blocks by arrangement, all positive first. That of the first block is left alone: flipping
    all of them changes no size."""
    if 1 << (count - 1) <= ARRANGEMENTS:
        flips = np.arange(1 << (count - 1))[:, None] >> np.arange(count) & 1
    else:
        flips = np.random.default_rng(count).integers(0, 2, (ARRANGEMENTS, count))
        flips[0] = 0
    return np.where(flips, -1.0, 1.0)


@cache
def _contrasts(count: int) -> Array:
    """Weights for ``count`` blocks, last third less first third, by arrangement, the order of time first."""
    third = count // 3
    weights = np.zeros(count)
    weights[:third], weights[count - third :] = -1 / third, 1 / third
    arranged = np.random.default_rng(count).permuted(np.tile(weights, (ARRANGEMENTS, 1)), axis=1)
    arranged[0] = weights
    return arranged
