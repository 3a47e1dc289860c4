"""All pods on one layer 2: claims and walks of ``flat``, and what a cold lab of it has forgotten."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from emu import Lab
from emu.live.tracing import trace
from tests.live.machine import emu

pytestmark = pytest.mark.live


@pytest.mark.stock
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--offload", "on"),
        ("--nodes", "2", "--containers", "1", "--mtu", "9000"),
        ("--nodes", "5", "--containers", "2", "--pod-cidr", "172.20.0.0/16", "--node-cidr", "10.9.0.0/24"),
        ("--nodes", "3", "--containers", "0"),
    ],
)
def test_every_claim_holds(words: Sequence[str]) -> None:
    done = emu("check", "flat", *words, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert {claim["result"] for claim in json.loads(done.stdout)["claims"]} == {"holds"}


def fdb(lab: Lab, node: str) -> set[tuple[str, str]]:
    """The MACs that a node has behind another node's tunnel, and where."""
    told = json.loads(lab[node].run(["bridge", "-j", "fdb", "show", "dev", "vxlan0"]).stdout)
    return {(entry["mac"], entry["dst"]) for entry in told if "dst" in entry and entry["mac"] != "00:00:00:00:00:00"}


def test_walks_follow_every_copy_and_a_cold_lab_has_forgotten_who_is_where() -> None:
    with Lab("flat") as lab:
        for src, dst, request in (
            ("ctr-1", "ctr-4", "http"),
            ("node-a", "ctr-4", "ping"),
            ("ctr-1", "node-c", "ping"),
            ("ctr-1", "ctr-2", "full-ping"),
        ):
            walk, _ = trace(lab, src, dst, request)
            assert (walk.differences, walk.problem) == ((), ""), (src, dst)
        walk, _ = trace(lab, "ctr-1", "ctr-4", "ping")
        asked = next(packet for packet in walk.packets if packet.title == "who has 10.0.3.2?")
        heard = {step.point for step in walk.steps_of(asked) if step.frame.direction == "in"}
        assert {f"{name}:eth0" for name in lab.plan.container_of if name != "ctr-1"} <= heard
        assert {f"node-{letter}:vxlan0" for letter in "bcd"} <= heard
        copies = [step for step in walk.steps_of(asked) if (step.point, step.frame.direction) == ("node-a:eth0", "out")]
        assert {step.frame.tunnel_end for step in copies} == {"192.168.1.2", "192.168.1.3", "192.168.1.4"}
        assert "a copy to 192.168.1.2, 192.168.1.3, 192.168.1.4, its default entries" in copies[0].decided_by
        assert ("aa:bb:cc:dd:e1:01", "192.168.1.1") in fdb(lab, "node-c")
        assert ("aa:bb:cc:dd:e3:02", "192.168.1.3") in fdb(lab, "node-a")
        lab.cool()
        assert [fdb(lab, node.name) for node in lab.plan.nodes] == [set()] * 4
        assert lab.sweep()[1] == []
