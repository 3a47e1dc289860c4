"""Requests made visible: the walk of one, and the guide."""

from __future__ import annotations

import os
import shlex
import sys

from emu.errors import EmuError
from emu.model import Plan
from emu.verbs.claims import line_of, row_of
from emu.verbs.common import Arguments, machine_named, new_folder, refuse

MOST_REPEATS = 10_000
"""Numbers of pings have 16 bits, and a batch is to end within its patience on an emulated machine, too."""


def trace(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu trace``."""
    from emu.guide.text import render, style
    from emu.live.lab import Lab, choose
    from emu.live.tracing import REQUESTS, TOOLS, trace
    from emu.measure.budget_run import measure_budget
    from emu.measure.budget_view import hop_table, table, write
    from emu.show import about_lab, write_walk

    out = new_folder(arguments, problems)
    if arguments.request not in REQUESTS:
        problems.append(f"--request takes {'|'.join(REQUESTS)}, not '{arguments.request}'")
    src, dst = (machine_named(plans, name, problems) for name in (arguments.src, arguments.dst))
    if plans and src == dst and src:
        problems.append(f"SRC and DST are both {src}: a walk leads from one machine to another")
    repeats = _repeats(arguments, problems)
    refuse(problems)
    choose(plans[0], TOOLS)
    with Lab(plans[0]) as lab:
        walk, recording = trace(lab, src, dst, arguments.request)
        errors = lab.errors()
        color, unicode = style(sys.stdout, os.environ)
        print(render(walk, color=color, unicode=unicode))
        folder = write_walk(out, walk, recording.frames, about_lab(lab, shlex.join(arguments.argv)))
        print(f"walk: {folder.path / 'walk.html'} (and walk.svg, walk.json, walk.pcapng)", flush=True)
        if repeats and walk.holds:
            budget = measure_budget(lab, src, dst, arguments.request, repeats)
            write(folder, [budget])
            print(f"\n{hop_table(budget)}\n\n{table([budget])}\n")
            print(f"where the time goes: {folder.path / 'latency-budget.png'} (and .pdf, budget.json)")
        elif repeats:
            print("not repeated: of a request that did not go as declared there is no budget")
    if errors:
        raise EmuError(*errors)
    return int(not walk.holds)


def _repeats(arguments: Arguments, problems: list[str]) -> int:
    """How often to repeat a request for its latency budget; a problem more if that cannot be."""
    from emu.measure.budget import REQUESTS

    if arguments.repeat is None:
        return 0
    if arguments.request not in REQUESTS:
        problems.append(f"--repeat goes with --request {'|'.join(REQUESTS)}, not with '{arguments.request}'")
    if not arguments.repeat.isdecimal() or not 1 <= int(arguments.repeat) <= MOST_REPEATS:
        problems.append(f"--repeat takes a number from 1 to {MOST_REPEATS}, not '{arguments.repeat}'")
        return 0
    return int(arguments.repeat)


def guide(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu guide``."""
    from emu.live.lab import choose
    from emu.live.tracing import TOOLS
    from emu.measure.progress import Progress
    from emu.show import chapter_makers, plan_for, tell, write_guide

    out = new_folder(arguments, problems)
    makers = chapter_makers().values()
    problems += [f"{plan.spec}: in this scenario there are no two containers on two nodes to show a request between"
                 for plan in plans if plan.endpoints is None]
    refuse(problems)
    plans = tuple(plan_for(maker, plans[0].scenario) for maker in makers)
    for plan in plans:
        choose(plan, TOOLS)
    progress = Progress(sys.stderr)
    told = []
    for maker, plan in zip(makers, plans, strict=True):
        progress.stage(f"tracing {plan.spec}")
        told.append(tell(maker, plan, shlex.join(arguments.argv)))
    progress.stage("drawing")
    verdicts = [(each.maker.spec, verdict) for each in told for verdict in each.verdicts]
    for spec, verdict in verdicts:
        if verdict.result != "holds":
            print(line_of(row_of(spec, verdict)))
    held = sum(verdict.result == "holds" for _, verdict in verdicts)
    progress.end()
    print(f"{held} of {len(verdicts)} facts of the deck hold")
    complaints = [sentence for each in told for sentence in each.complaints]
    try:
        folder = write_guide(out, told)
    except EmuError as error:  # what a slide lacks may be what a request complained of
        raise EmuError(*complaints, *error.problems) from None
    print(f"guide: {folder / 'guide.html'}")
    if complaints:
        raise EmuError(*complaints)
    return int(held != len(verdicts))
