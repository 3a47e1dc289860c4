"""The gateway: a router out of an OpenFlow switch. Its flows, and what the controller says for it. Pure.

It is a router and no switch: a frame for another MAC than its own is none of its business, nothing is bridged from
port to port. ADMIT answers ARP for the gateway's own address (the switch does, by itself) and lets in packets for its
MAC; ROUTE finds the longest prefix by flow priority and writes the next hop's number as metadata; NEXT_HOP decrements
the TTL, rewrites both MACs and sends. A route that changes is one flow of ROUTE; a next hop that changes is two flows
of NEXT_HOP, however many routes lead there.

Packets come to the controller for three reasons only: no route (net unreachable), TTL used up (time exceeded), and
for the gateway itself (echo request, UDP). Its ICMP goes back the way the packet came, to the neighbor that sent the
frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from controllers.answering import arp_reply_actions
from controllers.limits import TokenBucket
from controllers.pipeline import (
    CONTROLLER,
    IN_PORT,
    Cookie,
    DecTtl,
    Fields,
    Flow,
    GatewayTable,
    Kind,
    Match,
    Output,
    Owner,
    Send,
    SetField,
    match,
)
from controllers.plan import Gateway, Neighbor, Route
from controllers.wire import (
    ARP_REQUEST,
    BROADCAST_MAC,
    CODE_NET_UNREACHABLE,
    CODE_PORT_UNREACHABLE,
    CODE_TTL_IN_TRANSIT,
    ETH_TYPE_ARP,
    ETH_TYPE_IPV4,
    ICMP_ECHO_REQUEST,
    ICMP_TIME_EXCEEDED,
    ICMP_UNREACHABLE,
    PROTO_ICMP,
    PROTO_UDP,
    echo_reply,
    icmp_error,
    parse_ipv4,
)

PLANNED = Cookie(Owner.L3_GATEWAY)
NO_ROUTE = Cookie(Owner.L3_GATEWAY, Kind.NO_ROUTE)
TTL_EXPIRED = Cookie(Owner.L3_GATEWAY, Kind.TTL_EXPIRED)
TO_GATEWAY = Cookie(Owner.L3_GATEWAY, Kind.TO_GATEWAY)

# Above any traceroute or mtr through many nodes at once, far below what would occupy the controller.
ERRORS_PER_S = 100.0
ERRORS_BURST = 100.0

_INVALID, _ARP, _IPV4 = 500, 400, 300
_OWN_ADDRESS, _OWN_ADDRESS_REST, _NOT_ROUTED, _PREFIX = 2200, 2100, 2000, 1000
_EXPIRED, _HAIRPIN, _FORWARD = 300, 200, 100

# No router forwards these (RFC 1812, 4.2.2.11 and 5.3.7): this network, loopback, and multicast with all that is
# above it.
NOT_ROUTED = tuple(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))


def error_limit(now_s: float) -> TokenBucket:
    """The limit of ICMP errors, full."""
    return TokenBucket(ERRORS_PER_S, ERRORS_BURST, ERRORS_BURST, now_s)


def flows(gateway: Gateway) -> list[Flow]:
    """Every flow of the gateway: all it knows, it knows beforehand."""
    hops = {neighbor.ip: number for number, neighbor in enumerate(gateway.neighbors, start=1)}
    return [
        *_admit_flows(gateway),
        *_own_address_flows(gateway),
        *(route_flow(route, hops[route.via]) for route in gateway.routes),
        *(flow for neighbor in gateway.neighbors for flow in next_hop_flows(gateway, neighbor, hops[neighbor.ip])),
        *_expired_flows(),
    ]


def _admit_flows(gateway: Gateway) -> Iterable[Flow]:
    admit = GatewayTable.ADMIT
    group = match(eth_src=("01:00:00:00:00:00", "01:00:00:00:00:00"))
    yield Flow(admit, _INVALID, group, PLANNED, purpose="a group address sends nothing")
    for port in gateway.ports:
        for eth_dst in (BROADCAST_MAC, gateway.mac):
            asked = match(in_port=port, eth_dst=eth_dst, eth_type=ETH_TYPE_ARP, arp_op=ARP_REQUEST, arp_tpa=gateway.ip)
            reply = arp_reply_actions(gateway.ip, gateway.mac)
            yield Flow(admit, _ARP, asked, PLANNED, reply, purpose="who has the gateway's address?")
        packet = match(in_port=port, eth_dst=gateway.mac, eth_type=ETH_TYPE_IPV4)
        yield Flow(admit, _IPV4, packet, PLANNED, goto=GatewayTable.ROUTE, purpose="a packet for the router")
    yield Flow(admit, 0, match(), PLANNED, purpose="none of a router's business")


def _own_address_flows(gateway: Gateway) -> Iterable[Flow]:
    route, ask = GatewayTable.ROUTE, (Output(CONTROLLER),)
    own: Fields = {"eth_type": ETH_TYPE_IPV4, "ipv4_dst": gateway.ip}
    ping = match(ip_proto=PROTO_ICMP, icmpv4_type=ICMP_ECHO_REQUEST, **own)
    yield Flow(route, _OWN_ADDRESS, ping, TO_GATEWAY, ask, purpose="ping to the gateway")
    yield Flow(route, _OWN_ADDRESS, match(ip_proto=PROTO_UDP, **own), TO_GATEWAY, ask, purpose="nobody listens")
    yield Flow(route, _OWN_ADDRESS_REST, match(**own), PLANNED, purpose="for the gateway, which offers nothing else")
    for network in NOT_ROUTED:
        yield Flow(route, _NOT_ROUTED, _to(network), PLANNED, purpose="no router forwards these")
    yield Flow(route, 0, match(), NO_ROUTE, ask, purpose="no route")


def _to(network: IPv4Network) -> Match:
    if network.prefixlen == 0:
        return match(eth_type=ETH_TYPE_IPV4)
    return match(eth_type=ETH_TYPE_IPV4, ipv4_dst=(str(network.network_address), str(network.netmask)))


def route_flow(route: Route, hop: int) -> Flow:
    """The flow of one route: the longer its prefix, the higher its priority."""
    priority = _PREFIX + route.prefix.prefixlen
    table, then = GatewayTable.ROUTE, GatewayTable.NEXT_HOP
    return Flow(table, priority, _to(route.prefix), PLANNED, metadata=hop, goto=then, purpose="route")


def next_hop_flows(gateway: Gateway, neighbor: Neighbor, hop: int) -> tuple[Flow, Flow]:
    """The flows that take a packet to a neighbor, also back where it came from: a switch would not, a router does."""
    table = GatewayTable.NEXT_HOP
    rewrite = (DecTtl(), SetField("eth_src", gateway.mac), SetField("eth_dst", neighbor.mac))
    back = match(metadata=hop, in_port=neighbor.port, eth_type=ETH_TYPE_IPV4)
    on = match(metadata=hop, eth_type=ETH_TYPE_IPV4)
    return (
        Flow(table, _HAIRPIN, back, PLANNED, (*rewrite, Output(IN_PORT)), purpose="next hop, back by the same port"),
        Flow(table, _FORWARD, on, PLANNED, (*rewrite, Output(neighbor.port)), purpose="next hop"),
    )


def _expired_flows() -> Iterable[Flow]:
    # A match on the TTL (a Nicira field both frameworks have) and not OpenFlow's "invalid TTL" packet-in, which has
    # to be asked for, carries the cookie of whichever flow decremented, and comes at all only from switches that
    # implement it.
    for ttl in (0, 1):
        # The Nicira name of eth_type: both frameworks write fields ordered by number, and a switch wants this one
        # before the TTL.
        used_up = match(eth_type_nxm=ETH_TYPE_IPV4, nw_ttl=ttl)
        ask = (Output(CONTROLLER),)
        yield Flow(GatewayTable.NEXT_HOP, _EXPIRED, used_up, TTL_EXPIRED, ask, purpose="TTL used up")


def answer(gateway: Gateway, limit: TokenBucket, kind: Kind, in_port: int, frame: bytes, now_s: float) -> Send | None:
    """What the gateway says about a packet its switch handed over, and why it did (`kind`); None: nothing.

    ICMP errors obey RFC 1812 (see `wire.may_be_told`) and the limit; a token is taken only for an error that is sent.
    """
    if kind is Kind.TO_GATEWAY:
        ip = parse_ipv4(frame)
        if ip is None or ip.dst != gateway.ip:
            return None
        if ip.proto == PROTO_ICMP:
            reply = echo_reply(frame, gateway.mac)
            return None if reply is None else Send(in_port, reply)
    said = _ERRORS.get(kind)
    error = None if said is None else icmp_error(frame, *said, gateway.mac, gateway.ip)
    return Send(in_port, error) if error is not None and limit.take(now_s) else None


_ERRORS = {
    Kind.NO_ROUTE: (ICMP_UNREACHABLE, CODE_NET_UNREACHABLE),
    Kind.TTL_EXPIRED: (ICMP_TIME_EXCEEDED, CODE_TTL_IN_TRANSIT),
    Kind.TO_GATEWAY: (ICMP_UNREACHABLE, CODE_PORT_UNREACHABLE),
}
