"""Mininet's own command with the designs, on an Open vSwitch that it finds running, each scenario in a tree of its own
that stands for the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from emu.designs import parse_design, plans_for
from emu.scenario import read
from tests.live.apart import CHECKOUT
from tests.live.machine import emu
from tests.live.test_controllers_standalone import TREE

DESIGNS = ("bare", "l2", "routed", "overlay", "flat", "hostgw")
DEADLINE_S = 300  # a software emulation is some 30 times slower


def play(scenario: str, *words: str) -> dict[str, Any]:
    """What was seen in a scenario."""
    for tool in ("mn", "ovs-vswitchd", "unshare", "mnexec"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):  # which the userspace datapath's bridge port is made of
        pytest.skip("/dev/net/tun is not open to this user")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = [*TREE, *user, sys.executable, "-m", "tests.live.machine_wide_lab", scenario, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, cwd=CHECKOUT, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def holds(design: str, **options: int) -> None:
    """Every pair has its answer; one of them the TTL that the design declares; nothing is left."""
    scenario, problems = read(options)
    (plan,) = plans_for([design], scenario, problems)
    src, dst = plan.endpoints or ("", "")
    words = ",".join(f"{key}={value}" for key, value in options.items())
    seen = play("pingall", design, words, src, dst)
    pairs = len(plan.machines) * (len(plan.machines) - 1)
    assert seen["status"] == 0, seen["said"]
    assert f"Results: 0% dropped ({pairs}/{pairs} received)" in seen["said"]
    assert f"ttl={parse_design(design).design.path(plan, dst, src)[-1].ttl} " in seen["said"]
    assert seen["after"] == seen["before"]


@pytest.mark.parametrize("design", DESIGNS)
def test_every_pair_pings(design: str) -> None:
    holds(design, nodes=2, containers=2)


def test_parameters_and_scenario_options_are_the_same_as_elsewhere() -> None:
    holds("l2:proxy_arp=node", nodes=3, containers=1, mtu=1400, bw=100)


def test_what_a_killed_one_left_is_removed_and_nothing_else() -> None:
    seen = play("killed")
    up = seen["up"]
    assert up["bridges"]["switch0"] == ["node-a-eth0", "node-b-eth0"]
    assert up["namespaces"] == ["theirs"]
    assert seen["second"]["status"] == 1
    assert seen["second"]["said"].endswith("mn: another machine-wide lab is running, and there is one at a time\n")
    assert seen["clean while it runs"] == ""
    assert seen["still up"]["bridges"] == up["bridges"]
    assert seen["still up"]["links"] == up["links"]
    assert "switch0" in seen["left"]["bridges"]
    assert "sleep 3600" in seen["left"]["processes"]
    assert "1 bridge, 2 links, 4 namespaces" in seen["clean"]
    assert seen["after"] == seen["before"]
    assert seen["clean again"] == ""
    assert seen["third"]["status"] == 0, seen["third"]["said"]
    assert seen["third"]["after"] == seen["before"], "the next lab removes what is left first"


def test_signals_and_errors_end_it_in_order_and_leave_others_alone() -> None:
    seen = play("signalled")
    assert (seen["SIGHUP"]["status"], seen["SIGTERM"]["status"]) == (129, 143)
    for how in ("SIGHUP", "SIGTERM", "SIGINT", "failed"):
        assert seen[how]["after"] == seen["before"], how
    assert "Test nonesuch is unknown" in seen["failed"]["said"]


WORDS = "a lab's bridge, if there is one, could not be removed, since Open vSwitch does not answer ("


def test_a_switch_that_does_not_answer_is_told_when_all_else_is_gone() -> None:
    seen = play("ill")
    assert seen["ovs-vswitchd"]["ended"].startswith(f"mn: {WORDS}")
    assert "Traceback" not in seen["ovs-vswitchd"]["ended"]
    for name in ("ovs-vswitchd", "ovsdb-server"):
        told = seen[name]
        assert told["status"] == 1, name
        assert told["said"].startswith(f"emu: {WORDS}"), name
        assert not told["left"], name
        assert (told["again"], told["said again"]) == (0, "removed what a machine-wide lab left: 1 bridge\n"), name
        assert told["after"] == seen["before"], name


def test_what_is_in_the_way_is_told_and_left() -> None:
    seen = play("in_the_way")
    assert seen["status"] == 1
    assert seen["said"].endswith("mn: this machine has interfaces already that the lab would make: node-a-eth0\n")
    assert seen["after"] == seen["before"]


def test_mistakes_are_all_told_before_anything_is_made() -> None:
    cases = {
        "deck,routed": ["mn: deck takes KEY=VALUE, not 'routed'",
                        "mn: deck,design=NAME: which design? There are: bare, l2, routed, overlay, flat, hostgw"],
        "deck,design=l2,proxy_arp=x,nodes=1,foo=1,mtu=1500.5,sdn=ryu": [
            "mn: --sdn: the controller is another program; emu controller takes it",
            "mn: --mtu takes BYTES, not '1500.5'",
            "mn: --nodes 1: a lab has 2 nodes or more",
            "mn: l2: proxy_arp takes controller|switch|node, not 'x'",
            "mn: l2: 'foo=1' is no KEY=VALUE of its parameters (proxy_arp)",
        ],
        "deck,design=routed,routes=bgp": [
            "mn: routed:routes=bgp runs bird-gateway beside the switch, which would write to this machine's own routing"
            " table: emu up has it in a lab of its own"],
        "deck,design=bare --mac --arp": ["mn: --mac: the topology deck has its plan's own, and takes no other",
                                         "mn: --arp: the topology deck has its plan's own, and takes no other"],
    }
    seen = play("refused", *cases)
    assert seen["answers"] == [{"status": 2, "said": said} for said in cases.values()]
    assert seen["after"] == seen["before"]


def test_a_controller_is_refused_for_what_the_topology_refuses() -> None:
    done = emu("controller", "routed:routes=bgp")
    assert (done.returncode, done.stdout) == (2, "")
    assert "write to this machine's own routing table" in done.stderr
    done = emu("controller", "l2:proxy_arp=x", "--nodes", "1")
    assert (done.returncode, done.stderr.splitlines()) == (2, [
        "emu: --nodes 1: a lab has 2 nodes or more", "emu: l2: proxy_arp takes controller|switch|node, not 'x'"])
