"""Layer 2, Ethernet, nodes only: the deck's first picture and the baseline of every comparison.

    node-a    node-b
       |         |
     --+-- L2 ---+--     one segment, one prefix, no router
       |         |
    node-c    node-d

State per node: one on-link route. Whoever is addressed answers ARP itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, Ping, Seen, Unseen
from emu.control import Control, Station
from emu.designs import base
from emu.designs.claims import arp_claims, bystanders, common_claims, order_claim, path_claims, unseen_claim
from emu.laws import FLOWS, LEARNED_NEIGHBORS, ROUTES, Growth, StateLaw
from emu.model import Address, Hop, Machine, Plan, Route, Scenario
from emu.packets import ARP_REPLY, ARP_REQUEST, ECHO_REQUEST

_DECK = "deck, slides 3-7"


class Bare(base.OneWay):
    """See the module."""

    name = "bare"
    summary = "nodes on one Ethernet segment, no containers: the baseline"
    has_containers = False
    parameters: Mapping[str, base.Parameter] = {}

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        nodes = base.nodes_for(scenario, with_containers=False)
        machines = tuple(
            Machine(
                name=node.name,
                kind="node",
                address=node.address,
                devices=(base.uplink(node, scenario.mtu),),
                addresses=(Address(base.UPLINK, node.address, base.prefix_length(scenario.node_cidr)),),
                routes=(Route(scenario.node_cidr, base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),),
                sysctls=base.NOT_FORWARDING,
            )
            for node in nodes
        )
        control = Control(("l2_switch",), 1, tuple(Station(n.name, n.mac, n.number) for n in nodes))
        return base.assemble(self, scenario, params, nodes, machines, control)

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        a, b = plan.node_of[src], plan.node_of[dst]
        return tuple(base.Path(a.mac, b.mac).over_switch(plan, a, b).hops)

    def law(self, params: Mapping[str, str]) -> StateLaw:
        node = {ROUTES: Growth(1), LEARNED_NEIGHBORS: Growth(other_nodes=1)}
        return StateLaw(node, switch={FLOWS: base.SEGMENT_FLOWS})

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        assert plan.endpoints is not None  # nodes are the endpoints here, and there are two at least
        src, dst = plan.endpoints
        a, b = plan.node_of[src], plan.node_of[dst]
        probe, point = Ping(src, dst), f"{src}:eth0"
        others = bystanders(plan, src, dst)
        heard = {"arp.op": ARP_REQUEST, "arp.tpa": b.address, "dir": "in"}
        journey = path_claims(plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _DECK, ("arp-reply",))
        delivered = (journey[-1].id,)
        return (
            *arp_claims(probe, point, (a.mac, a.address), b.address, b.mac, _DECK, f"{dst} answers for itself"),
            Claim(
                "arp-heard",
                "every other node hears the request",
                _DECK,
                Seen(probe, (*others, f"{dst}:eth0"), heard, {"arp.sha": a.mac, "arp.spa": a.address}, count=1),
                needs=("arp-request",),
            ),
            *unseen_claim(
                "arp-alone",
                f"nobody but {src} sees the answer",
                _DECK,
                Unseen(probe, others, {"arp.op": ARP_REPLY, "arp.spa": b.address, "arp.tpa": a.address}),
            ),
            order_claim(probe, point, b.address, a.address, b.address, _DECK),
            *journey,
            *unseen_claim(
                "unicast",
                "no other node sees the packet",
                _DECK,
                Unseen(probe, others, {"icmp.type": ECHO_REQUEST}),
                ("arp-reply",),
            ),
            *common_claims(plan, plan.scenario.mtu, delivered),
        )


DESIGN: base.Design = Bare()
