"""Next hops whose MAC the plan does not know: asked for by ARP, held packets, ageing. Pure: time is an argument.

A packet for a next hop without a MAC comes to the controller, is held while the gateway asks for it (RFC 1812, 3.3.2),
and then sent through the switch's tables once more, as if it came only now. What is held is bounded, in packets and in
bytes, for each next hop and in all; where there is no room the oldest packet goes. When nobody answers, senders are
told host unreachable.

The states are those of Linux's neighbours, but for the stale one: a switch does not tell whether a flow is in use, so
every next hop that is known is polled (RFC 1122, 2.3.2.1, method 2), by frames to its own MAC. While it is polled its
flows stay; they go when it is silent, and are replaced in one step when it answers with another MAC.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from controllers.pipeline import (
    CONTROLLER,
    Add,
    Cookie,
    Delete,
    Flow,
    GatewayTable,
    Kind,
    Message,
    Output,
    Owner,
    PacketIn,
    Resubmit,
    Send,
    match,
)
from controllers.plan import Gateway, Neighbor
from controllers.routing import ARP_PRIORITY, next_hop_flows
from controllers.wire import (
    ARP_REPLY,
    BROADCAST_MAC,
    ETH_TYPE_ARP,
    arp_request,
    is_unicast_mac,
    parse_arp,
    parse_ethernet,
)

LEARNED = Cookie(Owner.L3_GATEWAY, Kind.LEARNED)
UNRESOLVED = Cookie(Owner.L3_GATEWAY, Kind.UNRESOLVED)
ARP_ANSWER = Cookie(Owner.L3_GATEWAY, Kind.ARP_ANSWER)

# As Linux's neighbours (arp(7)): how long an answer counts, the time between requests, and how many there are.
REACHABLE_S = 30.0
RETRANSMIT_S = 1.0
REQUESTS = 3
# A burst of a window of TCP or of a traceroute for each next hop, and sixteen such bursts: 1 MiB of the controller's
# memory at the most. RFC 1122 (2.3.2.2) asks for one packet at least.
HELD_PACKETS, HELD_BYTES = 64, 1 << 16
ALL_HELD_PACKETS, ALL_HELD_BYTES = 1024, 1 << 20

NO_ROOM, GIVEN_UP = "no room while resolving", "next hop silent"

_UNRESOLVED = 50  # below the flows of routing's NEXT_HOP


class State(Enum):
    """What is known of a next hop; one that nobody has sent to yet is FAILED, too: nothing is under way."""

    INCOMPLETE = "incomplete"
    REACHABLE = "reachable"
    PROBE = "probe"
    FAILED = "failed"


@dataclass
class _Hop:
    neighbor: Neighbor
    number: int
    state: State = State.FAILED
    mac: str = ""
    requests: int = 0  # sent in this state
    due_s: float = 0.0  # when the state has lasted too long, or the next request is to be sent
    held: deque[PacketIn] = field(default_factory=deque)

    @property
    def held_bytes(self) -> int:
        return sum(len(packet.frame) for packet in self.held)


def standing_flows(gateway: Gateway) -> Iterable[Flow]:
    """What brings the packets for next hops without a MAC to the controller, and the answers of those."""
    ask = (Output(CONTROLLER),)
    for number, neighbor in _unknown(gateway):
        answer = match(
            in_port=neighbor.port,
            eth_dst=gateway.mac,
            eth_type=ETH_TYPE_ARP,
            arp_op=ARP_REPLY,
            arp_spa=neighbor.ip,
            arp_tpa=gateway.ip,
        )
        yield Flow(GatewayTable.ADMIT, ARP_PRIORITY, answer, ARP_ANSWER, ask, purpose="a next hop answers")
        waits = match(metadata=number)
        yield Flow(GatewayTable.NEXT_HOP, _UNRESOLVED, waits, UNRESOLVED, ask, purpose="next hop without a MAC")


def _unknown(gateway: Gateway) -> Iterable[tuple[int, Neighbor]]:
    return ((n, neighbor) for n, neighbor in enumerate(gateway.neighbors, start=1) if neighbor.mac is None)


class Resolver:
    """The next hops of a gateway that the plan names without a MAC. Its methods return what to tell the switch."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._hops = {number: _Hop(neighbor, number) for number, neighbor in _unknown(gateway)}
        self.dropped = Counter({NO_ROOM: 0, GIVEN_UP: 0})

    @property
    def is_needed(self) -> bool:
        """Whether there is any such next hop."""
        return bool(self._hops)

    def start(self, now_s: float, known: Mapping[int | None, str | None]) -> list[Message]:
        """Ask for all of them: who is known when the first packet comes need not be waited for. ``known``: MACs by the
        next hop's number, of those that have flows in the switch already; these are polled."""
        messages: list[Message] = []
        for number, hop in self._hops.items():
            mac = known.get(number)
            if hop.state is State.REACHABLE:  # it has answered since the switch connected
                continue
            if mac is None:
                messages += self._ask_anew(hop, now_s)
            else:
                hop.mac, hop.state, hop.requests = mac, State.PROBE, 0
                messages += [*(Add(flow) for flow in self._flows(hop)), *self._ask(hop, now_s), *self._released(hop)]
        return messages

    def packet(self, packet: PacketIn, now_s: float) -> list[Message]:
        """A packet for the next hop whose number is its metadata: hold it, and ask if nobody has. One that was on its
        way here when the answer came is sent through the tables again."""
        hop = self._hops.get(packet.metadata)
        if hop is None:
            return []
        if hop.state in (State.REACHABLE, State.PROBE):
            # Its flows, too: whoever may have removed them, packets would come here for ever.
            return [*(Add(flow) for flow in self._flows(hop)), Resubmit(packet.in_port, packet.frame)]
        hop.held.append(packet)
        self._make_room(hop)
        return self._ask_anew(hop, now_s) if hop.state is State.FAILED else []

    def answered(self, packet: PacketIn, now_s: float) -> list[Message]:
        """An ARP reply of a next hop: its flows, then what was held for it. Nothing when nobody has asked, or when
        message and frame disagree on who it is."""
        eth, arp = parse_ethernet(packet.frame), parse_arp(packet.frame)
        if eth is None or arp is None or arp.op != ARP_REPLY or arp.sha != eth.src:
            return []
        if not is_unicast_mac(arp.sha) or arp.sha == self._gateway.mac:
            return []
        asked = (State.INCOMPLETE, State.PROBE)
        for hop in self._hops.values():
            if (hop.neighbor.ip, hop.neighbor.port) == (arp.spa, packet.in_port) and hop.state in asked:
                return self._resolved(hop, arp.sha, now_s)
        return []

    def tick(self, now_s: float) -> tuple[list[Message], list[PacketIn]]:
        """What is due by now: requests, flows that go; and the packets that are given up, whose senders are told."""
        messages: list[Message] = []
        given_up: list[PacketIn] = []
        for hop in self._hops.values():
            if hop.state is State.FAILED or now_s < hop.due_s:
                continue
            if hop.state is State.REACHABLE:
                hop.state, hop.requests = State.PROBE, 0
            if hop.requests < REQUESTS:
                messages += self._ask(hop, now_s)
            elif hop.state is State.PROBE:
                messages += [Delete(flow) for flow in self._flows(hop)]
                messages += self._ask_anew(hop, now_s)
            else:
                hop.state = State.FAILED
                given_up += self._give_up(hop)
        return messages, given_up

    def forget(self) -> None:
        """Nothing is known any more, and nothing held; the flows are being deleted."""
        for hop in self._hops.values():
            hop.state = State.FAILED
            hop.held.clear()

    def learned(self) -> list[dict[str, object]]:
        """The next hops whose MAC is known."""
        return [
            {"ip": hop.neighbor.ip, "mac": hop.mac, "port": hop.neighbor.port, "state": hop.state.value}
            for hop in self._hops.values()
            if hop.state in (State.REACHABLE, State.PROBE)
        ]

    def _flows(self, hop: _Hop) -> tuple[Flow, ...]:
        return next_hop_flows(self._gateway, hop.neighbor, hop.number, hop.mac, LEARNED)

    def _resolved(self, hop: _Hop, mac: str, now_s: float) -> list[Message]:
        messages: list[Message] = []
        if hop.state is State.INCOMPLETE or mac != hop.mac:
            hop.mac = mac
            messages += [Add(flow) for flow in self._flows(hop)]
        hop.state, hop.due_s = State.REACHABLE, now_s + REACHABLE_S
        return messages + self._released(hop)

    def _released(self, hop: _Hop) -> list[Message]:
        """What was held, through the tables once more."""
        messages: list[Message] = [Resubmit(packet.in_port, packet.frame) for packet in hop.held]
        hop.held.clear()
        return messages

    def _ask_anew(self, hop: _Hop, now_s: float) -> list[Message]:
        hop.state, hop.requests = State.INCOMPLETE, 0
        return self._ask(hop, now_s)

    def _ask(self, hop: _Hop, now_s: float) -> list[Message]:
        hop.requests += 1
        hop.due_s = now_s + RETRANSMIT_S
        to = hop.mac if hop.state is State.PROBE else BROADCAST_MAC
        request = arp_request(self._gateway.mac, self._gateway.ip, hop.neighbor.ip, to)
        return [Send(hop.neighbor.port, request)]

    def _make_room(self, hop: _Hop) -> None:
        """Drop the oldest packets: of this next hop where it holds too many, else of the one that holds the most."""
        while len(hop.held) > HELD_PACKETS or hop.held_bytes > HELD_BYTES:
            self._drop_oldest(hop)
        hops = self._hops.values()
        while sum(len(each.held) for each in hops) > ALL_HELD_PACKETS:
            self._drop_oldest(max(hops, key=lambda each: len(each.held)))
        while sum(each.held_bytes for each in hops) > ALL_HELD_BYTES:
            self._drop_oldest(max(hops, key=lambda each: each.held_bytes))

    def _drop_oldest(self, hop: _Hop) -> None:
        hop.held.popleft()
        self.dropped[NO_ROOM] += 1

    def _give_up(self, hop: _Hop) -> list[PacketIn]:
        packets = list(hop.held)
        hop.held.clear()
        self.dropped[GIVEN_UP] += len(packets)
        return packets
