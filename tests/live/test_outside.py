"""Machines that are no nodes: how they come to pods, what becomes of that when a bridge machine or a node is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emu import Lab
from emu.bridges import Bridges
from emu.errors import UsageError
from emu.membership import entries_about, join, leave
from emu.packets import ETHERTYPE_ARP
from tests.live.machine import emu
from tests.live.test_check import claims_of

pytestmark = pytest.mark.live

SPREAD = "overlay:outside=bridge,bridges=2"


@pytest.mark.parametrize(
    "words",
    [
        ("overlay", "--outside", "1"),
        ("overlay:outside=route,snat=on",),
        ("overlay:outside=client", "--nodes", "3", "--containers", "1", "--outside", "2"),
        ("overlay:outside=bridge",),
        ("overlay:outside=bridge,bridges=2,snat=on",),
    ],
)
def test_every_way_is_as_claimed(words: tuple[str, ...]) -> None:
    assert {claim["result"] for claim in claims_of(*words)} == {"holds"}


def test_with_nothing_done_a_trace_ends_where_nobody_answers(tmp_path: Path) -> None:
    done = emu("trace", "overlay", "outside-1", "ctr-4", "--outside", "1", "--request", "ping", "--out",
               str(tmp_path / "walk"))
    assert done.returncode == 1
    assert "no answer: From 192.168.1.2 icmp_seq=1 Destination Host Unreachable" in done.stdout
    assert "as declared" in done.stdout
    walk = json.loads((tmp_path / "walk" / "walk.json").read_text())
    kinds = {step["frame"]["type"] for step in walk["steps"]}
    assert kinds == {ETHERTYPE_ARP}
    heard = {step["node"] for step in walk["steps"] if step["fate"] == "dropped"}
    assert {"node-a", "node-c", "node-d"} <= heard


def test_the_walk_of_a_masqueraded_request_is_one_way_there_and_one_back(tmp_path: Path) -> None:
    done = emu("trace", "overlay:outside=bridge,snat=on", "outside-1", "ctr-4", "--out", str(tmp_path / "walk"))
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads((tmp_path / "walk" / "walk.json").read_text())["steps"]
    notes = " ".join(step["note"] for step in steps)
    assert "source 192.168.1.2 -> 10.0.5.0" in notes
    assert "destination 10.0.5.0 -> 192.168.1.2" in notes


def test_a_bridge_machine_falls_silent_in_mid_transfer() -> None:
    """Where the pod sees the client, a connection goes on by the other one; where it sees the bridge machine, it is
    reset, since to the pod another machine is speaking."""
    with Lab(SPREAD) as lab:
        bridges = Bridges(lab)
        over = bridges.end_in_transfer("outside-1", "ctr-4", "tcp", lambda name: lab[name].silence())
        assert bridges.routed_by("outside-1") == {*bridges.names} - {over.machine}
        assert (over.flow.error, over.flow.received) == ("", over.flow.sent)
        assert over.flow.sources == ("192.168.1.2",)
        assert over.flow.longest_gap_s > 0.1
        lab[over.machine].speak()
        bridges.await_routes("outside-1", {*bridges.names})
    with Lab(f"{SPREAD},snat=on") as lab:
        bridges = Bridges(lab)
        over = bridges.end_in_transfer("outside-1", "ctr-4", "tcp", lambda name: lab[name].silence())
        assert "reset" in over.flow.error.lower()
        assert over.flow.sources == (lab.plan.node_of[over.machine].vtep_address,)


def test_a_node_leaves_and_joins_while_others_speak() -> None:
    with Lab("overlay:outside=bridge") as lab:
        wanted = {name: tables(lab, name) for name in ("node-a", "node-c", "bridge-1")}
        number = lab.steady("outside-1", "ctr-1", "udp", 10)
        leave(lab, "node-c")
        gone = lab["ctr-1"].run(("ping", "-n", "-c", "1", "-W", "20", "10.0.3.2"))
        assert gone.returncode == 1
        assert not any("10.0.3." in line for line in tables(lab, "node-a") + tables(lab, "bridge-1"))
        leave(lab, "node-c")  # what is gone already is no error
        join(lab, "node-c")
        assert lab["ctr-1"].run(("ping", "-n", "-c", "1", "-W", "20", "10.0.3.2")).returncode == 0
        assert {name: tables(lab, name) for name in wanted} == wanted
        flow = lab.steadied(number)
        assert (flow.received, flow.error) == (flow.sent, "")
    with Lab("bare") as lab, pytest.raises(UsageError, match="hold no routes"):
        entries_about(lab, "node-c")


def tables(lab: Lab, name: str) -> list[str]:
    """What a machine's kernel holds for the overlay."""
    questions = (("ip", "route"), ("ip", "neigh", "show", "nud", "permanent"),
                 ("bridge", "fdb", "show", "dev", "flannel.1"))
    return sorted(line for argv in questions for line in lab[name].run(argv).stdout.splitlines())
