"""A sweep run: one point after the other, each a comparison with a result folder of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emu.designs import plans_for
from emu.errors import LabError, UsageError
from emu.measure.asked import comparison_of
from emu.measure.compare import compare, expected_run_s, refuse_lacking
from emu.measure.progress import Progress, left
from emu.measure.report import redraw
from emu.measure.results import read_folder
from emu.measure.verdict import was_interrupted
from emu.measure.workloads import parse_workload
from emu.model import Plan
from emu.output import OutputFolder, refuse_impossible
from emu.sweep.axes import Point, Sweep
from emu.sweep.curves import Results
from emu.sweep.document import BEGUN, FAILED, FILE, MEASURED, interrupted_sweep, new_document, read_document
from emu.sweep.report import redraw_sweep


def problems_of(sweep: Sweep | None, out: Path, resume: bool) -> list[str]:
    """Why a sweep, or one whose file is no good (``None``), cannot be written to ``out``, or not go on there."""
    try:
        if not resume:
            refuse_impossible(out)
        elif sweep:
            interrupted_sweep(out, sweep)
        else:
            read_document(out)
    except UsageError as error:
        return list(error.problems)
    return []


def run_sweep(sweep: Sweep, file: Path, out: Path, argv: Sequence[str], progress: Progress,
              resume: bool = False) -> Results:
    """Measure every point of a sweep and write the folder ``out``; what there is then. ``file``: of which the sweep was
    read. With ``resume`` it is the folder of an interrupted sweep, whose measured points are left as they are and whose
    begun ones go on.

    Raises ``UsageError`` and, before anything is built, ``MissingError`` with all that this machine lacks for any
    point. Whatever ends it early, a signal included, leaves what was measured.
    """
    if problems := problems_of(sweep, out, resume):
        raise UsageError(*problems)
    workloads = [parse_workload(name) for name in sweep.workloads]
    refuse_lacking((plan for point in sweep.points for plan in plans_of(sweep, point)), workloads)
    if resume:
        folder, document = OutputFolder.reopen(out), interrupted_sweep(out, sweep)
        document["resumed"].append(_now())
        document["ended"] = None
    else:
        folder, document = OutputFolder.create(out), new_document(sweep, file, argv, _now())
    folder.write_json(FILE, document)
    try:
        _measure(sweep, folder, document, argv, progress)
    except BaseException:
        progress.within = ""
        progress.say(f"to go on: ./run sweep {file} --out {out} --resume")
        raise
    document["ended"] = _now()
    folder.write_json(FILE, document)
    progress.step("drawing curves and report")
    return redraw_sweep(out)


def plans_of(sweep: Sweep, point: Point) -> tuple[Plan, ...]:
    """The plans of a point."""
    return plans_for(sweep.designs, point.scenario, [])


def _measure(sweep: Sweep, folder: OutputFolder, document: dict[str, Any], argv: Sequence[str],
             progress: Progress) -> None:
    """Measure all points that are not measured yet; one whose lab fails does not end the others."""
    entries = {entry["folder"]: entry for entry in document["points"]}
    points = sorted(sweep.points, key=lambda point: point.order)
    todo = [point for point in points if not _is_measured(folder.path / point.name)]
    for point in points:
        if point not in todo:
            entries[point.name].update(state=MEASURED, error=None)
    workloads = [parse_workload(name) for name in sweep.workloads]
    expected_s = {point.name: expected_run_s(sweep.designs, point.scenario, workloads, sweep.profile) for point in todo}
    progress.say(_plan_text(sweep, sum(expected_s.values()), len(todo)))
    started, planned_s, done_s = time.monotonic(), sum(expected_s.values()), 0.0
    for point in todo:
        pace = (time.monotonic() - started) / done_s if done_s else 1.0
        progress.within = f"point {point.order + 1} of {len(points)}"
        progress.say(f"{point.name}; about {left((planned_s - done_s) * pace)} left for all")
        entry = entries[point.name]
        entry.update(state=BEGUN, error=None)
        folder.write_json(FILE, document)
        try:
            path = folder.path / point.name
            asked = comparison_of(plans_of(sweep, point), sweep.workloads, sweep.profile.name, path,
                                  resume=_has_begun(path))
            compare(asked, argv, progress)
            entry.update(state=MEASURED, error=None)
        except UsageError as error:
            raise UsageError(*(f"{path}: {problem}" for problem in error.problems),
                             f"remove {path} to have it measured anew, or go on where it was begun") from error
        except LabError as error:
            entry.update(state=FAILED, error=str(error))
            progress.say(f"failed: {error}")
        folder.write_json(FILE, document)
        done_s += expected_s[point.name]
    progress.within = ""


def _plan_text(sweep: Sweep, expected_s: float, todo: int) -> str:
    """What is going to be done."""
    grid = " x ".join(f"{len(axis.values)} of {axis.name}" for axis in sweep.axes if not axis.workload)
    points = _counted(len(sweep.points), "point") + (f" ({grid})" if grid else "")
    rest = "" if todo == len(sweep.points) else f", {todo} left to do"
    each = [_counted(len(sweep.designs), "design"), _counted(len(sweep.variants), "workload"),
            _counted(sweep.profile.blocks, "block")]
    return f"{points}{rest}; at each {', '.join(each)}; about {left(expected_s)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _is_measured(path: Path) -> bool:
    """Whether a point's folder holds a whole run; its report is drawn if it was killed over that."""
    if not (path / "run.json").exists() or was_interrupted(read_folder(path).run):
        return False
    report = path / "report.html"
    if not report.exists() or report.stat().st_mtime < (path / "run.json").stat().st_mtime:
        redraw(path)
    return True


def _has_begun(path: Path) -> bool:
    """Whether a point's folder holds an interrupted run. One that was killed before it had described its run is taken
    away: nothing is measured until then."""
    if path.exists() and not (path / "run.json").exists():
        shutil.rmtree(path)
    return path.exists()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
