"""Layer 3 without a gateway: flannel's ``host-gw``. Every node is the router for its own pods.

    ctr-1 - cbr0 - eth0 --- L2 --- eth0 - cbr0 - ctr-4      a packet for a container goes to its node's MAC:
          node-a                        node-c              nothing is added to it, nobody else routes it

All nodes stand on one segment, for a next hop must be on-link. State per node: a route for each other node, as flannel
writes it (``pkg/backend/hostgw``: via the other node's address, by the interface that has it), and a neighbor for
each it talks to.
"""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, KernelState, Ping, Query, Unseen
from emu.control import Control, Station
from emu.designs import base
from emu.designs.claims import (
    arp_claims,
    bystanders,
    common_claims,
    order_claim,
    path_claims,
    switch_points,
    unseen_claim,
)
from emu.laws import FLOWS, LEARNED_FDB, LEARNED_NEIGHBORS, ROUTES, Growth, StateLaw
from emu.model import Address, Hop, Machine, Node, Plan, Route, Scenario
from emu.packets import ECHO_REQUEST

_FLANNEL = "flannel pkg/backend/hostgw, pkg/backend/route_network.go"


class HostGw(base.OneWay):
    """See the module."""

    name = "hostgw"
    summary = "nodes on one segment, each with routes to the other nodes' pods (flannel's host-gw)"
    has_containers = True
    parameters: Mapping[str, base.Parameter] = {}

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes = base.nodes_for(scenario)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, nodes, scenario))
            machines.extend(base.container_machines(node, scenario.mtu, None))
        control = Control(("l2_switch",), 1, tuple(Station(n.name, n.mac, n.number) for n in nodes))
        return base.assemble(self, scenario, params, nodes, machines, control)

    def _node(self, node: Node, nodes: tuple[Node, ...], scenario: Scenario) -> Machine:
        return base.node_with_pods(
            node,
            devices=(*base.pod_bridge(node, node.bridge_mac, scenario.mtu), base.uplink(node, scenario.mtu)),
            addresses=(Address(base.UPLINK, node.address, base.prefix_length(scenario.node_cidr)),),
            routes=(
                Route(scenario.node_cidr, base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),
                *(
                    Route(other.pod_subnet, base.UPLINK, via=other.address)
                    for other in nodes
                    if other is not node
                ),
            ),
        )

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        a, b = plan.node_of[src], plan.node_of[dst]
        if a is b:
            return base.local_path(plan, src, dst, a.bridge_mac)
        source, target = plan.container_of.get(src), plan.container_of.get(dst)
        path = base.Path(a.mac, b.mac)
        if source:
            path.eth_src, path.eth_dst = source.mac, a.bridge_mac
            path.leaves(source).crosses(a.name, base.BRIDGE, "in").routed(a.mac, b.mac)
        path.over_switch(plan, a, b)
        if target:
            path.routed(b.bridge_mac, target.mac).crosses(b.name, base.BRIDGE, "out").enters(target)
        return tuple(path.hops)

    def law(self, params: Mapping[str, str]) -> StateLaw:
        node = {
            ROUTES: Growth(2, other_nodes=1),
            LEARNED_NEIGHBORS: Growth(other_nodes=1, own_containers=1),
            LEARNED_FDB: Growth(own_containers=1),
        }
        return StateLaw(node, base.CONTAINER_STATE, {FLOWS: base.SEGMENT_FLOWS})

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        state = Claim(
            "node-routes",
            "every node has its segment, its own pods and one route by each other node's address: no more",
            _FLANNEL,
            KernelState(tuple(self._routes(node, plan) for node in plan.nodes)),
        )
        if plan.endpoints is None:
            return (state, *common_claims(plan, plan.scenario.mtu, (state.id,)))
        src, dst = plan.endpoints
        a, b, source = plan.node_of[src], plan.node_of[dst], plan.container_of[src]
        probe, point = Ping(src, dst), f"{a.name}:eth0"
        journey = path_claims(
            plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _FLANNEL, (state.id, "arp-reply")
        )
        return (
            state,
            *arp_claims(
                probe,
                point,
                (a.mac, a.address),
                b.address,
                b.mac,
                "RFC 826: the next hop is asked for, not the container",
                f"{b.name} answers for itself",
                (state.id,),
            ),
            order_claim(probe, point, b.address, source.address, plan.address(dst), _FLANNEL),
            *journey,
            *unseen_claim(
                "pods-macs",
                f"no port of the switch sees {src}'s MAC: its node routes",
                _FLANNEL,
                Unseen(probe, switch_points(plan), {"eth.src": source.mac}),
            ),
            *unseen_claim(
                "unicast",
                "no other node sees the packet",
                _FLANNEL,
                Unseen(probe, bystanders(plan, a.name, b.name), {"icmp.type": ECHO_REQUEST}),
                ("arp-reply",),
            ),
            *common_claims(plan, plan.scenario.mtu, (journey[-1].id,)),
        )

    def _routes(self, node: Node, plan: Plan) -> Query:
        return Query(
            node.name,
            ("ip", "-j", "-4", "route"),
            (
                {"dst": plan.scenario.node_cidr, "dev": "eth0", "scope": "link"},
                {"dst": node.pod_subnet, "dev": "cbr0", "scope": "link"},
                *(
                    {"dst": other.pod_subnet, "gateway": other.address, "dev": "eth0", "flags": []}
                    for other in plan.nodes
                    if other is not node
                ),
            ),
        )


DESIGN: base.Design = HostGw()
