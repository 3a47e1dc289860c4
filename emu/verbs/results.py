"""The main job, its report, and two runs of it compared."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from emu.errors import EmuError, UsageError
from emu.model import Plan
from emu.verbs.common import Arguments, folder_for, refuse


def compare(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu compare``."""
    from emu.measure.compare import compare, problems_of
    from emu.measure.progress import Progress
    from emu.measure.workloads import WORKLOADS

    if arguments.resume and not arguments.out:
        problems.append("--resume takes up the run in a folder that has to be named: --out DIR")
    workloads = arguments.workloads or list(WORKLOADS)
    out = folder_for(arguments)
    resume = arguments.resume and arguments.out is not None
    refuse(problems + problems_of(plans, workloads, arguments.profile, out, resume))
    argv = ["emu", *sys.argv[1:]]
    folder = compare(plans, workloads, arguments.profile, out, argv, Progress(sys.stderr), resume)
    _tell(folder)
    return 0


def report(arguments: Arguments) -> int:
    """``emu report``."""
    from emu.measure.report import redraw

    redraw(arguments.folder)
    _tell(arguments.folder)
    return 0


def diff(arguments: Arguments) -> int:
    """``emu diff``."""
    from emu.measure.diff import compare_runs, render
    from emu.measure.results import read_folder

    problems: list[str] = []
    limit = _share(arguments.fail_above, problems)
    runs = []
    for folder in (arguments.folder_a, arguments.folder_b):
        try:
            runs.append(read_folder(folder))
        except UsageError as error:
            problems += error.problems
    refuse(problems)
    difference = compare_runs(*runs)
    regressions = [] if limit is None else [change for change in difference.changes if change.is_regression(limit)]
    if arguments.json:
        print(json.dumps({**difference.document(), "regressions": len(regressions)}, indent=1))
    else:
        print(render(difference, regressions))
    if not difference.changes:
        raise EmuError("the two runs have measured nothing in common")
    return int(bool(regressions))


def _share(text: str | None, problems: list[str]) -> float | None:
    """``5%`` or ``0.05`` -> 0.05; a problem more if it is neither."""
    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        problems.append(f"--fail-above takes a share such as 5%, not '{text}'")
    return value


def _tell(folder: Path) -> None:
    from emu.measure.results import read_folder
    from emu.measure.summary import summarise
    from emu.measure.terminal import table

    print(table(summarise(read_folder(folder))))
    print(f"report: {folder / 'report.html'}")
