"""What is run for the answer: designs between pods, ways to them from outside, and what this machine cannot run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from emu.backends import all_backends
from emu.designs import make_plan, parse_design
from emu.designs.outside import BRIDGE, CLIENT, NONE, ROUTE
from emu.errors import MissingError, UsageError
from emu.model import Plan, Scenario

REFERENCE = "bare"
PLAIN = ("l2", "hostgw", "routed")
"""Designs that put no packet into another."""

BESIDE = ("flat",)
MOST_OTHER_BACKENDS = 1
"""Back ends besides the default one by which machines outside come to the pods."""


@dataclass(frozen=True)
class Cast:
    """``inside``: plans measured between pods, bare first. ``outside``: plans measured from an outside machine to a
    pod, bare first. ``looked_at``: all whose reach, packet size and state are looked at. ``ending``: those in which a
    bridge machine is ended. ``lacking``: what cannot be run here, and why."""

    inside: tuple[Plan, ...]
    outside: tuple[Plan, ...]
    looked_at: tuple[Plan, ...]
    ending: tuple[Plan, ...]
    lacking: tuple[tuple[str, str], ...]


def cast_for(scenario: Scenario, refuse: Callable[[Plan], object]) -> Cast:
    """The cast for a scenario. ``refuse``: raises ``MissingError`` for a plan that this machine cannot run; bare, and
    the overlay by default, must be possible. ``UsageError`` for a scenario that a design cannot have, and for one that
    has nobody to measure between."""
    lacking: list[tuple[str, str]] = []

    def possible(specs: Sequence[str], wanted: Scenario = scenario) -> list[Plan]:
        found = []
        for spec in specs:
            plan = make_plan(parse_design(spec), wanted)
            try:
                refuse(plan)
                found.append(plan)
            except MissingError as error:
                lacking.append((spec, "; ".join(error.problems)))
        return found

    within = replace(scenario, outside=0)
    names = [*PLAIN, *(f"overlay:backend={name}" for name in all_backends()), *BESIDE]
    _refuse_nobody(within)
    refuse(make_plan(parse_design(REFERENCE), within))
    inside = possible([REFERENCE, *names], within)
    backends = [plan.params["backend"] for plan in inside if "backend" in plan.params]
    default = next(iter(all_backends()))
    chosen = [default, *(name for name in backends if name != default)][: 1 + MOST_OTHER_BACKENDS]
    strangers = replace(scenario, outside=max(1, scenario.outside))
    ways = {name: [f"overlay:backend={name},outside={way}" for way in (ROUTE, BRIDGE, f"{BRIDGE},snat=on", CLIENT)]
            for name in chosen}
    outside = possible([spec for specs in ways.values() for spec in specs], strangers)
    stranded = possible([f"overlay:backend={default},outside={NONE}"], strangers)
    ending = possible([f"overlay:backend={default},outside={BRIDGE},bridges=2{snat}" for snat in ("", ",snat=on")],
                      strangers)
    return Cast(
        tuple(inside),
        (inside[0], *map(from_outside, outside)),
        (*inside, *map(from_outside, (*stranded, *outside))),
        tuple(map(from_outside, ending)),
        tuple(lacking),
    )


def _refuse_nobody(scenario: Scenario) -> None:
    if make_plan(parse_design("overlay"), scenario).endpoints is None:
        raise UsageError("in this scenario there are no two pods on two nodes to measure between: "
                         "--containers takes 1 or more")


def from_outside(plan: Plan) -> Plan:
    """A plan that is measured from its first outside machine to the second endpoint."""
    assert plan.endpoints is not None  # the overlay of the same scenario was asked before
    return replace(plan, endpoints=(plan.others[0].name, plan.endpoints[1]))
