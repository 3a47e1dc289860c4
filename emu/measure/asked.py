"""What is asked of a comparison, judged as a whole before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emu.errors import UsageError
from emu.measure.blocks import PROFILES, Profile
from emu.measure.results import Stored, read_folder
from emu.measure.resume import check_interrupted
from emu.measure.scripts import senders
from emu.measure.sequential import Goal
from emu.measure.summary import REFERENCE
from emu.measure.workloads import Workload, in_order, parse_workload
from emu.model import Plan
from emu.output import refuse_impossible


@dataclass(frozen=True)
class Comparison:
    """A comparison that can be made: ``plans`` of one scenario under ``workloads``, written into ``out``.

    ``goal``: more blocks than the profile's until it is met. ``fresh_labs``: labs of its own for every block.
    ``interrupted``: the run in ``out`` that goes on.
    """

    plans: tuple[Plan, ...]
    workloads: Mapping[str, Workload]
    profile: Profile
    out: Path
    goal: Goal | None = None
    fresh_labs: bool = False
    interrupted: Stored | None = None

    def entry(self) -> dict[str, Any]:
        """What was asked for, as ``run.json`` has it."""
        return {"scenario": self.plans[0].scenario.document(), "profile": asdict(self.profile),
                "workloads": list(self.workloads), "precision": self.goal.entry() if self.goal else None,
                "fresh_labs": self.fresh_labs}


def comparison_of(plans: Sequence[Plan], workloads: Sequence[str], profile: str, out: Path,
                  problems: Sequence[str] = (), *, resume: bool = False, goal: Goal | None = None,
                  fresh_labs: bool = False) -> Comparison:
    """What is asked for, in the words of the command line. ``resume``: to go on with the interrupted run in ``out``.

    Raises ``UsageError`` naming the ``problems`` found before and everything else that is wrong.
    """
    found = list(problems)
    chosen = _parse(workloads, found)
    found += [f"workload '{name}' is named twice" for name in _repeated([workload.name for workload in chosen])]
    found += [f"design '{spec}' is named twice" for spec in _repeated([plan.spec for plan in plans])]
    found += unmeasurable(plans, chosen)
    if goal and plans and (len(plans) < 2 or REFERENCE not in [plan.design for plan in plans]):
        found.append(f"--precision is about ratios to {REFERENCE}: name it and another design")
    if goal and chosen and all(workload.cold for workload in chosen):
        found.append("--precision is about steady state: name a workload that is not cold")
    if profile not in PROFILES:
        found.append(no_profile(profile))
    stored = None
    try:
        if resume:
            stored = read_folder(out)
        else:
            refuse_impossible(out)
    except UsageError as error:
        found += error.problems
    if found:
        raise UsageError(*found)
    asked = Comparison(tuple(plans), in_order(chosen), PROFILES[profile], out, goal, fresh_labs, stored)
    if stored:
        check_interrupted(stored, asked.entry(), [plan.spec for plan in plans])
    return asked


def unmeasurable(plans: Sequence[Plan], workloads: Sequence[Workload]) -> list[str]:
    """What the plans of a scenario lack for what is to be measured in them."""
    return [
        *(f"{plan.spec}: in this scenario there are no two endpoints on two nodes to measure between"
          for plan in plans if plan.endpoints is None),
        *(f"{workload.name}: in this scenario {plan.spec} has only {len(found)} on other nodes than the receiver"
          for workload in workloads for plan in plans if plan.endpoints is not None
          and len(found := senders(plan, workload.senders)) < workload.senders),
    ]


def no_profile(name: str) -> str:
    """The complaint about a profile that there is not."""
    return f"there is no profile '{name}'; there are: {', '.join(PROFILES)}"


def _parse(texts: Sequence[str], problems: list[str]) -> list[Workload]:
    """The workloads that are named; what is wrong with the others is added to ``problems``."""
    chosen = []
    for text in texts:
        try:
            chosen.append(parse_workload(text))
        except UsageError as error:
            problems += error.problems
    return chosen


def _repeated(words: Sequence[str]) -> list[str]:
    return sorted({word for word in words if words.count(word) > 1})
