"""Going on until ratios to bare are known well enough, or the time is over.

There are looks after the profile's blocks and then each time there are a quarter more. Stopping where an interval
happens to be narrow makes it miss the truth more often than it says (95 % become 90 to 94): intervals of such a run are
made at a level at which, stopping included, they cover 93 to 97 % (``tests/unit/test_measure_coverage.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import ceil, inf
from typing import Any

from emu.measure.stats import Estimate
from emu.measure.summary import REFERENCE, Cell
from emu.measure.workloads import WORKLOADS

GROWTH = 1.25
UNREACHED = "intervals did not become as narrow as asked for (--precision) in the time there was"


@dataclass(frozen=True)
class Goal:
    """``share``: how far the ends of the interval of a ratio may be from it, as a share of it. ``limit_s``: for how
    long there may be new blocks."""

    share: float
    limit_s: float

    def entry(self) -> dict[str, Any]:
        """This goal in ``run.json``, where ``blocks`` tells how many there were in the end."""
        return {**asdict(self), "blocks": None}


def next_look(blocks: int, affordable: int) -> int:
    """How many blocks there are at the look after that at ``blocks``, where at most ``affordable`` can be added."""
    return min(ceil(blocks * GROWTH), blocks + affordable)


def half_width(ratio: Estimate) -> float:
    """How far the farther end of an interval is from its ratio, as a share of it; infinite where there is none."""
    if ratio.low is None or ratio.high is None:
        return inf
    return max(ratio.high - ratio.value, ratio.value - ratio.low) / ratio.value


def widest(cells: Iterable[Cell]) -> tuple[float, str]:
    """The widest interval of a ratio to bare in steady state (cold workloads and bare itself are not asked), as
    ``half_width``, and whose it is."""
    asked = [cell for cell in cells if cell.ratio and cell.design != REFERENCE and not WORKLOADS[cell.workload].cold]
    named = [(half_width(cell.ratio), f"{cell.spec} {cell.workload} {cell.metric}") for cell in asked if cell.ratio]
    return max(named, default=(inf, "nothing was measured"))
