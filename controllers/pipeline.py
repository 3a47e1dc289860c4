"""OpenFlow 1.3 tables, cookies and flows as data, and their one translation to the framework's messages.

Every table an application uses is declared here, so that applications which share a switch meet in one place. Flows
and the other messages to a switch are frozen values: decisions return them, tests compare them, `message` alone
encodes them.
"""

from __future__ import annotations

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
    ROUTE = 1  # longest prefix -> next hop, as metadata
    NEXT_HOP = 2  # next hop -> TTL, MACs, port


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
    SPOOFED = 5  # ARP that contradicts the plan; what such flows drop is counted by them


_KIND_SHIFT = 32
_OWNER_SHIFT = 48
_OWNER_MASK = 0xFFFF << _OWNER_SHIFT
_OWNER_AND_KIND_MASK = _OWNER_MASK | 0xFFFF << _KIND_SHIFT


@dataclass(frozen=True)
class Cookie:
    """Owner in bits 48-63, kind in bits 32-47; the low 32 bits are free for telling generations of flows apart."""

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


Action = Output | SetField | Move | DecTtl
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
    """Delete, from all tables, the flows of one owner: those of one kind, or all."""

    owner: Owner
    kind: Kind | None = None


@dataclass(frozen=True)
class Send:
    """Send a frame out of a port."""

    port: int
    frame: bytes


Message = Add | Delete | DeleteAll | Send


def _action(action: Action, parser: Any) -> Any:
    if isinstance(action, Output):
        # To the controller whole, not its first 128 bytes: an ICMP error quotes it, an echo reply repeats it.
        return parser.OFPActionOutput(action.port, WHOLE_PACKET)
    if isinstance(action, SetField):
        return parser.OFPActionSetField(**{action.field: action.value})
    if isinstance(action, Move):
        return parser.NXActionRegMove(src_field=action.source, dst_field=action.target, n_bits=action.bits)
    return parser.OFPActionDecNwTtl()


def _instructions(flow: Flow, ofproto: Any, parser: Any) -> list[Any]:
    instructions = []
    if flow.actions:
        actions = [_action(action, parser) for action in flow.actions]
        instructions.append(parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, actions))
    if flow.metadata is not None:
        instructions.append(parser.OFPInstructionWriteMetadata(flow.metadata, 0xFFFFFFFFFFFFFFFF))
    if flow.goto is not None:
        instructions.append(parser.OFPInstructionGotoTable(flow.goto))
    return instructions


def message(datapath: Any, item: Message) -> Any:
    """The framework's message, for this datapath, of one of ours. The only place where OpenFlow messages are made."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    if isinstance(item, Send):
        return parser.OFPPacketOut(
            datapath=datapath,
            buffer_id=ofproto.OFP_NO_BUFFER,
            in_port=ofproto.OFPP_CONTROLLER,
            actions=[parser.OFPActionOutput(item.port)],
            data=item.frame,
        )
    if isinstance(item, DeleteAll):
        return parser.OFPFlowMod(
            datapath=datapath,
            table_id=ofproto.OFPTT_ALL,
            command=ofproto.OFPFC_DELETE,
            cookie=Cookie(item.owner, item.kind or Kind.PLANNED).value,
            cookie_mask=_OWNER_MASK if item.kind is None else _OWNER_AND_KIND_MASK,
            out_port=ofproto.OFPP_ANY,
            out_group=ofproto.OFPG_ANY,
        )
    flow = item.flow
    chosen = parser.OFPMatch(**dict(flow.match))
    if isinstance(item, Delete):
        return parser.OFPFlowMod(
            datapath=datapath,
            table_id=flow.table,
            command=ofproto.OFPFC_DELETE_STRICT,
            priority=flow.priority,
            match=chosen,
            cookie=flow.cookie.value,
            cookie_mask=_OWNER_AND_KIND_MASK,
            out_port=ofproto.OFPP_ANY,
            out_group=ofproto.OFPG_ANY,
        )
    return parser.OFPFlowMod(
        datapath=datapath,
        table_id=flow.table,
        command=ofproto.OFPFC_ADD,
        priority=flow.priority,
        match=chosen,
        cookie=flow.cookie.value,
        idle_timeout=flow.idle_timeout_s,
        flags=ofproto.OFPFF_SEND_FLOW_REM if flow.idle_timeout_s else 0,
        instructions=_instructions(flow, ofproto, parser),
    )
