"""Routes learned by BGP: from real daemons over the data plane to the gateway's flow table, and what changes do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic

import pytest

from emu.bgp import SERVICE, BgpNode, Service, longest_gap
from emu.live.lab import Lab
from emu.live.process import wait_until
from emu.speakers import all_speakers
from tests.live.machine import emu, skip_without_framework

pytestmark = pytest.mark.alone

HOLD_S, SHORT_HOLD_S = 9, 3
PROBE_MS = 10
FLOWS = 12
DETECTION_MS, REACTION_MS = 1500, 300
"""BFD: five intervals of 300 ms after the last packet that came; and what daemon, kernel, controller and switch may
take on a busy machine after that."""


BIRD = [("ryu", "bfd=on"), ("os-ken", "bfd=on")]
"""The framework, and how the nodes speak."""
BIRD_ALONE = pytest.mark.parametrize("lab", BIRD, ids=" ".join, indirect=True, scope="module")
"""For what FRR has not, or what is the same with it."""


@pytest.fixture(scope="module", params=[*BIRD, ("ryu", "bgp=frr")], ids=" ".join)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    sdn, speech = request.param
    skip_without_framework(sdn)
    with Lab(f"routed:routes=bgp,{speech},hold={HOLD_S}", sdn=sdn) as running:
        yield running
        assert running.errors() == []


@pytest.fixture
def service(lab: Lab) -> Iterator[Service]:
    """Announced by two nodes; afterwards by none, and everything as it was."""
    service = Service(lab, ("node-b", "node-d"))
    service.announce(service.names)
    yield service
    service.announce(())
    wait_until("everything to be as it was", lambda: as_it_was(lab))


def as_it_was(lab: Lab) -> bool:
    """The pod subnets are announced, nothing else, and that is what the flow table goes by."""
    return set(lab.rib()) == {node.pod_subnet for node in lab.plan.nodes} and agrees(lab)


def agrees(lab: Lab) -> bool:
    """The flow table holds the kernel's routes and the plan's, and no others; no sender lingers."""
    gateway = lab.plan.control.gateway
    assert gateway is not None
    planned = {route.prefix: (route.via,) for route in gateway.routes}
    routes = {**planned, **lab.rib()}
    senders = {line for line in lab.flows() if "table=1," in line and "in_port=" in line}
    return {p: set(v) for p, v in lab.routes().items()} == {p: set(v) for p, v in routes.items()} \
        and len(senders) == sum(len(vias) for vias in routes.values())


def victim_and_other(service: Service) -> tuple[str, str]:
    victim = service.answering("ctr-1")
    return victim, next(name for name in service.names if name != victim)


@pytest.mark.parametrize("change", ["withdraw", "stop"])
def test_an_announced_change_that_leaves_a_path_loses_nothing(lab: Lab, service: Service, change: str) -> None:
    victim, other = victim_and_other(service)
    probe = service.probe("ctr-1", PROBE_MS)
    node = BgpNode(lab, victim)
    node.announce([]) if change == "withdraw" else node.stop()
    try:
        service.await_routes([other])
        assert service.answering("ctr-1") == other
        answers = probe.end()
        wait_until("routes and flows to agree", lambda: agrees(lab))
    finally:
        node.resume()
    service.await_session(victim)
    assert longest_gap(answers.output) == 0
    assert "Unreachable" not in answers.output


def test_a_next_hop_that_changes_loses_nothing(lab: Lab, service: Service) -> None:
    service.announce(["node-b"])
    probe = service.probe("ctr-1", PROBE_MS)
    service.announce(["node-b", "node-d"])
    service.announce(["node-d"])
    assert service.answering("ctr-1") == "node-d"
    answers = probe.end()
    assert longest_gap(answers.output) == 0
    assert "Unreachable" not in answers.output


def test_flows_of_next_hops_that_stay_stay_with_them(lab: Lab) -> None:
    service = Service(lab, ("node-b", "node-c", "node-d"))
    service.announce(service.names)
    addresses = [f"10.0.1.{100 + number}" for number in range(FLOWS)]
    for address in addresses:
        assert lab["ctr-1"].run(["ip", "address", "add", f"{address}/24", "dev", "eth0"]).returncode == 0
    before = {address: service.answering("ctr-1", address) for address in addresses}
    assert set(before.values()) == set(service.names)
    service.announce(["node-b", "node-d"])
    after = {address: service.answering("ctr-1", address) for address in addresses}
    assert {a for a in addresses if after[a] != before[a]} == {a for a in addresses if before[a] == "node-c"}
    service.announce(service.names)
    assert {address: service.answering("ctr-1", address) for address in addresses} == before
    for address in addresses:
        lab["ctr-1"].run(["ip", "address", "del", f"{address}/24", "dev", "eth0"])
    service.announce(())
    wait_until("everything to be as it was", lambda: as_it_was(lab))


def test_where_no_path_is_left_the_gateway_says_so_from_the_first_packet_on(lab: Lab, service: Service) -> None:
    service.announce(["node-b"])
    probe = service.probe("ctr-1", PROBE_MS)
    BgpNode(lab, "node-b").announce([])
    service.await_routes([])
    wait_until("the gateway to say so", lambda: "Destination Net Unreachable" in probe.output())
    assert longest_gap(probe.end().output) == 0


def test_a_daemon_that_is_killed_is_noticed_by_its_connection(lab: Lab, service: Service) -> None:
    victim, other = victim_and_other(service)
    probe = service.probe("ctr-1", PROBE_MS)
    BgpNode(lab, victim).kill()
    service.await_routes([other])
    assert service.answering("ctr-1") == other
    assert longest_gap(probe.end().output) == 0  # until then the node itself goes on
    node = next(node for node in lab.plan.nodes if node.name == victim)
    wait_until("its pods to be gone", lambda: node.pod_subnet not in lab.routes())
    wait_until("routes and flows to agree", lambda: agrees(lab))
    BgpNode(lab, victim).start()
    service.await_session(victim)


@BIRD_ALONE
def test_a_silent_node_is_given_up_within_the_detection_time(lab: Lab, service: Service) -> None:
    victim, other = victim_and_other(service)
    probe = service.probe("ctr-1", PROBE_MS)
    BgpNode(lab, victim).silence()
    try:
        service.await_routes([other])
        assert service.answering("ctr-1") == other
        gap_ms = probe.end().outage_ms
    finally:
        BgpNode(lab, victim).speak()
    service.await_session(victim)
    assert 0 < gap_ms <= DETECTION_MS + REACTION_MS


@BIRD_ALONE
def test_a_hundred_flaps_leave_nothing_behind(lab: Lab, service: Service) -> None:
    service.announce(["node-d"])
    node = BgpNode(lab, "node-b")
    for _ in range(50):  # each change comes as far as to the gateway, at least
        node.announce([SERVICE, "10.251.0.0/24"])
        wait_until("the flap's one half", lambda: "10.251.0.0/24" in lab.rib())
        node.announce([])
        wait_until("the flap's other half", lambda: "10.251.0.0/24" not in lab.rib())
    node.announce(["10.252.0.0/24"])
    wait_until("the last word to hold", lambda: lab.routes().get("10.252.0.0/24") == (lab.plan.address("node-b"),))
    service.await_routes(["node-d"])
    wait_until("routes and flows to agree", lambda: agrees(lab))
    assert "10.251.0.0/24" not in lab.routes()


@BIRD_ALONE
def test_a_controller_that_was_dead_catches_up_with_what_was_learned_meanwhile(lab: Lab, service: Service) -> None:
    service.announce(["node-b"])
    lab.kill_controller()
    BgpNode(lab, "node-d").announce([SERVICE])
    BgpNode(lab, "node-b").announce([])
    wait_until("the kernel's table to change", lambda: lab.rib().get(SERVICE) == (lab.plan.address("node-d"),))
    lab.start_controller()
    service.await_routes(["node-d"])
    wait_until("routes and flows to agree", lambda: agrees(lab))


def test_a_node_cannot_announce_another_nodes_address_nor_a_default_route(lab: Lab) -> None:
    node = BgpNode(lab, "node-b")
    node.announce([f"{lab.plan.address('node-c')}/32", "0.0.0.0/0", "10.253.0.0/24"])
    wait_until("the one that is taken", lambda: "10.253.0.0/24" in lab.routes())
    assert set(lab.rib()) == {n.pod_subnet for n in lab.plan.nodes} | {"10.253.0.0/24"}
    assert lab.routes()[f"{lab.plan.address('node-c')}/32"] == (lab.plan.address("node-c"),)
    node.announce([])
    wait_until("everything to be as it was", lambda: as_it_was(lab))


@BIRD_ALONE
def test_emu_routes_tells_what_a_running_lab_goes_by(lab: Lab, service: Service) -> None:
    done = emu("routes", "--lab", lab.lab_id, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(session["name"], session["state"]) for session in told["sessions"]] == [
        (node.name.replace("-", "_"), "Established") for node in lab.plan.nodes]
    (learned,) = (route for route in told["routes"] if route["prefix"] == SERVICE)
    assert learned == {"prefix": SERVICE, "via": [lab.plan.address(name) for name in service.names], "from": "bgp"}
    assert [hop["ip"] for hop in told["next_hops"]] == [node.address for node in lab.plan.nodes]
    assert sum(table["flows"] for table in told["tables"]) == len(told["flows"]) == len(lab.flows())
    assert told["tables"][2]["name"] == "route"
    text = emu("routes", "--lab", lab.lab_id).stdout
    assert SERVICE in text
    assert "Established" in text
    assert told["errors"] == told["stations"] == told["bindings"] == []


@BIRD_ALONE
def test_emu_routes_tells_who_does_not_answer_and_all_else(lab: Lab, service: Service) -> None:
    victim = service.names[0]
    BgpNode(lab, victim).kill()
    lab.kill_controller()
    done = emu("routes", "--lab", lab.lab_id, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["controller"] is None
    daemon, controller = told["errors"]
    assert daemon.startswith(f"bird-{victim} does not answer: ")
    assert controller == "the controller does not answer: [Errno 111] Connection refused"
    assert len(told["sessions"]) == len(lab.plan.nodes)
    assert len(told["flows"]) == len(lab.flows())
    BgpNode(lab, victim).start()
    lab.start_controller()
    service.await_session(victim)
    assert json.loads(emu("routes", "--lab", lab.lab_id, "--json").stdout)["errors"] == []


def test_a_dead_daemon_beside_the_gateway_is_an_error_of_the_lab() -> None:
    with Lab("routed:routes=bgp,bgp=frr", nodes=2, containers=1) as lab:
        BgpNode(lab, "node-b").kill()
        assert lab.errors() == [], "a node's may be started again"
        lab["node-a"].run(("sh", "-c", "kill -KILL $(cat /run/emu/bgp/gateway.pid)"))
        wait_until("the lab to notice", lambda: bool(lab.errors()))
        (error,) = lab.errors()
        assert error.startswith("bird of switch ended with status -9: ")
        told = json.loads(emu("routes", "--lab", lab.lab_id, "--json").stdout)
        assert [text.partition(":")[0] for text in told["errors"]] == [
            "bird-gateway does not answer", "frr-node-b does not answer"]
        assert "\nsessions: none\n" in emu("routes", "--lab", lab.lab_id).stdout


@pytest.mark.parametrize("daemon", sorted(all_speakers()))
def test_a_silent_node_without_bfd_is_given_up_when_the_hold_time_is_over(daemon: str) -> None:
    with Lab(f"routed:routes=bgp,bgp={daemon},hold={SHORT_HOLD_S}") as lab:
        started_s = monotonic()
        BgpNode(lab, "node-b").silence()
        wait_until("its pods to be given up", lambda: lab.plan.nodes[1].pod_subnet not in lab.routes())
        waited_s = monotonic() - started_s
        wait_until("routes and flows to agree", lambda: agrees(lab))
        # The daemon's clock ran since its last keepalive, a third of the hold time at most.
        assert waited_s > SHORT_HOLD_S / 2
        assert lab.errors() == []


