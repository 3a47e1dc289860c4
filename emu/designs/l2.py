"""Containers on layer 2, with proxy ARP: the deck's second picture.

    ctr-1 --+                      +-- ctr-4       cbr0 holds eth0: containers stand on the node segment
            cbr0 -eth0- L2 -eth0- cbr0             and ask there, in their own name, for other containers;
          node-a                 node-c            the answer is the MAC of the *node*, which routes.

Per node: the node's address and the bridge's on cbr0, whose MAC is the node's. Its own traffic to remote
containers uses an on-link route for all pods kept in a table of its own (rule ``iif lo``): in the main table
it would make the node answer, and route, for everybody's containers.

A node that resolves one of its own containers broadcasts on eth0 too, cbr0 being one bridge. The switch drops
that request: its target is behind the port that asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from emu.claims import ArpRequest, ArpRequests, Claim, Ping, Unseen
from emu.designs import base
from emu.designs.claims import arp_claims, bystanders, common_claims, order_claim, path_claims, unseen_claim
from emu.model import (
    Address,
    Binding,
    Control,
    Hop,
    Machine,
    Node,
    Plan,
    ProxyArp,
    Route,
    Rule,
    Scenario,
    Station,
)
from emu.packets import ARP_REPLY, ARP_REQUEST, ECHO_REQUEST

_DECK = "deck, slides 9-13"
_OWN_TRAFFIC = Rule(priority=40_000, table=100, iif="lo")
"""Behind the main table (priority 32766: ``net/ipv4/fib_rules.c``), which knows the node's own containers."""


class L2:
    """See the module."""

    name = "l2"
    summary = "containers on the nodes' segment; their node's MAC is told for them (proxy ARP)"
    has_containers = True
    parameters: Mapping[str, base.Parameter] = {
        "proxy_arp": base.Parameter(("controller",), unbuilt=("switch", "node")),
    }

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes = base.nodes_for(scenario)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, scenario))
            machines.extend(base.container_machines(node, scenario.mtu, scenario.pod_cidr))
        answered = tuple(
            Binding(address, node.mac, node.number)
            for node in nodes
            for address in (node.bridge_address, *(c.address for c in node.containers))
        )
        stations = tuple(
            Station(name, mac, node.number)
            for node in nodes
            for name, mac in ((node.name, node.mac), *((c.name, c.mac) for c in node.containers))
        )
        control = Control(("l2_switch", "proxy_arp"), 1, stations, ProxyArp((scenario.pod_cidr,), answered))
        return base.assemble(self, scenario, params, nodes, machines, control)

    def _node(self, node: Node, scenario: Scenario) -> Machine:
        machine = base.node_with_pods(
            node,
            devices=(*base.pod_bridge(node, node.mac, scenario.mtu), base.uplink(node, scenario.mtu, base.BRIDGE)),
            addresses=(Address(base.BRIDGE, node.address, base.prefix_length(scenario.node_cidr)),),
            routes=(
                Route(scenario.node_cidr, base.BRIDGE, source=node.address, congctl=base.CONGESTION_CONTROL),
                Route(scenario.pod_cidr, base.BRIDGE, source=node.address, table=_OWN_TRAFFIC.table),
            ),
        )
        return replace(machine, rules=(_OWN_TRAFFIC,))

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        a, b = plan.node_of[src], plan.node_of[dst]
        if a is b:
            return base.local_path(plan, src, dst, a.mac)
        source, target = plan.container_of.get(src), plan.container_of.get(dst)
        path = base.Path(source.mac if source else a.mac, b.mac)
        if source and target:
            path.leaves(source)
        elif source:  # a node's address is not on-link for a container: its own node routes
            path.eth_dst = a.mac
            path.leaves(source).crosses(a.name, base.BRIDGE, "in")
            path.routed(a.mac, b.mac).crosses(a.name, base.BRIDGE, "out")
        else:
            path.crosses(a.name, base.BRIDGE, "out")
        path.over_switch(plan, a, b).crosses(b.name, base.BRIDGE, "in")
        if target:
            path.routed(b.mac, target.mac).crosses(b.name, base.BRIDGE, "out").enters(target)
        return tuple(path.hops)

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        if plan.endpoints is None:
            return tuple(common_claims(plan, plan.scenario.mtu, ()))
        src, dst = plan.endpoints
        a, b, source, target = plan.node_of[src], plan.node_of[dst], plan.container_of[src], plan.container_of[dst]
        probe, point = Ping(src, dst), f"{a.name}:eth0"
        unasked = (*bystanders(plan, a.name), f"{dst}:eth0")
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": target.address, "arp.spa": source.address}
        journey = path_claims(plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _DECK, ("arp-reply",))
        delivered = (journey[-1].id,)
        return (
            *arp_claims(
                probe,
                point,
                (source.mac, source.address),
                target.address,
                b.mac,
                _DECK,
                f"proxy ARP answers with {b.name}'s MAC, not {dst}'s own",
            ),
            *unseen_claim(
                "arp-unheard",
                f"the controller answers: no other node, and not {dst}, hears the request",
                "proxy_arp=controller floods nothing",
                Unseen(probe, unasked, asked),
            ),
            *unseen_claim(
                "own-question",
                f"{b.name} asks on its bridge for {dst}, and so on the segment: the switch lets no other node hear it",
                "the target is behind the port that asks",
                Unseen(probe, bystanders(plan, b.name), {**asked, "arp.spa": b.bridge_address, "dir": "in"}),
                ("arp-reply",),
            ),
            order_claim(probe, point, target.address, source.address, target.address, _DECK),
            *journey,
            *unseen_claim(
                "unicast",
                "no other node sees the packet",
                _DECK,
                Unseen(probe, bystanders(plan, a.name, b.name), {"icmp.type": ECHO_REQUEST}),
                ("arp-reply",),
            ),
            *self._silence(plan, src, dst),
            *common_claims(plan, plan.scenario.mtu, delivered),
        )

    def _silence(self, plan: Plan, src: str, dst: str) -> list[Claim]:
        """Proxy ARP keeps silent where it does not know, or where an answer would do harm."""
        source, node = plan.container_of[src], plan.node_of[src]
        unknown = str(IPv4Network(plan.scenario.pod_cidr)[9])  # of the first pod subnet, which no node gets
        fence = ArpRequest(source.address, plan.address(dst))
        cases = {
            "unknown": (unknown, source.address, "an address nobody has"),
            "own-port": (
                node.containers[-1].address if len(node.containers) > 1 else node.bridge_address,
                source.address,
                "an address behind the asking port",
            ),
            "probe": (plan.address(dst), "0.0.0.0", "a probe from 0.0.0.0 (RFC 5227)"),
            "gratuitous": (source.address, source.address, "the asker's own address"),
        }
        claims: list[Claim] = []
        for case, (wanted, sender, words) in cases.items():
            probe = ArpRequests(src, (ArpRequest(sender, wanted), fence))
            claims += unseen_claim(
                f"silent-{case}",
                f"no answer from the switch for {words}",
                "RFC 1027, RFC 5227",
                Unseen(
                    probe,
                    (f"{node.name}:eth0",),
                    {"arp.op": ARP_REPLY, "arp.spa": wanted, "arp.tpa": sender, "dir": "in"},
                ),
                ("arp-reply",),
            )
        return claims


DESIGN: base.Design = L2()
