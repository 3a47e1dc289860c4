"""The main job, its report, its export, and two runs of it compared."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emu.errors import EmuError, UsageError
from emu.model import Plan
from emu.verbs import answer
from emu.verbs.common import Arguments, folder_for, refuse
from emu.verbs.sweep import tell

if TYPE_CHECKING:
    from emu.measure.sequential import Goal

EXPORTS = ("csv", "flent")
"""The formats that ``emu export`` writes."""


def compare(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu compare``."""
    from emu.measure.asked import comparison_of
    from emu.measure.compare import compare
    from emu.measure.progress import Progress
    from emu.measure.workloads import DEFAULT_WORKLOADS

    if arguments.resume and not arguments.out:
        problems.append("--resume takes up the run in a folder that has to be named: --out DIR")
    workloads = arguments.workloads or list(DEFAULT_WORKLOADS)
    goal = _goal(arguments, problems)
    resume = arguments.resume and arguments.out is not None
    asked = comparison_of(plans, workloads, arguments.profile, folder_for(arguments), problems,
                          resume=resume, goal=goal, fresh_labs=arguments.fresh_labs)
    folder = compare(asked, arguments.argv, Progress(sys.stderr))
    _tell(folder)
    return 0


def _goal(arguments: Arguments, problems: list[str]) -> Goal | None:
    """What ``--precision`` and ``--max-time`` ask for."""
    from emu.measure.blocks import PROFILES
    from emu.measure.sequential import Goal

    share, profile = _share("--precision", arguments.precision, problems), PROFILES.get(arguments.profile)
    minutes = arguments.max_time
    if share == 0:
        problems.append("--precision takes a share above 0: no interval is without width")
    if minutes is not None and not arguments.precision:
        problems.append("--max-time goes with --precision: without, the number of blocks is fixed")
    if minutes is not None and not (minutes.isascii() and minutes.isdigit() and int(minutes)):
        problems.append(f"--max-time takes whole minutes, at least 1, not '{minutes}'")
    if not share or profile is None or problems:
        return None
    return Goal(share, int(minutes) * 60 if minutes else profile.limit_s)


def report(arguments: Arguments) -> int:
    """``emu report``."""
    from emu.answer.report import is_answer, redraw_answer
    from emu.measure.report import redraw
    from emu.sweep.document import is_sweep
    from emu.sweep.report import redraw_sweep

    if is_answer(arguments.folder):
        redraw_answer(arguments.folder)
        return answer.tell(arguments.folder)
    if is_sweep(arguments.folder):
        tell(arguments.folder, redraw_sweep(arguments.folder))
    else:
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
        problems += _no_result(arguments.folder, error)
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
    limit = _share("--fail-above", arguments.fail_above, problems)
    runs = []
    for folder in (arguments.folder_a, arguments.folder_b):
        try:
            runs.append(read_folder(folder))
        except UsageError as error:
            problems += _no_result(folder, error)
    refuse(problems)
    difference = compare_runs(*runs)
    regressions = [] if limit is None else difference.regressions(limit)
    if arguments.json:
        print(json.dumps(difference.document(regressions), indent=1))
    else:
        print(render(difference, regressions))
    if not difference.changes:
        raise EmuError("the two runs have measured nothing in common")
    return int(bool(regressions))


def _no_result(folder: Path, error: UsageError) -> Sequence[str]:
    """Why a folder is not one of results; where it is that of an answer, which folders in it are."""
    from emu.answer.report import PARTS, is_answer

    if not is_answer(folder):
        return error.problems
    return [f"{folder} is the folder of an answer; the result folders in it: "
            f"{', '.join(str(folder / part) for part in PARTS)}"]


def _share(option: str, text: str | None, problems: list[str]) -> float | None:
    """``5%`` or ``0.05`` -> 0.05; a problem more if it is neither."""
    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        problems.append(f"{option} takes a share such as 5%, not '{text}'")
    return value


def _tell(folder: Path) -> None:
    from emu.measure.results import read_folder
    from emu.measure.summary import summarise
    from emu.measure.terminal import table

    print(table(summarise(read_folder(folder))))
    print(f"report: {folder / 'report.html'}")
