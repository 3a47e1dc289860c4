"""Kernel VXLAN with the state flannel writes.

flannel first used layer 3 misses answered by its daemon, later a bridge of VXLAN devices; since 0.9 it writes,
per other node, one neighbor entry (its flannel.1 address to that device's MAC), one FDB entry (that MAC to the
node's address) and one route (its pod subnet by that address, on-link), in this order, and nothing else:
pkg/backend/vxlan/vxlan_network.go (``handleSubnetEvents``) and device.go (``newVXLANDevice``, learning off).

Entries per node: 3 for each other node.
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
from emu.flannel import Flannel
from emu.laws import FDB, NEIGHBORS, ROUTES, Amounts, Growth
from emu.model import Device, FdbEntry, Neighbor, Node, Route, Scenario, Tunnel
from emu.packets import UDP

VNI, PORT = 1, 8472


class VxlanBackend(Plain):
    """flannel's ``vxlan``."""

    name = "vxlan"
    overhead_bytes = 50
    """Outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8 (RFC 7348, section 5); the outer Ethernet header takes nothing
    of the underlay's MTU, the inner one takes as much."""
    source = "flannel pkg/backend/vxlan: device.go, vxlan_network.go"

    def __init__(self, vni: int = VNI, port: int = PORT, direct: bool = False) -> None:
        """``direct``: with flannel's DirectRouting, where all nodes are on one link."""
        self._vni, self._port, self.tunnels = vni, port, not direct
        self.device_name = f"flannel.{vni}"
        kinds = (ROUTES,) if direct else (NEIGHBORS, FDB, ROUTES)
        self.law: Amounts = dict.fromkeys(kinds, Growth(other_nodes=1))

    def configured(self, flannel: Flannel) -> Backend:
        return VxlanBackend(flannel.vni, flannel.port, flannel.direct_routing)

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        tunnel = Tunnel(UNDERLAY, node.address, self._vni, self._port)
        return (Device(self.device_name, "vxlan", node.vtep_mac, mtu, tunnel=tunnel),)

    def peer(self, node: Node, other: Node) -> Peer:
        if not self.tunnels:
            return Peer(routes=(Route(other.pod_subnet, UNDERLAY, via=other.address),))
        return Peer(
            neighbors=(Neighbor(self.device_name, other.vtep_address, other.vtep_mac),),
            fdb=(FdbEntry(self.device_name, other.vtep_mac, other.address),),
            routes=(Route(other.pod_subnet, self.device_name, via=other.vtep_address, onlink=True),),
        )

    def inner_macs(self, node_a: Node, node_b: Node) -> tuple[str, str]:
        return node_a.vtep_mac, node_b.vtep_mac

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        return outer_header(node_a, node_b, UDP, udp_dport=self._port, vxlan_vni=self._vni)

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        device = self.device_name
        vxlan = {"id": self._vni, "link": UNDERLAY, "local": node.address, "port": self._port, "learning": False}
        direct = routes_query(node, UNDERLAY, [{"dst": scenario.node_cidr, "scope": "link"},
                                               *({"dst": o.pod_subnet, "gateway": o.address} for o in others)])
        others = others if self.tunnels else ()
        return (
            link_query(node, device, scenario.mtu - self.overhead_bytes, node.vtep_mac, info_kind="vxlan",
                       info_data=vxlan),
            address_query(node, device, node.vtep_address),
            neighbors_query(node, device, others),
            Query(
                node.name,
                ("bridge", "-j", "fdb", "show", "dev", device),
                tuple({"mac": o.vtep_mac, "dst": o.address, "flags": ["self"], "state": "permanent"} for o in others),
            ),
            routes_query(node, device,
                         [{"dst": o.pod_subnet, "gateway": o.vtep_address, "flags": ["onlink"]} for o in others]),
            *(() if self.tunnels else (direct,)),
        )


BACKEND: Backend = VxlanBackend()
