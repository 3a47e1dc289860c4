"""How precise a run is so far: the widest interval of a ratio to bare. Pure, and cheap enough for every block's end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from emu.measure.metrics import METRICS
from emu.measure.results import Sample
from emu.measure.stats import block_medians, block_ratios, median_over_blocks
from emu.measure.summary import REFERENCE


@dataclass(frozen=True)
class Width:
    """Half of a ratio's 95 % interval as a share of the ratio, and whose it is."""

    half: float
    spec: str
    workload: str
    metric: str

    def __str__(self) -> str:
        design = self.spec.partition(":")[0]
        return f"widest interval ±{self.half:.{0 if self.half >= 0.1 else 1}%} ({design} {self.workload})"


@dataclass
class Tally:
    """Each block's median of every metric that has a cost, gathered trial by trial."""

    _medians: dict[tuple[str, str, str], dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, samples: Sequence[Sample]) -> None:
        """The samples of one trial, which is all that a block has of its design and workload."""
        values: dict[tuple[str, str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for sample in samples:
            if sample.ok and sample.value is not None and METRICS[sample.metric].is_cost:
                values[sample.spec, sample.workload, sample.metric][sample.block].append(sample.value)
        for key, blocks in values.items():
            self._medians[key].update(block_medians(blocks))

    def widest(self, seed: int) -> Width | None:
        """The widest of all intervals of ratios to bare; ``None`` while none has one."""
        widths = []
        for (spec, workload, metric), blocks in self._medians.items():
            ratios = block_ratios(blocks, self._medians.get((REFERENCE, workload, metric), {}))
            if spec == REFERENCE or not ratios.size:
                continue
            ratio = median_over_blocks(ratios, seed)
            if ratio.interval is not None:
                low, high = ratio.interval
                widths.append(Width((high - low) / 2 / ratio.value, spec, workload, metric))
        return max(widths, key=lambda width: width.half, default=None)
