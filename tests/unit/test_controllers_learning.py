"""What the learning switch decides, and where its flows take frames."""

from __future__ import annotations

import pytest

from controllers.learning import (
    LEARNED,
    SETTLING_S,
    STATIONS_MAX,
    Station,
    Stations,
    ended,
    planned_flows,
    seen,
    seen_before,
    standing_flows,
)
from controllers.pipeline import CONTROLLER, FLOOD, PORT_MAX, Add, Delete
from tests.unit.test_controllers_fake_switch import FakeSwitch

A, B, STRANGER = "12:22:33:44:55:01", "02:23:45:67:89:02", "02:00:00:00:00:77"
PLANNED = {A: 1, B: 2}


@pytest.fixture
def switch() -> FakeSwitch:
    return FakeSwitch(standing_flows() + planned_flows(PLANNED))


def test_planned_stations_reach_each_other_without_the_controller(switch: FakeSwitch) -> None:
    assert switch.ports(in_port=1, eth_src=A, eth_dst=B) == [2]
    assert switch.ports(in_port=2, eth_src=B, eth_dst=A) == [1]
    assert switch.ports(in_port=1, eth_src=A, eth_dst="ff:ff:ff:ff:ff:ff") == [FLOOD]
    assert switch.ports(in_port=1, eth_src=A, eth_dst="01:00:5e:00:00:05") == [FLOOD]


def test_an_unknown_sender_is_shown_and_forwarded_at_once(switch: FakeSwitch) -> None:
    assert switch.ports(in_port=3, eth_src=STRANGER, eth_dst=B) == [CONTROLLER, 2]
    assert switch.ports(in_port=1, eth_src=A, eth_dst=STRANGER) == [FLOOD]


def test_frames_that_no_station_sends_or_no_bridge_forwards_end(switch: FakeSwitch) -> None:
    assert switch.ports(in_port=3, eth_src="01:00:5e:00:00:05", eth_dst=B) == []
    assert switch.ports(in_port=3, eth_src="00:00:00:00:00:00", eth_dst=B) == []
    assert switch.ports(in_port=1, eth_src=A, eth_dst="01:80:c2:00:00:0e") == []


def test_a_planned_station_elsewhere_is_dropped_and_never_learned(switch: FakeSwitch) -> None:
    assert switch.ports(in_port=3, eth_src=A, eth_dst=B) == []
    stations = Stations(PLANNED)
    assert seen(stations, A, 3, now_s=0) == []
    assert stations.learned == {}


def test_a_learned_station_is_reached_and_seen_no_more(switch: FakeSwitch) -> None:
    stations = Stations(PLANNED)
    switch.apply(seen(stations, STRANGER, 3, now_s=0))
    assert switch.ports(in_port=3, eth_src=STRANGER, eth_dst=A) == [1]
    assert switch.ports(in_port=1, eth_src=A, eth_dst=STRANGER) == [3]
    learned = [flow for flow in switch.flows if flow.cookie == LEARNED]
    assert len(learned) == 2
    assert all(flow.idle_timeout_s for flow in learned)


def test_a_station_that_moves_leaves_nothing_behind(switch: FakeSwitch) -> None:
    stations = Stations(PLANNED)
    switch.apply(seen(stations, STRANGER, 3, now_s=0))
    switch.apply(seen(stations, STRANGER, 4, now_s=0.1))
    assert switch.ports(in_port=1, eth_src=A, eth_dst=STRANGER) == [4]
    assert switch.ports(in_port=4, eth_src=STRANGER, eth_dst=A) == [1]
    assert switch.ports(in_port=3, eth_src=STRANGER, eth_dst=A) == [CONTROLLER, 1]
    assert stations.learned == {STRANGER: Station(4, 0.1)}


def test_frames_that_were_under_way_are_answered_once() -> None:
    stations = Stations({})
    first = seen(stations, STRANGER, 3, now_s=10)
    assert len(first) == 2
    assert seen(stations, STRANGER, 3, now_s=10 + SETTLING_S / 2) == []
    # Still unknown to the switch after that: the flows were lost, so they are sent again.
    assert seen(stations, STRANGER, 3, now_s=10 + SETTLING_S) == first


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
def test_group_addresses_are_never_learned(mac: str) -> None:
    stations = Stations({})
    assert seen(stations, mac, 3, now_s=0) == []
    assert stations.learned == {}


@pytest.mark.parametrize("port", [0, PORT_MAX + 1, CONTROLLER])
def test_nothing_is_learned_behind_reserved_ports(port: int) -> None:
    assert seen(Stations({}), STRANGER, port, now_s=0) == []


def test_a_flood_of_addresses_is_bounded() -> None:
    stations = Stations({})
    for number in range(STATIONS_MAX + 50):
        seen(stations, f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", 1, now_s=0)
    assert len(stations.learned) == STATIONS_MAX
    # Those known may still move.
    assert seen(stations, "02:00:00:00:00:00", 2, now_s=5)


@pytest.mark.parametrize("port", [3, None])
def test_a_station_is_forgotten_as_a_whole(port: int | None, switch: FakeSwitch) -> None:
    stations = Stations(PLANNED)
    switch.apply(seen(stations, STRANGER, 3, now_s=0))
    switch.apply(ended(stations, STRANGER, port))
    assert stations.learned == {}
    assert switch.ports(in_port=1, eth_src=A, eth_dst=STRANGER) == [FLOOD]
    assert switch.ports(in_port=3, eth_src=STRANGER, eth_dst=A) == [CONTROLLER, 1]


def test_the_end_of_a_flow_at_an_old_place_changes_nothing() -> None:
    stations = Stations({})
    seen(stations, STRANGER, 3, now_s=0)
    messages = seen(stations, STRANGER, 4, now_s=2)
    assert [type(item) for item in messages] == [Delete, Delete, Add, Add]
    assert ended(stations, STRANGER, 3) == []
    assert ended(stations, "02:00:00:00:00:78", None) == []
    assert stations.learned[STRANGER].port == 4


def test_what_was_learned_before_is_older_than_what_was_seen_since(switch: FakeSwitch) -> None:
    stations = Stations(PLANNED)
    switch.apply(seen(stations, STRANGER, 4, 0))
    switch.apply(seen_before(stations, {STRANGER: 3, "02:00:00:00:00:78": 5, A: 3}, 0.1))
    assert switch.ports(in_port=1, eth_src=A, eth_dst=STRANGER) == [4]
    assert switch.ports(in_port=1, eth_src=A, eth_dst="02:00:00:00:00:78") == [5]
    assert switch.ports(in_port=2, eth_src=B, eth_dst=A) == [1]
