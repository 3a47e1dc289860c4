"""Our messages to a switch, and their flows, as bytes of OpenFlow 1.3. Pure, and the only place where OpenFlow is made.

Not by the frameworks' classes: these turn every address into an object of `netaddr` and back, several times a message,
and lack some of Open vSwitch's actions. That both frameworks read the bytes as they were meant, and would write the
same, is tested.

Numbers: ONF TS-006 (OpenFlow 1.3.5), section 7; Nicira's extensions: Open vSwitch's lib/ofp-actions.c and
include/openvswitch/meta-flow.h.
"""

from __future__ import annotations

import functools
import struct
from ipaddress import IPv4Address

from controllers.pipeline import (
    OWNER_AND_KIND_MASK,
    WHOLE_PACKET,
    Action,
    Add,
    CheckLarger,
    Count,
    Delete,
    DeleteAll,
    Flow,
    Match,
    MatchValue,
    Message,
    Move,
    Output,
    Resubmit,
    Send,
    SetField,
    Spread,
)
from controllers.wire import mac_bytes

_VERSION = 4
_PACKET_OUT, _FLOW_MOD, _MULTIPART_REQUEST, _BARRIER_REQUEST = 13, 14, 18, 20
_ADD, _DELETE, _DELETE_STRICT = 0, 3, 4
_FLOW_STATISTICS, _AGGREGATE = 1, 2
_ALL_TABLES, _ANY, _NO_BUFFER = 0xFF, 0xFFFFFFFF, 0xFFFFFFFF
_PORT_TABLE, _PORT_CONTROLLER = 0xFFFFFFF9, 0xFFFFFFFD
_TO_PORT = 0xFFE5  # how much of a packet goes to the controller, which matters for no other port: ``OFPCML_MAX``
_TELL_WHEN_REMOVED = 1
_PRIORITY_UNUSED = 0x8000
_WRITE_METADATA, _APPLY_ACTIONS, _GOTO_TABLE = 2, 4, 1
_OUTPUT, _SET_FIELD, _DEC_NW_TTL, _EXPERIMENTER = 0, 25, 24, 0xFFFF

_HEADER = struct.Struct("!BBHI")
_FLOW_MOD_BODY = struct.Struct("!QQBBHHHIIIH2x")
_STATISTICS_BODY = struct.Struct("!HH4xB3xII4xQQ")
_PACKET_OUT_BODY = struct.Struct("!IIH6x")
_OUTPUT_ACTION = struct.Struct("!HHIH6x")

_BASIC, _NXM_0, _NXM_1 = 0x8000, 0, 1
_FIELDS = {
    "in_port": (_BASIC, 0, 4),
    "metadata": (_BASIC, 2, 8),
    "eth_dst": (_BASIC, 3, 6),
    "eth_src": (_BASIC, 4, 6),
    "eth_type": (_BASIC, 5, 2),
    "ip_proto": (_BASIC, 10, 1),
    "ipv4_src": (_BASIC, 11, 4),
    "ipv4_dst": (_BASIC, 12, 4),
    "tcp_src": (_BASIC, 13, 2),
    "tcp_dst": (_BASIC, 14, 2),
    "udp_src": (_BASIC, 15, 2),
    "udp_dst": (_BASIC, 16, 2),
    "icmpv4_type": (_BASIC, 19, 1),
    "arp_op": (_BASIC, 21, 2),
    "arp_spa": (_BASIC, 22, 4),
    "arp_tpa": (_BASIC, 23, 4),
    "arp_sha": (_BASIC, 24, 6),
    "arp_tha": (_BASIC, 25, 6),
    "eth_type_nxm": (_NXM_0, 3, 2),
    "reg0": (_NXM_1, 0, 4),
    "reg1": (_NXM_1, 1, 4),
    "nw_ttl": (_NXM_1, 29, 1),
}
"""Class, number and length in bytes of the match fields in use. Nicira's own for what has no OXM."""

# Nicira's vendor number, and its actions: reg_move, bundle_load, check_pkt_larger.
_NICIRA, _REG_MOVE, _BUNDLE_LOAD, _CHECK_PKT_LARGER = 0x2320, 6, 13, 49
_NXM_IN_PORT = 0x00000002
_HASH_L3L4_UDP, _HIGHEST_RANDOM_WEIGHT = 3, 1
_WHOLE_REGISTER = 31  # the first bit, 0, in the upper ten bits; the number of bits less one in the lower six


def message(item: Message, epoch: int, xid: int) -> bytes:
    """The message for one of ours; flows that it adds are of this epoch."""
    if isinstance(item, Add):
        return _whole(_FLOW_MOD, xid, _add(item.flow, epoch))
    if isinstance(item, Delete):
        return _whole(_FLOW_MOD, xid, _delete(item.flow))
    if isinstance(item, Send):
        return _whole(_PACKET_OUT, xid, _packet_out(_PORT_CONTROLLER, item.port, item.frame))
    if isinstance(item, Resubmit):
        return _whole(_PACKET_OUT, xid, _packet_out(item.in_port, _PORT_TABLE, item.frame))
    if isinstance(item, DeleteAll):
        return _whole(_FLOW_MOD, xid, _delete_all(item))
    if isinstance(item, Count):
        return _whole(_MULTIPART_REQUEST, xid, _statistics(_AGGREGATE, DeleteAll(item.owner, item.kind)))
    return _whole(_MULTIPART_REQUEST, xid, _statistics(_FLOW_STATISTICS, DeleteAll(item.owner)))


def barrier(xid: int) -> bytes:
    """The request that a switch answers when it has done all that was sent before."""
    return _whole(_BARRIER_REQUEST, xid, b"")


def _whole(kind: int, xid: int, body: bytes) -> bytes:
    return _HEADER.pack(_VERSION, kind, _HEADER.size + len(body), xid) + body


def _add(flow: Flow, epoch: int) -> bytes:
    fixed = _FLOW_MOD_BODY.pack(
        flow.cookie.value | epoch, 0, flow.table, _ADD, flow.idle_timeout_s, 0, flow.priority, _NO_BUFFER, 0, 0,
        _TELL_WHEN_REMOVED if flow.idle_timeout_s else 0)
    return fixed + _match(flow.match) + _instructions(flow)


def _delete(flow: Flow) -> bytes:
    """Of whatever epoch."""
    fixed = _FLOW_MOD_BODY.pack(
        flow.cookie.value, OWNER_AND_KIND_MASK, flow.table, _DELETE_STRICT, 0, 0, flow.priority, _NO_BUFFER, _ANY, _ANY,
        0)
    return fixed + _match(flow.match)


def _delete_all(flows: DeleteAll) -> bytes:
    fixed = _FLOW_MOD_BODY.pack(
        *flows.cookie, _ALL_TABLES, _DELETE, 0, 0, _PRIORITY_UNUSED, _NO_BUFFER, _ANY, _ANY, 0)
    return fixed + _match(())


def _statistics(asked: int, flows: DeleteAll) -> bytes:
    """Ask about the flows that have this cookie, wherever they are."""
    return _STATISTICS_BODY.pack(asked, 0, _ALL_TABLES, _ANY, _ANY, *flows.cookie) + _match(())


def _packet_out(in_port: int, out_port: int, frame: bytes) -> bytes:
    action = _OUTPUT_ACTION.pack(_OUTPUT, _OUTPUT_ACTION.size, out_port, _TO_PORT)
    return _PACKET_OUT_BODY.pack(_NO_BUFFER, in_port, len(action)) + action + frame


def _match(match: Match) -> bytes:
    """A match, its fields in the order of their numbers: each after those that it depends on."""
    fields = b"".join(_field(name, value) for name, value in sorted(match, key=_number))
    whole = struct.pack("!HH", 1, 4 + len(fields)) + fields
    return whole + bytes(-len(whole) % 8)


def _number(field: tuple[str, MatchValue]) -> tuple[bool, int]:
    kind, number, _ = _FIELDS[field[0]]
    return kind != _BASIC, number


def _field(name: str, value: MatchValue) -> bytes:
    length = _FIELDS[name][2]
    if not isinstance(value, tuple):
        return _header(name) + _bytes(value, length)
    exact, mask = (_bytes(each, length) for each in value)
    return _header(name, is_masked=True) + exact + mask if any(mask) else b""


@functools.cache
def _header(name: str, is_masked: bool = False) -> bytes:
    kind, number, length = _FIELDS[name]
    return struct.pack("!HBB", kind, number << 1 | is_masked, length << is_masked)


def _bytes(value: int | str, length: int) -> bytes:
    """A number, a MAC or an IPv4 address."""
    if isinstance(value, int):
        return value.to_bytes(length, "big")
    return mac_bytes(value) if ":" in value else IPv4Address(value).packed


def _instructions(flow: Flow) -> bytes:
    made = []
    if flow.actions:
        actions = b"".join(map(_action, flow.actions))
        made.append(struct.pack("!HH4x", _APPLY_ACTIONS, 8 + len(actions)) + actions)
    if flow.metadata is not None:
        made.append(struct.pack("!HH4xQQ", _WRITE_METADATA, 24, flow.metadata, 0xFFFFFFFFFFFFFFFF))
    if flow.goto is not None:
        made.append(struct.pack("!HHB3x", _GOTO_TABLE, 8, flow.goto))
    return b"".join(made)


def _action(action: Action) -> bytes:
    if isinstance(action, Output):
        # To the controller whole, not its first 128 bytes: an ICMP error quotes it, an echo reply repeats it.
        return _OUTPUT_ACTION.pack(_OUTPUT, _OUTPUT_ACTION.size, action.port, WHOLE_PACKET)
    if isinstance(action, SetField):
        return _padded(_SET_FIELD, _field(action.field, action.value))
    if isinstance(action, Move):
        # `move:SOURCE->TARGET`: subtype, bits, first bits, fields.
        moved = _header(action.source) + _header(action.target)
        return _nicira(struct.pack("!HHHH", _REG_MOVE, action.bits, 0, 0) + moved)
    if isinstance(action, CheckLarger):
        # `check_pkt_larger(SIZE)->reg0[0]`: subtype, size, the bit's place and its field.
        return _nicira(struct.pack("!HHH", _CHECK_PKT_LARGER, action.size_bytes, 0) + _header("reg0") + bytes(6))
    if isinstance(action, Spread):
        return _nicira(_bundle_load(action))
    return _padded(_DEC_NW_TTL, b"")


def _bundle_load(action: Spread) -> bytes:
    """What follows the vendor in `bundle_load(symmetric_l3l4+udp,0,hrw,ofport,reg1,members:...)`."""
    fixed = struct.pack("!HHHHIHH", _BUNDLE_LOAD, _HIGHEST_RANDOM_WEIGHT, _HASH_L3L4_UDP, 0, _NXM_IN_PORT,
                        len(action.ports), _WHOLE_REGISTER)  # fmt: skip
    return fixed + _header("reg1") + bytes(4) + struct.pack(f"!{len(action.ports)}H", *action.ports)


def _nicira(body: bytes) -> bytes:
    return _padded(_EXPERIMENTER, struct.pack("!I", _NICIRA) + body)


def _padded(kind: int, body: bytes) -> bytes:
    """An action, filled up to a multiple of 8 bytes."""
    body += bytes(-(4 + len(body)) % 8)
    return struct.pack("!HH", kind, 4 + len(body)) + body
