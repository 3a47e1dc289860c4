"""Facts got wrong on purpose: what each changes of a plan, and what it leaves alone."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from controllers.plan import parse
from emu.designs import all_designs, make_plan, parse_design
from emu.errors import UsageError
from emu.faults import FAULTS, Fault, fault_for
from emu.guide.realms import Realms
from emu.model import Plan, Scenario
from emu.walk.topology import topology

BUILDS = [(fault, design) for fault in FAULTS for design in fault.caught_by]
each_build = pytest.mark.parametrize(("fault", "design"), BUILDS, ids=[f"{f.name}-{d}" for f, d in BUILDS])
NODES = ("node-a", "node-b", "node-c", "node-d")
CONTAINERS = tuple(f"ctr-{number}" for number in range(1, 7))

SHEETS = sorted((Path(__file__).resolve().parents[2] / "docs" / "exercises").glob("[0-9]*.md"))

CHANGES = {
    ("deaf", "bare"): {("node-c", "sysctls")},
    ("prefix-length", "bare"): {("node-c", "addresses"), ("node-c", "routes")},
    ("duplicate-mac", "bare"): {("node-c", "devices")},
    **{(name, f"l2:proxy_arp={answerer}"): {("control", "proxy_arp")}
       for name in ("proxy-mac", "proxy-arp-off") for answerer in ("controller", "switch")},
    ("proxy-arp-pvlan", "l2:proxy_arp=node"): {("node-c", "devices")},
    ("bridge-filter", "l2:proxy_arp=node"): {("node-c", "filters")},
    ("no-forwarding", "hostgw"): {("node-c", "sysctls")},
    ("missing-route", "hostgw"): {("node-a", "routes")},
    ("wrong-next-hop", "hostgw"): {("node-a", "routes")},
    ("no-forwarding", "l2"): {("node-c", "sysctls")},
    ("no-forwarding", "routed"): {("node-c", "sysctls")},
    ("no-forwarding", "overlay"): {("node-c", "sysctls")},
    ("missing-route", "routed"): {("control", "gateway")},
    ("missing-route", "overlay:backend=vxlan"): {("node-a", "routes")},
    ("wrong-next-hop", "routed"): {("control", "gateway")},
    ("missing-fdb", "overlay:backend=vxlan"): {("node-a", "fdb")},
    ("missing-default", "flat"): {("node-a", "fdb")},
    ("wrong-neighbor", "overlay:backend=vxlan"): {("node-a", "neighbors")},
    ("mtu", "overlay:backend=vxlan"): {(name, "devices") for name in (*NODES, *CONTAINERS)},
    ("rp-filter", "overlay:backend=vxlan"): {(name, "sysctls") for name in NODES},
}
"""Machine (or ``control``) and the one part of it that is not as in the sound plan."""


def plan_of(design: str, scenario: Scenario | None = None) -> Plan:
    return make_plan(parse_design(design), scenario or Scenario())


def changed(sound: Plan, broken: Plan) -> set[tuple[str, str]]:
    pairs = [(m.name, m, broken.by_name[m.name]) for m in sound.machines]
    return {
        (name, field.name)
        for name, before, after in (*pairs, ("control", sound.control, broken.control))
        for field in fields(before)
        if getattr(before, field.name) != getattr(after, field.name)
    }


@each_build
def test_one_thing_is_changed_and_the_rest_is_the_sound_plan(fault: Fault, design: str) -> None:
    sound = plan_of(design)
    broken = fault.apply(sound)
    assert changed(sound, broken) == CHANGES[fault.name, design]
    assert replace(broken, machines=sound.machines, control=sound.control) == sound
    assert sound == plan_of(design)


@each_build
def test_the_controllers_take_what_they_are_told(fault: Fault, design: str) -> None:
    parse(json.loads(fault.apply(plan_of(design)).to_json()))


@each_build
def test_claims_of_the_design_catch_it(fault: Fault, design: str) -> None:
    plan = plan_of(design)
    claims = {claim.id for claim in parse_design(design).design.claims(plan)}
    assert fault.catchers(plan) == fault.caught_by[design]
    assert fault.caught_by[design]
    assert {*fault.caught_by[design]} <= claims


@each_build
def test_it_is_told_in_the_plans_own_names_and_shown_between_its_machines(fault: Fault, design: str) -> None:
    plan = plan_of(design)
    assert "{" not in fault.sentence(plan)
    src, dst = fault.probe(plan)
    assert src != dst
    assert {src, dst} <= {*plan.by_name}


def test_sentences() -> None:
    def sentence(design: str, name: str) -> str:
        return fault_for(plan_of(design), name).sentence(plan_of(design))

    assert sentence("l2", "proxy-mac") == "the controller answers for ctr-4 with node-b's MAC"
    assert sentence("l2:proxy_arp=switch", "proxy-arp-off") == "the switch has no binding for ctr-4"
    missing = [sentence(design, "missing-route") for design in ("routed", "overlay")]
    assert missing == [f"{who} has no route to node-c's pod subnet" for who in ("the gateway", "node-a")]


def test_every_design_has_something_to_break() -> None:
    assert {design.partition(":")[0] for _, design in BUILDS} == {*all_designs()}


def test_a_fact_is_offered_where_there_is_such_a_thing() -> None:
    """With the node's kernel answering there is no binding to break; with another, no filter."""
    for answerer, offered in (("controller", True), ("switch", True), ("node", False)):
        plan = plan_of(f"l2:proxy_arp={answerer}")
        assert {fault.name for fault in FAULTS if fault.catchers(plan)} == {
            "no-forwarding",
            *(("proxy-mac", "proxy-arp-off") if offered else ("proxy-arp-pvlan", "bridge-filter")),
        }


def test_names_are_there_once() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len({*names})


def test_an_unknown_fact_is_told_with_those_the_design_has() -> None:
    with pytest.raises(UsageError, match=r"has no fact 'missing-fdb' to break; it has: proxy-mac, proxy-arp-off, no"):
        fault_for(plan_of("l2"), "missing-fdb")


@pytest.mark.parametrize(
    ("scenario", "words"),
    [(Scenario(nodes=2, containers=1), "takes three nodes"), (Scenario(nodes=3, containers=0), "takes containers")],
)
def test_scenarios_without_the_machines_it_takes(scenario: Scenario, words: str) -> None:
    fault, plan = fault_for(plan_of("overlay"), "missing-fdb"), plan_of("overlay", scenario)
    for use in (fault.apply, fault.probe, fault.sentence):
        with pytest.raises(UsageError, match=words):
            use(plan)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.stem)
def test_exercises_break_what_is_there_and_quote_how_it_is_told(sheet: Path) -> None:
    text = sheet.read_text()
    commands = re.findall(r"check (\S+) --break (\S+)", text)
    assert commands
    told = [fault_for(plan_of(design), name).sentence(plan_of(design)) for design, name in commands]
    assert sorted(re.findall(r"^    broken: (.*)$", text, re.MULTILINE)) == sorted(told)


def test_a_mac_that_two_have_is_called_the_same_by_all() -> None:
    broken = fault_for(plan_of("bare"), "duplicate-mac").apply(plan_of("bare"))
    mac = broken.by_name["node-b"].devices[0].mac
    assert broken.by_name["node-c"].devices[0].mac == mac
    assert topology(broken).owner_of_mac[mac] == Realms(broken).of_mac(mac)[1] == "node-b"


def test_a_wrong_neighbor_leads_into_the_other_nodes_tunnel() -> None:
    """With another node's MAC in the neighbor table its FDB entry, which is right, is the one that is used."""
    plan = plan_of("overlay")
    node = fault_for(plan, "wrong-neighbor").apply(plan).by_name["node-a"]
    neighbors = {neighbor.address: neighbor.mac for neighbor in node.neighbors}
    assert neighbors["10.0.3.0"] == neighbors["10.0.2.0"]
    assert {entry.mac: entry.destination for entry in node.fdb}[neighbors["10.0.3.0"]] == "192.168.1.2"
