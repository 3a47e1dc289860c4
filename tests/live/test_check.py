"""Every claim of every design on real traffic, and what a broken lab makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from emu import Lab
from emu.designs import DEFAULT_DESIGNS, make_plan, parse_design
from emu.live import preflight
from emu.live.judge import Verdict, judge
from emu.model import Plan, Scenario
from tests.live.machine import emu

pytestmark = pytest.mark.live

FRAMEWORKS = preflight.examine().sdn


def claims_of(*words: str) -> list[dict[str, Any]]:
    done = emu("check", *words, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    document = json.loads(done.stdout)
    assert document["format"] == "emu-check/1"
    return list(document["claims"])


@pytest.mark.stock
def test_check_prints_every_claim_of_the_default_designs() -> None:
    done = emu("check")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    for design in DEFAULT_DESIGNS:
        plan = make_plan(parse_design(design), Scenario())
        for claim in parse_design(design).design.claims(plan):
            assert f"holds       {plan.spec}  {claim.id}: {claim.text}" in done.stdout.splitlines()


@pytest.mark.parametrize("framework", ["ryu", "os-ken"])
@pytest.mark.parametrize("offload", ["on", "off"])
def test_check_under_both_frameworks_and_offloads(framework: str, offload: str) -> None:
    if framework not in FRAMEWORKS:
        pytest.skip(f"{framework} is not installed here")
    claims = claims_of("--sdn", framework, "--offload", offload)
    assert {claim["result"] for claim in claims} == {"holds"}
    assert {claim["design"].partition(":")[0] for claim in claims} == {*DEFAULT_DESIGNS}


@pytest.mark.parametrize(
    "words",
    [
        ("--nodes", "2", "--containers", "1"),
        ("--nodes", "5", "--containers", "0"),
        ("--nodes", "3", "--containers", "2", "--pod-cidr", "172.20.0.0/16", "--node-cidr", "10.9.0.0/24"),
        ("--mtu", "9000"),
    ],
)
def test_check_of_other_scenarios(words: Sequence[str]) -> None:
    assert {claim["result"] for claim in claims_of(*words)} == {"holds"}


def broken(plan: Plan, sound: Plan) -> dict[str, Verdict]:
    """Build one plan, and judge it by another's claims."""
    with Lab(plan) as lab:
        return {v.claim.id: v for v in judge(lab, parse_design(plan.design).design.claims(sound))}


def assert_only(verdicts: dict[str, Verdict], failing: set[str]) -> None:
    """These fail, what rests on them names one of them or what rests on it, and all others hold."""
    assert {name for name, verdict in verdicts.items() if verdict.result == "fails"} == failing
    spoilt = set(failing)
    for name, verdict in verdicts.items():
        if spoilt & {*verdict.claim.needs}:
            spoilt.add(name)
            assert verdict.result == "not judged"
            assert verdict.because.removeprefix("it rests on ") in verdict.claim.needs
        elif name not in failing:
            assert verdict.result == "holds"


def test_a_wrong_proxy_mac() -> None:
    sound = make_plan(parse_design("l2"), Scenario())
    proxy = sound.control.proxy_arp
    assert proxy is not None
    node_b = sound.nodes[1].mac
    bindings = tuple(replace(b, mac=node_b) if b.ip == "10.0.3.2" else b for b in proxy.bindings)
    verdicts = broken(
        replace(sound, control=replace(sound.control, proxy_arp=replace(proxy, bindings=bindings))), sound
    )
    assert_only(verdicts, {"arp-reply"})
    assert node_b in verdicts["arp-reply"].seen
    assert verdicts["reach"].result == "not judged"
    assert verdicts["request-1"].because == "it rests on arp-reply"


def test_a_missing_fdb_entry() -> None:
    sound = make_plan(parse_design("overlay"), Scenario())
    node = sound.by_name["node-a"]
    without = replace(node, fdb=tuple(entry for entry in node.fdb if entry.destination != "192.168.1.3"))
    machines = tuple(without if machine is node else machine for machine in sound.machines)
    verdicts = broken(replace(sound, machines=machines), sound)
    assert_only(verdicts, {"flannel-state"})
    assert "bridge -j fdb" in verdicts["flannel-state"].expected


def test_a_gateway_without_a_route() -> None:
    sound = make_plan(parse_design("routed"), Scenario())
    gateway = sound.control.gateway
    assert gateway is not None
    routes = tuple(route for route in gateway.routes if route.prefix != "10.0.3.0/24")
    broken_plan = replace(sound, control=replace(sound.control, gateway=replace(gateway, routes=routes)))
    verdicts = broken(broken_plan, sound)
    leaves_gateway = next(name for name, v in verdicts.items() if "leaves by switch:node-c-eth0" in v.claim.text)
    assert_only(verdicts, {leaves_gateway})


def test_an_mtu_that_was_not_lowered() -> None:
    sound = make_plan(parse_design("overlay"), Scenario())
    machines = tuple(
        replace(machine, devices=tuple(replace(device, mtu=1500) for device in machine.devices))
        if machine.kind == "container"
        else machine
        for machine in sound.machines
    )
    assert_only(broken(replace(sound, machines=machines), sound), {"mtu-limit"})
