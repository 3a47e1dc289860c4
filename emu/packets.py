"""Frames as header tables: which bytes are which field, and what they say.

``headers`` gives the headers of a frame with the place of every field; ``dissect`` the same as one flat table,
``{"eth.src": ..., "arp.op": ..., "ip.ttl": ...}``. Fields of a frame inside a tunnel have ``inner.`` before their
names, those of the packet that an ICMP error quotes have ``quoted.``. Headers: IEEE 802.3, RFC 826 (ARP), RFC 791
(IPv4), RFC 792 and RFC 1191 (ICMP), RFC 768 (UDP), RFC 9293 (TCP), RFC 7348 (VXLAN), RFC 8926 (GENEVE), RFC 2003 (IP
in IP), RFC 2784 (GRE), the WireGuard paper (NDSS 2017, section 5.4), tinc 1.0 ``net_packet.c``, RFC 9112 (the first
line of HTTP/1.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa
from typing import Any

ARP_REQUEST, ARP_REPLY = 1, 2
ECHO_REPLY, ECHO_REQUEST = 0, 8
UNREACHABLE, TIME_EXCEEDED = 3, 11
FRAGMENTATION_NEEDED = 4
"""Code of an unreachable."""

ETHERTYPE_IPV4, ETHERTYPE_ARP = 0x0800, 0x0806
ETHERNET_HEADER_BYTES, IP_HEADER_BYTES, ICMP_HEADER_BYTES, UDP_HEADER_BYTES = 14, 20, 8, 8
"""Sizes without options, which is how the kernels of a lab send."""
ICMP, IPIP, TCP, UDP, GRE = 1, 4, 6, 17, 47
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
VXLAN_PORTS = frozenset({8472, 4789})
"""Linux's own default, which flannel uses, and IANA's."""
GENEVE_PORT, WIREGUARD_PORT, TINC_PORT = 6081, 51820, 655
WIREGUARD_DATA = 4
"""The type of the message that carries a packet, sealed."""
TUNNELS = ("vxlan", "geneve", "gre", "wg", "tinc")
"""Headers between an outer and an inner packet; IP in IP has none."""


@dataclass(frozen=True)
class Field:
    """A field of a frame: its name as ``dissect`` has it, its value, and where its bytes are in the frame."""

    name: str
    value: Any
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """A header of a frame (or, as ``payload``, what no header of ours describes), ``size`` bytes from ``start``.

    ``protocol``: eth, arp, ip, icmp, tcp, udp, one of ``TUNNELS`` or payload. ``depth``: 0 for headers on the wire, 1
    inside a tunnel.
    """

    protocol: str
    depth: int
    start: int
    size: int
    fields: tuple[Field, ...]


def _mac(data: bytes) -> str:
    return data.hex(":")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


@dataclass(frozen=True)
class _Spec:
    name: str
    start: int
    size: int
    read: Callable[[bytes], Any] = _number


_TABLES = {
    "eth": (_Spec("dst", 0, 6, _mac), _Spec("src", 6, 6, _mac), _Spec("type", 12, 2)),
    "arp": (
        *(_Spec("op", 6, 2), _Spec("sha", 8, 6, _mac), _Spec("spa", 14, 4, inet_ntoa)),
        *(_Spec("tha", 18, 6, _mac), _Spec("tpa", 24, 4, inet_ntoa)),
    ),
    "ip": (
        *(_Spec("len", 2, 2), _Spec("id", 4, 2), _Spec("df", 6, 1, lambda data: bool(data[0] & 0x40))),
        _Spec("fragment", 6, 2, lambda data: _number(data) & 0x3FFF),  # more to come, and the offset: 0 for a whole
        *(_Spec("ttl", 8, 1), _Spec("proto", 9, 1), _Spec("sum", 10, 2)),
        *(_Spec("src", 12, 4, inet_ntoa), _Spec("dst", 16, 4, inet_ntoa)),
    ),
    "icmp": (_Spec("type", 0, 1), _Spec("code", 1, 1), _Spec("id", 4, 2), _Spec("seq", 6, 2)),
    "tcp": (
        *(_Spec("sport", 0, 2), _Spec("dport", 2, 2), _Spec("seq", 4, 4), _Spec("ack", 8, 4)),
        *(_Spec("flags", 13, 1), _Spec("window", 14, 2)),
    ),
    "udp": (_Spec("sport", 0, 2), _Spec("dport", 2, 2), _Spec("len", 4, 2)),
    "vxlan": (_Spec("vni", 4, 3),),
    "geneve": (_Spec("type", 2, 2), _Spec("vni", 4, 3)),
    "gre": (_Spec("type", 2, 2),),
    "wg": (_Spec("type", 0, 1), _Spec("receiver", 4, 4, lambda data: int.from_bytes(data, "little")),
           _Spec("counter", 8, 8, lambda data: int.from_bytes(data, "little"))),
    "tinc": (_Spec("seq", 0, 4),),
}
_TOO_BIG = (*_TABLES["icmp"][:2], _Spec("mtu", 6, 2))
"""An ICMP header that tells the MTU of the next hop where others have a sequence number (RFC 1191, section 4)."""

_SIZES = {"eth": 14, "arp": 28, "ip": 20, "icmp": 8, "tcp": 20, "udp": 8, "vxlan": 8,
          "geneve": 8, "gre": 4, "wg": 16, "tinc": 4}
"""What a header has at least."""

_QUOTING = frozenset({UNREACHABLE, 4, 5, TIME_EXCEEDED, 12})
"""ICMP messages that quote the packet they are about (RFC 792)."""


def headers(frame: bytes, has_ethernet: bool = True) -> tuple[Header, ...]:
    """The headers of an Ethernet frame, or of an IPv4 packet alone, the outermost first. What is cut off or unknown is
    payload; never raises."""
    read = _ethernet if has_ethernet else _ipv4
    return tuple(read(frame, 0, len(frame), 0))


def dissect(frame: bytes) -> dict[str, Any]:
    """The fields of an Ethernet frame. Headers that are cut off or unknown are left out; never raises."""
    return flat(headers(frame), len(frame))


def flat(found: tuple[Header, ...], length: int) -> dict[str, Any]:
    """``dissect`` from the headers that ``headers`` gave of a frame of ``length`` bytes."""
    return {"len": length, **{field.name: field.value for header in found for field in header.fields}}


def _header(frame: bytes, protocol: str, start: int, size: int, depth: int, prefix: str = "") -> Header:
    within = prefix or "inner." * depth
    is_too_big = protocol == "icmp" and (frame[start], frame[start + 1]) == (UNREACHABLE, FRAGMENTATION_NEEDED)
    fields = (
        Field(
            f"{within}{protocol}.{spec.name}",
            spec.read(frame[start + spec.start : start + spec.start + spec.size]),
            start + spec.start,
            spec.size,
        )
        for spec in (_TOO_BIG if is_too_big else _TABLES[protocol])
    )
    return Header(protocol, depth, start, size, tuple(fields))


def _ethernet(frame: bytes, start: int, end: int, depth: int) -> Iterator[Header]:
    if end - start < _SIZES["eth"]:
        yield from _payload(frame, start, end, depth)
        return
    yield _header(frame, "eth", start, _SIZES["eth"], depth)
    kind = _number(frame[start + 12 : start + 14])
    body = start + _SIZES["eth"]
    if kind == ETHERTYPE_ARP and end - body >= 28 and frame[body : body + 6] == b"\x00\x01\x08\x00\x06\x04":
        yield _header(frame, "arp", body, _SIZES["arp"], depth)
        yield from _payload(frame, body + _SIZES["arp"], end, depth)
    elif kind == ETHERTYPE_IPV4:
        yield from _ipv4(frame, body, end, depth)
    else:
        yield from _payload(frame, body, end, depth)


def _ipv4(frame: bytes, start: int, end: int, depth: int) -> Iterator[Header]:
    size = (frame[start] & 15) * 4 if end - start >= _SIZES["ip"] else 0
    if not _SIZES["ip"] <= size <= end - start or frame[start] >> 4 != 4:
        yield from _payload(frame, start, end, depth)
        return
    yield _header(frame, "ip", start, size, depth)
    body, stop = start + size, min(end, start + _number(frame[start + 2 : start + 4]))
    is_first = not _number(frame[start + 6 : start + 8]) & 0x1FFF  # a later fragment has no transport header
    protocol = {ICMP: "icmp", TCP: "tcp", UDP: "udp"}.get(frame[start + 9]) if is_first else None
    length = _transport_size(frame, protocol, body, stop) if protocol else 0
    if is_first and depth == 0 and frame[start + 9] in (IPIP, GRE):  # one level of tunnel is enough
        yield from (_ipv4(frame, body, stop, 1) if frame[start + 9] == IPIP else _gre(frame, body, stop))
        return
    if not protocol or not length:
        yield from _payload(frame, body, stop, depth)
        return
    header = _header(frame, protocol, body, length, depth)
    rest = body + length
    if protocol == "tcp":
        size_field = Field(f"{'inner.' * depth}tcp.len", stop - rest, rest, 0)
        header = Header("tcp", depth, body, length, (*header.fields, size_field))
    quoted = _quoted(frame, rest, stop, depth) if protocol == "icmp" and frame[body] in _QUOTING else ()
    yield Header(header.protocol, depth, body, length, (*header.fields, *quoted))
    in_udp = _IN_UDP.get(header.fields[1].value) if protocol == "udp" and depth == 0 else None
    yield from (in_udp(frame, rest, stop) if in_udp else _payload(frame, rest, stop, depth))


def _transport_size(frame: bytes, protocol: str, start: int, end: int) -> int:
    """Bytes of a transport header; 0 where it is cut off, or says that it is shorter than it can be."""
    least = size = _SIZES[protocol]
    if protocol == "tcp" and end - start >= least:
        size = (frame[start + 12] >> 4) * 4
    return size if least <= size <= end - start else 0


def _quoted(frame: bytes, start: int, end: int, depth: int) -> tuple[Field, ...]:
    if end - start < 20 or frame[start] >> 4 != 4:
        return ()
    return _header(frame, "ip", start, 20, depth, "inner." * depth + "quoted.").fields


def _vxlan(frame: bytes, start: int, end: int) -> Iterator[Header]:
    if end - start < _SIZES["vxlan"] or not frame[start] & 0x08:
        yield from _payload(frame, start, end, 0)
        return
    yield _header(frame, "vxlan", start, _SIZES["vxlan"], 0)
    yield from _ethernet(frame, start + _SIZES["vxlan"], end, 1)


def _geneve(frame: bytes, start: int, end: int) -> Iterator[Header]:
    """Options, whose length is told in words of four bytes, are left out."""
    inner = start + _SIZES["geneve"] + (frame[start] & 0x3F) * 4 if start < end else end
    if inner >= end or frame[start] >> 6 or _number(frame[start + 2 : start + 4]) != _TRANSPARENT_ETHERNET:
        yield from _payload(frame, start, end, 0)
        return
    yield _header(frame, "geneve", start, inner - start, 0)
    yield from _ethernet(frame, inner, end, 1)


def _gre(frame: bytes, start: int, end: int) -> Iterator[Header]:
    """Without checksum, key and sequence number, which would make it longer."""
    if end - start < _SIZES["gre"] or frame[start] or _number(frame[start + 2 : start + 4]) != ETHERTYPE_IPV4:
        yield from _payload(frame, start, end, 0)
        return
    yield _header(frame, "gre", start, _SIZES["gre"], 0)
    yield from _ipv4(frame, start + _SIZES["gre"], end, 1)


def _wireguard(frame: bytes, start: int, end: int) -> Iterator[Header]:
    if end - start < _SIZES["wg"] or frame[start] != WIREGUARD_DATA:
        yield from _payload(frame, start, end, 0)
        return
    yield _header(frame, "wg", start, _SIZES["wg"], 0)
    yield from _payload(frame, start + _SIZES["wg"], end, 0)


def _tinc(frame: bytes, start: int, end: int) -> Iterator[Header]:
    """A packet that is neither enciphered nor authenticated: its number, then a frame with an Ethernet header of zeros,
    but for the type, around what came out of a TUN device."""
    body = start + _SIZES["tinc"]
    if end - body < _SIZES["eth"] or any(frame[body : body + 12]):
        yield from _payload(frame, start, end, 0)
        return
    yield _header(frame, "tinc", start, _SIZES["tinc"], 0)
    yield from _ethernet(frame, body, end, 1)


_TRANSPARENT_ETHERNET = 0x6558
_IN_UDP: Mapping[int, Callable[[bytes, int, int], Iterator[Header]]] = {
    **dict.fromkeys(VXLAN_PORTS, _vxlan), GENEVE_PORT: _geneve, WIREGUARD_PORT: _wireguard, TINC_PORT: _tinc,
}


def _payload(frame: bytes, start: int, end: int, depth: int) -> Iterator[Header]:
    if end > start:
        line = frame[start:end].split(b"\r\n", 1)[0]
        is_http = line.startswith(b"HTTP/1.") or line.endswith((b" HTTP/1.1", b" HTTP/1.0"))
        text = Field(f"{'inner.' * depth}http.line", line.decode("latin-1"), start, len(line))
        yield Header("payload", depth, start, end - start, (text,) if is_http else ())


def arp_request(sender_mac: str, sender: str, target: str) -> bytes:
    """A broadcast ARP request, ready for the wire."""
    source = bytes.fromhex(sender_mac.replace(":", ""))
    ethernet = b"\xff" * 6 + source + struct.pack("!H", ETHERTYPE_ARP)
    arp = struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, ARP_REQUEST)
    return (ethernet + arp + source + inet_aton(sender) + bytes(6) + inet_aton(target)).ljust(60, b"\0")


def echo_request(src: str, dst: str, size_bytes: int) -> bytes:
    """An IPv4 packet with an echo request that may be fragmented, of this length in all. The
    checksum of the IPv4 header is left to the kernel that sends it (raw(7))."""
    icmp = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, 0, 1) + bytes(size_bytes - IP_HEADER_BYTES - ICMP_HEADER_BYTES)
    # Of an echo request of zeros the sum is its first and last word (RFC 1071).
    icmp = icmp[:2] + struct.pack("!H", ~((ECHO_REQUEST << 8) + 1) & 0xFFFF) + icmp[4:]
    return struct.pack("!BBHHHBBH", 0x45, 0, size_bytes, 0, 0, 64, ICMP, 0) + inet_aton(src) + inet_aton(dst) + icmp


def sealed_bytes(packet_bytes: int) -> int:
    """The length of the UDP datagram in which WireGuard sends a packet: filled up to a multiple of 16 (section 5.4.6 of
    its paper), between a header of 16 bytes and a tag of 16."""
    return UDP_HEADER_BYTES + 16 + (packet_bytes + 15) // 16 * 16 + 16
