"""Going on until ratios to bare are known well enough, or the time is over.

There are looks after the profile's blocks and then each time there are a quarter more. Stopping where an interval
happens to be narrow makes it miss the truth more often than it says (95 % become 90 to 94): intervals of such a run are
made at a level at which, stopping included, they cover 93 to 97 % (``tests/unit/test_measure_coverage.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

GROWTH = 1.25
NOT_BEGUN: Mapping[str, Any] = {"blocks": None, "until": None, "took_s": 0.0}
UNREACHED = "intervals did not become as narrow as asked for (--precision) in the time there was"


@dataclass(frozen=True)
class Goal:
    """``share``: how far the ends of the interval of a ratio may be from it, as a share of it. ``limit_s``: for how
    long there may be new blocks."""

    share: float
    limit_s: float

    def entry(self) -> dict[str, Any]:
        """This goal in ``run.json``, where ``blocks`` tells how many there were at the last look and ``until``
        how many there will be at the next, and ``took_s`` how long blocks have taken so far."""
        return {**asdict(self), **NOT_BEGUN}


def next_look(blocks: int, affordable: int) -> int:
    """How many blocks there are at the look after that at ``blocks``, where at most ``affordable`` can be added."""
    return min(ceil(blocks * GROWTH), blocks + affordable)
