"""Frames as flat tables of fields: ``{"eth.src": ..., "arp.op": ..., "ip.ttl": ...}``.

Fields of a frame inside a tunnel have ``inner.`` before their names. Headers: IEEE 802.3, RFC 826 (ARP),
RFC 791 (IPv4), RFC 792 (ICMP), RFC 768 (UDP), RFC 9293 (TCP), RFC 7348 (VXLAN).
"""

from __future__ import annotations

import struct
from socket import inet_aton, inet_ntoa
from typing import Any

ARP_REQUEST, ARP_REPLY = 1, 2
ECHO_REPLY, ECHO_REQUEST = 0, 8

ETHERTYPE_IPV4, ETHERTYPE_ARP = 0x0800, 0x0806
ICMP, TCP, UDP = 1, 6, 17
VXLAN_PORTS = frozenset({8472, 4789})
"""Linux's own default, which flannel uses, and IANA's."""

_VXLAN_HEADER_BYTES = 8


def dissect(frame: bytes) -> dict[str, Any]:
    """The fields of an Ethernet frame. Headers that are cut off or unknown are left out; never raises."""
    fields: dict[str, Any] = {"len": len(frame)}
    _ethernet(frame, "", fields)
    return fields


def _ethernet(frame: bytes, prefix: str, fields: dict[str, Any]) -> None:
    if len(frame) < 14:
        return
    kind = int.from_bytes(frame[12:14], "big")
    fields[f"{prefix}eth.dst"] = frame[0:6].hex(":")
    fields[f"{prefix}eth.src"] = frame[6:12].hex(":")
    fields[f"{prefix}eth.type"] = kind
    if kind == ETHERTYPE_ARP:
        _arp(frame[14:], prefix, fields)
    elif kind == ETHERTYPE_IPV4:
        _ipv4(frame[14:], prefix, fields)


def _arp(data: bytes, prefix: str, fields: dict[str, Any]) -> None:
    if len(data) < 28 or data[:6] != b"\x00\x01\x08\x00\x06\x04":
        return
    fields[f"{prefix}arp.op"] = int.from_bytes(data[6:8], "big")
    fields[f"{prefix}arp.sha"] = data[8:14].hex(":")
    fields[f"{prefix}arp.spa"] = inet_ntoa(data[14:18])
    fields[f"{prefix}arp.tha"] = data[18:24].hex(":")
    fields[f"{prefix}arp.tpa"] = inet_ntoa(data[24:28])


def _ipv4(data: bytes, prefix: str, fields: dict[str, Any]) -> None:
    if len(data) < 20 or data[0] >> 4 != 4:
        return
    header_bytes = (data[0] & 15) * 4
    length, ident, fragment = struct.unpack("!HHH", data[2:8])
    fields[f"{prefix}ip.len"] = length
    fields[f"{prefix}ip.id"] = ident
    fields[f"{prefix}ip.df"] = bool(fragment & 0x4000)
    fields[f"{prefix}ip.ttl"] = data[8]
    fields[f"{prefix}ip.proto"] = data[9]
    fields[f"{prefix}ip.src"] = inet_ntoa(data[12:16])
    fields[f"{prefix}ip.dst"] = inet_ntoa(data[16:20])
    payload = data[header_bytes:length]
    if fragment & 0x1FFF:  # not the first fragment: no transport header in it
        return
    if data[9] == ICMP and len(payload) >= 8:
        fields[f"{prefix}icmp.type"], fields[f"{prefix}icmp.code"] = payload[0], payload[1]
        fields[f"{prefix}icmp.id"], fields[f"{prefix}icmp.seq"] = struct.unpack("!HH", payload[4:8])
    elif data[9] == TCP and len(payload) >= 20:
        fields[f"{prefix}tcp.sport"], fields[f"{prefix}tcp.dport"] = struct.unpack("!HH", payload[:4])
        fields[f"{prefix}tcp.flags"] = payload[13]
    elif data[9] == UDP and len(payload) >= 8:
        fields[f"{prefix}udp.sport"], fields[f"{prefix}udp.dport"] = struct.unpack("!HH", payload[:4])
        if fields[f"{prefix}udp.dport"] in VXLAN_PORTS:
            _vxlan(payload[8:], prefix, fields)


def _vxlan(data: bytes, prefix: str, fields: dict[str, Any]) -> None:
    if len(data) < _VXLAN_HEADER_BYTES or not data[0] & 0x08 or prefix:  # one level of tunnel is enough
        return
    fields[f"{prefix}vxlan.vni"] = int.from_bytes(data[4:7], "big")
    _ethernet(data[_VXLAN_HEADER_BYTES:], f"inner.{prefix}", fields)


def arp_request(sender_mac: str, sender: str, target: str) -> bytes:
    """A broadcast ARP request, ready for the wire."""
    source = bytes.fromhex(sender_mac.replace(":", ""))
    ethernet = b"\xff" * 6 + source + struct.pack("!H", ETHERTYPE_ARP)
    arp = struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, ARP_REQUEST)
    return (ethernet + arp + source + inet_aton(sender) + bytes(6) + inet_aton(target)).ljust(60, b"\0")
