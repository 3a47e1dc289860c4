"""Layer 3, a gateway: the deck's third picture.

    node-a 192.168.1.1/32        node-b          no layer 2 between nodes: every node has a /32 and one
        10.0.1.0/24  \\          /                on-link route, to the gateway. The gateway knows which
                      L3 gateway                 node is behind which port and which pod subnet behind
        10.0.3.0/24  /          \\                which node.
    node-c                       node-d

State per node: two routes, whatever the size of the cluster. State of the gateway: two routes a node.

With ``routes=bgp`` every node announces its pod subnet by a routing daemon of its own (``emu.speakers``) to one beside
the gateway. The way a packet takes is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from emu.addressing import GATEWAY_MAC, gateway_address
from emu.checks import LARGEST_MTU, SMALLEST_MTU
from emu.claims import Claim, Dropped, Forged, KernelState, Ordered, Ping, Prints, Query, Seen, Stream, Unseen
from emu.control import Control, EgressMtu, Gateway, GatewayRoute, NextHop
from emu.designs import base
from emu.designs.claims import TRANSFER_BYTES, arp_claims, bystanders, common_claims, path_claims, unseen_claim
from emu.laws import (
    BGP_ROUTES,
    FLOWS,
    LEARNED_FDB,
    LEARNED_NEIGHBORS,
    NEIGHBORS,
    ROUTES,
    Growth,
    StateLaw,
    per_node,
)
from emu.model import (
    BROADCAST_MAC,
    SWITCH,
    Address,
    Hop,
    Machine,
    Node,
    OwnPort,
    Plan,
    Route,
    Scenario,
    contains,
    host_route,
)
from emu.packets import ARP_REPLY, ARP_REQUEST, ECHO_REQUEST, FRAGMENTATION_NEEDED, TCP, UNREACHABLE
from emu.programs import Process
from emu.speakers import bird, speaker_of
from emu.speakers.base import Speaker, Timers
from emu.speakers.claims import bgp_claims
from emu.speakers.frr import NO_BFD

_DECK = "deck, slides 15-23"
_BGP = ("routes", "bgp")
_NOWHERE = ("203.0.113.1", "198.51.100.1", "192.0.2.1")
"""Addresses for documentation (RFC 5737); a plan's two networks leave at least one of them without a route."""


class Routed(base.OneWay):
    """See the module."""

    name = "routed"
    summary = "nodes with /32 addresses behind an L3 gateway that routes the pod subnets"
    has_containers = True
    parameters: Mapping[str, base.Parameter] = {
        "routes": base.Parameter(("static", "bgp")),
        "neighbors": base.Parameter(("static", "arp"), optional=True),
        "egress_mtu": base.Parameter(("link",), numbers=(SMALLEST_MTU, LARGEST_MTU), optional=True),
        "bgp": base.Parameter(("bird", "frr"), optional=True, only_with=_BGP),
        "bfd": base.Parameter(("off", "on"), optional=True, only_with=_BGP, not_with=("bgp", "frr", NO_BFD)),
        "hold": base.Parameter(("9",), numbers=(3, 65_535), optional=True, only_with=_BGP),
    }

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes = base.nodes_for(scenario)
        gateway = gateway_address(scenario.node_cidr)
        speaks = _speech(params)
        machines: list[Machine] = []
        for node in nodes:
            daemon = (speaks[0].on_node(node, gateway, speaks[1]),) if speaks else ()
            machines.append(self._node(node, scenario, gateway, daemon))
            machines.extend(base.container_machines(node, scenario.mtu, None))
        to_nodes = tuple(GatewayRoute(host_route(node.address), node.address) for node in nodes)
        to_pods = tuple(GatewayRoute(node.pod_subnet, node.address) for node in nodes)
        own = _beside(scenario, nodes, speaks[1]) if speaks else None
        mtu, asks = params.get("egress_mtu"), params.get("neighbors") == "arp"
        control = Control(
            ("l3_gateway",),
            1,
            gateway=Gateway(
                ip=gateway,
                mac=GATEWAY_MAC,
                ports=tuple(node.number for node in nodes),
                neighbors=tuple(
                    NextHop(node.address, node.number, None if asks else node.mac) for node in nodes
                ),
                routes=to_nodes if own else to_nodes + to_pods,
                egress_mtus=tuple(EgressMtu(node.number, int(mtu)) for node in nodes) if mtu else (),
                speaker=own.number if own else None,
                announced=to_pods if own else (),
            ),
        )
        return base.assemble(self, scenario, params, nodes, machines, control, own)

    def _node(self, node: Node, scenario: Scenario, gateway: str, processes: tuple[Process, ...]) -> Machine:
        return base.node_with_pods(
            node,
            devices=(*base.pod_bridge(node, node.bridge_mac, scenario.mtu), base.uplink(node, scenario.mtu)),
            addresses=(Address(base.UPLINK, node.address, 32, gateway if processes else None),),
            routes=(
                # The gateway first: a /32 node has no prefix it could be reached by.
                Route(host_route(gateway), base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),
                Route("0.0.0.0/0", base.UPLINK, via=gateway, source=node.address, congctl=base.CONGESTION_CONTROL),
            ),
            processes=processes,
        )

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        a, b = plan.node_of[src], plan.node_of[dst]
        if a is b:
            return base.local_path(plan, src, dst, a.bridge_mac)
        source, target = plan.container_of.get(src), plan.container_of.get(dst)
        path = base.Path(a.mac, GATEWAY_MAC)
        if source:
            path.eth_src, path.eth_dst = source.mac, a.bridge_mac
            path.leaves(source).crosses(a.name, base.BRIDGE, "in").routed(a.mac, GATEWAY_MAC)
        path.crosses(a.name, base.UPLINK, "out").crosses("switch", plan.port_of[a.name].device, "in")
        path.routed(GATEWAY_MAC, b.mac)
        path.crosses("switch", plan.port_of[b.name].device, "out").crosses(b.name, base.UPLINK, "in")
        if target:
            path.routed(b.bridge_mac, target.mac).crosses(b.name, base.BRIDGE, "out").enters(target)
        return tuple(path.hops)

    def law(self, params: Mapping[str, str]) -> StateLaw:
        """The optional parameters change the number of flows and have no law of their own."""
        node = {
            ROUTES: Growth(3),
            LEARNED_NEIGHBORS: Growth(1, own_containers=1),
            LEARNED_FDB: Growth(own_containers=1),
        }
        switch = {FLOWS: Growth(18) + per_node(11)}
        if params["routes"] == "bgp":
            switch = {FLOWS: Growth(23) + per_node(13), BGP_ROUTES: per_node(1), NEIGHBORS: per_node(1)}
        return StateLaw(node, base.CONTAINER_STATE, switch)

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        if plan.endpoints is None:
            return (*self._state(plan), *common_claims(plan, plan.scenario.mtu, ()))
        src, dst = plan.endpoints
        a, b = plan.node_of[src], plan.node_of[dst]
        gateway = gateway_address(plan.scenario.node_cidr)
        probe, point = Ping(src, dst), f"{a.name}:eth0"
        ours = (plan.scenario.node_cidr, plan.scenario.pod_cidr)
        nowhere = next(a for a in _NOWHERE if not any(contains(network, a) for network in ours))
        journey = path_claims(plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _DECK, ("arp-reply",))
        delivered = (journey[-1].id,)
        path_mtu = _path_mtu(plan)
        return (
            *self._state(plan),
            *arp_claims(
                probe,
                point,
                (a.mac, a.address),
                gateway,
                GATEWAY_MAC,
                "RFC 1812, section 3.3.2",
                "the gateway answers for its own address",
            ),
            *unseen_claim(
                "no-layer-2",
                f"no other node ever sees a frame from {a.name}'s MAC",
                _DECK,
                Unseen(probe, bystanders(plan, a.name), {"eth.src": a.mac}),
            ),
            *journey,
            Claim(
                "gateway-ping",
                f"the gateway answers {src}'s ping to {gateway}",
                "RFC 1812, section 4.3.3.6",
                Prints(src, ("ping", "-n", "-c", "1", "-W", "20", gateway), 0, (f"64 bytes from {gateway}",)),
                ("arp-reply",),
            ),
            Claim(
                "traceroute",
                f"traceroute from {src} prints {a.name}'s bridge, the gateway, {b.name} and {dst}",
                "RFC 1812, section 5.3.1: TTL one less at each router, time exceeded at zero",
                Prints(
                    src,
                    ("traceroute", "-n", "-q", "1", "-N", "1", "-w", "20", plan.address(dst)),
                    0,
                    tuple(f" {address} " for address in (a.bridge_address, gateway, b.address, plan.address(dst))),
                ),
                delivered,
            ),
            Claim(
                "unreachable",
                f"for {nowhere}, which it has no route to, the gateway says so",
                "RFC 1812, section 5.2.7.1: network unreachable",
                Prints(
                    src,
                    ("ping", "-n", "-c", "1", "-W", "20", nowhere),
                    1,
                    (f"From {gateway}", "Destination Net Unreachable"),
                ),
                ("arp-reply",),
            ),
            *_source_claims(plan, src, dst, delivered),
            *(_resolving_claims(plan, probe, delivered) if plan.params.get("neighbors") == "arp" else ()),
            *(_size_claims(plan, src, dst, path_mtu, delivered) if path_mtu else ()),
            *common_claims(plan, plan.scenario.mtu, delivered, path_mtu),
        )

    def _state(self, plan: Plan) -> tuple[Claim, ...]:
        gateway = gateway_address(plan.scenario.node_cidr)
        return (
            *(bgp_claims(plan) if plan.switch.own else ()),
            Claim(
                "node-routes",
                "every node has a /32 address, one route to the gateway and its own pod subnet: two routes and no more",
                _DECK,
                KernelState(
                    tuple(
                        query
                        for node in plan.nodes
                        for query in (
                            Query(
                                node.name,
                                ("ip", "-j", "-4", "route"),
                                (
                                    {"dst": "default", "gateway": gateway, "dev": "eth0"},
                                    {"dst": gateway, "dev": "eth0", "scope": "link"},
                                    {"dst": node.pod_subnet, "dev": "cbr0", "scope": "link"},
                                ),
                            ),
                            Query(
                                node.name,
                                ("ip", "-j", "-4", "address", "show", "dev", "eth0"),
                                ({"addr_info": [{"local": node.address, "prefixlen": 32}]},),
                            ),
                        )
                    )
                ),
            ),
        )


def _speech(params: Mapping[str, str]) -> tuple[Speaker, Timers] | None:
    """The daemon that nodes announce their pods by, and its timers; ``None`` where routes are static."""
    if params["routes"] != "bgp":
        return None
    offered = Routed.parameters
    hold, bfd = (params.get(key, offered[key].default) for key in ("hold", "bfd"))
    return speaker_of(params), Timers(int(hold), bfd == "on")


def _beside(scenario: Scenario, nodes: tuple[Node, ...], timers: Timers) -> OwnPort:
    """The gateway's own port, and the routing daemon behind it, which speaks in the gateway's name."""
    address = gateway_address(scenario.node_cidr)
    return OwnPort(
        number=len(nodes) + 1,
        device="gateway",
        mac=GATEWAY_MAC,
        address=address,
        prefix_length=base.prefix_length(scenario.node_cidr),
        neighbors=tuple((node.address, node.mac) for node in nodes),
        processes=(bird.SPEAKER.on_gateway(address, "gateway", nodes, scenario.node_cidr, timers),),
    )


def _source_claims(plan: Plan, src: str, dst: str, needs: tuple[str, ...]) -> tuple[Claim, ...]:
    """What becomes of a packet in another node's name."""
    near, far = plan.node_of[src], plan.node_of[dst]
    probe, sent = Forged(src, dst, far.address), {"ip.src": far.address, "ip.dst": plan.address(dst)}
    claimed = f"a packet of {src}'s that says it is from {far.name}, {far.address},"
    port = f"{SWITCH}:{plan.port_of[near.name].device}"
    source = "RFC 3704, section 2.2: strict reverse path; RFC 2827"
    return (
        Claim(
            "spoofed-arrives",
            f"{claimed} comes as far as the gateway",
            source,
            Seen(probe, (port,), {**sent, "dir": "in"}, {"eth.src": near.mac}),
            needs,
        ),
        Claim(
            "spoofed-stopped",
            f"{claimed} goes no further",
            source,
            Unseen(probe, bystanders(plan, near.name), sent),
            ("spoofed-arrives",),
        ),
        Claim(
            "spoofed-counted",
            "the switch has dropped it, and counted it",
            source,
            Dropped(probe, "spoofed", 1),
            ("spoofed-arrives",),
        ),
    )


def _resolving_claims(plan: Plan, probe: Ping, needs: tuple[str, ...]) -> tuple[Claim, ...]:
    """How the gateway comes to know where a next hop is."""
    far, gateway = plan.node_of[probe.dst], gateway_address(plan.scenario.node_cidr)
    point = f"{far.name}:{base.UPLINK}"
    asks = {"arp.op": ARP_REQUEST, "arp.tpa": far.address, "dir": "in"}
    in_its_name = {"eth.src": GATEWAY_MAC, "arp.sha": GATEWAY_MAC, "arp.spa": gateway}
    answers = {"arp.op": ARP_REPLY, "arp.spa": far.address, "dir": "out"}
    packet = {"icmp.type": ECHO_REQUEST, "ip.dst": plan.address(probe.dst), "dir": "in"}
    return (
        Claim(
            "next-hop-asked",
            f"the gateway asks everybody behind that port who has {far.address}, in its own name",
            "RFC 826; RFC 1812, section 3.3.2",
            Seen(probe, (point,), asks, {**in_its_name, "eth.dst": BROADCAST_MAC}, count=1),
            needs,
        ),
        Claim(
            "next-hop-answers",
            f"{far.name} answers: {far.address} is at {far.mac}",
            "RFC 826",
            Seen(probe, (point,), answers, {"eth.src": far.mac, "eth.dst": GATEWAY_MAC, "arp.sha": far.mac}),
            ("next-hop-asked",),
        ),
        Claim(
            "packet-held",
            f"the packet that made it ask is held meanwhile, and comes to {far.name} then",
            "RFC 1122, section 2.3.2.2; RFC 1812, section 3.3.2",
            Ordered(probe, point, (asks, answers, packet)),
            ("next-hop-answers",),
        ),
    )


def _path_mtu(plan: Plan) -> int | None:
    """The gateway's egress MTU, where it is less than the links'."""
    mtu = int(plan.params.get("egress_mtu", plan.scenario.mtu))
    return mtu if mtu < plan.scenario.mtu else None


def _size_claims(plan: Plan, src: str, dst: str, mtu: int, needs: tuple[str, ...]) -> tuple[Claim, ...]:
    """What becomes of packets that are larger than the gateway's egress MTU but not than the links'."""
    near, address, gateway = plan.node_of[src], plan.address(dst), gateway_address(plan.scenario.node_cidr)
    size = plan.scenario.mtu
    whole = Forged(src, dst, plan.address(src), size)
    frame = {"ip.src": plan.address(src), "ip.dst": address, "ip.len": size}
    port = f"{SWITCH}:{plan.port_of[near.name].device}"
    full = f"a packet of {size} bytes that may be fragmented"
    stated = "RFC 1812, section 5.2.6 wants it fragmented; Open vSwitch cannot, which is a stated deviation"
    quoted = {f"quoted.{key}": value for key, value in {**frame, "ip.df": True, "ip.proto": TCP}.items()}
    return (
        Claim(
            "too-large-arrives",
            f"{full} comes as far as the gateway",
            stated,
            Seen(whole, (port,), {**frame, "dir": "in"}, {"ip.df": False, "eth.src": near.mac}),
            needs,
        ),
        Claim(
            "too-large-stopped",
            f"{full} goes no further",
            stated,
            Unseen(whole, bystanders(plan, near.name), frame),
            ("too-large-arrives",),
        ),
        Claim(
            "too-large-counted",
            "the gateway has dropped it, and counted it",
            stated,
            Dropped(whole, "too large, may be fragmented", 1),
            ("too-large-arrives",),
        ),
        Claim(
            "fragmentation-needed",
            f"of a full TCP segment of {src}'s, the gateway says that {mtu} bytes fit",
            "RFC 1191, section 4: destination unreachable, fragmentation needed, next-hop MTU",
            Seen(
                Stream(src, dst, TRANSFER_BYTES),
                (f"{near.name}:{base.UPLINK}",),
                {"icmp.type": UNREACHABLE, "icmp.code": FRAGMENTATION_NEEDED, "dir": "in"},
                {"ip.src": gateway, "ip.dst": plan.address(src), "icmp.mtu": mtu, **quoted},
            ),
            needs,
        ),
        Claim(
            "path-mtu",
            f"{src} has learned that {mtu} bytes fit through the path to {dst}",
            "RFC 1191, section 6.2: the path MTU is kept with the route",
            Prints(src, ("ip", "route", "get", address), 0, (f" mtu {mtu}",)),
            ("fragmentation-needed",),
        ),
    )


DESIGN: base.Design = Routed()
