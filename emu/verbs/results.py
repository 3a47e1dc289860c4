"""The main job, and its report."""

from __future__ import annotations

import sys
from pathlib import Path

from emu.model import Plan
from emu.verbs.common import Arguments, folder_for, refuse


def compare(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu compare``."""
    from emu.measure.compare import compare, problems_of
    from emu.measure.progress import Progress
    from emu.measure.workloads import WORKLOADS

    if arguments.resume:
        problems.append("--resume is not built yet")
    workloads = arguments.workloads or list(WORKLOADS)
    out = folder_for(arguments)
    refuse(problems + problems_of(plans, workloads, arguments.profile, out))
    folder = compare(plans, workloads, arguments.profile, out, ["emu", *sys.argv[1:]], Progress(sys.stderr))
    _tell(folder)
    return 0


def report(arguments: Arguments) -> int:
    """``emu report``."""
    from emu.measure.report import redraw

    redraw(arguments.folder)
    _tell(arguments.folder)
    return 0


def _tell(folder: Path) -> None:
    from emu.measure.results import read_folder
    from emu.measure.summary import summarise
    from emu.measure.terminal import table

    print(table(summarise(read_folder(folder))))
    print(f"report: {folder / 'report.html'}")
