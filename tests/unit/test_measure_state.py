"""Laws of state, held against plans; and what the meter makes of what was counted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emu.designs import all_designs, make_plan, parse_design
from emu.laws import (
    CONTAINER,
    FDB,
    FLOWS,
    KINDS,
    LEARNED_FDB,
    NEIGHBORS,
    NODE,
    ROUTES,
    RULES,
    SWITCH,
    Growth,
    per_container,
    per_node,
)
from emu.measure.state import Point, departures, document, law_of, ranges, rows, table, to_csv
from emu.measure.state_plot import figure
from emu.model import Machine, Plan, Scenario

SPECS = ("bare", "l2", "l2:proxy_arp=switch", "l2:proxy_arp=node", "routed", "routed:routes=bgp", "hostgw", "overlay",
         "flat")
SIZES = ((2, 0), (2, 1), (3, 4), (9, 2))


def plan_of(spec: str, nodes: int, containers: int) -> Plan:
    return make_plan(parse_design(spec), Scenario(nodes=nodes, containers=containers))


def planned(machine: Machine) -> dict[str, int]:
    """What a plan puts into a machine, by kind."""
    return {ROUTES: len(machine.routes), RULES: len(machine.rules), NEIGHBORS: len(machine.neighbors),
            FDB: len(machine.fdb)}


def lawful(spec: str, nodes: int, containers: int) -> Point:
    """A point where everything is counted as the law has it."""
    plan = plan_of(spec, nodes, containers)
    law = parse_design(plan.design).design.law(plan.params)
    some = len(plan.nodes[0].containers)
    places = [place for place in KINDS if place != CONTAINER or some]
    counts = {place: {kind: (growth.at(nodes, some),) * 2 for kind, growth in law.of(place).items()}
              for place in places}
    return Point(plan.design, dict(plan.params), nodes, some, counts, {"built": {}, "exchange": {}}, 0, 1.0)


@pytest.mark.parametrize(("nodes", "containers"), SIZES)
@pytest.mark.parametrize("spec", SPECS)
def test_what_is_written_by_the_law_is_what_the_plan_writes(spec: str, nodes: int, containers: int) -> None:
    plan = plan_of(spec, nodes, containers)
    law = parse_design(plan.design).design.law(plan.params)
    for machine in plan.machines:
        amounts = law.of(NODE if machine.kind == "node" else CONTAINER)
        for kind, count in planned(machine).items():
            if kind in amounts:
                assert amounts[kind].at(nodes, containers) == count, (machine.name, kind)


def test_every_design_has_a_law() -> None:
    assert {parse_design(spec).name for spec in SPECS} == {*all_designs()}


def test_flannel_needs_one_entry_of_each_sort_for_each_other_node() -> None:
    law = parse_design("overlay").design.law(parse_design("overlay").params)
    assert {kind: str(law.of(NODE)[kind]) for kind in (ROUTES, NEIGHBORS, FDB)} == {
        ROUTES: "2 + 1 per other node", NEIGHBORS: "1 per other node", FDB: "1 per other node"}


@pytest.mark.parametrize(
    ("growth", "at", "words"),
    [
        (Growth(), 0, "0"),
        (Growth(3), 3, "3"),
        (per_node(2), 8, "2 per node"),
        (Growth(6) + per_node(3), 18, "6 + 3 per node"),
        (per_container(1), 20, "1 per container"),
        (Growth(1, own_containers=1), 6, "1 + 1 per own container"),
        (Growth(other_nodes=1) + per_container(1), 23, "1 per other node + 1 per container"),
        (Growth(other_hosts=2), 6, "2 per other node with containers"),
        (Growth(others_containers=1), 15, "1 per container elsewhere"),
    ],
)
def test_growth(growth: Growth, at: int, words: str) -> None:
    """Four nodes with five containers each."""
    assert growth.at(4, 5) == at
    assert str(growth) == words


def test_other_nodes_without_containers_are_no_hosts() -> None:
    assert Growth(other_hosts=2).at(4, 0) == 0


def test_counts_are_kept_by_place_as_the_least_and_the_most_ever_seen() -> None:
    plan = plan_of("hostgw", 2, 1)
    before = {"node-a": {ROUTES: 3}, "node-b": {ROUTES: 2}, "ctr-1": {ROUTES: 2}, "ctr-2": {ROUTES: 2},
              "switch": {FLOWS: 12}}
    after = {**before, "node-b": {ROUTES: 4}, "switch": {FLOWS: 13}}
    learned = {"node-a": {LEARNED_FDB: 1}}
    counted = ranges(plan, (before, after, learned))
    assert counted[NODE] == {ROUTES: (2, 4), LEARNED_FDB: (0, 1)}
    assert counted[CONTAINER] == {ROUTES: (2, 2)}
    assert counted[SWITCH] == {FLOWS: (12, 13)}


@pytest.mark.parametrize("spec", SPECS)
def test_points_as_the_law_has_them_hold(spec: str) -> None:
    assert departures([lawful(spec, nodes, containers) for nodes, containers in SIZES]) == []


def test_one_entry_less_or_more_is_told() -> None:
    point = lawful("overlay", 4, 2)
    few = replace(point, counts={**point.counts, NODE: {**point.counts[NODE], ROUTES: (4, 5), FDB: (3, 4)}})
    assert departures([point, few]) == [
        f"{few.spec}, 4 nodes, 2 containers on each: routes of a node: 4 to 5, by the law 5",
        f"{few.spec}, 4 nodes, 2 containers on each: fdb of a node: 3 to 4, by the law 3",
    ]
    found = document({}, [point, few])
    assert [design["holds"] for design in found["designs"]] == [False]
    assert [line[-1] for line in table([point, few]) if line[1:3] in ([NODE, ROUTES], [NODE, NEIGHBORS])] == [
        "does not hold", "holds"]


def test_pairs_that_did_not_speak_are_told() -> None:
    assert "2 pairs did not reach each other" in departures([replace(lawful("bare", 2, 0), misses=2)])[0]


def test_macs_that_may_have_aged_are_held_to_no_law() -> None:
    slow = replace(lawful("flat", 4, 2), exchange_s=301.0)
    laws = {row.kind: row.law for row in rows(slow) if row.place == NODE}
    assert laws[LEARNED_FDB] is None
    assert laws[FDB] == 3


def test_what_is_written_can_be_read_and_drawn() -> None:
    points = [lawful(spec, nodes, containers) for spec in SPECS for nodes in (2, 4) for containers in (0, 1)]
    found = json.loads(json.dumps(document({"version": "1"}, points)))
    assert found["format"] == "emu-state/1"
    assert len(found["points"]) == len(points)
    assert found["points"][0]["counts"][NODE][ROUTES] == [1, 1]
    flannel = next(design for design in found["designs"] if design["spec"].startswith("overlay"))
    assert flannel["law"][NODE][FDB]["other_nodes"] == 1
    lines = to_csv(points).splitlines()
    assert lines[0] == "design,nodes,containers,of,kind,least,most,law"
    assert len(lines) == 1 + sum(len(list(rows(point))) for point in points)
    drawn = figure(points)
    assert any("hostgw" in text.get_text() for ax in drawn.axes for text in ax.texts)
    assert law_of(points[0]).of(NODE)[ROUTES] == Growth(1)
