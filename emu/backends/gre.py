"""GRE (RFC 2784), without key, checksum and sequence number.

One device that takes its remote end from the route (``external``: ip-link(8), ip-route(8), ``encap ip``). A device
without one that goes by its route's next hop, as IP in IP does, loses packets: GRE takes the neighbor's hardware
address for it, which here is none (tried on Linux 6.1; ``net/ipv4/ip_gre.c``, ``ipgre_header``).

Entries per node: 1 for each other node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.backends.base import UNDERLAY, Backend, Peer, Plain, address_query, link_query, outer_header, routes_query
from emu.claims import Query
from emu.laws import ROUTES, Amounts, Growth
from emu.model import Device, Encap, Node, Route, Scenario, Tunnel
from emu.packets import ETHERTYPE_IPV4, GRE


class GreBackend(Plain):
    """See the module."""

    name = "gre"
    device_name = "pods-gre"
    overhead_bytes = 24
    """The outer IPv4 header, 20, and GRE's, 4."""
    source = "RFC 2784; ip-route(8), encap ip"
    law: Amounts = {ROUTES: Growth(other_nodes=1)}

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        return (Device(self.device_name, "gre", "", mtu, tunnel=Tunnel(UNDERLAY, node.address)),)

    def peer(self, node: Node, other: Node) -> Peer:
        return Peer(routes=(Route(other.pod_subnet, self.device_name, encap=Encap(other.address)),))

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        return outer_header(node_a, node_b, GRE, gre_type=ETHERTYPE_IPV4)

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        device = self.device_name
        return (
            link_query(node, device, scenario.mtu - self.overhead_bytes, info_kind="gre"),
            address_query(node, device, node.vtep_address),
            routes_query(node, device, [{"dst": o.pod_subnet, "encap": "ip", "dst.2": o.address, "scope": "link"}
                                        for o in others]),
        )


BACKEND: Backend = GreBackend()
