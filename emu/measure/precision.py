"""How precise a run is so far: the widest interval of a ratio to bare in steady state. Pure, and cheap enough for every
block's end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from emu.measure.metrics import METRICS
from emu.measure.results import Sample
from emu.measure.stats import LEVEL, Estimate, block_medians, block_ratios, median_over_blocks
from emu.measure.summary import REFERENCE
from emu.measure.trust import CONTROL
from emu.measure.workloads import parse_workload


def half_width(ratio: Estimate) -> float:
    """How far the farther end of an interval is from its ratio, as a share of it; infinite where there is none."""
    if ratio.interval is None:
        return inf
    return max(ratio.interval[1] - ratio.value, ratio.value - ratio.interval[0]) / ratio.value


@dataclass(frozen=True)
class Width:
    """The ``half_width`` of a ratio's interval, and whose it is."""

    half: float
    spec: str
    workload: str
    metric: str

    def __str__(self) -> str:
        design = self.spec.partition(":")[0]
        return f"widest interval ±{self.half:.{0 if self.half >= 0.1 else 1}%} ({design} {self.workload} {self.metric})"


@dataclass
class Tally:
    """Each block's median of every metric that has a cost, gathered trial by trial. ``level``: of the intervals."""

    level: float = LEVEL
    _medians: dict[tuple[str, str, str], dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, samples: Sequence[Sample]) -> None:
        """The samples of whole trials; one is all that a block has of its design and workload."""
        values: dict[tuple[str, str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for sample in samples:
            if sample.ok and sample.value is not None and METRICS[sample.metric].is_cost:
                values[sample.spec, sample.workload, sample.metric][sample.block].append(sample.value)
        for key, blocks in values.items():
            self._medians[key].update(block_medians(blocks))

    def widest(self) -> Width | None:
        """The widest of all intervals of ratios to bare (cold workloads, the control and bare itself are not asked);
        ``None`` while one of these ratios has none."""
        widths = []
        for (spec, workload, metric), blocks in self._medians.items():
            ratios = block_ratios(blocks, self._medians.get((REFERENCE, workload, metric), {}))
            if spec not in (REFERENCE, CONTROL) and ratios.size and not parse_workload(workload).cold:
                half = half_width(median_over_blocks(ratios, self.level))
                widths.append(Width(half, spec, workload, metric))
        widest = max(widths, key=lambda width: width.half, default=None)
        return widest if widest and widest.half < inf else None
