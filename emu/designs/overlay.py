"""Encapsulation: the deck's fourth picture.

    ctr-1 - cbr0 - flannel.1 = eth0 === L2 === eth0 = flannel.1 - cbr0 - ctr-4
                   a packet for a container rides inside a packet for its node

The underlay sees only nodes. State per node grows with the number of nodes, by what the back end declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emu.backends import all_backends
from emu.backends.base import Backend
from emu.claims import Claim, KernelState, Ping, Unseen
from emu.control import Control, Station
from emu.designs import base
from emu.designs.claims import arp_claims, common_claims, path_claims, switch_points
from emu.laws import FLOWS, LEARNED_FDB, LEARNED_NEIGHBORS, ROUTES, Growth, StateLaw
from emu.model import Address, Hop, Machine, Node, Plan, Route, Scenario

_DECK = "deck, slides 25-33"
_UNBUILT = ("udp", "wireguard", "geneve", "ipip", "gre")


class Overlay:
    """See the module."""

    name = "overlay"
    summary = "pods' packets inside packets between nodes (flannel's VXLAN)"
    has_containers = True
    parameters: Mapping[str, base.Parameter] = {
        "backend": base.Parameter(tuple(all_backends()), unbuilt=_UNBUILT),
        "outside": base.Parameter(("none",), unbuilt=("route", "bridge", "client")),
    }

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        backend = all_backends()[params["backend"]]
        nodes = base.nodes_for(scenario)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, nodes, backend, scenario))
            machines.extend(base.container_machines(node, scenario.mtu - backend.overhead_bytes, None))
        control = Control(("l2_switch",), 1, tuple(Station(n.name, n.mac, n.number) for n in nodes))
        return base.assemble(self, scenario, params, nodes, machines, control)

    def _node(self, node: Node, nodes: tuple[Node, ...], backend: Backend, scenario: Scenario) -> Machine:
        mtu = scenario.mtu - backend.overhead_bytes
        peers = [backend.peer(node, other) for other in nodes if other is not node]
        machine = base.node_with_pods(
            node,
            devices=(
                *base.pod_bridge(node, node.bridge_mac, mtu),
                base.uplink(node, scenario.mtu),
                *backend.devices(node, mtu),
            ),
            addresses=(
                Address(base.UPLINK, node.address, base.prefix_length(scenario.node_cidr)),
                *backend.addresses(node),
            ),
            routes=(
                Route(scenario.node_cidr, base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),
                *(route for peer in peers for route in peer.routes),
            ),
        )
        return replace(
            machine,
            neighbors=tuple(neighbor for peer in peers for neighbor in peer.neighbors),
            fdb=tuple(entry for peer in peers for entry in peer.fdb),
        )

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        a, b = plan.node_of[src], plan.node_of[dst]
        if a is b:
            return base.local_path(plan, src, dst, a.bridge_mac)
        backend = all_backends()[plan.params["backend"]]
        source, target = plan.container_of.get(src), plan.container_of.get(dst)
        path = base.Path(a.mac, b.mac)
        if source:
            path.eth_src, path.eth_dst = source.mac, a.bridge_mac
            path.leaves(source).crosses(a.name, base.BRIDGE, "in").routed(a.mac, b.mac)
        if target:
            path.eth_src, path.eth_dst = backend.inner_macs(a, b)
            path.crosses(a.name, backend.device_name, "out")
            path.outer = backend.outer(a, b)
            path.over_switch(plan, a, b)
            path.outer = None
            path.crosses(b.name, backend.device_name, "in")
            path.routed(b.bridge_mac, target.mac).crosses(b.name, base.BRIDGE, "out").enters(target)
        else:  # a node's own address needs no tunnel
            path.over_switch(plan, a, b)
        return tuple(path.hops)

    def law(self, params: Mapping[str, str]) -> StateLaw:
        peers = all_backends()[params["backend"]].law
        node = {
            **peers,
            ROUTES: Growth(2) + peers.get(ROUTES, Growth()),
            LEARNED_NEIGHBORS: Growth(other_nodes=1, own_containers=1),
            LEARNED_FDB: Growth(own_containers=1),
        }
        return StateLaw(node, base.CONTAINER_STATE, {FLOWS: base.SEGMENT_FLOWS})

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        backend = all_backends()[plan.params["backend"]]
        mtu = plan.scenario.mtu - backend.overhead_bytes
        state = Claim(
            "flannel-state",
            f"devices, neighbors, FDB entries and routes of {backend.device_name} are those flannel writes, no more",
            "flannel pkg/backend/vxlan: device.go, vxlan_network.go",
            KernelState(
                tuple(
                    query
                    for node in plan.nodes
                    for query in backend.state(node, tuple(other for other in plan.nodes if other is not node), mtu)
                )
            ),
        )
        if plan.endpoints is None:
            return (state, *common_claims(plan, mtu, ("flannel-state",)))
        src, dst = plan.endpoints
        a, b, source, target = plan.node_of[src], plan.node_of[dst], plan.container_of[src], plan.container_of[dst]
        probe, point = Ping(src, dst), f"{a.name}:eth0"
        journey = path_claims(
            plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _DECK, ("flannel-state", "arp-reply")
        )
        delivered = (journey[-1].id,)
        return (
            state,
            *arp_claims(
                probe,
                point,
                (a.mac, a.address),
                b.address,
                b.mac,
                "RFC 826: the underlay knows nodes",
                f"{b.name} answers for itself",
                ("flannel-state",),
            ),
            *journey,
            *(
                Claim(
                    f"underlay-{what}",
                    f"no port of the switch sees {name}'s {what} outside of a tunnel",
                    _DECK,
                    Unseen(probe, switch_points(plan), {field: value}),
                )
                for name, what, field, value in (
                    (src, "address", "ip.src", source.address),
                    (dst, "address-as-destination", "ip.dst", target.address),
                    (src, "MAC", "eth.src", source.mac),
                )
            ),
            *common_claims(plan, mtu, delivered),
        )


DESIGN: base.Design = Overlay()
