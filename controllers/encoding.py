"""Our messages to a switch, and their flows, as the framework's messages. The only place where OpenFlow is made."""

from __future__ import annotations

import struct
from typing import Any

from controllers.pipeline import (
    OWNER_AND_KIND_MASK,
    WHOLE_PACKET,
    Action,
    CheckLarger,
    Count,
    Delete,
    DeleteAll,
    Flow,
    Message,
    Move,
    Output,
    Read,
    Resubmit,
    Send,
    SetField,
    Spread,
)


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
    if isinstance(action, Spread):
        return parser.OFPActionExperimenterUnknown(_NICIRA, _bundle_load(action))
    return parser.OFPActionDecNwTtl()


# Nicira's vendor number, and what neither framework has a class for, or each another: check_pkt_larger, subtype 49,
# and bundle_load, subtype 13 (ovs-actions(7), Open vSwitch's lib/ofp-actions.c).
_NICIRA, _CHECK_PKT_LARGER, _BUNDLE_LOAD = 0x2320, 49, 13
_NXM_REG0, _NXM_REG1, _NXM_IN_PORT = 0x00010004, 0x00010204, 0x00000002
_HASH_L3L4_UDP, _HIGHEST_RANDOM_WEIGHT = 3, 1
_WHOLE_REGISTER = 31  # the first bit, 0, in the upper ten bits; the number of bits less one in the lower six


def _check_larger(action: CheckLarger) -> bytes:
    """What follows the vendor in `check_pkt_larger(SIZE)->reg0[0]`: subtype, size, the bit's place and its field."""
    return struct.pack("!HHHI6x", _CHECK_PKT_LARGER, action.size_bytes, 0, _NXM_REG0)


def _bundle_load(action: Spread) -> bytes:
    """What follows the vendor in `bundle_load(symmetric_l3l4+udp,0,hrw,ofport,reg1,members:...)`."""
    fixed = struct.pack(
        "!HHHHIHHI4x",
        _BUNDLE_LOAD,
        _HIGHEST_RANDOM_WEIGHT,
        _HASH_L3L4_UDP,
        0,
        _NXM_IN_PORT,
        len(action.ports),
        _WHOLE_REGISTER,
        _NXM_REG1,
    )
    return fixed + struct.pack(f"!{len(action.ports)}H", *action.ports)


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


def _packet_out(datapath: Any, in_port: int, out_port: int, frame: bytes) -> Any:
    parser = datapath.ofproto_parser
    return parser.OFPPacketOut(
        datapath=datapath,
        buffer_id=datapath.ofproto.OFP_NO_BUFFER,
        in_port=in_port,
        actions=[parser.OFPActionOutput(out_port)],
        data=frame,
    )


def _in_all_tables(datapath: Any, flows: DeleteAll) -> tuple[Any, ...]:
    """What a request for statistics says of the flows it is about: those that have this cookie, wherever they are."""
    ofproto = datapath.ofproto
    chosen = datapath.ofproto_parser.OFPMatch()
    return (ofproto.OFPTT_ALL, ofproto.OFPP_ANY, ofproto.OFPG_ANY, *flows.cookie, chosen)


def message(datapath: Any, item: Message, epoch: int) -> Any:
    """The framework's message, for this datapath, of one of ours; flows that it adds are of this epoch."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    if isinstance(item, Send):
        return _packet_out(datapath, ofproto.OFPP_CONTROLLER, item.port, item.frame)
    if isinstance(item, Resubmit):
        return _packet_out(datapath, item.in_port, ofproto.OFPP_TABLE, item.frame)
    if isinstance(item, Count):
        asked = DeleteAll(item.owner, item.kind)
        return parser.OFPAggregateStatsRequest(datapath, 0, *_in_all_tables(datapath, asked))
    if isinstance(item, Read):
        return parser.OFPFlowStatsRequest(datapath, 0, *_in_all_tables(datapath, DeleteAll(item.owner)))
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
            cookie_mask=OWNER_AND_KIND_MASK,
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
