"""OpenFlow 1.3 tables, cookies and flows as data, and their one translation to the framework's messages.

Every table an application uses is declared here, so that applications which share a switch meet in one place. Flows
and the other messages to a switch are frozen values: decisions return them, tests compare them, `message` alone
encodes them.
"""

from __future__ import annotations

import struct
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
    SIZE = 3  # whether it fits the next hop's MTU
    NEXT_HOP = 4  # next hop -> TTL, MACs, port


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


EPOCH_BITS = 32
_EPOCH_MASK = (1 << EPOCH_BITS) - 1
_KIND_SHIFT = EPOCH_BITS
_OWNER_SHIFT = 48
_OWNER_MASK = 0xFFFF << _OWNER_SHIFT
_OWNER_AND_KIND_MASK = _OWNER_MASK | 0xFFFF << _KIND_SHIFT


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


Action = Output | SetField | Move | DecTtl | CheckLarger
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
        mask = _OWNER_MASK if self.kind is None else _OWNER_AND_KIND_MASK
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


def _action(action: Action, parser: Any) -> Any:
    if isinstance(action, Output):
        # To the controller whole, not its first 128 bytes: an ICMP error quotes it, an echo reply repeats it.
        return parser.OFPActionOutput(action.port, WHOLE_PACKET)
    if isinstance(action, SetField):
        return parser.OFPActionSetField(**{action.field: action.value})
    if isinstance(action, Move):
        return parser.NXActionRegMove(src_field=action.source, dst_field=action.target, n_bits=action.bits)
    if isinstance(action, CheckLarger):
        return parser.OFPActionExperimenterUnknown(_NICIRA, _check_larger(action))
    return parser.OFPActionDecNwTtl()


# Nicira's vendor number, and what neither framework has a class for: check_pkt_larger (ovs-actions(7)), subtype 49.
_NICIRA, _CHECK_PKT_LARGER, _NXM_REG0 = 0x2320, 49, 0x00010004


def _check_larger(action: CheckLarger) -> bytes:
    """What follows the vendor in `check_pkt_larger(SIZE)->reg0[0]`: subtype, size, the bit's place and its field."""
    return struct.pack("!HHHI6x", _CHECK_PKT_LARGER, action.size_bytes, 0, _NXM_REG0)


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


def message(datapath: Any, item: Message, epoch: int) -> Any:
    """The framework's message, for this datapath, of one of ours; flows that it adds are of this epoch. The only place
    where OpenFlow messages are made."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    if isinstance(item, Send):
        return parser.OFPPacketOut(
            datapath=datapath,
            buffer_id=ofproto.OFP_NO_BUFFER,
            in_port=ofproto.OFPP_CONTROLLER,
            actions=[parser.OFPActionOutput(item.port)],
            data=item.frame,
        )
    if isinstance(item, Resubmit):
        return parser.OFPPacketOut(
            datapath=datapath,
            buffer_id=ofproto.OFP_NO_BUFFER,
            in_port=item.in_port,
            actions=[parser.OFPActionOutput(ofproto.OFPP_TABLE)],
            data=item.frame,
        )
    if isinstance(item, Count):
        return parser.OFPAggregateStatsRequest(
            datapath,
            0,
            ofproto.OFPTT_ALL,
            ofproto.OFPP_ANY,
            ofproto.OFPG_ANY,
            *DeleteAll(item.owner, item.kind).cookie,
            parser.OFPMatch(),
        )
    if isinstance(item, DeleteAll):
        return parser.OFPFlowMod(
            datapath=datapath,
            table_id=ofproto.OFPTT_ALL,
            command=ofproto.OFPFC_DELETE,
            cookie=item.cookie[0],
            cookie_mask=item.cookie[1],
            out_port=ofproto.OFPP_ANY,
            out_group=ofproto.OFPG_ANY,
        )
    if isinstance(item, Read):
        return parser.OFPFlowStatsRequest(
            datapath,
            0,
            ofproto.OFPTT_ALL,
            ofproto.OFPP_ANY,
            ofproto.OFPG_ANY,
            *DeleteAll(item.owner).cookie,
            parser.OFPMatch(),
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
        cookie=flow.cookie.value | epoch,
        idle_timeout=flow.idle_timeout_s,
        flags=ofproto.OFPFF_SEND_FLOW_REM if flow.idle_timeout_s else 0,
        instructions=_instructions(flow, ofproto, parser),
    )
