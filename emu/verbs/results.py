"""The main job, its report, its export, and two runs of it compared."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from emu.errors import EmuError, UsageError
from emu.model import Plan
from emu.verbs.common import Arguments, folder_for, refuse

EXPORTS = ("csv", "flent")
"""The formats that ``emu export`` writes."""


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


def export(arguments: Arguments) -> int:
    """``emu export``."""
    from emu.measure.export import flent_files, samples_csv
    from emu.measure.results import ResultFolder, read_folder
    from emu.measure.summary import summarise

    wanted = arguments.to or list(EXPORTS)
    problems = [f"--to takes {' or '.join(EXPORTS)}, not '{word}'" for word in wanted if word not in EXPORTS]
    try:
        stored = read_folder(arguments.folder)
    except UsageError as error:
        problems += error.problems
    refuse(problems)
    folder = ResultFolder.reopen(arguments.folder)
    if "csv" in wanted:
        print(folder.write("samples.csv", samples_csv(stored.samples)))
    if "flent" in wanted:
        made = folder.folder("flent")
        files = [folder.write(f"flent/{name}", content) for name, content in flent_files(stored, summarise(stored))]
        print(f"{made}: {len(files)} files, one a workload and design")
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
