"""The designs: one module each, found by listing this folder.

A design module has an object ``DESIGN`` that fulfils ``emu.designs.base.Design``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from emu.checks import plan_problems
from emu.designs.base import Design
from emu.errors import UsageError
from emu.flannel import BACKENDS, Flannel
from emu.listing import objects_in
from emu.model import Plan, Scenario

DEFAULT_DESIGNS = ("bare", "l2", "routed", "overlay")


@dataclass(frozen=True)
class DesignSpec:
    """A design and its parameters, every one with a value but optional ones left at their default."""

    name: str
    params: Mapping[str, str]

    @property
    def design(self) -> Design:
        return all_designs()[self.name]


@cache
def all_designs() -> Mapping[str, Design]:
    """Every design by its name, the default ones first."""
    parts = {"base", "claims", "outside"}
    found = {design.name: design for design in objects_in(sys.modules[__name__], "DESIGN", parts)}
    first = [name for name in DEFAULT_DESIGNS if name in found]
    return {name: found[name] for name in [*first, *sorted(found.keys() - first)]}


def parse_design(text: str) -> DesignSpec:
    """``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE`` with defaults filled in; ``UsageError`` names all mistakes."""
    name, _, rest = text.partition(":")
    design = all_designs().get(name)
    if design is None:
        raise UsageError(f"there is no design '{name}'; there are: {', '.join(all_designs())}")
    params = {key: values.default for key, values in design.parameters.items() if not values.optional}
    problems = []
    given: set[str] = set()
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        known = design.parameters.get(key)
        if known is None or not equals:
            offered = ", ".join(design.parameters) or "none"
            problems.append(f"{name}: '{item}' is no KEY=VALUE of its parameters ({offered})")
        elif key in given:
            problems.append(f"{name}: '{key}' is given twice")
        elif not known.has(value):
            problems.append(f"{name}: {key} takes {known.offered}, not '{value}'")
        elif not (known.optional and value == known.default):
            params[key] = value
        given.add(key)
    for key, value in params.items():
        needed = design.parameters[key].only_with
        if needed and params.get(needed[0]) != needed[1]:
            problems.append(f"{name}: {key} is of {needed[0]}={needed[1]} alone")
        ruled_out = design.parameters[key].not_with
        if ruled_out and params.get(ruled_out[0]) == ruled_out[1]:
            other, chosen, why = ruled_out
            problems.append(f"{name}: {key}={value} does not go with {other}={chosen}: {why}")
    if problems:
        raise UsageError(*problems)
    return DesignSpec(name, {key: params[key] for key in design.parameters if key in params})


def make_plan(spec: DesignSpec, scenario: Scenario) -> Plan:
    """The plan of a design for a sound scenario; ``UsageError`` names what the design cannot make of it."""
    if scenario.outside and not spec.design.has_outside:
        has = ", ".join(name for name, design in all_designs().items() if design.has_outside)
        raise UsageError(f"{spec.name} has no machines outside the cluster: --outside is of {has}")
    plan = spec.design.plan(scenario, spec.params)
    problems = plan_problems(plan)
    if problems:
        raise UsageError(*(f"{spec.name}: {problem}" for problem in problems))
    return plan


def _of_flannel(text: str, flannel: Flannel | None) -> str:
    """A design in the words of the command line, where flannel's configuration says what ``overlay`` is. ``UsageError``
    where that contradicts the words."""
    name, _, rest = text.partition(":")
    if flannel is None or name != "overlay":
        return text
    kind = BACKENDS[flannel.backend]
    given = [item for item in rest.split(",") if item.startswith("backend=")]
    if given and given != [f"backend={kind}"]:
        raise UsageError(f"{text}: --flannel says that the back end is {flannel.backend}")
    if kind == "hostgw":
        return kind if not rest else f"{kind}:{rest}"
    return text if given else f"overlay:{','.join(filter(None, (f'backend={kind}', rest)))}"


def plans_for(texts: Iterable[str], scenario: Scenario, problems: list[str]) -> tuple[Plan, ...]:
    """The plans of several designs for a scenario whose own mistakes are in ``problems`` already.

    Mistakes in the designs are added; there are plans only where there is no problem at all.
    """
    specs = []
    for text in texts:
        try:
            specs.append(parse_design(_of_flannel(text, scenario.flannel)))
        except UsageError as error:
            problems.extend(error.problems)
    if problems:
        return ()
    try:
        return tuple(make_plan(spec, scenario) for spec in specs)
    except UsageError as error:
        problems.extend(error.problems)
        return ()
