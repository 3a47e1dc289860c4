"""GENEVE (RFC 8926): as VXLAN, with room for options that nobody here uses.

One device that takes its remote end from the route (``external``), which is one entry less than VXLAN's FDB has; the
frame inside still needs the far device's MAC.

Entries per node: 2 for each other node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.backends.base import (
    UNDERLAY,
    Backend,
    Peer,
    Plain,
    address_query,
    link_query,
    neighbors_query,
    outer_header,
    routes_query,
)
from emu.claims import Query
from emu.laws import NEIGHBORS, ROUTES, Amounts, Growth
from emu.model import Device, Encap, Neighbor, Node, Route, Scenario, Tunnel
from emu.packets import GENEVE_PORT, UDP

VNI = 1


class GeneveBackend(Plain):
    """See the module."""

    name = "geneve"
    device_name = "pods-geneve"
    overhead_bytes = 50
    """As VXLAN: IPv4 20, UDP 8, GENEVE 8 (RFC 8926, section 3.1), inner Ethernet 14."""
    source = "RFC 8926; ip-route(8), encap ip"
    law: Amounts = dict.fromkeys((NEIGHBORS, ROUTES), Growth(other_nodes=1))

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        tunnel = Tunnel(UNDERLAY, node.address, VNI, GENEVE_PORT)
        return (Device(self.device_name, "geneve", node.vtep_mac, mtu, tunnel=tunnel),)

    def peer(self, node: Node, other: Node) -> Peer:
        device = self.device_name
        return Peer(
            neighbors=(Neighbor(device, other.vtep_address, other.vtep_mac),),
            routes=(Route(other.pod_subnet, device, via=other.vtep_address, onlink=True,
                          encap=Encap(other.address, VNI)),),
        )

    def inner_macs(self, node_a: Node, node_b: Node) -> tuple[str, str]:
        return node_a.vtep_mac, node_b.vtep_mac

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        return outer_header(node_a, node_b, UDP, udp_dport=GENEVE_PORT, geneve_vni=VNI)

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        device = self.device_name
        return (
            link_query(node, device, scenario.mtu - self.overhead_bytes, node.vtep_mac, info_kind="geneve"),
            address_query(node, device, node.vtep_address),
            neighbors_query(node, device, others),
            routes_query(node, device, [
                {"dst": o.pod_subnet, "gateway": o.vtep_address, "encap": "ip", "dst.2": o.address} for o in others]),
        )


BACKEND: Backend = GeneveBackend()
