"""IP in IP (RFC 2003): the smallest outer header there is, as flannel's ``ipip`` has it.

One device without a remote end: where a packet goes is the next hop of its route, which is the other node's own
address, on-link by the device though it is not (``net/ipv4/ip_tunnel.c``, ``ip_tunnel_xmit``: "NBMA tunnel"). The outer
TTL is the inner one's, since the device has none of its own.

flannel asks for no path MTU discovery (``ipip.go``, ``configureIPIPDevice``, by vishvananda/netlink ``link_linux.go``,
``addIptunAttrs``, which sends IFLA_IPTUN_PMTUDISC = 0): the outer header forbids fragments where the inner one does.
With DirectRouting the same routes, on-link too, are by the interface of the nodes (``ipip.go``, ``GetRoute``).

Entries per node: 1 for each other node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.backends.base import UNDERLAY, Backend, Peer, Plain, address_query, link_query, outer_header, routes_query
from emu.claims import Query
from emu.flannel import Flannel
from emu.laws import ROUTES, Amounts, Growth
from emu.model import Device, Node, Route, Scenario, Tunnel
from emu.packets import IPIP


class IpipBackend(Plain):
    """flannel's ``ipip``."""

    name = "ipip"
    device_name = "flannel.ipip"
    overhead_bytes = 20
    """The outer IPv4 header."""
    source = "flannel pkg/backend/ipip/ipip.go"
    law: Amounts = {ROUTES: Growth(other_nodes=1)}

    def __init__(self, direct: bool = False) -> None:
        """``direct``: with flannel's DirectRouting, where all nodes are on one link."""
        self.tunnels = not direct

    def configured(self, flannel: Flannel) -> Backend:
        return IpipBackend(flannel.direct_routing)

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        return (Device(self.device_name, "ipip", "", mtu, tunnel=Tunnel(UNDERLAY, node.address)),)

    def peer(self, node: Node, other: Node) -> Peer:
        device = self.device_name if self.tunnels else UNDERLAY
        return Peer(routes=(Route(other.pod_subnet, device, via=other.address, onlink=True),))

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        header = outer_header(node_a, node_b, IPIP)
        return {name: value for name, value in header.items() if name != "ip.ttl"}

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        device = self.device_name
        data = {"local": node.address, "remote": "any", "pmtudisc": False}
        routes = [{"dst": o.pod_subnet, "gateway": o.address, "flags": ["onlink"]} for o in others]
        segment = {"dst": scenario.node_cidr, "scope": "link"}
        return (
            link_query(node, device, scenario.mtu - self.overhead_bytes, info_kind="ipip", info_data=data),
            address_query(node, device, node.vtep_address),
            routes_query(node, device, routes if self.tunnels else ()),
            *(() if self.tunnels else (routes_query(node, UNDERLAY, (segment, *routes)),)),
        )


BACKEND: Backend = IpipBackend()
