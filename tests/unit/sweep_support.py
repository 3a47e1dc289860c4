"""A made-up sweep: a file, and the folder that measuring it would leave."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emu.designs import parse_design
from emu.measure.metrics import METRICS
from emu.measure.results import Sample
from emu.measure.workloads import parse_workload
from emu.output import OutputFolder
from emu.sweep.axes import Sweep, Value
from emu.sweep.document import FILE, MEASURED, new_document
from emu.sweep.file import read_sweep
from tests.unit.measure_support import facts, run_json, store

Truth = Callable[[str, str, str, Mapping[str, Value]], float]
"""What a metric is about, by design, workload's kind, metric, and values on all axes."""


def sweep_of(path: Path, text: str) -> Sweep:
    """The sweep of a file with nothing wrong."""
    path.write_text(text)
    problems: list[str] = []
    sweep = read_sweep(path, problems)
    assert sweep, problems
    return sweep


def store_sweep(folder: Path, file: Path, sweep: Sweep, truth: Truth, only: Sequence[str] | None = None,
                **changes: Any) -> Path:
    """The folder of a sweep of which the points named ``only``, or all, were measured."""
    document = new_document(sweep, file, ["emu", "sweep", str(file)], "2025-01-31T09:30:00+00:00")
    made = OutputFolder.create(folder)
    for entry, point in zip(document["points"], sweep.points, strict=True):
        if only is None or point.name in only:
            entry["state"] = MEASURED
            store_point(folder / point.name, sweep, point.name, truth, **changes)
    document["ended"] = "2025-01-31T10:30:00+00:00"
    made.write_json(FILE, document)
    return folder


def store_point(path: Path, sweep: Sweep, name: str, truth: Truth, **changes: Any) -> None:
    """The result folder of one point."""
    (point,) = (point for point in sweep.points if point.name == name)
    parsed = {spec: parse_design(spec) for spec in sweep.designs}
    designs = [{"spec": spec, "design": found.name, "params": dict(found.params), "endpoints": ["a", "b"],
                "facts": facts(mtu={"a": point.scenario.mtu}, underlay_mtu=[point.scenario.mtu])}
               for spec, found in parsed.items()]
    run = run_json([], sweep.workloads, scenario=point.scenario.document(), profile=asdict(sweep.profile),
                   nodes=point.scenario.node_count)
    store(path, {**run, "designs": designs, **changes}, taken(sweep, point.values, truth, random.Random(name)))


def taken(sweep: Sweep, values: Mapping[str, Value], truth: Truth, chance: random.Random) -> list[Sample]:
    """Samples scattered by 2 % around the truth, a few a block."""
    made: list[Sample] = []
    for block in range(sweep.profile.blocks):
        for variant in sweep.variants:
            workload = parse_workload(variant.name)
            for spec in sweep.designs:
                design = parse_design(spec)
                for metric in [m for m in workload.metrics if METRICS[m].is_cost]:
                    about = truth(design.name, workload.kind, metric, {**values, **variant.values})
                    made += [Sample(design.name, dict(design.params), variant.name, metric, METRICS[metric].unit, block,
                                    0, len(made), about * chance.gauss(1, 0.02), True, None, 1738315800.0 + len(made))
                             for _ in range(3)]
    return made
