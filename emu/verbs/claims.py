"""Claims: what is said of a design, judged on real traffic."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu.designs import parse_design
from emu.errors import EmuError, UsageError
from emu.model import Plan
from emu.verbs.common import Arguments, refuse

if TYPE_CHECKING:
    from emu.faults import Fault
    from emu.live.judge import Verdict

FORMAT = "emu-check/1"


def check(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu check``, and ``emu check DESIGN --break FACT``."""
    fault = _fault(arguments, plans, problems)
    refuse(problems)
    from emu.live.judge import COMMANDS
    from emu.live.lab import choose
    from emu.live.tracing import TOOLS

    for plan in plans:
        choose(plan, COMMANDS if fault is None else (*COMMANDS, *TOOLS))
    if fault is not None:
        return _break(arguments, plans[0], fault)
    return _check(arguments, plans)


def _fault(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> Fault | None:
    """The fact to get wrong, if one is named; problems more if it cannot be."""
    if arguments.fact is None:
        return None
    from emu.faults import fault_for

    if len(arguments.designs) != 1:
        problems.append("--break takes one design, as in emu check overlay --break missing-fdb")
    if len(plans) != 1:
        return None
    try:
        fault = fault_for(plans[0], arguments.fact)
        fault.sentence(plans[0])
    except UsageError as error:
        problems += error.problems
        return None
    return fault


def _check(arguments: Arguments, plans: tuple[Plan, ...]) -> int:
    from emu.live.judge import judge
    from emu.live.lab import Lab

    claims: list[dict[str, Any]] = []
    errors: list[str] = []
    for plan in plans:
        with Lab(plan) as lab:
            verdicts = judge(lab, parse_design(plan.design).design.claims(plan))
            errors += [f"{plan.spec}: {error}" for error in lab.errors()]
        for verdict in verdicts:
            claims.append(row_of(plan.spec, verdict))
            if not arguments.json:
                print(line_of(claims[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"format": FORMAT, "claims": claims}, indent=1))
    else:
        print(_count(claims))
    if errors:
        raise EmuError(*errors)
    return int(any(claim["result"] != "holds" for claim in claims))


def _break(arguments: Arguments, plan: Plan, fault: Fault) -> int:
    """Build one fact wrong, and show the broken wire and what catches it. Always 1: a sound lab is not what was asked
    for, and a fault that nothing catches is worse."""
    from emu.guide.text import render, style
    from emu.live.breaking import build_broken
    from emu.walk.document import document

    broken = build_broken(plan, fault, parse_design(plan.design).design.claims(plan))
    claims = [row_of(plan.spec, verdict) for verdict in broken.verdicts]
    if arguments.json:
        told = {"broken": fault.sentence(plan), "caught_by": broken.caught_by, "walk": document(broken.walk)}
        print(json.dumps({"format": FORMAT, "claims": claims, **told}, indent=1))
    else:
        color, unicode = style(sys.stdout, os.environ)
        print(f"broken: {fault.sentence(plan)}\n")
        print(render(broken.walk, color=color, unicode=unicode))
        for claim in claims:
            print(line_of(claim))
        print(f"{_count(claims)}; caught by: {', '.join(broken.caught_by) or 'no claim'}")
    if broken.errors:
        raise EmuError(*(f"{plan.spec}: {error}" for error in broken.errors))
    return 1


def _count(claims: Sequence[Mapping[str, str]]) -> str:
    counts = {word: sum(claim["result"] == word for claim in claims) for word in ("holds", "fails", "not judged")}
    return f"{len(claims)} claims: {counts['holds']} hold, {counts['fails']} fail, {counts['not judged']} not judged"


def row_of(spec: str, verdict: Verdict) -> dict[str, Any]:
    """A judged claim as ``emu check --json`` prints it."""
    claim = verdict.claim
    return {
        "design": spec,
        "id": claim.id,
        "text": claim.text,
        "source": claim.source,
        "result": verdict.result,
        "expected": verdict.expected,
        "seen": verdict.seen,
        "because": verdict.because,
    }


def line_of(claim: Mapping[str, str]) -> str:
    """A judged claim as ``emu check`` prints it."""
    line = f"{claim['result']:<10}  {claim['design']}  {claim['id']}: {claim['text']}"
    if claim["result"] == "fails":
        line += f"\n            expected {claim['expected']}\n            seen {claim['seen']}"
    if claim["because"]:
        line += f"\n            because {claim['because']}"
    return line
