"""Ratios to bare that others have published, to hold ours against; data and sources in ``published.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from emu.measure.summary import Cell


@dataclass(frozen=True)
class Band:
    """A published range of a ratio, and who published it."""

    low: float
    high: float
    sources: tuple[str, ...]


@cache
def _published() -> Mapping[str, Any]:
    values: Mapping[str, Any] = json.loads(files("emu.measure").joinpath("published.json").read_text(encoding="utf-8"))
    return values


def band(run: Mapping[str, Any], cell: Cell) -> Band | None:
    """The published range for a cell. Only for runs on the kernel datapath without offloads: in user space the
    switch's own cost is a large part of every figure, so its ratios are not comparable."""
    if run["datapath"] != "kernel" or run["scenario"]["offload"] != "off":
        return None
    for row in _published()["bands"]:
        same = (row["design"], row["workload"], row["metric"]) == (cell.design, cell.workload, cell.metric)
        if same and row.get("backend") in (None, cell.params.get("backend")):
            sources = tuple(_published()["sources"][source] for source in row["sources"])
            return Band(row["low"], row["high"], sources)
    return None
