"""Machines as the command line names them."""

from __future__ import annotations

import pytest

from emu.designs import make_plan, parse_design
from emu.model import Plan, Scenario
from emu.verbs.common import NAMES_TOLD, machine_named


def plans_of(scenario: Scenario | None = None) -> tuple[Plan, ...]:
    return (make_plan(parse_design("overlay"), scenario or Scenario()),)


@pytest.mark.parametrize("name", ["node-a", "192.168.1.1"])
def test_a_machine_is_found_by_name_and_by_the_address_others_reach_it_by(name: str) -> None:
    problems: list[str] = []
    assert (machine_named(plans_of(), name, problems), problems) == ("node-a", [])


@pytest.mark.parametrize(("address", "device"), [("10.0.1.1", "cbr0"), ("10.0.1.0", "flannel.1")])
def test_another_address_of_a_machine_is_told_as_that(address: str, device: str) -> None:
    problems: list[str] = []
    assert machine_named(plans_of(), address, problems) == ""
    (problem,) = problems
    assert f"no machine '{address}'; it is {device}'s on node-a, which others reach as node-a or 192.168.1.1" in problem


def test_an_unknown_name_is_told_with_the_first_there_are() -> None:
    problems: list[str] = []
    assert machine_named(plans_of(Scenario(nodes=20, containers=0)), "nobody", problems) == ""
    (problem,) = problems
    assert problem.count("node-") == NAMES_TOLD
    assert problem.endswith(" and 8 more")
