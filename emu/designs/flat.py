"""One flat pod network over the nodes' own: VXLAN that learns, bridged into every node's cbr0, as weave did it.

    ctr-1 - cbr0 - pods-vxlan = eth0 === L2 === eth0 = pods-vxlan - cbr0 - ctr-4      all pods are on one link

Nothing is routed between pods: ctr-1 asks for ctr-4 itself, by a broadcast that crosses the tunnel once for each other
node (head-end replication, RFC 7348, section 4.2: the sender's device copies what it knows no place for to every tunnel
end), and ctr-4 answers with its own MAC. From then on both tunnel ends know where that MAC is, since they learn it from
what comes in.

State per node: an FDB entry for each other node, and one for each remote pod that has spoken lately.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emu.backends.base import link_query
from emu.backends.vxlan import BACKEND
from emu.claims import Claim, KernelState, Ping, Prints, Query, Seen, Unseen
from emu.control import Control, Station
from emu.designs import base
from emu.designs.claims import common_claims, mtu_claim, path_claims, switch_points
from emu.model import BROADCAST_MAC, Address, Device, FdbEntry, Hop, Machine, Node, Plan, Route, Scenario, Tunnel
from emu.packets import ARP_REPLY, ARP_REQUEST

DEVICE = "pods-vxlan"
VNI, PORT = 1, 8472
ANYWHERE = "00:00:00:00:00:00"
"""The FDB entry for MACs that no other entry is for (ip-link(8), bridge(8))."""

_SOURCE = "RFC 7348, section 4"


class Flat:
    """See the module."""

    name = "flat"
    summary = "all pods on one link, stretched over the nodes' network by VXLAN that learns (weave-like)"
    has_containers = True
    has_outside = False
    parameters: Mapping[str, base.Parameter] = {}

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes, mtu = base.nodes_for(scenario), _mtu(scenario)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, nodes, scenario))
            machines.extend(base.container_machines(node, mtu, scenario.pod_cidr))
        control = Control(("l2_switch",), 1, tuple(Station(n.name, n.mac, n.number) for n in nodes))
        return base.assemble(self, scenario, params, nodes, machines, control)

    def _node(self, node: Node, nodes: tuple[Node, ...], scenario: Scenario) -> Machine:
        mtu = _mtu(scenario)
        tunnel = Tunnel(base.UPLINK, node.address, VNI, PORT, learns=True)
        machine = base.node_with_pods(
            node,
            devices=(*base.pod_bridge(node, node.bridge_mac, mtu), base.uplink(node, scenario.mtu),
                     Device(DEVICE, "vxlan", node.vtep_mac, mtu, base.BRIDGE, tunnel)),
            addresses=(Address(base.UPLINK, node.address, base.prefix_length(scenario.node_cidr)),),
            routes=(
                Route(scenario.node_cidr, base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),
                Route(scenario.pod_cidr, base.BRIDGE, source=node.bridge_address),
            ),
        )
        everywhere = tuple(FdbEntry(DEVICE, ANYWHERE, other.address) for other in nodes if other is not node)
        own = Route(node.pod_subnet, base.BRIDGE, source=node.bridge_address)
        return replace(machine, fdb=everywhere, routes=tuple(route for route in machine.routes if route != own))

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        return _path(plan, src, dst, is_answer=False)

    def round_trips(self, plan: Plan, src: str, dst: str) -> tuple[base.RoundTrip, ...]:
        """A node speaks to pods from its address among them, and is answered there; what a pod asks of a node's own
        address goes by its default route, and the answer by the pods' link."""
        a, b = plan.node_of[src], plan.node_of[dst]
        if a is not b and src not in plan.container_of and dst in plan.container_of:
            return ((self.path(plan, src, dst), _bridged(plan, dst, src, ip_dst=a.bridge_address)),)
        return ((self.path(plan, src, dst), _path(plan, dst, src, is_answer=True)),)

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        state = Claim(
            "tunnel-state",
            f"{DEVICE} is a port of cbr0, learns, and has one FDB entry for each other node: anything may be there",
            f"{_SOURCE}; ip-link(8)",
            KernelState(tuple(query for node in plan.nodes for query in _state(plan, node))),
        )
        mtu = _mtu(plan.scenario)
        if plan.endpoints is None:
            return (state, *common_claims(plan, mtu, (state.id,)))
        src, dst = plan.endpoints
        journey = path_claims(plan, Ping(src, dst), *self.round_trips(plan, src, dst)[0], _SOURCE, ("arp-reply",))
        return (
            state,
            mtu_claim(plan, mtu, (base.BRIDGE, DEVICE), f"{BACKEND.overhead_bytes} bytes of VXLAN"),
            *_asking(plan, src, dst),
            *journey,
            *_learned(plan, src, dst, journey[-1].id),
            *common_claims(plan, mtu, (journey[-1].id,)),
        )


def _mtu(scenario: Scenario) -> int:
    return scenario.mtu - BACKEND.overhead_bytes


def _path(plan: Plan, src: str, dst: str, is_answer: bool) -> tuple[Hop, ...]:
    a, b = plan.node_of[src], plan.node_of[dst]
    source, target = plan.container_of.get(src), plan.container_of.get(dst)
    if a is b:
        return base.local_path(plan, src, dst, a.bridge_mac)
    if target:
        return _bridged(plan, src, dst, ip_src="" if source or is_answer else a.bridge_address)
    path = base.Path(a.mac, b.mac)
    if source:
        path.eth_src, path.eth_dst = source.mac, a.bridge_mac
        path.leaves(source).crosses(a.name, base.BRIDGE, "in").routed(a.mac, b.mac)
    return tuple(path.over_switch(plan, a, b).hops)


def _bridged(plan: Plan, src: str, dst: str, ip_src: str = "", ip_dst: str = "") -> tuple[Hop, ...]:
    """Over the pods' link from one node to another: nothing in the frame changes."""
    a, b = plan.node_of[src], plan.node_of[dst]
    source, target = plan.container_of.get(src), plan.container_of.get(dst)
    macs = (source.mac if source else a.bridge_mac, target.mac if target else b.bridge_mac)
    path = base.Path(*macs, ip_src=ip_src, ip_dst=ip_dst)
    if source:
        path.leaves(source)
    else:
        path.crosses(a.name, base.BRIDGE, "out")
    path.crosses(a.name, DEVICE, "out")
    path.outer = BACKEND.outer(a, b)
    path.over_switch(plan, a, b)
    path.outer = None
    path.crosses(b.name, DEVICE, "in")
    if target:
        path.enters(target)
    else:
        path.crosses(b.name, base.BRIDGE, "in")
    return tuple(path.hops)


def _state(plan: Plan, node: Node) -> tuple[Query, ...]:
    vxlan = {"id": VNI, "link": base.UPLINK, "local": node.address, "port": PORT, "learning": True}
    others = [other for other in plan.nodes if other is not node]
    return (
        link_query(node, DEVICE, _mtu(plan.scenario), node.vtep_mac, info_kind="vxlan", info_slave_kind="bridge",
                   info_data=vxlan),
        Query(
            node.name,
            ("bridge", "-j", "fdb", "show", "dev", DEVICE, "state", "permanent"),
            (*({"mac": ANYWHERE, "dst": other.address, "flags": ["self"], "state": "permanent"} for other in others),
             {"mac": node.vtep_mac, "master": base.BRIDGE, "state": "permanent"}),
        ),
        Query(
            node.name,
            ("ip", "-j", "-4", "route"),
            ({"dst": plan.scenario.node_cidr, "dev": base.UPLINK}, {"dst": plan.scenario.pod_cidr, "dev": base.BRIDGE}),
        ),
    )


def _asking(plan: Plan, src: str, dst: str) -> tuple[Claim, ...]:
    """A pod asks for a pod: how often that crosses the underlay, and who answers."""
    a, source, target = plan.node_of[src], plan.container_of[src], plan.container_of[dst]
    probe, uplink, copies = Ping(src, dst), f"{a.name}:{base.UPLINK}", len(plan.nodes) - 1
    asks = {"inner.arp.op": ARP_REQUEST, "inner.arp.tpa": target.address, "dir": "out"}
    answers = {"arp.op": ARP_REPLY, "arp.spa": target.address, "dir": "in"}
    return (
        Claim(
            "arp-copies",
            f"{src}'s question who has {target.address} leaves {a.name} {copies} times, once for each other node",
            "RFC 7348, section 4.2",
            Seen(probe, (uplink,), asks, {"inner.eth.src": source.mac, "inner.eth.dst": BROADCAST_MAC}, copies),
            ("tunnel-state",),
        ),
        Claim(
            "arp-heard",
            f"{dst} hears {src} itself ask",
            "RFC 826",
            Seen(probe, (f"{dst}:eth0",), {"arp.op": ARP_REQUEST, "arp.tpa": target.address, "dir": "in"},
                 {"eth.src": source.mac, "arp.spa": source.address}, count=1),
            ("arp-copies",),
        ),
        Claim(
            "arp-reply",
            f"{dst} answers for itself: {target.address} is at {target.mac}",
            "RFC 826",
            Seen(probe, (f"{src}:eth0",), answers, {"eth.src": target.mac, "arp.sha": target.mac}, count=1),
            ("arp-heard",),
        ),
        Claim(
            "underlay-MAC",
            f"no port of the switch sees {src}'s MAC outside of a tunnel",
            _SOURCE,
            Unseen(probe, switch_points(plan), {"eth.src": source.mac}),
        ),
    )


def _learned(plan: Plan, src: str, dst: str, need: str) -> tuple[Claim, ...]:
    a, b = plan.node_of[src], plan.node_of[dst]
    return tuple(
        Claim(
            f"learned-{here.name}",
            f"{here.name} has learned that {whom} is behind {there.name}",
            "RFC 7348, section 4.1",
            Prints(here.name, ("bridge", "fdb", "show", "dev", DEVICE), 0,
                   (f"{plan.container_of[whom].mac} dst {there.address}",)),
            (need,),
        )
        for here, there, whom in ((a, b, dst), (b, a, src))
    )


DESIGN: base.Design = Flat()
