"""Every claim of every design on real traffic. What broken labs make of them: ``test_break``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from emu.designs import DEFAULT_DESIGNS, make_plan, parse_design
from emu.live import preflight
from emu.model import Scenario
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


@pytest.mark.parametrize("framework", ["ryu", "os-ken"])
def test_path_mtu_discovery_and_next_hops_under_both_frameworks(framework: str) -> None:
    """The wire, the sender's route, and a TCP transfer through a gateway that takes less than the links, and that is
    not told where nodes are."""
    if framework not in FRAMEWORKS:
        pytest.skip(f"{framework} is not installed here")
    spec = "routed:neighbors=arp,egress_mtu=1300"
    results = {claim["id"]: claim["result"] for claim in claims_of(spec, "--sdn", framework)}
    looked_for = {"fragmentation-needed", "path-mtu", "too-large-counted", "tcp", "traceroute", "packet-held"}
    assert looked_for <= results.keys()
    assert {*results.values()} == {"holds"}


def test_a_userspace_switch_that_sees_super_packets_checks_no_sizes() -> None:
    done = emu("check", "routed:egress_mtu=1300", "--offload", "on", "--datapath", "netdev")
    assert (done.returncode, done.stdout) == (3, "")
    assert "with --offload on it is off there; mend: --offload off" in done.stderr


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
