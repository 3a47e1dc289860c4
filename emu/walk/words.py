"""What packets are called, and what happened to them, in a reader's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emu.frames import Frame
from emu.packets import ACK, ARP_REQUEST, ECHO_REPLY, ECHO_REQUEST, FIN, RST, SYN, TIME_EXCEEDED, UNREACHABLE
from emu.walk.model import Change

_UNREACHABLE_CODES = {0: "network", 1: "host", 3: "port", 4: "fragmentation needed"}
_FLAGS = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK"))


def kind(frame: Frame) -> str:
    """The kind of packet, as ``emu.walk.model.Packet`` lists them."""
    fields = frame.inner
    if "arp.op" in fields:
        return "arp-request" if fields["arp.op"] == ARP_REQUEST else "arp-reply"
    if "icmp.type" in fields:
        known = {ECHO_REQUEST: "echo-request", ECHO_REPLY: "echo-reply"}
        return known.get(fields["icmp.type"], "icmp-error")
    return "tcp" if "tcp.flags" in fields else "udp" if "udp.sport" in fields else "ip"


def title(frame: Frame) -> str:
    """What a packet says: ``who has 10.0.3.2?``, ``SYN``, ``GET /``."""
    fields, what = frame.inner, kind(frame)
    if what == "arp-request":
        return f"who has {fields['arp.tpa']}?"
    if what == "arp-reply":
        return f"{fields['arp.spa']} is at {fields['arp.sha']}"
    if what == "tcp":
        return _line(payload(frame)) or flags(fields["tcp.flags"])
    if what == "icmp-error":
        return _error(fields)
    return {"echo-request": "ping", "echo-reply": "pong"}.get(what, what.upper())


def flags(value: int) -> str:
    """TCP's flags in words, pushes left out: ``SYN ACK``."""
    return " ".join(word for bit, word in _FLAGS if value & bit)


def payload(frame: Frame) -> bytes:
    """What follows the innermost known header, as far as the packet goes."""
    header = frame.headers[-1] if frame.headers else None
    return frame.data[header.start : header.start + header.size] if header and header.protocol == "payload" else b""


def _line(data: bytes) -> str:
    """The first line of an HTTP message without its version: ``GET /``, ``200 OK``; ``data`` for anything else."""
    if not data:
        return ""
    first = data.split(b"\r\n", 1)[0].decode("latin-1")
    words = first.split(" ")
    if first.startswith("HTTP/"):
        return " ".join(words[1:])
    if len(words) == 3 and words[2].startswith("HTTP/"):
        return " ".join(words[:2])
    return "data"


def _error(fields: Mapping[str, Any]) -> str:
    about = f" {fields['quoted.ip.dst']}" if "quoted.ip.dst" in fields else ""
    if fields["icmp.type"] == TIME_EXCEEDED:
        return f"time exceeded:{about}"
    if fields["icmp.type"] == UNREACHABLE:
        what = _UNREACHABLE_CODES.get(fields["icmp.code"], f"code {fields['icmp.code']}")
        return f"{what}:{about}" if fields["icmp.code"] == 4 else f"{what} unreachable:{about}"
    return f"ICMP {fields['icmp.type']}:{about}"


def tunnel(fields: Mapping[str, Any]) -> str:
    """The tunnel of an encapsulated frame: ``VXLAN VNI 1, outer 192.168.1.1 -> 192.168.1.3``."""
    return f"{tunnel_name(fields)}, outer {fields['ip.src']} -> {fields['ip.dst']}"


def tunnel_name(fields: Mapping[str, Any]) -> str:
    """What an encapsulated frame travels in: ``VXLAN VNI 1``, ``WireGuard, sealed``."""
    names = {"vxlan.vni": "VXLAN VNI {}", "geneve.vni": "GENEVE VNI {}", "gre.type": "GRE", "wg.counter":
             "WireGuard, sealed", "tinc.seq": "tinc"}
    return next((name.format(fields[key]) for key, name in names.items() if key in fields), "IP in IP")


def changes(before: Frame, after: Frame) -> tuple[Change, ...]:
    """The header fields that differ between two sightings of a packet; checksums, which follow from the rest, not."""
    found = []
    if before.is_encapsulated != after.is_encapsulated:
        was, now = (tunnel(frame.fields) if frame.is_encapsulated else None for frame in (before, after))
        found.append(Change("encap", was, now))
    old, new = before.inner, after.inner
    names = [name for name in new if name in old and not name.endswith(".sum")]
    return (*found, *(Change(name, old[name], new[name]) for name in names if old[name] != new[name]))
