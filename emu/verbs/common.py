"""What verbs share: their words, mistakes, and where they write."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from pathlib import Path

from emu.errors import UsageError
from emu.model import Plan, Scenario
from emu.output import default_name, refuse_impossible
from emu.scenario import OPTIONS, read

Arguments = argparse.Namespace
NAMES_TOLD = 12
"""Machines that a complaint about a name lists."""


def refuse(problems: list[str]) -> None:
    """``UsageError`` with all problems, if there are any."""
    if problems:
        raise UsageError(*problems)


def scenario_of(arguments: Arguments, problems: list[str]) -> Scenario:
    """The scenario that is given by options and file; problems more for what cannot be."""
    given = {option.field: getattr(arguments, option.field) for option in OPTIONS}
    scenario, mistakes = read(given, arguments.scenario)
    problems += mistakes
    return scenario


def machine_named(plans: tuple[Plan, ...], name: str, problems: list[str]) -> str:
    """The machine that is called, or addressed, so; an empty string, and a problem more, if there is none."""
    found = plans[0].find(name) if plans else None
    if plans and found is None:
        names = [machine.name for machine in plans[0].machines]
        more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
        has = _owner_of(plans[0], name) or f"it has: {', '.join(names[:NAMES_TOLD])}{more}"
        problems.append(f"{plans[0].spec} has no machine '{name}'; {has}")
    return found or ""


def _owner_of(plan: Plan, address: str) -> str:
    """Whose an address is that is not the one its machine goes by; empty if it is nobody's."""
    owners = (
        f"it is {own.device}'s on {machine.name}, which others reach as {machine.name} or {machine.address}"
        for machine in plan.machines
        for own in machine.addresses
        if own.address == address
    )
    return next(owners, "")


def folder_for(arguments: Arguments) -> Path:
    """The folder that a verb is to write: the one asked for, or one in ``results`` named after time and verb; that is
    of the checkout this runs from, or of the working directory where it was installed without one."""
    checkout = Path(__file__).resolve().parents[2]
    results = (checkout if (checkout / "run").exists() else Path()) / "results"
    out: Path = arguments.out or results / default_name(datetime.now(timezone.utc), arguments.verb)
    return out


def new_folder(arguments: Arguments, problems: list[str]) -> Path:
    """As ``folder_for``; a problem more if it cannot be made."""
    out = folder_for(arguments)
    try:
        refuse_impossible(out)
    except UsageError as error:
        problems += error.problems
    return out
