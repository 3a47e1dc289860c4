"""Who may say what in ARP: all that contradicts the plan ends at the switch, and is counted there."""

from __future__ import annotations

import pytest

from controllers.guarding import SPOOFED, flows
from controllers.learning import planned_flows, standing_flows
from controllers.pipeline import CONTROLLER, FLOOD, L2Table
from controllers.plan import Station
from tests.unit.test_controllers_fake_switch import FakeSwitch

NODE_A, CTR_1, CTR_4 = "12:22:33:44:55:01", "aa:bb:cc:dd:e1:01", "aa:bb:cc:dd:e3:02"
STRANGER = "02:00:00:00:00:77"
STATIONS = (
    Station("node-a", NODE_A, 1, ("192.168.1.1", "10.0.1.1")),
    Station("ctr-1", CTR_1, 1, ("10.0.1.2",)),
    Station("ctr-4", CTR_4, 3, ("10.0.3.2",)),
    Station("free", "02:00:00:00:00:05", 5),
)
TRUE = {"in_port": 1, "eth_src": CTR_1, "arp_sha": CTR_1, "arp_spa": "10.0.1.2"}


@pytest.fixture
def switch() -> FakeSwitch:
    return FakeSwitch([*standing_flows(), *flows(STATIONS), *planned_flows({s.mac: s.port for s in STATIONS})])


def said(switch: FakeSwitch, op: int = 1, **fields: object) -> list[int]:
    packet = {"eth_type": 0x0806, "eth_dst": "ff:ff:ff:ff:ff:ff", "arp_op": op, "arp_tpa": "10.0.9.9", **TRUE, **fields}
    return switch.ports(**packet)


@pytest.mark.parametrize("fields", [
    {},
    {"op": 2},
    {"arp_spa": "0.0.0.0"},
    *({"eth_src": NODE_A, "arp_sha": NODE_A, "arp_spa": ip} for ip in ("192.168.1.1", "10.0.1.1")),
    {"in_port": 3, "eth_src": CTR_4, "arp_sha": CTR_4, "arp_spa": "10.0.3.2"},
    {"in_port": 5, "eth_src": "02:00:00:00:00:05", "arp_sha": "02:00:00:00:00:05", "arp_spa": "10.0.9.1"},
])
def test_what_the_plan_says_passes(switch: FakeSwitch, fields: dict[str, object]) -> None:
    assert said(switch, **fields) == [FLOOD]


@pytest.mark.parametrize("op", [1, 2])
@pytest.mark.parametrize("fields", [
    {"in_port": 3},
    {"arp_spa": "10.0.3.2"},
    {"arp_spa": "10.0.7.7"},
    {"arp_spa": "192.168.1.1"},
    {"eth_src": CTR_4, "arp_sha": CTR_4, "arp_spa": "10.0.3.2"},
    {"arp_sha": CTR_4},
    {"arp_sha": STRANGER},
    {"arp_sha": STRANGER, "arp_spa": "10.0.7.7"},
    {"eth_src": STRANGER},
    {"eth_src": STRANGER, "arp_sha": STRANGER},
    {"eth_src": STRANGER, "arp_spa": "10.0.7.7"},
    {"in_port": 3, "arp_spa": "0.0.0.0"},
])
def test_what_contradicts_the_plan_ends_is_counted_and_teaches_nothing(
    switch: FakeSwitch, op: int, fields: dict[str, object]
) -> None:
    assert said(switch, op, **fields) == []
    packet = {"eth_type": 0x0806, "arp_op": op, **TRUE, **fields}
    hit = switch.hit(L2Table.SOURCE, packet)
    assert hit is not None
    assert (hit.cookie, hit.goto) == (SPOOFED, None)


def test_a_stranger_that_claims_nothing_of_the_plan_is_free(switch: FakeSwitch) -> None:
    assert said(switch, in_port=4, eth_src=STRANGER, arp_sha=STRANGER, arp_spa="10.0.7.7") == [CONTROLLER, FLOOD]
    assert switch.ports(in_port=4, eth_src=STRANGER, eth_dst=CTR_1, eth_type=0x0800) == [CONTROLLER, 1]
