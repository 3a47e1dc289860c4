"""Walks made by hand: frames built byte by byte, led along the path a design declares."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from socket import inet_aton
from typing import Any

from emu.designs import make_plan, parse_design
from emu.frames import Frame
from emu.model import BROADCAST_MAC, SWITCH, Hop, Scenario
from emu.packets import ACK, ARP_REPLY, ARP_REQUEST, ECHO_REPLY, ECHO_REQUEST, FIN, ICMP, PSH, SYN, TCP, UDP
from emu.walk import words
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, FORWARDED, LOST, Packet, Step, Walk

NOBODY_MAC = "00:00:00:00:00:00"
START_NS = 1_700_000_000_000_000_000
TOOK_NS = (2_100, 1_350, 3_700, 9_400, 4_200, 18_600, 12_047, 2_900)
"""Made-up times from one step to the next, used in turn."""

GET = b"GET / HTTP/1.1\r\nHost: 10.0.3.2\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n"
SILENT = "not me: silent"


def ethernet(src: str, dst: str, kind: int, payload: bytes) -> bytes:
    """An Ethernet frame."""
    return bytes.fromhex((dst + src).replace(":", "")) + struct.pack("!H", kind) + payload


def arp(op: int, sha: str, spa: str, tha: str, tpa: str, eth_dst: str | None = None) -> bytes:
    """An ARP frame, to ``tha`` unless ``eth_dst`` says otherwise."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op)
    for mac, address in ((sha, spa), (tha, tpa)):
        body += bytes.fromhex(mac.replace(":", "")) + inet_aton(address)
    return ethernet(sha, eth_dst or tha, 0x0806, body)


def who_has(sha: str, spa: str, tpa: str) -> bytes:
    """A broadcast ARP request."""
    return arp(ARP_REQUEST, sha, spa, NOBODY_MAC, tpa, BROADCAST_MAC)


def ipv4(src: str, dst: str, ttl: int, proto: int, payload: bytes, ident: int = 0) -> bytes:
    """An IPv4 packet, its checksum left 0."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, 0x4000, ttl, proto, 0)
    return head + inet_aton(src) + inet_aton(dst) + payload


def tcp(sport: int, dport: int, seq: int, ack: int, flags: int, payload: bytes = b"") -> bytes:
    """A TCP segment."""
    return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 64240, 0, 0) + payload


def echo(kind: int, ident: int, seq: int) -> bytes:
    """An ICMP echo request or reply."""
    return struct.pack("!BBHHH", kind, 0, 0, ident, seq) + bytes(range(16))


def encapsulated(outer: Mapping[str, Any], frame: bytes, sport: int = 49153) -> bytes:
    """``frame`` in VXLAN, with the outer fields that a ``Hop`` names."""
    vxlan = struct.pack("!BxxxI", 0x08, outer["vxlan.vni"] << 8) + frame
    udp = struct.pack("!HHHH", sport, outer["udp.dport"], 8 + len(vxlan), 0) + vxlan
    packet = ipv4(outer["ip.src"], outer["ip.dst"], outer["ip.ttl"], UDP, udp)
    return ethernet(outer["eth.src"], outer["eth.dst"], 0x0800, packet)


@dataclass(frozen=True)
class Sighting:
    """One branch of a flood: where a frame comes by, after which earlier sighting of the flood, what becomes of it."""

    at: str
    direction: str
    after: int = -1
    fate: str = FORWARDED
    note: str = ""


class Builder:
    """Collects packets and their steps; ``walk()`` is the result. Packets may take turns, as real ones do."""

    def __init__(self, spec: str = "overlay", request: str = "http", src: str = "", dst: str = "",
                 scenario: Scenario | None = None) -> None:
        self.design = parse_design(spec)
        self.plan = make_plan(self.design, scenario or Scenario())
        first, second = self.plan.endpoints or ("", "")
        self.request, self.src, self.dst = request, src or first, dst or second
        self.t_ns = START_NS
        self.steps: list[Step] = []
        self.heads: list[tuple[str, str, str, str, int | None]] = []
        self._took = cycle(TOOK_NS)

    def packet(self, kind: str, title: str, src: str, dst: str, answers: int | None = None) -> int:
        """Begin a packet; its number."""
        self.heads.append((kind, title, src, dst, answers))
        return len(self.heads)

    def seen(self, packet: int, at: str, direction: str, data: bytes, previous: int | None = None,
             decided_by: str = "", fate: str = FORWARDED, note: str = "") -> int:
        """The packet comes by at a capture point, some microseconds after the step before; the step's index."""
        if self.steps:
            self.t_ns += next(self._took)
        frame, before = Frame(at, direction, self.t_ns, data), self.steps[previous - 1] if previous else None
        index = len(self.steps) + 1
        self.steps.append(Step(
            index=index, packet=packet, frame=frame, t_us=(self.t_ns - START_NS) / 1000,
            took_us=(self.t_ns - before.frame.t_ns) / 1000 if before else None, previous=previous,
            changed=words.changes(before.frame, frame) if before else (), decided_by=decided_by, fate=fate, note=note,
            pcap_frame=index,
        ))
        return index

    def flood(self, packet: int, data: bytes, sightings: Iterable[Sighting]) -> list[int]:
        """The same frame at many places; ``Sighting.after`` counts the sightings from 0."""
        found: list[int] = []
        for one in sightings:
            previous = found[one.after] if one.after >= 0 else None
            found.append(self.seen(packet, one.at, one.direction, data, previous, fate=one.fate, note=one.note))
        return found

    def hops(self, src: str, dst: str) -> tuple[Hop, ...]:
        """The path the design declares."""
        return self.design.design.path(self.plan, src, dst)

    def frame(self, hop: Hop, src: str, dst: str, proto: int, segment: bytes) -> bytes:
        """The frame that carries ``segment`` at a declared hop."""
        packet = ipv4(self.plan.address(src), self.plan.address(dst), hop.ttl, proto, segment)
        plain = ethernet(hop.eth_src, hop.eth_dst, 0x0800, packet)
        return encapsulated(hop.outer, plain) if hop.outer else plain

    def along(self, packet: int, hops: Sequence[Hop], segment: bytes, proto: int = TCP, previous: int | None = None,
              end: str = DELIVERED, note: str = "") -> int:
        """Lead a packet along declared hops; the index of its last step, whose fate and note are given."""
        _, _, src, dst, _ = self.heads[packet - 1]
        for hop in hops:
            data = self.frame(hop, src, dst, proto, segment)
            decided_by, what = self.reason(hop, data, previous)
            fate, what = (end, note or what) if hop is hops[-1] else (FORWARDED, what)
            previous = self.seen(packet, hop.point, hop.direction, data, previous, decided_by, fate, what)
        return previous or 0

    def reason(self, hop: Hop, data: bytes, previous: int | None) -> tuple[str, str]:
        """A made-up decision where a frame is routed or encapsulated, and a note on what was done to it."""
        if previous is None:
            return "", "sent"
        before, frame = self.steps[previous - 1].frame, Frame(hop.point, hop.direction, 0, data)
        if hop.ttl != before.inner["ip.ttl"]:
            entry = f"route {before.inner['ip.dst']}/24 dev {hop.interface}; neighbor at {hop.eth_dst} (permanent)"
            return entry, f"routed: TTL {before.inner['ip.ttl']} -> {hop.ttl}, MACs rewritten"
        if hop.outer and not before.is_encapsulated:
            entry = f"FDB of flannel.1: {hop.eth_dst} behind {hop.outer['ip.dst']}"
            return entry, f"encapsulated: {words.tunnel(frame.fields)}"
        return "", "taken out of the tunnel: VXLAN VNI 1" if before.is_encapsulated and not hop.outer else ""

    def send(self, kind: str, title: str, src: str, dst: str, segment: bytes, proto: int = TCP,
             answers: int | None = None, end: str = DELIVERED) -> int:
        """A whole packet along the whole declared path; its number."""
        number = self.packet(kind, title, src, dst, answers)
        self.along(number, self.hops(src, dst), segment, proto, end=end)
        return number

    def walk(self, problem: str = "", differences: tuple[str, ...] = ()) -> Walk:
        """What was collected."""
        packets = tuple(
            Packet(number, kind, title, src, dst, tuple(s.index for s in self.steps if s.packet == number), answers)
            for number, (kind, title, src, dst, answers) in enumerate(self.heads, 1)
        )
        return Walk(self.plan, self.request, self.src, self.dst, tuple(self.steps), packets, differences, problem)


def overlay_arp(builder: Builder) -> None:
    """ctr-1 asks for its gateway, which its bridge answers; ctr-2 and ctr-3 hear the question."""
    node = builder.plan.nodes[0]
    mac = node.containers[0].mac
    asks = builder.packet("arp-request", f"who has {node.bridge_address}?", "ctr-1", "")
    builder.flood(asks, who_has(mac, node.containers[0].address, node.bridge_address), (
        Sighting("ctr-1:eth0", "out"),
        Sighting("node-a:veth-ctr-1", "in", 0),
        *(Sighting(f"node-a:veth-{c.name}", "out", 1) for c in node.containers[1:3]),
        Sighting("node-a:cbr0", "in", 1, ANSWERED, "root netns answers with cbr0's MAC"),
        Sighting("ctr-2:eth0", "in", 2, DROPPED, SILENT),
        Sighting("ctr-3:eth0", "in", 3, DROPPED, SILENT),
    ))
    reply = builder.packet("arp-reply", f"{node.bridge_address} is at {node.bridge_mac}", "node-a", "ctr-1", asks)
    builder.flood(reply, arp(ARP_REPLY, node.bridge_mac, node.bridge_address, mac, node.containers[0].address), (
        Sighting("node-a:cbr0", "out"),
        Sighting("node-a:veth-ctr-1", "out", 0),
        Sighting("ctr-1:eth0", "in", 1, DELIVERED),
    ))


def underlay_arp(builder: Builder) -> None:
    """node-a asks for node-c on the wire; node-b and node-d hear it."""
    a, c = builder.plan.nodes[0], builder.plan.nodes[2]
    asks = builder.packet("arp-request", f"who has {c.address}?", "node-a", "")
    builder.flood(asks, who_has(a.mac, a.address, c.address), (
        Sighting("node-a:eth0", "out"),
        Sighting("switch:node-a-eth0", "in", 0),
        *(Sighting(f"switch:node-{name}-eth0", "out", 1) for name in "bcd"),
        Sighting("node-b:eth0", "in", 2, DROPPED, SILENT),
        Sighting("node-c:eth0", "in", 3, ANSWERED, "root netns answers for itself"),
        Sighting("node-d:eth0", "in", 4, DROPPED, SILENT),
    ))
    reply = builder.packet("arp-reply", f"{c.address} is at {c.mac}", "node-c", "node-a", asks)
    builder.flood(reply, arp(ARP_REPLY, c.mac, c.address, a.mac, a.address), (
        Sighting("node-c:eth0", "out"),
        Sighting("switch:node-c-eth0", "in", 0),
        Sighting("switch:node-a-eth0", "out", 1),
        Sighting("node-a:eth0", "in", 2, DELIVERED),
    ))


def http_walk(spec: str = "overlay") -> Walk:
    """``GET /`` from one endpoint to the other: handshake, request, answer, end. In an overlay, ARP comes first, and
    the SYN waits in its node for the answer of the other one."""
    builder = Builder(spec)
    src, dst = builder.src, builder.dst
    is_overlay = builder.plan.design == "overlay"
    if is_overlay:
        overlay_arp(builder)
    syn, hops = builder.packet("tcp", "SYN", src, dst), builder.hops(src, dst)
    segment, waits_after = tcp(40000, 80, 100, 0, SYN), 4 if is_overlay else 0
    last = builder.along(syn, hops[:waits_after], segment, end=FORWARDED) or None
    if is_overlay:
        underlay_arp(builder)
    builder.along(syn, hops[waits_after:], segment, previous=last, end=ANSWERED, note="the server's kernel answers")
    there, back, g, o = (src, dst), (dst, src), len(GET), len(OK)
    builder.send("tcp", "SYN ACK", *back, tcp(80, 40000, 900, 101, SYN | ACK), answers=syn)
    builder.send("tcp", "ACK", *there, tcp(40000, 80, 101, 901, ACK))
    get = builder.send("tcp", "GET /", *there, tcp(40000, 80, 101, 901, PSH | ACK, GET), end=ANSWERED)
    builder.send("tcp", "ACK", *back, tcp(80, 40000, 901, 101 + g, ACK))
    builder.send("tcp", "200 OK", *back, tcp(80, 40000, 901, 101 + g, PSH | ACK, OK), answers=get)
    builder.send("tcp", "ACK", *there, tcp(40000, 80, 101 + g, 901 + o, ACK))
    builder.send("tcp", "FIN ACK", *there, tcp(40000, 80, 101 + g, 901 + o, FIN | ACK))
    return builder.walk()


def ping_walk(spec: str = "overlay") -> Walk:
    """One echo request and its reply, all MACs known beforehand."""
    builder = Builder(spec, "ping")
    src, dst = builder.src, builder.dst
    asked = builder.send("echo-request", "ping", src, dst, echo(ECHO_REQUEST, 7, 1), ICMP, end=ANSWERED)
    builder.send("echo-reply", "pong", dst, src, echo(ECHO_REPLY, 7, 1), ICMP, answers=asked)
    return builder.walk()


def lost_walk(fate: str = LOST) -> Walk:
    """An echo request that is lost between the switch and node-c, or dropped by the switch."""
    builder = Builder("overlay", "ping")
    note = "left the switch, never came in at node-c" if fate == LOST else "no flow for 12:22:33:44:55:03: table-miss"
    number = builder.packet("echo-request", "ping", builder.src, builder.dst)
    hops = builder.hops(builder.src, builder.dst)
    end = next(hop for hop in hops if hop.machine == SWITCH and (hop.direction == "out") == (fate == LOST))
    builder.along(number, hops[: hops.index(end) + 1], echo(ECHO_REQUEST, 7, 1), ICMP, end=fate, note=note)
    return builder.walk("no answer in 1 s", ("the echo request never reached node-c:eth0, where overlay leads it",))


def flooded_walk(nodes: int) -> Walk:
    """node-a asks for node-c in a lab of many nodes."""
    builder = Builder("bare", "arp", scenario=Scenario(nodes=nodes, containers=0))
    first, *others = builder.plan.nodes
    asks = builder.packet("arp-request", f"who has {others[1].address}?", first.name, "")
    ports = builder.plan.port_of
    heard = [
        Sighting(f"{node.name}:eth0", "in", 2 + k, *((ANSWERED, "") if k == 1 else (DROPPED, f"{node.name}: silent")))
        for k, node in enumerate(others)
    ]
    builder.flood(asks, who_has(first.mac, first.address, others[1].address), (
        Sighting(f"{first.name}:eth0", "out"), Sighting(f"switch:{ports[first.name].device}", "in", 0),
        *(Sighting(f"switch:{ports[node.name].device}", "out", 1) for node in others), *heard,
    ))
    return builder.walk()
