"""Claims: what is said of a design, judged on real traffic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emu.designs import parse_design
from emu.errors import EmuError
from emu.model import Plan
from emu.verbs.common import Arguments, refuse

if TYPE_CHECKING:
    from emu.live.judge import Verdict


def check(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu check``."""
    refuse(problems)
    from emu.live.judge import COMMANDS, judge
    from emu.live.lab import Lab, choose

    for plan in plans:
        choose(plan, COMMANDS)
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
        print(json.dumps({"format": "emu-check/1", "claims": claims}, indent=1))
    else:
        counts = {word: sum(claim["result"] == word for claim in claims) for word in ("holds", "fails", "not judged")}
        print(
            f"{len(claims)} claims: {counts['holds']} hold, {counts['fails']} fail, {counts['not judged']} not judged"
        )
    if errors:
        raise EmuError(*errors)
    return int(any(claim["result"] != "holds" for claim in claims))


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
