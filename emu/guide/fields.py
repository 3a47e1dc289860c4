"""What the fields of a frame are called on the page, and a sentence on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from emu.guide.realms import GLYPHS, NODE, OUTSIDE, POD
from emu.packets import (
    ACK,
    ARP_REPLY,
    ARP_REQUEST,
    ECHO_REPLY,
    ECHO_REQUEST,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    FIN,
    GENEVE_PORT,
    GRE,
    ICMP,
    IPIP,
    PSH,
    RST,
    SYN,
    TCP,
    TIME_EXCEEDED,
    TINC_PORT,
    UDP,
    UNREACHABLE,
    VXLAN_PORTS,
    WIREGUARD_PORT,
)

PROTOCOLS = {"eth": "Ethernet", "arp": "ARP", "ip": "IPv4", "icmp": "ICMP", "tcp": "TCP", "udp": "UDP",
             "vxlan": "VXLAN", "geneve": "GENEVE", "gre": "GRE", "wg": "WireGuard", "tinc": "tinc",
             "payload": "Payload"}
SHORT = {"eth": "Eth", "ip": "IP", "vxlan": "VX"}
"""Names for the byte strip, where they differ."""


@dataclass(frozen=True)
class Text:
    """A field in words. ``minor``: shown only on request, or where it changed or is what the slide is about."""

    key: str
    help: str
    minor: bool = False


FIELDS: Mapping[str, Text] = {
    "eth.dst": Text("to", "Destination MAC: who on this link shall take the frame (IEEE 802.3). It is new after every "
                          "router, while the IP destination stays."),
    "eth.src": Text("from", "Source MAC: who put the frame on this link (IEEE 802.3). Switches and bridges learn from "
                            "it behind which port its owner is."),
    "eth.type": Text("type", "EtherType: what the frame carries (IEEE 802.3; 0x0800 IPv4, 0x0806 ARP).", True),
    "arp.op": Text("op", "Operation: 1 asks, 2 answers (RFC 826)."),
    "arp.tpa": Text("asks for", "Target protocol address: the IPv4 address that is asked for (RFC 826)."),
    "arp.tha": Text("wanted", "Target hardware address: what is asked for, so it is still empty (RFC 826)."),
    "arp.spa": Text("asker", "Sender protocol address: the IPv4 address of who asks. Who hears it may enter it in his "
                             "ARP cache (RFC 826)."),
    "arp.sha": Text("its MAC", "Sender hardware address: the MAC address of who asks (RFC 826)."),
    "ip.dst": Text("to", "Destination address: the same from end to end, where nobody translates it (RFC 791)."),
    "ip.src": Text("from", "Source address: who made the packet. The same from end to end, where nobody translates "
                           "it (RFC 791)."),
    "ip.ttl": Text("TTL", "Time to live: every router takes one off, a bridge or switch does not (RFC 791; Linux "
                          "starts with 64)."),
    "ip.proto": Text("protocol", "What the packet carries (RFC 791: 1 ICMP, 6 TCP, 17 UDP).", True),
    "ip.len": Text("length", "Total length: bytes of this packet, header included (RFC 791).", True),
    "ip.id": Text("id", "Identification: tells the fragments of one packet from those of another (RFC 6864).", True),
    "ip.df": Text("don't frag.", "Don't Fragment: routers shall drop the packet rather than cut it, and say so "
                                 "(RFC 1191, path MTU discovery).", True),
    "ip.fragment": Text("fragment", "Whether more fragments follow, and this one's offset in units of 8 bytes; 0: the "
                                    "packet is whole (RFC 791).", True),
    "ip.sum": Text("checksum", "Checksum of this header only; a router that changes the TTL mends it (RFC 1624).",
                   True),
    "tcp.dport": Text("port", "Destination port: which program on that machine (RFC 9293)."),
    "tcp.sport": Text("from port", "Source port: which program sent it, and where the answer goes (RFC 9293).", True),
    "tcp.flags": Text("flags", "Control bits: SYN opens, FIN closes, RST refuses, ACK confirms, PSH hands over at "
                               "once (RFC 9293)."),
    "tcp.seq": Text("seq", "Sequence number of the segment's first byte (RFC 9293).", True),
    "tcp.ack": Text("ack", "Acknowledgment number: the byte that is expected next (RFC 9293).", True),
    "tcp.window": Text("window", "Window: how many bytes more the receiver takes, before scaling (RFC 9293, "
                                 "RFC 7323).", True),
    "udp.dport": Text("port", "Destination port: 8472 is Linux's own for VXLAN, 4789 the registered one "
                                 "(RFC 768, RFC 7348)."),
    "udp.sport": Text("from port", "Source port: for VXLAN a hash of the inner packet, so that routers can spread "
                                   "flows over several ways (RFC 7348).", True),
    "udp.len": Text("length", "Bytes of this datagram, header included (RFC 768).", True),
    "vxlan.vni": Text("VNI", "VXLAN network identifier: which overlay the inner frame belongs to (RFC 7348)."),
    "geneve.vni": Text("VNI", "Virtual network identifier: which overlay the inner frame belongs to (RFC 8926)."),
    "geneve.type": Text("type", "What travels inside: 0x6558 is an Ethernet frame (RFC 8926).", True),
    "gre.type": Text("type", "What travels inside, as an EtherType: 0x0800 is IPv4 (RFC 2784)."),
    "wg.type": Text("type", "4: a packet, sealed for its receiver alone (WireGuard paper, section 5.4.6)."),
    "wg.receiver": Text("receiver", "Which of the receiver's sessions this is of (WireGuard paper, section 5.4.6)."),
    "wg.counter": Text("counter", "Numbers packets, so that none is accepted twice (WireGuard paper, section 5.4.6)."),
    "tinc.seq": Text("number", "Numbers packets (tinc 1.0, net_packet.c)."),
    "icmp.type": Text("type", "Type: 8 asks for an echo, 0 is the echo; 3 and 11 report what went wrong (RFC 792)."),
    "icmp.code": Text("code", "Code: the type's finer meaning (RFC 792).", True),
    "icmp.id": Text("id", "Identifier: which ping asked (RFC 792). In an error these bytes mean something else.", True),
    "icmp.seq": Text("seq", "Sequence number of the echo (RFC 792). In an error these bytes mean something else.",
                     True),
    "icmp.mtu": Text("MTU", "MTU of the next hop: the largest packet that gets through there (RFC 1191)."),
    "quoted.ip.dst": Text("about, to", "The destination of the packet that this error is about (RFC 792)."),
    "quoted.ip.src": Text("about, from", "The source of the packet that this error is about (RFC 792)."),
    "quoted.ip.ttl": Text("about, TTL", "The TTL the packet had that this error is about (RFC 792).", True),
    "payload": Text("data", "What the headers carry, untouched from end to end."),
}
"""By field, as ``emu.packets`` names it without ``inner.``; in the order of the page. ``payload`` is no field there."""

ARP_ANSWER: Mapping[str, Text] = {
    "arp.spa": Text("who", "Sender protocol address: the IPv4 address that was asked for (RFC 826)."),
    "arp.sha": Text("is at", "Sender hardware address: the MAC address to send to from now on. The asker keeps it in "
                             "its ARP cache, whoever's it is (RFC 826; RFC 1027 on proxies)."),
    "arp.tpa": Text("told to", "Target protocol address: who asked (RFC 826)."),
    "arp.tha": Text("its MAC", "Target hardware address: that of who asked (RFC 826)."),
}
"""What the addresses of an ARP reply mean, where requests differ."""

_BELONGS = {NODE: "a node's address", POD: "a container's address", OUTSIDE: "an outside machine's address"}
_ETHERTYPES = {ETHERTYPE_IPV4: "IPv4", ETHERTYPE_ARP: "ARP"}
_PROTOCOL_NUMBERS = {ICMP: "ICMP", IPIP: "IP in IP", TCP: "TCP", UDP: "UDP", GRE: "GRE"}
_OPERATIONS = {ARP_REQUEST: "request", ARP_REPLY: "reply"}
_ICMP_TYPES = {ECHO_REPLY: "echo reply", ECHO_REQUEST: "echo request", UNREACHABLE: "unreachable",
               TIME_EXCEEDED: "time exceeded"}
_PORTS = {**dict.fromkeys(VXLAN_PORTS, "VXLAN"), 80: "HTTP", 179: "BGP", GENEVE_PORT: "GENEVE",
          WIREGUARD_PORT: "WireGuard", TINC_PORT: "tinc"}
_FLAGS = {FIN: "FIN", SYN: "SYN", RST: "RST", PSH: "PSH", ACK: "ACK"}
_NAMED = {"eth.type": _ETHERTYPES, "ip.proto": _PROTOCOL_NUMBERS, "arp.op": _OPERATIONS, "icmp.type": _ICMP_TYPES,
          "tcp.dport": _PORTS, "tcp.sport": _PORTS, "udp.dport": _PORTS, "udp.sport": _PORTS}
ADDRESSES = frozenset({"eth.dst", "eth.src", "arp.sha", "arp.spa", "arp.tha", "arp.tpa", "ip.src", "ip.dst",
                       "quoted.ip.src", "quoted.ip.dst"})


def text(name: str, is_arp_answer: bool = False) -> Text:
    """The words for a field (named without ``inner.``); its own name where there are none."""
    return _table(is_arp_answer).get(name) or Text(name, "", True)


def place(name: str, is_arp_answer: bool = False) -> int:
    """Where a field stands among those of its header on the page; what has no words comes last."""
    table = _table(is_arp_answer)
    return [*table].index(name) if name in table else len(table)


@cache
def _table(is_arp_answer: bool) -> Mapping[str, Text]:
    if not is_arp_answer:
        return FIELDS
    others = {name: words for name, words in FIELDS.items() if name not in ARP_ANSWER}
    return {"arp.op": FIELDS["arp.op"], **ARP_ANSWER, **others}


def value_text(name: str, value: Any) -> str:
    """The value of a field as the page shows it: ``0x0806``, ``SYN, ACK``, ``64``."""
    if name in ("eth.type", "ip.sum", "geneve.type", "gre.type"):
        return f"0x{value:04x}"
    if name == "ip.df":
        return "yes" if value else "no"
    if name == "tcp.flags":
        return ", ".join(word for bit, word in _FLAGS.items() if value & bit) or "none"
    return str(value)


def meaning(name: str, value: Any) -> str:
    """What a number stands for: ``ARP``, ``echo request``, ``HTTP``; empty if it is just a number."""
    return _NAMED.get(name, {}).get(value, "")


def ownership(realm: str, owner: str) -> str:
    """Whose an address is, as the end of an explanation; empty if it is nobody's."""
    return f"{GLYPHS[realm]} {_BELONGS[realm]}: {owner}." if realm in _BELONGS else ""
