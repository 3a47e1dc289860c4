"""The gateway: a router out of an OpenFlow switch. Its flows, and what the controller says for it. Pure.

It is a router and no switch: a frame for another MAC than its own is none of its business, nothing is bridged from
port to port. ADMIT answers ARP for the gateway's own address (the switch does, by itself) and lets in packets for its
MAC; SOURCE drops those that come by another port than the one that leads back to their sender; ROUTE finds the longest
prefix by flow priority and writes the next hop's number as metadata; where a prefix has several next hops, SPREAD does
so, for the port that the flow hashes to; SIZE looks whether it fits the MTU there, if that
is less than what comes in may have; NEXT_HOP decrements the TTL, rewrites both MACs and sends. A
route that changes is three flows, of SOURCE and ROUTE; a next hop that changes is two flows of NEXT_HOP, however many
routes lead there.

Packets for next hops that the plan knows come to the controller for four reasons only: no route (net unreachable), TTL
used up (time exceeded), larger than the next hop's MTU (fragmentation needed), and for the gateway itself (echo
request, UDP). Its ICMP goes back the way the packet came, to the neighbor that sent the frame.

Where routes are learned (`controllers.rib`), a routing daemon stands beside the switch behind a port of its own. It
speaks in the gateway's name: BGP and BFD for the gateway's address go to that port, and what comes by it goes to the
next hops as it is, with the TTL that was sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network

from controllers.answering import arp_reply_actions
from controllers.limits import TokenBucket
from controllers.pipeline import (
    CONTROLLER,
    IN_PORT,
    NO_MEMBER,
    CheckLarger,
    Cookie,
    DecTtl,
    Fields,
    Flow,
    GatewayTable,
    Kind,
    Match,
    MatchValue,
    Output,
    Owner,
    PacketIn,
    Send,
    SetField,
    Spread,
    match,
)
from controllers.plan import Gateway, Neighbor
from controllers.wire import (
    ARP_REQUEST,
    BFD_PORT,
    BGP_PORT,
    BROADCAST_MAC,
    CODE_FRAGMENTATION_NEEDED,
    CODE_HOST_UNREACHABLE,
    CODE_NET_UNREACHABLE,
    CODE_PORT_UNREACHABLE,
    CODE_TTL_IN_TRANSIT,
    ETH_TYPE_ARP,
    ETH_TYPE_IPV4,
    ETHERNET_BYTES,
    ICMP_ECHO_REQUEST,
    ICMP_TIME_EXCEEDED,
    ICMP_UNREACHABLE,
    PROTO_ICMP,
    PROTO_TCP,
    PROTO_UDP,
    echo_reply,
    icmp_error,
    parse_ipv4,
)

PLANNED = Cookie(Owner.L3_GATEWAY)
SPOOFED = Cookie(Owner.L3_GATEWAY, Kind.SPOOFED)
NO_ROUTE = Cookie(Owner.L3_GATEWAY, Kind.NO_ROUTE)
TTL_EXPIRED = Cookie(Owner.L3_GATEWAY, Kind.TTL_EXPIRED)
TOO_LARGE = Cookie(Owner.L3_GATEWAY, Kind.TOO_LARGE)
TO_GATEWAY = Cookie(Owner.L3_GATEWAY, Kind.TO_GATEWAY)

# Above any traceroute or mtr through many nodes at once, far below what would occupy the controller.
ERRORS_PER_S = 100.0
ERRORS_BURST = 100.0

ARP_PRIORITY = 400
_INVALID, _IPV4 = 500, 300
_NO_SENDER, _SENDER = 2000, 1000
_SPEAKER, _OWN_ADDRESS, _OWN_ADDRESS_REST, _NOT_ROUTED, _PREFIX = 2300, 2200, 2100, 2000, 1000
_CHOSEN = 100
_CHECKED = 100
_SPOKEN, _EXPIRED, _LARGER, _HAIRPIN, _FORWARD = 400, 300, 250, 200, 100

# No router forwards these (RFC 1812, 4.2.2.11 and 5.3.7): this network, loopback, and multicast with all that is
# above it.
NOT_ROUTED = tuple(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))


def error_limit(now_s: float) -> TokenBucket:
    """The limit of ICMP errors, full."""
    return TokenBucket(ERRORS_PER_S, ERRORS_BURST, ERRORS_BURST, now_s)


def flows(gateway: Gateway) -> list[Flow]:
    """Every flow of the gateway that is known beforehand; those of next hops without a MAC are `resolving`'s."""
    hops = {neighbor.ip: number for number, neighbor in enumerate(gateway.neighbors, start=1)}
    return [
        *_admit_flows(gateway),
        *_no_sender_flows(gateway),
        *(flow for prefix, port in _ways_back(gateway) for flow in (sender_flow(prefix, port), elsewhere_flow(prefix))),
        *_own_address_flows(gateway),
        *(route_flow(route.prefix, hops[route.via]) for route in gateway.routes),
        *(() if gateway.speaker is None else _speaker_flows(gateway, gateway.speaker)),
        *(
            flow
            for neighbor in gateway.neighbors
            if neighbor.mac is not None
            for flow in next_hop_flows(gateway, neighbor, hops[neighbor.ip], neighbor.mac, PLANNED)
        ),
        *_size_flows(gateway),
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
            yield Flow(admit, ARP_PRIORITY, asked, PLANNED, reply, purpose="who has the gateway's address?")
        packet = match(in_port=port, eth_dst=gateway.mac, eth_type=ETH_TYPE_IPV4)
        yield Flow(admit, _IPV4, packet, PLANNED, goto=GatewayTable.SOURCE, purpose="a packet for the router")
    yield Flow(admit, 0, match(), PLANNED, purpose="none of a router's business")


def _no_sender_flows(gateway: Gateway) -> Iterable[Flow]:
    for network in (*NOT_ROUTED, IPv4Network(gateway.ip)):
        yield Flow(
            GatewayTable.SOURCE, _NO_SENDER, _ip("ipv4_src", network), SPOOFED, purpose="nobody sends from there"
        )
    yield Flow(GatewayTable.SOURCE, 0, match(), SPOOFED, purpose="a sender there is no way back to")


def _ways_back(gateway: Gateway) -> Iterable[tuple[IPv4Network, int]]:
    """Who is behind which port: what is routed there, and the neighbors themselves."""
    port_of = {neighbor.ip: neighbor.port for neighbor in gateway.neighbors}
    yield from (
        {IPv4Network(ip): port for ip, port in port_of.items()}
        | {route.prefix: port_of[route.via] for route in gateway.routes}
    ).items()


def sender_flow(prefix: IPv4Network, port: int, cookie: Cookie = PLANNED) -> Flow:
    """The flow of those who send from a prefix by the port that leads back to them: strict reverse-path forwarding
    (RFC 3704, 2.2)."""
    here, then = _ip("ipv4_src", prefix, in_port=port), GatewayTable.ROUTE
    priority = _sender_priority(prefix) + 1
    return Flow(GatewayTable.SOURCE, priority, here, cookie, goto=then, purpose="the way back to the sender")


def elsewhere_flow(prefix: IPv4Network) -> Flow:
    """The flow of those who send from a prefix by any other port; it keeps a shorter prefix from letting them in."""
    anywhere = _ip("ipv4_src", prefix)
    return Flow(GatewayTable.SOURCE, _sender_priority(prefix), anywhere, SPOOFED, purpose="a sender that is elsewhere")


def _sender_priority(prefix: IPv4Network) -> int:
    return _SENDER + 2 * prefix.prefixlen


def _own_address_flows(gateway: Gateway) -> Iterable[Flow]:
    route, ask = GatewayTable.ROUTE, (Output(CONTROLLER),)
    own: Fields = {"eth_type": ETH_TYPE_IPV4, "ipv4_dst": gateway.ip}
    ping = match(ip_proto=PROTO_ICMP, icmpv4_type=ICMP_ECHO_REQUEST, **own)
    yield Flow(route, _OWN_ADDRESS, ping, TO_GATEWAY, ask, purpose="ping to the gateway")
    yield Flow(route, _OWN_ADDRESS, match(ip_proto=PROTO_UDP, **own), TO_GATEWAY, ask, purpose="nobody listens")
    yield Flow(route, _OWN_ADDRESS_REST, match(**own), PLANNED, purpose="for the gateway, which offers nothing else")
    for network in NOT_ROUTED:
        yield Flow(route, _NOT_ROUTED, _ip("ipv4_dst", network), PLANNED, purpose="no router forwards these")
    yield Flow(route, 0, match(), NO_ROUTE, ask, purpose="no route")


def _ip(field: str, network: IPv4Network, **others: MatchValue) -> Match:
    """A match on IPv4 packets from, or to, a network."""
    if network.prefixlen:
        others[field] = (str(network.network_address), str(network.netmask))
    return match(eth_type=ETH_TYPE_IPV4, **others)


def _speaker_flows(gateway: Gateway, port: int) -> Iterable[Flow]:
    """What a routing daemon that stands beside the gateway needs to speak for it, and flows spread over next hops."""
    spoken = match(in_port=port, eth_type=ETH_TYPE_IPV4, ipv4_src=gateway.ip)
    yield Flow(GatewayTable.ADMIT, _IPV4, spoken, PLANNED, goto=GatewayTable.ROUTE, purpose="the speaker's own")
    own: Fields = {"eth_type": ETH_TYPE_IPV4, "ipv4_dst": gateway.ip}
    for heard, what in (
        (match(ip_proto=PROTO_TCP, tcp_dst=BGP_PORT, **own), "BGP"),
        (match(ip_proto=PROTO_TCP, tcp_src=BGP_PORT, **own), "BGP"),
        (match(ip_proto=PROTO_UDP, udp_dst=BFD_PORT, **own), "BFD"),
    ):
        yield Flow(GatewayTable.ROUTE, _SPEAKER, heard, PLANNED, (Output(port),), purpose=f"{what} for the speaker")
    spread = GatewayTable.SPREAD
    for hop, neighbor in enumerate(gateway.neighbors, start=1):
        chosen = match(reg1=neighbor.port)
        then = GatewayTable.SIZE
        yield Flow(spread, _CHOSEN, chosen, PLANNED, metadata=hop, goto=then, purpose="the next hop of this flow")
    ask = (Output(CONTROLLER),)
    yield Flow(spread, 0, match(), NO_ROUTE, ask, purpose="none of the next hops is up")


def route_flow(prefix: IPv4Network, hop: int, cookie: Cookie = PLANNED) -> Flow:
    """The flow of a route with one next hop: the longer its prefix, the higher its priority."""
    there, then = _ip("ipv4_dst", prefix), GatewayTable.SIZE
    return Flow(GatewayTable.ROUTE, _PREFIX + prefix.prefixlen, there, cookie, metadata=hop, goto=then, purpose="route")


def spread_flow(gateway: Gateway, prefix: IPv4Network, hops: Collection[int], cookie: Cookie) -> Flow:
    """The flow of a route with several next hops. Each keeps its place whichever others there are, so that flows stay
    with the next hops that stay."""
    places = range(1, max(hops) + 1)
    ports = tuple(gateway.neighbors[place - 1].port if place in hops else NO_MEMBER for place in places)
    there, then, choice = _ip("ipv4_dst", prefix), GatewayTable.SPREAD, (Spread(ports),)
    return Flow(GatewayTable.ROUTE, _PREFIX + prefix.prefixlen, there, cookie, choice, goto=then, purpose="routes")


def next_hop_flows(gateway: Gateway, neighbor: Neighbor, hop: int, mac: str, cookie: Cookie) -> tuple[Flow, ...]:
    """The flows that take a packet to a neighbor, also back where it came from: a switch would not, a router does.

    What the gateway's speaker sends has been routed by nobody: its TTL stays.
    """
    table = GatewayTable.NEXT_HOP
    readdress = (SetField("eth_src", gateway.mac), SetField("eth_dst", mac))
    back = match(metadata=hop, in_port=neighbor.port, eth_type=ETH_TYPE_IPV4)
    on = match(metadata=hop, eth_type=ETH_TYPE_IPV4)
    to = (Output(neighbor.port),)
    flows = (
        Flow(table, _HAIRPIN, back, cookie, (DecTtl(), *readdress, Output(IN_PORT)), purpose="next hop, back again"),
        Flow(table, _FORWARD, on, cookie, (DecTtl(), *readdress, *to), purpose="next hop"),
    )
    if gateway.speaker is None:
        return flows
    own = match(metadata=hop, in_port=gateway.speaker, eth_type=ETH_TYPE_IPV4)
    return (*flows, Flow(table, _SPOKEN, own, cookie, (*readdress, *to), purpose="the speaker's own"))


def _egress_mtu(gateway: Gateway, hop: int) -> int | None:
    """The MTU on the way to a next hop, by its number; ``None`` where the links' own holds, or there is no such hop."""
    if not 0 < hop <= len(gateway.neighbors):
        return None
    return {mtu.port: mtu.mtu for mtu in gateway.egress_mtus}.get(gateway.neighbors[hop - 1].port)


def _size_flows(gateway: Gateway) -> Iterable[Flow]:
    size, then = GatewayTable.SIZE, GatewayTable.NEXT_HOP
    for hop in range(1, len(gateway.neighbors) + 1):
        mtu = _egress_mtu(gateway, hop)
        if mtu is not None:
            checks = (CheckLarger(mtu + ETHERNET_BYTES),)
            yield Flow(size, _CHECKED, match(metadata=hop), PLANNED, checks, goto=then, purpose="does it fit?")
    yield Flow(size, 0, match(), PLANNED, goto=then, purpose="as large as what comes in may be")
    # OpenFlow has no match for "don't fragment": who may be told so is for the controller to see.
    ask = (Output(CONTROLLER),)
    yield Flow(then, _LARGER, match(reg0=1), TOO_LARGE, ask, purpose="larger than the next hop's MTU")


def forbids_fragments(frame: bytes) -> bool:
    """Whether the packet in a frame may not be fragmented (RFC 791)."""
    ip = parse_ipv4(frame)
    return ip is not None and ip.dont_fragment


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


def answer(gateway: Gateway, limit: TokenBucket, packet: PacketIn, now_s: float) -> Send | None:
    """What the gateway says about a packet its switch handed over, and why it did (`kind`); None: nothing.

    ICMP errors obey RFC 1812 (see `wire.may_be_told`) and the limit; a token is taken only for an error that is sent.
    """
    kind, frame = packet.kind, packet.frame
    mtu: int | None = 0
    if kind is Kind.TO_GATEWAY:
        ip = parse_ipv4(frame)
        if ip is None or ip.dst != gateway.ip:
            return None
        if ip.proto == PROTO_ICMP:
            reply = echo_reply(frame, gateway.mac)
            return None if reply is None else Send(packet.in_port, reply)
    elif kind is Kind.TOO_LARGE:
        mtu = _egress_mtu(gateway, packet.metadata)
    said = _ERRORS.get(kind)
    error = None if said is None or mtu is None else icmp_error(frame, *said, gateway.mac, gateway.ip, mtu)
    return Send(packet.in_port, error) if error is not None and limit.take(now_s) else None


_ERRORS = {
    Kind.NO_ROUTE: (ICMP_UNREACHABLE, CODE_NET_UNREACHABLE),
    Kind.TTL_EXPIRED: (ICMP_TIME_EXCEEDED, CODE_TTL_IN_TRANSIT),
    Kind.UNRESOLVED: (ICMP_UNREACHABLE, CODE_HOST_UNREACHABLE),
    Kind.TOO_LARGE: (ICMP_UNREACHABLE, CODE_FRAGMENTATION_NEEDED),
    Kind.TO_GATEWAY: (ICMP_UNREACHABLE, CODE_PORT_UNREACHABLE),
}
