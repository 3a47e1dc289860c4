"""Layer-2 switching: the flows of known stations, and what to do about unknown ones. Pure: no framework, no clock.

Two tables. SOURCE asks whether the sender is known behind the port it came by; an unknown one is shown to the
controller *and* goes on, so no frame ever waits for the controller. DESTINATION sends a frame to the port of its
destination, and to all other ports when that is a group address or not known.

Stations of the plan are in both tables beforehand and stay: in a planned lab no frame visits the controller. Others
are learned, may move, and age: both flows of a learned station have an idle time-out, and when either ends the other
goes too, so that no station stays half known: reached but never seen again, or seen but flooded to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controllers.pipeline import (
    CONTROLLER,
    FLOOD,
    PORT_MAX,
    Add,
    Cookie,
    Delete,
    Flow,
    Kind,
    L2Table,
    Message,
    Output,
    Owner,
    match,
)
from controllers.wire import is_unicast_mac

PLANNED = Cookie(Owner.L2_SWITCH)
LEARNED = Cookie(Owner.L2_SWITCH, Kind.LEARNED)

# IEEE 802.1D's default ageing time of a learned address.
AGEING_S = 300
# A station seen again although its flows were sent this short a time ago: they are still on their way to the switch.
SETTLING_S = 1.0
# Per switch: a flood of invented addresses must not fill the controller's memory or the switch's tables.
STATIONS_MAX = 8192

_INVALID, _KNOWN, _ELSEWHERE, _MISS = 400, 300, 200, 0
_GROUP_BIT = ("01:00:00:00:00:00", "01:00:00:00:00:00")
# Addresses no bridge forwards (IEEE 802.1D, 7.12.6): spanning tree, pause, LLDP.
_LINK_LOCAL = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")


@dataclass(frozen=True)
class Station:
    """A learned station: the port it is behind, and when its flows were last sent (seconds, any clock)."""

    port: int
    sent_s: float


@dataclass
class Stations:
    """What is known of one switch: MAC -> port from the plan, MAC -> Station learned since."""

    planned: Mapping[str, int]
    learned: dict[str, Station] = field(default_factory=dict)


def standing_flows() -> list[Flow]:
    """The flows every switch has, whatever is known."""
    source, arp, destination = L2Table.SOURCE, L2Table.ARP, L2Table.DESTINATION
    to_controller, to_all = (Output(CONTROLLER),), (Output(FLOOD),)
    return [
        Flow(source, _INVALID, match(eth_src=_GROUP_BIT), PLANNED, purpose="a group address sends nothing"),
        Flow(source, _INVALID, match(eth_src="00:00:00:00:00:00"), PLANNED, purpose="nor does no address"),
        Flow(source, _MISS, match(), PLANNED, to_controller, goto=arp, purpose="unknown sender: told, and forwarded"),
        Flow(arp, _MISS, match(), PLANNED, goto=destination, purpose="not for proxy_arp"),
        Flow(destination, _INVALID, match(eth_dst=_LINK_LOCAL), PLANNED, purpose="between bridges, never forwarded"),
        Flow(destination, _MISS, match(), PLANNED, to_all, purpose="broadcast, multicast, not known"),
    ]


def station_flows(mac: str, port: int, cookie: Cookie, idle_timeout_s: int) -> tuple[Flow, Flow]:
    """The two flows of a station: it sends from this port, it is reached through this port."""
    return (
        Flow(
            L2Table.SOURCE,
            _KNOWN,
            match(in_port=port, eth_src=mac),
            cookie,
            goto=L2Table.ARP,
            idle_timeout_s=idle_timeout_s,
            purpose="known sender, in its place",
        ),
        Flow(
            L2Table.DESTINATION,
            _KNOWN,
            match(eth_dst=mac),
            cookie,
            (Output(port),),
            idle_timeout_s=idle_timeout_s,
            purpose="known destination",
        ),
    )


def planned_flows(planned: Mapping[str, int]) -> list[Flow]:
    """The flows of the plan's stations (MAC -> port); what claims to be one of them elsewhere is dropped."""
    flows: list[Flow] = []
    for mac, port in planned.items():
        flows += station_flows(mac, port, PLANNED, 0)
        spoofed = "a station of the plan, but not in its place"
        flows.append(Flow(L2Table.SOURCE, _ELSEWHERE, match(eth_src=mac), PLANNED, purpose=spoofed))
    return flows


def seen(stations: Stations, mac: str, port: int, now_s: float) -> list[Message]:
    """An unknown sender was seen at a port: what to tell the switch. Remembers the station.

    Nothing for group addresses, stations of the plan, reserved ports, flows that are still on their way, and when
    STATIONS_MAX are known. A station that was behind another port has moved: its flows there go, both of them.
    """
    if not is_unicast_mac(mac) or mac in stations.planned or not 0 < port <= PORT_MAX:
        return []
    known = stations.learned.get(mac)
    if known is None and len(stations.learned) >= STATIONS_MAX:
        return []
    if known is not None and known.port == port and now_s - known.sent_s < SETTLING_S:
        return []
    messages: list[Message] = []
    if known is not None and known.port != port:
        messages += _farewell(mac, known.port)
    stations.learned[mac] = Station(port, now_s)
    return messages + [Add(flow) for flow in station_flows(mac, port, LEARNED, AGEING_S)]


def seen_before(stations: Stations, ports: Mapping[str, int], now_s: float) -> list[Message]:
    """Stations (MAC -> port) that an earlier connection has learned stay known, but for those that were seen since."""
    return [message for mac, port in ports.items() if mac not in stations.learned
            for message in seen(stations, mac, port, now_s)]


def ended(stations: Stations, mac: str, port: int | None) -> list[Message]:
    """A flow of a learned station timed out (its source flow, with the port, or its destination flow): forget the
    station.

    The end of a flow behind a port that the station has left meanwhile changes nothing.
    """
    known = stations.learned.get(mac)
    if known is None or (port is not None and port != known.port):
        return []
    del stations.learned[mac]
    return _farewell(mac, known.port)


def _farewell(mac: str, port: int) -> list[Message]:
    return [Delete(flow) for flow in station_flows(mac, port, LEARNED, AGEING_S)]
