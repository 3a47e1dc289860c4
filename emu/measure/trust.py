"""What the blocks themselves say against a run: bare differs from bare, or figures drift while they are taken. Pure.

The two are tests, so they can be wrong: of a hundred sound runs at most one is called untrusted by them, all metrics
together (``CONTROL_LEVEL`` + ``DRIFT_LEVEL``; ``tests/unit/test_measure_coverage.py`` counts on simulated runs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emu.measure.metrics import METRICS
from emu.measure.permutation import Array, change, drifted, swapped
from emu.measure.stats import Estimate, block_ratios, interval_entry, median_over_blocks
from emu.measure.verdict import Reason

CONTROL = "control"
"""What a second lab of the plan of bare is called in samples. It is measured like any design."""

CONTROL_LEVEL, DRIFT_LEVEL = 0.006, 0.001
CONTROL_BLOCKS = 9
"""From so many blocks on, the smallest p value there can be, 2 / 2^blocks, is below ``CONTROL_LEVEL``."""
MOST_DRIFT = 0.05
"""Change from the first third of the blocks to the last that is let pass: less moves no median far."""

Key = tuple[str, str, str]
"""Design, workload, metric."""
Blocks = Mapping[Key, Mapping[int, float]]
"""Block -> its value, by key."""


@dataclass(frozen=True)
class Control:
    """Bare against bare: the ratio of control to bare by workload and metric, and for each the p value that holds for
    all of them together; none below ``CONTROL_BLOCKS`` blocks."""

    ratios: Mapping[tuple[str, str], Estimate]
    p: Mapping[tuple[str, str], float]
    blocks: int

    def reasons(self) -> list[Reason]:
        """What the control says against the run."""
        return [
            Reason(f"control: bare differs from bare, {workload}: {metric} is "
                   f"{self.ratios[workload, metric].value:.3f} times (p {p:.1g} for all metrics together)",
                   "control differs", workload=workload)
            for (workload, metric), p in self.p.items() if p <= CONTROL_LEVEL
        ]

    def notes(self) -> list[str]:
        """What it cannot say."""
        if self.p:
            return []
        return [f"control: {self.blocks} blocks are too few to test bare against bare; {CONTROL_BLOCKS} are enough"]

    def document(self) -> dict[str, Any]:
        """As in ``summary.json``."""
        return {
            "level": CONTROL_LEVEL,
            "ratios": [
                {"workload": workload, "metric": metric, "value": ratio.value, **interval_entry(ratio),
                 **({"p": self.p[workload, metric]} if self.p else {})}
                for (workload, metric), ratio in self.ratios.items()
            ],
        }


def control_of(blocks: Blocks, reference: str, level: float) -> Control | None:
    """The control of a run against ``reference``, with intervals of ``level``; ``None`` where it was not measured."""
    pairs = {
        (workload, metric): (values, blocks[reference, workload, metric])
        for (spec, workload, metric), values in blocks.items()
        if spec == CONTROL and METRICS[metric].is_cost and (reference, workload, metric) in blocks
    }
    ratios = {key: ratio for key, (twin, bare) in pairs.items() if (ratio := block_ratios(twin, bare)).size}
    if not ratios:
        return None
    logs = _table([pairs[key][0] for key in ratios]) - _table([pairs[key][1] for key in ratios])
    p = dict(zip(ratios, map(float, swapped(logs)), strict=True)) if len(logs) >= CONTROL_BLOCKS else {}
    return Control({key: median_over_blocks(ratio, level) for key, ratio in ratios.items()}, p, len(logs))


def drift(blocks: Blocks) -> list[Reason]:
    """What changed while the run was taken, a reason a workload."""
    series = {key: values for key, values in blocks.items() if METRICS[key[2]].is_cost and any(values.values())}
    logs = _table(list(series.values()))
    if len(logs) < 3:
        return []
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (spec, workload, metric), p, times in zip(series, drifted(logs), change(logs), strict=True):
        if p <= DRIFT_LEVEL and abs(np.log(times)) >= np.log1p(MOST_DRIFT):
            told[workload].append((spec, f"{spec} {metric} {times:.2f} times"))
    return [
        Reason(f"{workload}: drift from the first third of the blocks to the last: " + ", ".join(t for _, t in found),
               "drift", found[0][0] if len({spec for spec, _ in found}) == 1 else None, workload)
        for workload, found in told.items()
    ]


def _table(series: Sequence[Mapping[int, float]]) -> Array:
    """Logarithms, a row a block, a column a series; NaN where a series lacks a block or has no logarithm there."""
    blocks = sorted({block for values in series for block in values})
    rows = [[values.get(block, 0.0) for values in series] for block in blocks]
    values = np.array(rows, dtype=np.float64).reshape(len(blocks), len(series))
    return np.log(values, where=values > 0, out=np.full_like(values, np.nan))
