"""What an overlay back end is: a pure contribution to the plan of every machine that the overlay runs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emu.claims import Query
from emu.flannel import Flannel
from emu.laws import Amounts
from emu.model import INITIAL_TTL, Address, Device, FdbEntry, Neighbor, Node, Route, Scenario
from emu.packets import ETHERTYPE_IPV4
from emu.programs import Process, Ready

UNDERLAY = "eth0"


@dataclass(frozen=True)
class Peer:
    """What a node holds for one other node; taken away again when that node leaves."""

    neighbors: tuple[Neighbor, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    routes: tuple[Route, ...] = ()


class Backend(Protocol):
    """One way to carry pods' packets between nodes.

    ``source``: what its state is taken from. ``sealed``: whether nobody can read on the wire what travels inside.
    ``only_own``: whether a machine takes packets out of the tunnel only from its peer's own addresses. ``law``: the
    entries that ``routes`` and ``peer`` give a node, by kind, as they grow with the cluster. ``tunnels``: whether
    packets go through the device at all; where they do not, it stands by for nodes on other links.
    """

    name: str
    device_name: str
    overhead_bytes: int
    source: str
    sealed: bool
    only_own: bool
    law: Amounts
    tunnels: bool

    def configured(self, flannel: Flannel) -> Backend:
        """The back end with the settings of a ``net-conf.json`` of its type."""
        ...

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        """The overlay's devices on a node; ``mtu`` is the pods', the underlay's less the overhead."""
        ...

    def addresses(self, node: Node, scenario: Scenario) -> tuple[Address, ...]:
        """The addresses of those devices; the first is what the node itself speaks to pods from."""
        ...

    def routes(self, node: Node, scenario: Scenario) -> tuple[Route, ...]:
        """Routes that a node has however many others there are."""
        ...

    def peer(self, node: Node, other: Node) -> Peer:
        """What ``node`` holds for ``other``."""
        ...

    def processes(self, node: Node, others: Sequence[Node], scenario: Scenario, mtu: int) -> tuple[Process, ...]:
        """The programs that the tunnel takes on a node."""
        ...

    def inner_macs(self, node_a: Node, node_b: Node) -> tuple[str, str]:
        """Source and destination MAC of the frame inside the tunnel; empty where there is no frame."""
        ...

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        """The fields around a packet from ``node_a`` to ``node_b``, named as ``emu.packets`` names them."""
        ...

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        """What the node's kernel must hold, asked for with iproute2."""
        ...


class Plain:
    """What most back ends have in common: /32 addresses on the device, and no programs."""

    device_name: str
    sealed = False
    only_own = False
    tunnels = True

    def configured(self: Backend, flannel: Flannel) -> Backend:
        """See ``Backend``: there is nothing to set."""
        return self

    def addresses(self, node: Node, scenario: Scenario) -> tuple[Address, ...]:
        """See ``Backend``: the first address of the node's pod subnet, as flannel gives it."""
        return (Address(self.device_name, node.vtep_address, 32),)

    def routes(self, node: Node, scenario: Scenario) -> tuple[Route, ...]:
        """See ``Backend``."""
        return ()

    def processes(self, node: Node, others: Sequence[Node], scenario: Scenario, mtu: int) -> tuple[Process, ...]:
        """See ``Backend``."""
        return ()

    def inner_macs(self, node_a: Node, node_b: Node) -> tuple[str, str]:
        """See ``Backend``."""
        return "", ""


def outer_header(node_a: Node, node_b: Node, protocol: int, **more: object) -> dict[str, object]:
    """An outer Ethernet and IPv4 header as Linux writes it; ``more``: fields with ``_`` for the dot in their names."""
    return {
        "eth.src": node_a.mac,
        "eth.dst": node_b.mac,
        "eth.type": ETHERTYPE_IPV4,
        "ip.src": node_a.address,
        "ip.dst": node_b.address,
        "ip.ttl": INITIAL_TTL,
        "ip.proto": protocol,
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def answering(addresses: Iterable[str]) -> tuple[Ready, ...]:
    """What tells that a tunnel works, both ways: each of these answers a ping. It is enough to ask the nodes before
    one's own: every two have spoken then."""
    return tuple(Ready(("ping", "-n", "-c", "1", "-W", "1", address), (" 0% packet loss",)) for address in addresses)


def link_query(node: Node, device: str, mtu: int, address: str | None = None, **info: Any) -> Query:
    """What ``ip`` tells of a tunnel device: its MTU, its MAC where it has one, and what its kind tells."""
    link: dict[str, Any] = {"mtu": mtu, **({"address": address} if address else {})}
    link |= {"linkinfo": info} if info else {}
    return Query(node.name, ("ip", "-j", "-d", "link", "show", "dev", device), (link,))


def address_query(node: Node, device: str, address: str, prefix_length: int = 32) -> Query:
    """The one address of a device."""
    found = {"addr_info": [{"local": address, "prefixlen": prefix_length, "scope": "global"}]}
    return Query(node.name, ("ip", "-j", "-4", "address", "show", "dev", device), (found,))


def neighbors_query(node: Node, device: str, others: Iterable[Node]) -> Query:
    """The neighbors of a device, all written: the tunnel devices of these machines."""
    entries = ({"dst": o.vtep_address, "lladdr": o.vtep_mac, "state": ["PERMANENT"]} for o in others)
    return Query(node.name, ("ip", "-j", "neigh", "show", "dev", device), tuple(entries))


def routes_query(node: Node, device: str, routes: Sequence[Mapping[str, Any]]) -> Query:
    """All routes by a device."""
    return Query(node.name, ("ip", "-j", "-4", "route", "show", "dev", device), tuple(routes))
