"""From samples to ``summary.json``: per design, workload and metric, a median, its interval, its ratio to bare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emu.look import tokens
from emu.measure import usage
from emu.measure.metrics import METRICS
from emu.measure.results import SUMMARY_FORMAT, Stored, spec_of
from emu.measure.stats import (
    Estimate,
    block_medians,
    block_ratios,
    interval_entry,
    level_of,
    median_over_blocks,
)
from emu.measure.trust import Control, control_of, drift
from emu.measure.verdict import Verdict, judge
from emu.measure.workloads import workloads_named

REFERENCE = "bare"


@dataclass(frozen=True)
class Cell:
    """All that was measured of one metric under one workload in one design.

    ``blocks``: block -> median of its samples. ``ratio`` is ``None`` where there is no bare to compare with.
    """

    spec: str
    design: str
    params: Mapping[str, str]
    workload: str
    metric: str
    values: tuple[float, ...]
    blocks: Mapping[int, float]
    median: Estimate
    ratio: Estimate | None
    ratios: tuple[float, ...]

    def entry(self) -> dict[str, Any]:
        """This cell as an entry of ``summary.json``; what is not known is left out."""
        metric = METRICS[self.metric]
        p90, p99 = np.quantile(self.values, [0.9, 0.99])
        entry: dict[str, Any] = {
            "design": self.design, "params": dict(self.params), "workload": self.workload, "metric": self.metric,
            "unit": metric.unit, "better": metric.better, "n": len(self.blocks), "samples": len(self.values),
            "median": self.median.value, "mean": float(np.mean(self.values)), "p90": float(p90), "p99": float(p99),
            **interval_entry(self.median),
        }
        if self.ratio is not None:
            entry["ratio_to_bare"] = {"value": self.ratio.value, **interval_entry(self.ratio)}
        return entry


@dataclass(frozen=True)
class Summary:
    """What a run says. ``specs``: the designs, without the control, in the order of the look, which every figure and
    table keeps to."""

    specs: tuple[str, ...]
    cells: Mapping[tuple[str, str, str], Cell]
    verdict: Verdict
    control: Control | None

    def cell(self, spec: str, workload: str, metric: str) -> Cell | None:
        """A cell, or ``None`` where nothing was measured."""
        return self.cells.get((spec, workload, metric))

    def document(self) -> dict[str, Any]:
        """``summary.json``."""
        return {
            "format": SUMMARY_FORMAT,
            "metrics": [cell.entry() for cell in self.cells.values()],
            **({"control": self.control.document()} if self.control else {}),
            "verdict": self.verdict.document(),
        }


def summarise(stored: Stored) -> Summary:
    """The summary of a stored run, the verdict on it included."""
    run = stored.run
    level = level_of(run)
    order = list(tokens()["design"])
    in_order = sorted(run["designs"], key=lambda d: order.index(d["design"]) if d["design"] in order else len(order))
    designs = {spec_of(d["design"], d["params"]): d for d in in_order}
    samples: dict[tuple[str, str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in stored.samples:
        if sample.ok and sample.value is not None:
            samples[sample.spec, sample.workload, sample.metric][sample.block].append(sample.value)
    medians = {key: block_medians(blocks) for key, blocks in samples.items()}
    cells = {}
    for spec, design in designs.items():
        for workload, metric in _metrics_of(run["workloads"]):
            key = (spec, workload, metric)
            if key in medians:
                values = tuple(value for block in samples[key].values() for value in block)
                reference = medians.get((REFERENCE, workload, metric), {})
                cells[key] = _cell(key, design, values, medians[key], reference, level)
    control = control_of(medians, REFERENCE, level)
    used = run.get("usage", ())  # runs of older versions have none
    found = [*(control.reasons() if control else ()), *drift(medians), *usage.reasons(used)]
    noted = [*(control.notes() if control else ()), *usage.notes(used, run["cpus"])]
    verdict = judge(run, stored.samples, _medians_only(cells), stored.torn, found, noted)
    return Summary(tuple(designs), cells, verdict, control)


def _metrics_of(workloads: Sequence[str]) -> list[tuple[str, str]]:
    return [(w.name, metric) for w in workloads_named(workloads).values() for metric in w.all_metrics]


def _medians_only(cells: Mapping[tuple[str, str, str], Cell]) -> dict[tuple[str, str, str], float]:
    return {key: cell.median.value for key, cell in cells.items()}


def _cell(key: tuple[str, str, str], design: Mapping[str, Any], values: tuple[float, ...], blocks: Mapping[int, float],
          reference: Mapping[int, float], level: float) -> Cell:
    ratios = block_ratios(blocks, reference if METRICS[key[2]].is_cost else {})
    return Cell(
        *(key[0], design["design"], design["params"], *key[1:]),
        values=values,
        blocks=blocks,
        median=median_over_blocks(np.array(list(blocks.values())), level),
        ratio=median_over_blocks(ratios, level) if ratios.size else None,
        ratios=tuple(float(ratio) for ratio in ratios),
    )
