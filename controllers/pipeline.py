"""OpenFlow 1.3 tables, cookies and flows as data.

Every table an application uses is declared here, so that applications which share a switch meet in one place. Flows
and the other messages to a switch are frozen values: decisions return them, tests compare them, `controllers.encoding`
alone encodes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

# Reserved ports (OpenFlow 1.3.5, A.2.1).
PORT_MAX = 0xFFFFFF00
IN_PORT = 0xFFFFFFF8
FLOOD = 0xFFFFFFFB
CONTROLLER = 0xFFFFFFFD
WHOLE_PACKET = 0xFFFF

MatchValue = int | str | tuple[int, int] | tuple[str, str]
"""An OXM field's value: exact, or (value, mask)."""


class L2Table(IntEnum):
    """The tables of a layer-2 switch, shared by l2_switch and proxy_arp, in the order a frame meets them."""

    SOURCE = 0  # l2_switch: who sends from where
    ARP = 1  # proxy_arp: requests for addresses it answers for
    DESTINATION = 2  # l2_switch: where a MAC is


class GatewayTable(IntEnum):
    """The tables of the gateway, in the order a packet meets them."""

    ADMIT = 0  # what concerns a router at all
    SOURCE = 1  # who may send from where: the way back, strictly
    ROUTE = 2  # longest prefix -> next hop, as metadata
    SPREAD = 3  # of several next hops for one prefix, the one for this flow
    SIZE = 4  # whether it fits the next hop's MTU
    NEXT_HOP = 5  # next hop -> TTL, MACs, port


def named(tables: type[IntEnum]) -> list[dict[str, Any]]:
    """The tables of a switch as the status socket tells them."""
    return [{"table": table.value, "name": table.name.lower()} for table in tables]


class Owner(IntEnum):
    """The application a flow belongs to; its packet-ins go there."""

    L2_SWITCH = 1
    PROXY_ARP = 2
    L3_GATEWAY = 3


class Kind(IntEnum):
    """What a flow stands for, within its owner. Packet-ins carry it back."""

    PLANNED = 0
    LEARNED = 1
    NO_ROUTE = 2
    TTL_EXPIRED = 3
    TO_GATEWAY = 4
    SPOOFED = 5
    TOO_LARGE = 6
    UNRESOLVED = 7
    ARP_ANSWER = 8
    ROUTE = 9


EPOCH_BITS = 32
_EPOCH_MASK = (1 << EPOCH_BITS) - 1
_KIND_SHIFT = EPOCH_BITS
_OWNER_SHIFT = 48
_OWNER_MASK = 0xFFFF << _OWNER_SHIFT
OWNER_AND_KIND_MASK = _OWNER_MASK | 0xFFFF << _KIND_SHIFT


@dataclass(frozen=True)
class Cookie:
    """Owner in bits 48-63, kind in bits 32-47; the low 32 bits are the epoch of the connection that sent the flow."""

    owner: Owner
    kind: Kind = Kind.PLANNED

    @property
    def value(self) -> int:
        """The 64 bits on the wire."""
        return self.owner << _OWNER_SHIFT | self.kind << _KIND_SHIFT

    @classmethod
    def read(cls, value: int) -> Cookie | None:
        """The cookie of 64 bits from the wire; None when no application of ours made them."""
        try:
            return cls(Owner(value >> _OWNER_SHIFT), Kind(value >> _KIND_SHIFT & 0xFFFF))
        except ValueError:
            return None


@dataclass(frozen=True)
class Output:
    """Send the frame, as it is at this point, to a port: a number, IN_PORT, FLOOD (all but that one) or CONTROLLER."""

    port: int


@dataclass(frozen=True)
class SetField:
    """Write an OXM field."""

    field: str
    value: int | str


@dataclass(frozen=True)
class Move:
    """Copy one field of `bits` bits to another (Nicira extension, both frameworks and Open vSwitch have it)."""

    source: str
    target: str
    bits: int


@dataclass(frozen=True)
class DecTtl:
    """Decrement the IPv4 TTL."""


@dataclass(frozen=True)
class CheckLarger:
    """Set register 0 to 1 when the frame, its Ethernet header included, is longer than `size_bytes`, else to 0."""

    size_bytes: int


@dataclass(frozen=True)
class Spread:
    """Choose one of these ports by the packet's flow, both directions alike, and write its number to register 1.

    Highest random weight (Thaler and Ravishankar, 1998) over the places in this list: as long as the ports that stay
    keep their places, their flows stay with them. NO_MEMBER keeps a place free; a port that is down is passed over.
    """

    ports: tuple[int, ...]


NO_MEMBER = 0xFEFF
"""A port number that no port has."""

Action = Output | SetField | Move | DecTtl | CheckLarger | Spread
Match = tuple[tuple[str, MatchValue], ...]
Fields = dict[str, MatchValue]


def match(**fields: MatchValue) -> Match:
    """A match of OXM fields, in one order whatever order they are given in."""
    return tuple(sorted(fields.items()))


@dataclass(frozen=True)
class Flow:
    """One flow: actions in order, then metadata, then on to table `goto`; with none of them it drops.

    `idle_timeout_s` 0 is for ever; a flow that ends by time-out is reported to its owner. `purpose` is for readers
    alone.
    """

    table: int
    priority: int
    match: Match
    cookie: Cookie
    actions: tuple[Action, ...] = ()
    metadata: int | None = None
    goto: int | None = None
    idle_timeout_s: int = 0
    purpose: str = field(default="", compare=False)


@dataclass(frozen=True)
class Add:
    """Add a flow; one with the same table, priority and match is replaced."""

    flow: Flow


@dataclass(frozen=True)
class Delete:
    """Delete a flow, found by its table, priority and match, if it is there and still has this flow's cookie."""

    flow: Flow


@dataclass(frozen=True)
class DeleteAll:
    """Delete, from all tables, the flows of one owner: those of one kind, of one epoch, or all."""

    owner: Owner
    kind: Kind | None = None
    epoch: int | None = None

    @property
    def cookie(self) -> tuple[int, int]:
        """The cookie that the flows to be deleted have, and which of its bits count."""
        mask = _OWNER_MASK if self.kind is None else OWNER_AND_KIND_MASK
        value = Cookie(self.owner, self.kind or Kind.PLANNED).value | (self.epoch or 0)
        return value, mask if self.epoch is None else mask | _EPOCH_MASK


@dataclass(frozen=True)
class Read:
    """Have the switch tell the flows of one owner."""

    owner: Owner


@dataclass(frozen=True)
class Found:
    """A flow that a switch has of ours, however it came there: what its cookie says, its match, and the fields that it
    writes."""

    cookie: Cookie
    epoch: int
    fields: Mapping[str, Any]
    written: Mapping[str, Any]

    @classmethod
    def read(cls, flow: Any) -> Found | None:
        """From the framework's value for a flow that a switch told of; ``None`` where no application of ours made it.
        """
        cookie = Cookie.read(flow.cookie)
        if cookie is None:
            return None
        actions = (action for instruction in flow.instructions for action in getattr(instruction, "actions", ()))
        written = {action.key: action.value for action in actions if hasattr(action, "key")}
        return cls(cookie, flow.cookie & _EPOCH_MASK, dict(flow.match.items()), written)


@dataclass(frozen=True)
class Send:
    """Send a frame out of a port."""

    port: int
    frame: bytes


@dataclass(frozen=True)
class Resubmit:
    """Take a frame through the tables as if it came by a port now."""

    in_port: int
    frame: bytes


@dataclass(frozen=True)
class Count:
    """Ask how many packets the flows of one owner and kind have met; the switch answers with their sum."""

    owner: Owner
    kind: Kind


@dataclass(frozen=True)
class PacketIn:
    """A frame that a flow of some kind handed over, with the metadata it had by then."""

    in_port: int
    kind: Kind
    frame: bytes
    metadata: int = 0


Message = Add | Delete | DeleteAll | Read | Send | Resubmit | Count
