"""Containers on layer 2, with proxy ARP: the deck's second picture.

    ctr-1 --+                      +-- ctr-4       cbr0 holds eth0: containers stand on the node segment
            cbr0 -eth0- L2 -eth0- cbr0             and ask there, in their own name, for other containers;
          node-a                 node-c            the answer is the MAC of the *node*, which routes.

Per node: the node's address and the bridge's on cbr0, whose MAC is the node's. Its own traffic to remote
containers uses an on-link route for all pods kept in a table of its own (rule ``iif lo``): in the main table
it would make the node answer, and route, for everybody's containers.

A node that resolves one of its own containers broadcasts on eth0 too, cbr0 being one bridge. The switch drops
that request: its target is behind the port that asks.

Who answers is the parameter ``proxy_arp``:

- ``controller``: the request is handed to it, and it sends the answer back by the port the request came from;
- ``switch``: flows that turn a request into its answer are there beforehand; nobody is asked;
- ``node``: the switch floods, and the node where the container stands answers, by ``proxy_arp_pvlan`` on cbr0
  (plain ``proxy_arp`` answers only where the route leads out by another interface). A bridge would pass the broadcast
  on to its containers, whose own answers would come as well; ping would work, with nothing proxied. So each node
  filters: what comes by eth0 goes to no container, and to the node only where it is asked for itself or its own
  containers; what its containers ask goes to the node only where it is asked for itself; what is asked for its own
  containers at home stays at home. A kernel that answers learns the asker's own MAC (``net/ipv4/arp.c``,
  ``arp_process``), and would send what it has to say itself straight to a container that has asked, past that one's
  node. So here its own traffic has a route for each other node's pods instead of the one on-link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from emu.claims import ArpRequest, ArpRequests, Claim, PacketIns, Ping, Refused, Seen, Unseen
from emu.control import Binding, Control, ProxyArp, Station
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
from emu.filters import ArpFilter
from emu.laws import FLOWS, LEARNED_FDB, LEARNED_NEIGHBORS, ROUTES, RULES, Growth, StateLaw, per_container, per_node
from emu.model import BROADCAST_MAC, Address, Hop, Machine, Node, Plan, Route, Rule, Scenario
from emu.packets import ARP_REPLY, ARP_REQUEST, ECHO_REQUEST

_DECK = "deck, slides 9-13"
_OWN_TRAFFIC = Rule(priority=40_000, table=100, iif="lo")
"""Behind the main table (priority 32766: ``net/ipv4/fib_rules.c``), which knows the node's own containers."""

_NOBODY = "0e:00:00:00:00:01"
"""A MAC that no machine of any plan has: ports of bridges are 0e:58, and named after an address."""

_ANSWERING = (("conf.*.proxy_arp_pvlan", "1"), ("neigh.*.proxy_delay", "0"))
"""Of cbr0 (Documentation/networking/ip-sysctl.rst). By default a proxy lets up to 0.8 s go by first (arp(7))."""


def _filters(node: Node) -> tuple[ArpFilter, ...]:
    own = (node.address, node.bridge_address)
    answered = (*own, *(container.address for container in node.containers))
    at_home = (node.pod_subnet,)
    return (
        ArpFilter("forward", "the node answers for its containers", came_by=base.UPLINK),
        ArpFilter("input", "not for this node or its containers", came_by=base.UPLINK, targets=answered, others=True),
        ArpFilter("input", "a container asks, not for this node", came_not_by=base.UPLINK, targets=own, others=True),
        ArpFilter("forward", "who is asked for is at home", leaves_by=base.UPLINK, targets=at_home),
        ArpFilter("output", "whom the node asks for is at home", leaves_by=base.UPLINK, targets=at_home),
    )


class L2(base.OneWay):
    """See the module."""

    name = "l2"
    summary = "containers on the nodes' segment; their node's MAC is told for them (proxy ARP)"
    has_containers = True
    parameters: Mapping[str, base.Parameter] = {
        "proxy_arp": base.Parameter(("controller", "switch", "node")),
    }

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes = base.nodes_for(scenario)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, nodes, scenario, params["proxy_arp"]))
            machines.extend(base.container_machines(node, scenario.mtu, scenario.pod_cidr))
        control = self._control(nodes, scenario, params["proxy_arp"])
        return base.assemble(self, scenario, params, nodes, machines, control)

    def _control(self, nodes: tuple[Node, ...], scenario: Scenario, answerer: str) -> Control:
        stations: list[Station] = []
        for node in nodes:
            own = (node.address, node.bridge_address)
            answers_for = tuple(c.address for c in node.containers) if answerer == "node" else ()
            stations.append(Station(node.name, node.mac, node.number, (*own, *answers_for)))
            stations += [Station(c.name, c.mac, node.number, (c.address,)) for c in node.containers]
        if answerer == "node":
            return Control(("l2_switch",), 1, tuple(stations))
        bindings = tuple(
            Binding(address, node.mac, node.number)
            for node in nodes
            for address in (node.bridge_address, *(c.address for c in node.containers))
        )
        proxy_arp = ProxyArp((scenario.pod_cidr,), bindings, answerer)
        return Control(("l2_switch", "proxy_arp"), 1, tuple(stations), proxy_arp)

    def _node(self, node: Node, nodes: tuple[Node, ...], scenario: Scenario, answerer: str) -> Machine:
        own = Route(scenario.pod_cidr, base.BRIDGE, source=node.address, table=_OWN_TRAFFIC.table)
        to_pods: tuple[Route, ...] = (own,)
        bridge, *ports = base.pod_bridge(node, node.mac, scenario.mtu)
        if answerer == "node":
            bridge = replace(bridge, settings=_ANSWERING)
            others = (other for other in nodes if other is not node)
            to_pods = tuple(replace(own, destination=other.pod_subnet, via=other.address) for other in others)
        machine = base.node_with_pods(
            node,
            devices=(bridge, *ports, base.uplink(node, scenario.mtu, base.BRIDGE)),
            addresses=(Address(base.BRIDGE, node.address, base.prefix_length(scenario.node_cidr)),),
            routes=(
                Route(scenario.node_cidr, base.BRIDGE, source=node.address, congctl=base.CONGESTION_CONTROL),
                *to_pods,
            ),
        )
        return replace(machine, rules=(_OWN_TRAFFIC,), filters=_filters(node) if answerer == "node" else ())

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

    def law(self, params: Mapping[str, str]) -> StateLaw:
        """Of all the flows, eight or six are fixed; the rest say where nodes and containers are, which addresses each
        may give as its own, and, but where nodes answer, what is answered for each."""
        by_node = params["proxy_arp"] == "node"
        node = {
            ROUTES: Growth(2, other_nodes=1) if by_node else Growth(3),
            RULES: Growth(1),
            LEARNED_NEIGHBORS: Growth(other_nodes=1) + per_container(1),
            LEARNED_FDB: Growth(other_nodes=1) + per_container(1),
        }
        flows = Growth(6) + per_node(10) + per_container(9) if by_node else Growth(8) + per_node(13) + per_container(11)
        return StateLaw(node, {ROUTES: Growth(2), LEARNED_NEIGHBORS: per_container(1)}, {FLOWS: flows})

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        if plan.endpoints is None:
            return tuple(common_claims(plan, plan.scenario.mtu, ()))
        src, dst = plan.endpoints
        a, b, source, target = plan.node_of[src], plan.node_of[dst], plan.container_of[src], plan.container_of[dst]
        probe, point = Ping(src, dst), f"{a.name}:eth0"
        journey = path_claims(plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _DECK, ("arp-reply",))
        delivered = (journey[-1].id,)
        answerer = plan.params["proxy_arp"]
        packets = 2 if answerer == "controller" else 0  # the far container asks, too, for the way back
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
            *(self._answered_by_node if answerer == "node" else self._answered_by_switch)(plan, probe),
            order_claim(probe, point, target.address, source.address, target.address, _DECK),
            *journey,
            *unseen_claim(
                "unicast",
                "no other node sees the packet",
                _DECK,
                Unseen(probe, bystanders(plan, a.name, b.name), {"icmp.type": ECHO_REQUEST}),
                ("arp-reply",),
            ),
            Claim(
                "packet-ins",
                f"the switch hands {'both questions' if packets else 'nothing'} of a first ping to the controller",
                f"proxy_arp={answerer}: the controller's own counter",
                PacketIns(src, dst, packets),
                delivered,
            ),
            *self._silence(plan, src, dst),
            *self._spoofed(plan, src, dst),
            *common_claims(plan, plan.scenario.mtu, delivered),
        )

    def _answered_by_switch(self, plan: Plan, probe: Ping) -> list[Claim]:
        """The request ends at the switch, where the controller or a flow answers."""
        a, b = plan.node_of[probe.src], plan.node_of[probe.dst]
        source, target = plan.address(probe.src), plan.address(probe.dst)
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": target, "arp.spa": source}
        answerer = plan.params["proxy_arp"]
        return [
            *unseen_claim(
                "arp-unheard",
                f"the {answerer} answers: no other node, and not {probe.dst}, hears the request",
                f"proxy_arp={answerer} floods nothing",
                Unseen(probe, (*bystanders(plan, a.name), f"{probe.dst}:eth0"), asked),
            ),
            *unseen_claim(
                "arp-not-by-node",
                f"{b.name} itself answers nothing",
                f"proxy_arp={answerer}",
                Unseen(probe, (f"{b.name}:eth0",), {"arp.op": ARP_REPLY, "arp.spa": target, "arp.tpa": source}),
                ("arp-reply",),
            ),
            *unseen_claim(
                "own-question",
                f"{b.name} asks on its bridge for {probe.dst}, and so on the segment: the switch lets no other node"
                " hear it",
                "the target is behind the port that asks",
                Unseen(probe, bystanders(plan, b.name), {**asked, "arp.spa": b.bridge_address, "dir": "in"}),
                ("arp-reply",),
            ),
        ]

    def _answered_by_node(self, plan: Plan, probe: Ping) -> list[Claim]:
        """The request goes to every node, and the kernel of one answers for its container, which hears nothing."""
        a, b = plan.node_of[probe.src], plan.node_of[probe.dst]
        source, target = plan.address(probe.src), plan.address(probe.dst)
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": target, "arp.spa": source}
        answered = {"arp.op": ARP_REPLY, "arp.spa": target, "arp.tpa": source}
        elsewhere = tuple(f"{c.name}:eth0" for node in plan.nodes if node is not a for c in node.containers)
        kernel = f"proxy_arp=node: {b.name}'s kernel"
        return [
            Claim(
                "arp-heard",
                "the switch floods: every other node hears the request, once",
                "proxy_arp=node: the switch knows of no proxy",
                Seen(probe, bystanders(plan, a.name), {**asked, "dir": "in"}, {"eth.dst": BROADCAST_MAC}, count=1),
                ("arp-request",),
            ),
            *unseen_claim(
                "arp-unheard",
                f"no container of another node hears it: not {probe.dst}, which would answer too",
                "nftables, bridge family: what comes in by eth0 goes to no container",
                Unseen(probe, elsewhere, asked),
            ),
            Claim(
                "arp-by-kernel",
                f"{b.name}'s kernel answers, by its bridge",
                kernel,
                Seen(
                    probe,
                    (f"{b.name}:cbr0",),
                    {**answered, "dir": "out"},
                    {"eth.src": b.mac, "arp.sha": b.mac},
                    count=1,
                ),
                ("arp-reply",),
            ),
            *unseen_claim(
                "arp-by-nobody-else",
                f"no other node answers, and no port of the switch but {b.name}'s brings an answer",
                "each node answers for its own containers only",
                Unseen(
                    probe,
                    tuple(p for p in switch_points(plan) if p != f"switch:{plan.port_of[b.name].device}"),
                    {**answered, "dir": "in"},
                ),
                ("arp-reply",),
            ),
            *unseen_claim(
                "own-question",
                f"{b.name} asks on its bridge for {probe.dst}: its filter keeps that off the segment",
                "nftables, bridge family: a question for a container at home stays at home",
                Unseen(probe, bystanders(plan), {**asked, "arp.spa": b.bridge_address}),
                ("arp-reply",),
            ),
        ]

    def _spoofed(self, plan: Plan, src: str, dst: str) -> list[Claim]:
        """ARP that contradicts the plan ends at the switch. (On its own node a container is heard by its neighbors on
        cbr0 in any case: that is one Ethernet.)"""
        source, target = plan.container_of[src], plan.container_of[dst]
        a, b = plan.node_of[src], plan.node_of[dst]
        forged = (
            ArpRequest(target.address, b.bridge_address, target.mac),  # wrong port
            ArpRequest(source.address, b.bridge_address, _NOBODY),  # wrong MAC
            ArpRequest(target.address, b.bridge_address),  # wrong address
        )
        probe = ArpRequests(src, (*forged, ArpRequest(source.address, target.address)))
        names = {"arp.op": ARP_REQUEST, "arp.tpa": b.bridge_address, "dir": "in"}
        reply = {"arp.op": ARP_REPLY, "arp.spa": b.bridge_address}
        return [
            *unseen_claim(
                "spoofed-unheard",
                f"what {src} asks with another's port, MAC or address is heard by no other node",
                "RFC 826 has no proof of who speaks: the plan is",
                Unseen(probe, bystanders(plan, a.name), names),
                ("arp-reply",),
            ),
            *unseen_claim(
                "spoofed-unanswered",
                "nor is it answered",
                "RFC 826 has no proof of who speaks: the plan is",
                Unseen(probe, (f"{a.name}:eth0",), reply),
                ("arp-reply",),
            ),
            Claim(
                "spoofed-counted",
                f"the switch has counted all {len(forged)}, and learned nothing from them",
                "counters of the flows about who may speak for an address",
                Refused(probe),
                ("arp-reply",),
            ),
        ]

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
                f"no answer from the segment for {words}",
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
