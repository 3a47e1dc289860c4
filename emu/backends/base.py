"""What an overlay back end is: a pure contribution to the plan of every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from emu.claims import Query
from emu.laws import Amounts
from emu.model import Address, Device, FdbEntry, Neighbor, Node, Route


@dataclass(frozen=True)
class Peer:
    """What a node holds for one other node; taken away again when that node leaves."""

    neighbors: tuple[Neighbor, ...]
    fdb: tuple[FdbEntry, ...]
    routes: tuple[Route, ...]


class Backend(Protocol):
    """One way to carry pods' packets between nodes."""

    name: str
    device_name: str
    overhead_bytes: int
    law: Amounts
    """The entries that ``peer`` gives a node, by kind, as they grow with the cluster."""

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        """The overlay's devices on a node; ``mtu`` is the pods', the underlay's less the overhead."""
        ...

    def addresses(self, node: Node) -> tuple[Address, ...]:
        """The addresses of those devices."""
        ...

    def peer(self, node: Node, other: Node) -> Peer:
        """What ``node`` holds for ``other``."""
        ...

    def inner_macs(self, node_a: Node, node_b: Node) -> tuple[str, str]:
        """Source and destination MAC of the frame inside the tunnel."""
        ...

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        """The fields around a packet from ``node_a`` to ``node_b``, named as ``emu.packets`` names them."""
        ...

    def state(self, node: Node, others: tuple[Node, ...], mtu: int) -> tuple[Query, ...]:
        """What the node's kernel must hold, asked for with iproute2."""
        ...
