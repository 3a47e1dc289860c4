"""Every fact that can be got wrong, built: where its walk ends, and which claims catch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from emu.designs import make_plan, parse_design
from emu.faults import FAULTS, fault_for
from emu.live.breaking import Broken, build_broken
from emu.model import Scenario
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, FORWARDED, Step

pytestmark = pytest.mark.live

NET_UNREACHABLE, NO_ANSWER = "Destination Net Unreachable", "ping gave up after 5 s"
NOBODY = "Destination Host Unreachable"
"""What ping says where nobody answered ARP."""


AT_SWITCH = ("l2:proxy_arp=controller", "l2:proxy_arp=switch")


@dataclass(frozen=True)
class Case:
    """A fault in a design: where its walk ends (capture point, fate, words of the reason), what the request is told,
    and words that its claim sees, or wanted to see."""

    name: str
    design: str
    point: str
    fate: str
    reason: str
    problem: str
    evidence: str


VXLAN = "overlay:backend=vxlan"
CASES = (
    # What takes longest comes first: all are built at the same time.
    Case("rp-filter", VXLAN, "node-c:eth0", DROPPED,
         "rp_filter: it came in by eth0, and the way back to 10.0.1.2 is by flannel.1", NO_ANSWER,
         "ctr-1 to node-c: no answer"),
    Case("deaf", "bare", "node-c:eth0", DROPPED, "its own address, and yet no answer", NOBODY,
         "no frame with arp.op 2"),
    Case("prefix-length", "bare", "node-c:eth0", DELIVERED,
         "no route back to 192.168.1.1: Network is unreachable", NO_ANSWER, "no frame with dir out"),
    Case("duplicate-mac", "bare", "switch:node-c-eth0", DROPPED, "dl_src=02:23:45:67:89:02", NOBODY,
         "no frame with arp.op 2"),
    *(Case("proxy-mac", design, "node-b:cbr0", DROPPED, "no route to 10.0.3.2: Network is unreachable",
           NET_UNREACHABLE, "arp.sha 02:23:45:67:89:02") for design in AT_SWITCH),
    *(Case("proxy-arp-off", design, "switch:node-a-eth0", DROPPED, "arp_tpa=10.0.0.0/16", NOBODY,
           "no frame with arp.op 2") for design in AT_SWITCH),
    Case("proxy-arp-pvlan", "l2:proxy_arp=node", "node-c:cbr0", DROPPED, "node-c has no such address: silent", NOBODY,
         "no frame with arp.op 2"),
    Case("bridge-filter", "l2:proxy_arp=node", "ctr-4:eth0", ANSWERED, "", "", "at node-a:eth0"),
    Case("no-forwarding", "l2", "node-c:cbr0", DROPPED, "does not forward what comes in by cbr0", NO_ANSWER,
         "at node-c:cbr0 no frame with dir out"),
    Case("no-forwarding", "routed", "node-c:eth0", DROPPED, "does not forward what comes in by eth0", NO_ANSWER,
         "at node-c:cbr0 no frame with dir out"),
    Case("no-forwarding", "hostgw", "node-c:eth0", DROPPED, "does not forward what comes in by eth0", NO_ANSWER,
         "at node-c:cbr0 no frame with dir out"),
    Case("missing-route", "hostgw", "node-a:cbr0", DROPPED, "no route to 10.0.3.2: Network is unreachable",
         NET_UNREACHABLE, "node-a: ip -j -4 route"),
    Case("wrong-next-hop", "hostgw", "ctr-4:eth0", ANSWERED, "", "", "node-a: ip -j -4 route"),
    Case("no-forwarding", "overlay", "node-c:flannel.1", DROPPED, "does not forward what comes in by flannel.1",
         NO_ANSWER, "at node-c:cbr0 no frame with dir out"),
    Case("missing-route", "routed", "switch:node-a-eth0", DROPPED, "switch says network unreachable: 10.0.3.2",
         NET_UNREACHABLE, "at switch:node-c-eth0 no frame"),
    Case("missing-route", VXLAN, "node-a:cbr0", DROPPED, "no route to 10.0.3.2: Network is unreachable",
         NET_UNREACHABLE, "node-a: ip -j -4 route show dev flannel.1"),
    Case("wrong-next-hop", "routed", "switch:node-b-eth0", DROPPED, "nw_src=10.0.1.0/24",
         NO_ANSWER, "at switch:node-c-eth0 no frame"),
    Case("missing-fdb", VXLAN, "node-a:flannel.1", DROPPED, "flannel.1 has no FDB entry for 0a:58:0a:00:03:00",
         NO_ANSWER, "node-a: bridge -j fdb show dev flannel.1"),
    Case("missing-default", "flat", "node-a:eth0", FORWARDED,
         "a copy to 192.168.1.2, 192.168.1.4, its default entries", NOBODY, "node-a: bridge -j fdb show dev vxlan0"),
    Case("wrong-neighbor", VXLAN, "ctr-1:eth0", DELIVERED, "", "", "node-a: ip -j neigh show dev flannel.1"),
    Case("mtu", VXLAN, "node-c:cbr0", DROPPED, "node-c says fragmentation needed: 10.0.1.2",
         "Frag needed and DF set (mtu = 1450)", "'mtu': 1450"),
)  # fmt: skip


def build(case: Case) -> Broken:
    plan = make_plan(parse_design(case.design), Scenario())
    return build_broken(plan, fault_for(plan, case.name), parse_design(case.design).design.claims(plan))


@pytest.fixture(scope="module")
def builds() -> Iterator[Mapping[Case, Future[Broken]]]:
    """All of them at the same time: most of the time somebody waits in vain for an answer."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield {case: pool.submit(build, case) for case in CASES}


@pytest.fixture(params=CASES, ids=lambda case: f"{case.name}-{case.design}")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def broken(case: Case, builds: Mapping[Case, Future[Broken]]) -> Broken:
    return builds[case].result()


def test_every_fault_is_a_case() -> None:
    assert sorted((case.name, case.design) for case in CASES) == sorted(
        (fault.name, design) for fault in FAULTS for design in fault.caught_by
    )


def test_the_claims_that_are_named_fail_and_only_they(case: Case, broken: Broken) -> None:
    """What rests on them is not judged, and names one of them or what rests on it; all others hold."""
    assert broken.caught_by == next(f for f in FAULTS if f.name == case.name).caught_by[case.design]
    spoilt = {*broken.caught_by}
    for verdict in broken.verdicts:
        claim = verdict.claim
        if spoilt & {*claim.needs}:
            spoilt.add(claim.id)
            assert verdict.result == "not judged"
            assert verdict.because.removeprefix("it rests on ") in spoilt
        elif claim.id not in broken.caught_by:
            assert verdict.result == "holds", (claim.id, verdict.seen)
    assert broken.errors == []


def test_the_claim_tells_what_is_wrong(case: Case, broken: Broken) -> None:
    failing = next(verdict for verdict in broken.verdicts if verdict.result == "fails")
    assert case.evidence in f"{failing.expected} {failing.seen}"


def test_the_walk_ends_where_the_fault_is_and_says_why(case: Case, broken: Broken) -> None:
    walk = broken.walk
    ends = [step for step in walk.steps if (step.point, step.fate) == (case.point, case.fate)]
    assert any(case.reason in f"{step.note}; {step.decided_by}" for step in ends), ends
    assert case.problem in walk.problem
    assert bool(case.problem) == bool(walk.problem)
    assert walk.differences


def way_of_the_ping(builds: Mapping[Case, Future[Broken]], name: str, design: str) -> tuple[Step, ...]:
    walk = next(future for case, future in builds.items() if (case.name, case.design) == (name, design)).result().walk
    return walk.way(next(packet for packet in walk.packets if packet.kind == "echo-request"))


def test_a_neighbor_with_another_nodes_mac_is_a_detour(builds: Mapping[Case, Future[Broken]]) -> None:
    """Answered all the same: what travels to node-c is carried to node-b first, at the price of one more router."""
    way = way_of_the_ping(builds, "wrong-neighbor", VXLAN)
    tunnels = [step.point for step in way if step.point.endswith("flannel.1")]
    assert tunnels == ["node-a:flannel.1", "node-b:flannel.1", "node-b:flannel.1", "node-c:flannel.1"]
    assert way[-1].frame.inner["ip.ttl"] == 61
