"""``sweep.json``: what was asked for, and how far each point of a sweep has come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emu import __version__
from emu.errors import UsageError
from emu.measure.resume import changed
from emu.measure.surroundings import differences
from emu.sweep.axes import Sweep

FORMAT, FILE = "emu-sweep/1", "sweep.json"
WAITING, BEGUN, MEASURED, FAILED = "waiting", "begun", "measured", "failed"
"""What becomes of a point. One that was begun or has failed may have measured some of its blocks."""


def new_document(sweep: Sweep, file: Path, argv: Sequence[str], started: str) -> dict[str, Any]:
    """The document as it stands before the first point. ``file``: of which the sweep was read."""
    return {
        "format": FORMAT,
        "file": {"name": str(file), "text": file.read_text(encoding="utf-8")},
        **sweep.asked(),
        "argv": list(argv),
        "version": __version__,
        "started": started,
        "resumed": [],
        "ended": None,
        "points": [{"folder": point.name, "values": dict(point.values), "order": point.order, "state": WAITING,
                    "error": None} for point in sweep.points],
    }


def is_sweep(path: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (path / FILE).exists()


def read_document(path: Path) -> dict[str, Any]:
    """The document in the folder of a sweep; ``UsageError`` if there is none."""
    try:
        document = json.loads((path / FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} is not the folder of a sweep: {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}/{FILE} is damaged: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path}/{FILE} is not of the format {FORMAT}")
    return document


def interrupted_sweep(path: Path, sweep: Sweep) -> dict[str, Any]:
    """The document of an interrupted sweep, which is to go on as ``sweep``. ``UsageError`` naming each difference
    between what was asked for and what is, or that there is no such sweep."""
    document = read_document(path)
    if problems := list(_changes(document, sweep.asked())):
        raise UsageError(*problems)
    if document["ended"] and all(point["state"] == MEASURED for point in document["points"]):
        raise UsageError(f"the sweep in {path} was not interrupted: there is nothing to resume")
    return document


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = ({**asked, "workloads": [workload["name"] for workload in asked["workloads"]],
                 "order of what is swept": list(asked["sweep"])} for asked in (before, now))
    return (changed(*difference) for difference in differences({name: old.get(name) for name in new}, new))
