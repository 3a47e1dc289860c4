"""A controller that dies, or is out of reach, and comes back: what flows goes on, and the switch ends up as planned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from emu.live.lab import Lab
from emu.live.process import wait_until
from emu.live.vswitch import BRIDGE
from tests.live.machine import skip_without_framework

pytestmark = pytest.mark.alone

FLOWS, SOME = 64, 5
FRAMEWORKS = ["ryu", "os-ken"]
STRANGER, STRANGE = "02:00:00:00:00:77", "10.0.3.77"
GROUP = "dl_src=01:00:00:00:00:00/01:00:00:00:00:00"


@pytest.fixture(params=list(product(["l2", "routed", "routed:neighbors=arp"], FRAMEWORKS)), ids="-".join)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    design, sdn = request.param
    skip_without_framework(sdn)
    with Lab(design, sdn=sdn) as running:
        yield running


def flows(lab: Lab) -> dict[str, int]:
    """The flow table, without the epoch in cookies: each flow with the packets it has counted."""
    table = {}
    for line in lab.settled_flows():
        flow = re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, ?", "", line)
        counted = re.search(r"n_packets=(\d+)", line)
        table[re.sub(r"cookie=0x([0-9a-f]+)[0-9a-f]{8},", r"cookie=\1,", flow)] = int(counted[1]) if counted else 0
    return table


def assert_never_deleted(before: dict[str, int], after: dict[str, int]) -> None:
    """Every flow is there and goes on counting where it was, which one does not that was deleted and added again."""
    assert [flow for flow in before if after.get(flow, -1) < before[flow]] == []


def epochs(lab: Lab) -> set[str]:
    return {found[1] for line in lab.flows() if (found := re.search(r"cookie=0x[0-9a-f]+([0-9a-f]{8}),", line))}


def in_switch(lab: Lab, command: str, flow: str) -> None:
    """Change the flow table as anybody could."""
    done = lab["node-a"].run(["ovs-ofctl", "-O", "OpenFlow13", "--strict", command, BRIDGE, flow])
    assert done.returncode == 0, done.stderr


@contextmanager
def nothing_lost(lab: Lab) -> Iterator[None]:
    """Within, flows go on between all endpoints' containers; each packet of theirs has to be answered."""
    pairs = [(a.name, b.address) for a in lab.plan.nodes[0].containers for b in lab.plan.nodes[2].containers]
    processes = []
    for number in range(FLOWS):
        source, address = pairs[number % len(pairs)]
        ping = f"exec ping -n -i 0.05 -s {56 + number} -W 2 {address}"
        processes.append(lab[source].spawn(["sh", "-c", f"echo $$ >> /run/emu/pings; {ping}"]))
    wait_until("all flows to be established", lambda: all("icmp_seq=3" in p.output() for p in processes))
    yield
    before = [process.output().count("icmp_seq=") for process in processes]
    wait_until("all flows to go on", lambda: all(p.output().count("icmp_seq=") > had + SOME
                                                 for p, had in zip(processes, before, strict=True)))
    lab["node-a"].run(["sh", "-c", "kill -INT $(cat /run/emu/pings); rm /run/emu/pings"])
    wait_until("all flows to end", lambda: not any(p.alive() for p in processes))
    for process in processes:
        answered = [int(number) for number in re.findall(r"icmp_seq=(\d+) ", process.output())]
        assert answered == list(range(1, len(answered) + 1))
        (sent,) = re.findall(r"(\d+) packets transmitted", process.output())
        assert int(sent) - len(answered) <= 1  # one may have been on its way at the end


def known(lab: Lab) -> set[tuple[str, int]]:
    """What the controller has learned: who is behind which port."""
    return {(learned["mac"], learned["port"]) for learned in lab.controller()["learned"]}


def learn(lab: Lab) -> None:
    """Have the controller learn a station that no plan knows, where it learns at all."""
    if lab.plan.design == "l2":
        mac = lab.plan.container_of["ctr-6"].mac
        for words in (
            ("ip", "link", "set", "eth0", "address", STRANGER),
            ("ip", "address", "add", STRANGE, "dev", "eth0"),
            ("ping", "-c", "1", "-W", "1", "-I", STRANGE, lab.plan.address("ctr-1")),
            ("ip", "address", "del", STRANGE, "dev", "eth0"),
            ("ip", "link", "set", "eth0", "address", mac),
        ):
            lab["ctr-6"].run(words)
        wait_until("a stranger to be learned", lambda: STRANGER in str(lab.controller()["learned"]))
        wait_until("its flows", lambda: sum(STRANGER in line for line in lab.flows()) == 2)
    elif "neighbors=arp" in lab.plan.spec:
        wait_until("all next hops to answer", lambda: len(known(lab)) == len(lab.plan.nodes))


def test_established_traffic_outlives_the_controller_and_what_is_stale_goes(lab: Lab) -> None:
    learn(lab)
    learned = known(lab)
    (epoch,) = epochs(lab)
    with nothing_lost(lab):
        before = flows(lab)
        lab.kill_controller()
        # While it is dead: a flow of ours is missing, one of its own is left over, and somebody else has one, too.
        ours = next(found[1] for line in lab.flows() if (found := re.match(r"cookie=0x(\w+), .*priority=0 ", line)))
        in_switch(lab, "add-flow", f"cookie=0x{ours},table=0,priority=450,ip,nw_src=203.0.113.9,actions=drop")
        in_switch(lab, "add-flow", "cookie=0x7,table=0,priority=451,ip,nw_src=203.0.113.10,actions=drop")
        in_switch(lab, "del-flows", f"priority={500 if lab.plan.design == 'routed' else 400},{GROUP}")
        lab.start_controller()
    after = flows(lab)
    (foreign,) = after.keys() - before.keys()
    assert "203.0.113.10" in foreign
    assert_never_deleted(before, after)
    assert epoch not in epochs(lab)
    assert known(lab) == learned
    assert lab.errors() == []


def test_a_lost_connection_changes_nothing(lab: Lab) -> None:
    learn(lab)
    learned = known(lab)
    with nothing_lost(lab):
        before = flows(lab)
        lab.connect_controller(False)
        lab.connect_controller(True)
    after = flows(lab)
    assert after.keys() == before.keys()
    assert_never_deleted(before, after)
    assert known(lab) == learned
    assert lab.errors() == []
