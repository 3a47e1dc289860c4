"""A walk as the JSON document ``walk.json``, format ``emu-walk/1``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emu.packets import TUNNELS, Header
from emu.walk.model import Packet, Step, Walk

FORMAT = "emu-walk/1"
_DIGITS = 3
"""Of a microsecond: the kernel's time stamps count nanoseconds."""


def document(walk: Walk) -> dict[str, Any]:
    """``walk.json`` as plain dictionaries, lists, strings and numbers; times in microseconds to three digits."""
    return {
        "format": FORMAT,
        "design": walk.plan.spec,
        "request": walk.request,
        "src": walk.src,
        "dst": walk.dst,
        "packets": [_packet(packet) for packet in walk.packets],
        "steps": [_step(step) for step in walk.steps],
        "differences": list(walk.differences),
        "problem": walk.problem,
    }


def _packet(packet: Packet) -> dict[str, Any]:
    return {
        "number": packet.number,
        "kind": packet.kind,
        "title": packet.title,
        "src": packet.src,
        "dst": packet.dst,
        "answers": packet.answers,
        "steps": list(packet.steps),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "index": step.index,
        "packet": step.packet,
        "previous": step.previous,
        "t_us": round(step.t_us, _DIGITS),
        "took_us": None if step.took_us is None else round(step.took_us, _DIGITS),
        "node": step.frame.machine,
        "interface": step.frame.interface,
        "direction": step.frame.direction,
        "frame": nested(step.frame.headers),
        "changed": [change.field for change in step.changed],
        "was": {change.field: _plain(change.was) for change in step.changed},
        "decided_by": step.decided_by,
        "fate": step.fate,
        "pcap_frame": step.pcap_frame,
        "note": step.note,
    }


def nested(headers: Sequence[Header]) -> dict[str, Any]:
    """A frame's headers as the contract nests them: ``eth_src``, ``eth_dst`` and ``type``, one dictionary for each
    further header, and under ``encap`` the frame that travels inside."""
    depth = min((header.depth for header in headers), default=0)
    found: dict[str, Any] = {}
    tunnel: dict[str, Any] = {}
    for header in headers:
        if header.depth > depth or header.protocol == "payload":
            continue
        fields = _fields(header)
        tunnel = {"kind": header.protocol}
        if header.protocol == "eth":
            found |= {"eth_src": fields["src"], "eth_dst": fields["dst"], "type": fields["type"]}
        elif header.protocol in TUNNELS:
            tunnel |= fields
        else:
            found[header.protocol] = fields
    inside = [header for header in headers if header.depth > depth]
    if inside:
        found["encap"] = {**tunnel, "inner": nested(inside)}
    return found


def _fields(header: Header) -> dict[str, Any]:
    """A header's fields by their short names; those of the packet an ICMP error quotes stand under ``quoted``."""
    found: dict[str, Any] = {}
    for field in header.fields:
        into = found.setdefault("quoted", {}) if "quoted." in field.name else found
        into[field.name.rpartition(".")[2]] = _plain(field.value)
    return found


def _plain(value: Any) -> Any:
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value
