"""Frames as bytes: the few headers the controllers read (Ethernet, ARP, IPv4, ICMP), and the few frames they write.

The frameworks' packet libraries are not used: they parse every layer they know, and raise on frames that are merely
unusual. A parser here returns None for anything cut short, inconsistent or of another protocol, reads a bounded number
of bytes, and never raises.

Addresses are text, as in plans and OpenFlow matches: MACs in lower case with colons, IPv4 addresses in dotted decimal.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

ETH_TYPE_IPV4 = 0x0800
ETH_TYPE_ARP = 0x0806
ARP_REQUEST = 1
ARP_REPLY = 2
PROTO_ICMP = 1
PROTO_TCP = 6
PROTO_UDP = 17
BGP_PORT = 179  # RFC 4271
BFD_PORT = 3784  # RFC 5881, section 4
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
NO_ADDRESS = "0.0.0.0"

ICMP_ECHO_REPLY = 0
ICMP_UNREACHABLE = 3
ICMP_ECHO_REQUEST = 8
ICMP_TIME_EXCEEDED = 11
CODE_NET_UNREACHABLE = 0
CODE_HOST_UNREACHABLE = 1
CODE_PORT_UNREACHABLE = 3
CODE_FRAGMENTATION_NEEDED = 4
CODE_TTL_IN_TRANSIT = 0
# Destination unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792): no error answers these.
ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})

ETHERNET_BYTES = 14
ARP_BYTES = 28
IPV4_BYTES = 20
ICMP_BYTES = 8
TTL_SENT = 64
# Precedence 6, internetwork control, which RFC 1812 (4.3.2.5) wants on ICMP errors and Linux sets.
TOS_ERROR = 0xC0
# An ICMP error quotes as much as fits into the 576 bytes every host accepts (RFC 1812, 4.3.2.3).
QUOTE_BYTES = 576 - IPV4_BYTES - ICMP_BYTES

_ARP_ETHERNET_IPV4 = struct.pack("!HHBB", 1, ETH_TYPE_IPV4, 6, 4)


@dataclass(frozen=True)
class Ethernet:
    """The Ethernet header of an untagged frame."""

    dst: str
    src: str
    eth_type: int


@dataclass(frozen=True)
class Arp:
    """An ARP message for IPv4 over Ethernet (RFC 826); the names of its fields are the RFC's."""

    op: int
    sha: str
    spa: str
    tha: str
    tpa: str


@dataclass(frozen=True)
class Ipv4:
    """An IPv4 header (RFC 791) whose checksum is right; both lengths are in bytes."""

    src: str
    dst: str
    proto: int
    ttl: int
    tos: int
    dont_fragment: bool
    fragment_offset: int
    more_fragments: bool
    header_bytes: int
    total_bytes: int


def mac_text(octets: bytes) -> str:
    """Six bytes as text."""
    return octets.hex(":")


def mac_bytes(mac: str) -> bytes:
    """A MAC in text as six bytes; ValueError when it is none."""
    octets = bytes.fromhex(mac.replace(":", ""))
    if len(octets) != 6 or mac.count(":") != 5:
        raise ValueError(f"not a MAC address: {mac!r}")
    return octets


def is_unicast_mac(mac: str) -> bool:
    """Whether one station can have this MAC: neither a group address nor all zeros."""
    octets = mac_bytes(mac)
    return not octets[0] & 1 and any(octets)


def _ipv4_text(octets: bytes) -> str:
    return f"{octets[0]}.{octets[1]}.{octets[2]}.{octets[3]}"


def _ipv4_bytes(address: str) -> bytes:
    return IPv4Address(address).packed


def is_unicast_ipv4(address: str) -> bool:
    """Whether the address can be one host's, seen by a router: not 0/8, 127/8, multicast, reserved or broadcast."""
    first = int(address.partition(".")[0])
    return 0 < first < 224 and first != 127


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of the bytes; 0 for data that contains its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def parse_ethernet(frame: bytes) -> Ethernet | None:
    """The header of a frame; None when it is cut short."""
    if len(frame) < ETHERNET_BYTES:
        return None
    return Ethernet(mac_text(frame[0:6]), mac_text(frame[6:12]), int.from_bytes(frame[12:14], "big"))


def parse_arp(frame: bytes) -> Arp | None:
    """The ARP message of a frame; None when it carries none for IPv4 over Ethernet."""
    message = frame[ETHERNET_BYTES : ETHERNET_BYTES + ARP_BYTES]
    if frame[12:14] != b"\x08\x06" or len(message) < ARP_BYTES or message[:6] != _ARP_ETHERNET_IPV4:
        return None
    return Arp(
        op=int.from_bytes(message[6:8], "big"),
        sha=mac_text(message[8:14]),
        spa=_ipv4_text(message[14:18]),
        tha=mac_text(message[18:24]),
        tpa=_ipv4_text(message[24:28]),
    )


def parse_ipv4(frame: bytes) -> Ipv4 | None:
    """The IPv4 header of a frame; None when there is none, it is cut short, contradicts itself, or its checksum is
    wrong.

    The packet may be longer than the frame is: a switch may hand over the beginning alone.
    """
    packet = frame[ETHERNET_BYTES:]
    if frame[12:14] != b"\x08\x00" or len(packet) < IPV4_BYTES or packet[0] >> 4 != 4:
        return None
    header_bytes = (packet[0] & 15) * 4
    total_bytes = int.from_bytes(packet[2:4], "big")
    if not IPV4_BYTES <= header_bytes <= min(len(packet), total_bytes) or checksum(packet[:header_bytes]):
        return None
    fragment = int.from_bytes(packet[6:8], "big")
    return Ipv4(
        src=_ipv4_text(packet[12:16]),
        dst=_ipv4_text(packet[16:20]),
        proto=packet[9],
        ttl=packet[8],
        tos=packet[1],
        dont_fragment=bool(fragment & 0x4000),
        fragment_offset=(fragment & 0x1FFF) * 8,
        more_fragments=bool(fragment & 0x2000),
        header_bytes=header_bytes,
        total_bytes=total_bytes,
    )


def ipv4_payload(frame: bytes, ip: Ipv4) -> bytes:
    """What follows the IPv4 header, without the padding of short Ethernet frames."""
    return frame[ETHERNET_BYTES + ip.header_bytes : ETHERNET_BYTES + ip.total_bytes]


def arp_reply(request: Arp, mac: str) -> bytes:
    """The frame that tells the asker of `request` that its target is at `mac` (42 bytes, unicast, from that MAC)."""
    asker, owner = mac_bytes(request.sha), mac_bytes(mac)
    return b"".join(
        (
            asker + owner + b"\x08\x06" + _ARP_ETHERNET_IPV4 + ARP_REPLY.to_bytes(2, "big"),
            owner + _ipv4_bytes(request.tpa),
            asker + _ipv4_bytes(request.spa),
        )
    )


def arp_request(mac: str, address: str, target: str, to: str) -> bytes:
    """The frame by which the machine at `mac` and `address` asks for `target` (42 bytes), broadcast or `to` one MAC."""
    asker = mac_bytes(mac)
    return b"".join(
        (
            mac_bytes(to) + asker + b"\x08\x06" + _ARP_ETHERNET_IPV4 + ARP_REQUEST.to_bytes(2, "big"),
            asker + _ipv4_bytes(address),
            bytes(6) + _ipv4_bytes(target),
        )
    )


def _icmp_frame(eth: Ethernet, src_mac: str, src: str, dst: str, tos: int, icmp: bytes) -> bytes:
    """A frame back to the sender of `eth`; `icmp` is an ICMP message whose checksum is still zero."""
    icmp = icmp[:2] + checksum(icmp).to_bytes(2, "big") + icmp[4:]
    # Never fragmented on its way, so the identification is free to be 0 (an atomic datagram, RFC 6864).
    header = struct.pack("!BBHHHBBH", 0x45, tos, IPV4_BYTES + len(icmp), 0, 0x4000, TTL_SENT, PROTO_ICMP, 0)
    header += _ipv4_bytes(src) + _ipv4_bytes(dst)
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return mac_bytes(eth.src) + mac_bytes(src_mac) + b"\x08\x00" + header + icmp


def echo_reply(frame: bytes, mac: str) -> bytes | None:
    """The answer of the machine at `mac` to the echo request in `frame` (RFC 792): same identifier, sequence and data.

    None when the frame holds no echo request that is whole: cut short, a fragment, a wrong checksum, from no single
    host.
    """
    eth, ip = parse_ethernet(frame), parse_ipv4(frame)
    if eth is None or ip is None or ip.proto != PROTO_ICMP or ip.fragment_offset or ip.more_fragments:
        return None
    request = ipv4_payload(frame, ip)
    if len(request) < ICMP_BYTES or len(request) != ip.total_bytes - ip.header_bytes or checksum(request):
        return None
    if request[0] != ICMP_ECHO_REQUEST or request[1] or not is_unicast_ipv4(ip.src) or not is_unicast_mac(eth.src):
        return None
    reply = bytes((ICMP_ECHO_REPLY, 0, 0, 0)) + request[4:]
    return _icmp_frame(eth, mac, ip.dst, ip.src, ip.tos, reply)


def may_be_told(frame: bytes) -> bool:
    """Whether an ICMP error may answer the packet in `frame` (RFC 1812, 4.3.2.7).

    It may not when the packet is an ICMP error itself, went to many (by its MAC or its address), came from no single
    host, or is a fragment other than the first.
    """
    eth, ip = parse_ethernet(frame), parse_ipv4(frame)
    if eth is None or ip is None or ip.fragment_offset:
        return False
    if not (
        is_unicast_mac(eth.dst) and is_unicast_mac(eth.src) and is_unicast_ipv4(ip.src) and is_unicast_ipv4(ip.dst)
    ):
        return False
    if ip.proto != PROTO_ICMP:
        return True
    payload = ipv4_payload(frame, ip)
    return bool(payload) and payload[0] not in ICMP_ERRORS


def icmp_error(frame: bytes, icmp_type: int, code: int, mac: str, address: str, mtu: int = 0) -> bytes | None:
    """The ICMP error of the router at `mac` and `address` about the packet in `frame`, or None where none may be sent.

    `mtu`: the next hop's, in bytes, where fragmentation was needed (RFC 1191, section 4).
    It quotes the packet's header and what follows up to 548 bytes, and goes back to the machine the frame came from.
    None as well when the frame holds fewer than the 8 bytes after the header that RFC 792 wants quoted (or than there
    are).
    """
    eth, ip = parse_ethernet(frame), parse_ipv4(frame)
    if eth is None or ip is None or not may_be_told(frame):
        return None
    quoted = frame[ETHERNET_BYTES : ETHERNET_BYTES + min(ip.total_bytes, QUOTE_BYTES)]
    if len(quoted) < min(ip.header_bytes + 8, ip.total_bytes):
        return None
    return _icmp_frame(eth, mac, address, ip.src, TOS_ERROR, struct.pack("!BBHI", icmp_type, code, 0, mtu) + quoted)
