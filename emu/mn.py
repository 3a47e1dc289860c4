"""The designs as a topology of Mininet's own command:

    sudo mn --custom emu/mn.py --topo deck,design=routed,nodes=2 --controller remote --test pingall

``docs/machine-wide.md`` tells how, and what it makes on the machine.

Mininet's command runs this with the system's Python, without ``__file__``, and takes every name in it for its own: so
the project is found by the name of the code's file, and no name here stands for anything else in ``mn``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # root writes nothing into the checkout
sys.path.insert(0, str(Path(sys._getframe().f_code.co_filename).resolve().parents[1]))

from emu.checks import machine_wide_problems  # noqa: E402
from emu.designs import all_designs, plans_for  # noqa: E402
from emu.errors import UsageError  # noqa: E402
from emu.live.deck import Deck, clean, refuse_others  # noqa: E402
from emu.live.hosts import LabCLI  # noqa: E402
from emu.live.wide import plainly  # noqa: E402
from emu.model import Plan  # noqa: E402
from emu.scenario import BY_FIELD, field_of, read  # noqa: E402

_ELSEWHERE = {
    "links": "--links: mn splits a topology's words at commas; emu up takes them",
    "sdn": "--sdn: the controller is another program; emu controller takes it",
}
"""Scenario options that are not this program's, and whose they are."""


def _plan(words: tuple[Any, ...], given: dict[str, Any]) -> Plan:
    """The plan that a topology's words ask for; ``UsageError`` with every mistake."""
    problems = [f"deck takes KEY=VALUE, not '{word}'" for word in words]
    options = {key: value for key, value in given.items() if field_of(key) in BY_FIELD}
    problems += [_ELSEWHERE[key] for key in options if key in _ELSEWHERE]
    scenario, mistakes = read({key: value for key, value in options.items() if key not in _ELSEWHERE})
    problems += mistakes
    params = [f"{key}={value}" for key, value in given.items() if key not in {*options, "design"}]
    name, _, param = str(given.get("design", "")).partition(":")
    if not name:
        problems.append(f"deck,design=NAME: which design? There are: {', '.join(all_designs())}")
    plans = plans_for([f"{name}:{','.join([param, *params])}"] if name else [], scenario, problems)
    problems += machine_wide_problems(plans[0]) if plans else []
    if problems:
        raise UsageError(*problems)
    return plans[0]


def _deck(*words: Any, **given: Any) -> Deck:
    with plainly():
        plan = _plan(words, given)
    return Deck(plan)


def validate(options: Any) -> None:
    """Called by ``mn`` before it makes anything, with its options."""
    if options.topo.partition(",")[0] == "deck":
        refuse_others(options)


topos = {"deck": _deck}
CLI = LabCLI
cleanup = clean
