"""One flat layer 2 for all pods, over the nodes' network: bridged VXLAN that learns, as Weave Net has it.

    ctr-1 - cbr0 - vxlan0 = eth0 === L2 === eth0 = vxlan0 - cbr0 - ctr-4
                a frame of a container rides inside a packet for the node behind which its MAC was learned

The tunnel device is a port of each node's bridge, so that the bridges are one: ctr-1 resolves ctr-4's own MAC, nothing
is routed and the TTL arrives as sent. What is for everybody, or for a MAC that nobody has been heard from, is copied to
every other node by its sender (head-end replication, RFC 7348, section 4.2, by unicast): one default entry per node.

Nodes speak from their own addresses: to a container by their bridge, in the tunnel; what a container sends to a node
goes by its own node and the underlay. On the pods' segment a node asks in its bridge's name (``arp_announce`` 2): its
own address is not of that network. State per node: one default FDB entry for each other node, and what is learned: an
entry in the tunnel and one in the bridge for each MAC that is talked to, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emu.backends.base import outer_header
from emu.claims import Claim, KernelState, Ping, Query, Seen, Unseen
from emu.control import Control, Station
from emu.designs import base
from emu.designs.claims import (
    arp_claims,
    bystanders,
    common_claims,
    mtu_claim,
    order_claim,
    path_claims,
    switch_points,
    unseen_claim,
)
from emu.laws import FDB, FLOWS, LEARNED_FDB, LEARNED_NEIGHBORS, ROUTES, Growth, StateLaw, per_container
from emu.model import (
    ANY_MAC,
    BROADCAST_MAC,
    Address,
    Device,
    FdbEntry,
    Hop,
    Machine,
    Node,
    Plan,
    Route,
    Scenario,
    Tunnel,
)
from emu.packets import ARP_REQUEST, ECHO_REQUEST, UDP

DEVICE, VNI, PORT = "vxlan0", 1, 4789
OVERHEAD_BYTES = 50
"""Outer IPv4 20, UDP 8, VXLAN 8 and the inner Ethernet header's 14 (RFC 7348, section 5)."""

_VXLAN = "RFC 7348, section 4"
_LEARNING = "RFC 7348, section 4.1: source MACs are learned with the outer source address"
_COPIES = "RFC 7348, section 4.2; copies by unicast: drivers/net/vxlan/vxlan_core.c, vxlan_xmit"

_ASKING = (("conf.*.arp_announce", "2"),)
"""Of cbr0: ask in the name of an address of the network that is asked in (Documentation/networking/ip-sysctl.rst)."""


class Flat(base.OneWay):
    """See the module."""

    name = "flat"
    summary = "all pods on one layer 2, bridged over the nodes' network (VXLAN that learns, as Weave Net)"
    has_containers = True
    parameters: Mapping[str, base.Parameter] = {}

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes = base.nodes_for(scenario)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, nodes, scenario))
            for container in base.container_machines(node, scenario.mtu - OVERHEAD_BYTES, scenario.pod_cidr):
                address = replace(container.addresses[0], prefix_length=base.prefix_length(scenario.pod_cidr))
                machines.append(replace(container, addresses=(address,)))
        control = Control(("l2_switch",), 1, tuple(Station(n.name, n.mac, n.number) for n in nodes))
        return base.assemble(self, scenario, params, nodes, machines, control)

    def _node(self, node: Node, nodes: tuple[Node, ...], scenario: Scenario) -> Machine:
        mtu = scenario.mtu - OVERHEAD_BYTES
        bridge, *ports = base.pod_bridge(node, node.bridge_mac, mtu)
        tunnel = Tunnel(base.UPLINK, node.address, VNI, PORT, learns=True)
        return Machine(
            name=node.name,
            kind="node",
            address=node.address,
            devices=(
                replace(bridge, settings=_ASKING),
                *ports,
                base.uplink(node, scenario.mtu),
                Device(DEVICE, "vxlan", node.vtep_mac, mtu, base.BRIDGE, tunnel),
            ),
            addresses=(
                Address(base.UPLINK, node.address, base.prefix_length(scenario.node_cidr)),
                Address(base.BRIDGE, node.bridge_address, base.prefix_length(scenario.pod_cidr)),
            ),
            routes=(
                Route(scenario.node_cidr, base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),
                Route(scenario.pod_cidr, base.BRIDGE, source=node.address),
            ),
            fdb=tuple(FdbEntry(DEVICE, ANY_MAC, other.address) for other in nodes if other is not node),
            sysctls=base.FORWARDING,
        )

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        a, b = plan.node_of[src], plan.node_of[dst]
        if a is b:
            return base.local_path(plan, src, dst, a.bridge_mac)
        source, target = plan.container_of.get(src), plan.container_of.get(dst)
        path = base.Path(a.mac, b.mac)
        if not target:  # a node's own address is not in the pods' network
            if source:
                path.eth_src, path.eth_dst = source.mac, a.bridge_mac
                path.leaves(source).crosses(a.name, base.BRIDGE, "in").routed(a.mac, b.mac)
            return tuple(path.over_switch(plan, a, b).hops)
        path.eth_src, path.eth_dst = source.mac if source else a.bridge_mac, target.mac
        if source:
            path.leaves(source)
        else:
            path.crosses(a.name, base.BRIDGE, "out")
        path.crosses(a.name, DEVICE, "out")
        path.outer = outer_header(a, b, UDP, udp_dport=PORT, vxlan_vni=VNI)
        path.over_switch(plan, a, b)
        path.outer = None
        return tuple(path.crosses(b.name, DEVICE, "in").enters(target).hops)

    def law(self, params: Mapping[str, str]) -> StateLaw:
        """A node's bridge and tunnel learn, each for itself, other nodes' bridges and containers. A container is asked
        for by every node, and remembers who has asked (``net/ipv4/arp.c``, ``arp_process``)."""
        node = {
            ROUTES: Growth(2),
            FDB: Growth(other_nodes=1),
            LEARNED_NEIGHBORS: Growth(other_nodes=1) + per_container(1),
            LEARNED_FDB: Growth(other_hosts=2, own_containers=1, others_containers=2),
        }
        container = {ROUTES: Growth(2), LEARNED_NEIGHBORS: Growth(other_nodes=1) + per_container(1)}
        return StateLaw(node, container, {FLOWS: base.SEGMENT_FLOWS})

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        mtu = plan.scenario.mtu - OVERHEAD_BYTES
        state = Claim(
            "tunnel-state",
            f"{DEVICE} is a port of {base.BRIDGE}, learns, and has a default entry for each other node: no more",
            _VXLAN,
            KernelState(tuple(query for node in plan.nodes for query in _state(node, plan, mtu))),
        )
        if plan.endpoints is None:
            return (state, *common_claims(plan, mtu, (state.id,)))
        src, dst = plan.endpoints
        source, target = plan.container_of[src], plan.container_of[dst]
        a, b = plan.node_of[src], plan.node_of[dst]
        probe, point = Ping(src, dst), f"{src}:eth0"
        journey = path_claims(
            plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _VXLAN, (state.id, "arp-reply")
        )
        return (
            state,
            mtu_claim(plan, mtu, (base.BRIDGE, DEVICE), f"{OVERHEAD_BYTES} bytes of VXLAN"),
            *arp_claims(
                probe,
                point,
                (source.mac, source.address),
                target.address,
                target.mac,
                "RFC 826: one layer 2, where everybody answers for himself",
                f"{dst} answers for itself, through the tunnel",
                (state.id,),
            ),
            *self._broadcast_claims(plan, probe),
            order_claim(probe, point, target.address, source.address, target.address, _VXLAN),
            *journey,
            Claim(
                "learned",
                f"every other node has learned that {src}'s MAC is behind {a.name}, which has learned {dst}'s behind"
                f" {b.name}",
                _LEARNING,
                KernelState(
                    (
                        *(_learned(node, source.mac, a) for node in plan.nodes if node is not a),
                        _learned(a, target.mac, b),
                    )
                ),
                (journey[-1].id,),
            ),
            *unseen_claim(
                "unicast",
                "no other node sees the packet",
                _LEARNING,
                Unseen(probe, bystanders(plan, a.name, b.name), {"inner.icmp.type": ECHO_REQUEST}),
                ("arp-reply",),
            ),
            *(
                Claim(
                    f"underlay-{what}",
                    f"no port of the switch sees {name}'s {what} outside of a tunnel",
                    _VXLAN,
                    Unseen(probe, switch_points(plan), {field: value}),
                )
                for name, what, field, value in (
                    (src, "address", "ip.src", source.address),
                    (dst, "address-as-destination", "ip.dst", target.address),
                    (src, "MAC", "eth.src", source.mac),
                )
            ),
            *common_claims(plan, mtu, (journey[-1].id,)),
        )

    def _broadcast_claims(self, plan: Plan, probe: Ping) -> tuple[Claim, ...]:
        """What becomes of the request: so many copies on the underlay, and everybody hears it."""
        source, a = plan.container_of[probe.src], plan.node_of[probe.src]
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": plan.address(probe.dst), "arp.spa": source.address}
        inside = {f"inner.{key}": value for key, value in asked.items()}
        copies = len(plan.nodes) - 1
        copies_in_words = "a copy" if copies == 1 else f"{copies} copies"
        copy = {"inner.eth.src": source.mac, "inner.eth.dst": BROADCAST_MAC, "ip.src": a.address, "vxlan.vni": VNI}
        others = tuple(f"{name}:eth0" for name in plan.container_of if name != probe.src)
        return (
            Claim(
                "arp-copies",
                f"{a.name} sends {copies_in_words} of the request, one to each other node",
                _COPIES,
                Seen(probe, (f"{a.name}:eth0",), {**inside, "dir": "out"}, copy, count=copies),
                ("arp-request",),
            ),
            Claim(
                "arp-copy",
                "one of them comes in at each",
                _COPIES,
                Seen(probe, bystanders(plan, a.name), {**inside, "dir": "in"}, copy, count=1),
                ("arp-copies",),
            ),
            Claim(
                "arp-heard",
                "every container hears the request, wherever it stands, and hears it once",
                _COPIES,
                Seen(probe, others, {**asked, "dir": "in"}, {"eth.src": source.mac, "eth.dst": BROADCAST_MAC}, count=1),
                ("arp-copy",),
            ),
        )


def _state(node: Node, plan: Plan, mtu: int) -> tuple[Query, ...]:
    """A node's tunnel, its entries that nobody has learned, and its routes. The bridge has the port's own MAC."""
    vxlan = {"id": VNI, "link": base.UPLINK, "local": node.address, "port": PORT, "learning": True}
    others = (other for other in plan.nodes if other is not node)
    return (
        Query(
            node.name,
            ("ip", "-j", "-d", "link", "show", "dev", DEVICE),
            (
                {
                    "mtu": mtu,
                    "master": base.BRIDGE,
                    "address": node.vtep_mac,
                    "linkinfo": {"info_kind": "vxlan", "info_data": vxlan, "info_slave_kind": "bridge"},
                },
            ),
        ),
        Query(
            node.name,
            ("bridge", "-j", "fdb", "show", "dev", DEVICE, "state", "permanent"),
            (
                {"mac": node.vtep_mac, "master": base.BRIDGE},
                *({"mac": ANY_MAC, "dst": other.address, "flags": ["self"]} for other in others),
            ),
        ),
        Query(
            node.name,
            ("ip", "-j", "-4", "route"),
            (
                {"dst": plan.scenario.node_cidr, "dev": base.UPLINK, "scope": "link"},
                {"dst": plan.scenario.pod_cidr, "dev": base.BRIDGE, "scope": "link", "prefsrc": node.address},
            ),
        ),
    )


def _learned(node: Node, mac: str, behind: Node) -> Query:
    """What a node's tunnel knows of a MAC."""
    argv = ("bridge", "-j", "fdb", "get", mac, "dev", DEVICE, "self")
    return Query(node.name, argv, ({"mac": mac, "dst": behind.address, "flags": ["self"]},))


DESIGN: base.Design = Flat()
