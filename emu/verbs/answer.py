"""When should I use an overlay?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emu.errors import EmuError
from emu.verbs.common import Arguments, new_folder, refuse, scenario_of

if TYPE_CHECKING:
    from emu.answer.report import Answered


def when_overlay(arguments: Arguments, problems: list[str]) -> int:
    """``emu when-overlay``."""
    from emu.answer.cast import cast_for
    from emu.answer.run import answer
    from emu.answer.run import refuse as refuse_plan
    from emu.measure.asked import no_profile
    from emu.measure.blocks import PROFILES
    from emu.measure.progress import Progress

    scenario = scenario_of(arguments, problems)
    if arguments.profile not in PROFILES:
        problems.append(no_profile(arguments.profile))
    out = new_folder(arguments, problems)
    refuse(problems)
    cast = cast_for(scenario, refuse_plan)
    answer(cast, arguments.profile, out, arguments.argv, Progress(sys.stderr))
    return tell(out)


def tell(folder: Path) -> int:
    """Print the decision guide, and where the report is; ``EmuError`` with what failed while it was measured."""
    from emu.answer.report import read_answer

    answered = read_answer(folder)
    print(guide_text(answered))
    print(f"report: {folder / 'report.html'}")
    if answered.problems:
        raise EmuError(*answered.problems)
    return 0


def guide_text(answered: Answered) -> str:
    """The decision guide for a terminal."""
    lines = []
    for advice in answered.advice:
        lines += [advice.question, *(f"  {sentence.text}" for sentence in advice.sentences)]
    return "\n".join([*lines, *(f"not trusted: {reason}" for reason in answered.reasons)])
