"""Frames captured at many interfaces, joined into packets by what they are.

ARP is told by operation and addresses; IP by addresses, protocol, identification and what the transport says (ports,
sequence numbers, ICMP identifiers), through encapsulation by the inner packet: all that no bridge, router or tunnel of
a lab changes on the way. Where a sighting came from is told by the topology; time only chooses among sightings of
the same packet that could both be it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.frames import Frame
from emu.packets import ARP_REQUEST, FIN, SYN, TINC_PORT, WIREGUARD_PORT, sealed_bytes
from emu.walk.topology import Topology

_TRANSPORT = {
    1: ("icmp.type", "icmp.code", "icmp.id", "icmp.seq", "quoted.ip.id", "quoted.ip.src", "quoted.ip.dst"),
    6: ("tcp.sport", "tcp.dport", "tcp.seq", "tcp.ack", "tcp.flags", "tcp.len"),
    17: ("udp.sport", "udp.dport", "udp.len"),
}

ROUTING_PORTS = frozenset({179, 3784, TINC_PORT, WIREGUARD_PORT})
"""BGP's (RFC 4271) and BFD's (RFC 5881), and those of tunnel programs for what is no packet of others'."""


@dataclass(frozen=True)
class Sighting:
    """A frame of a packet; ``number`` is its place among all frames captured, ``previous`` that of the frame it came
    from (``None`` where the packet was made)."""

    number: int
    frame: Frame
    previous: int | None


def identity(frame: Frame) -> Hashable | None:
    """What stays the same of a packet wherever it is seen, as long as nobody translates it; ``None`` for a frame that
    is neither ARP nor IPv4, or that routing daemons send each other: these speak whether or not anybody asks."""
    if frame.is_sealed:
        return tuple(frame.fields[name] for name in ("ip.src", "ip.dst", "wg.receiver", "wg.counter"))
    fields = frame.inner
    if "arp.op" in fields:
        target = None if fields["arp.op"] == ARP_REQUEST else fields["arp.tha"]
        return ("arp", fields["arp.op"], fields["arp.sha"], fields["arp.spa"], target, fields["arp.tpa"])
    if "ip.src" not in fields or _is_routing(fields):
        return None
    transport = _TRANSPORT.get(fields["ip.proto"], ())
    head = ("ip.src", "ip.dst", "ip.proto", "ip.id", "ip.fragment", "ip.len")
    return tuple(fields.get(name) for name in (*head, *transport))


def disguised(frame: Frame) -> Hashable | None:
    """What stays the same of a packet whose addresses and ports (or ICMP identifier) a machine translates; ``None`` for
    what it does not translate."""
    fields = frame.inner
    if "ip.src" not in fields or "quoted.ip.src" in fields:
        return None
    names = ("ip.proto", "ip.id", "ip.fragment", "ip.len", "icmp.type", "icmp.code", "icmp.seq", "tcp.seq", "tcp.ack",
             "tcp.flags", "tcp.len", "udp.len")
    return tuple(fields.get(name) for name in names)


def _is_routing(fields: Mapping[str, Any]) -> bool:
    """Whether routing daemons speak to each other in a packet."""
    return bool({fields.get(f"{protocol}.{end}") for protocol in ("tcp", "udp") for end in ("sport", "dport")}
                & ROUTING_PORTS)


def message(frame: Frame) -> Hashable | None:
    """What a sender repeats when it sends the same again: the identity without what IP and TCP number anew; ``None``
    for TCP segments that acknowledge and say nothing, of which several may be alike."""
    fields = frame.inner
    if "tcp.seq" not in fields:
        return identity(frame)
    if not fields["tcp.len"] and not fields["tcp.flags"] & (SYN | FIN):
        return None
    names = ("ip.src", "ip.dst", "tcp.sport", "tcp.dport", "tcp.seq", "tcp.len", "tcp.flags")
    return ("tcp", *(fields[name] for name in names))


def in_order(topology: Topology, frames: Iterable[Frame]) -> list[Frame]:
    """Frames in order of time; those with one time stamp in the order in which a machine handles them."""
    return sorted(frames, key=lambda frame: (frame.t_ns, topology.rank(frame)))


def join(topology: Topology, frames: Sequence[Frame]) -> list[list[Sighting]]:
    """The packets that ``frames`` (as ``in_order`` gives them) show, each from where it was made, in that order.

    A packet sent twice (a retry with the same identity), or copied on the way to a place where it has been already,
    is two packets. Where several could have gone on here, links, bridges and switches keep their order: the oldest has,
    if as many came by here as there; if some were lost, the latest. Copies for several tunnel ends are told apart by
    their ends. Frames that have no identity are left out.
    """
    alike: dict[Hashable, list[Sighting]] = {}
    inside: dict[Hashable, Hashable] = {}
    translated: dict[Hashable, list[Sighting]] = {}
    packets: list[list[Sighting]] = []
    packet_of: dict[int, list[Sighting]] = {}
    arrived: set[tuple[int, str, str, str | None]] = set()
    keys = [identity(frame) for frame in frames]
    passed = Counter((key, frame.at, frame.direction) for key, frame in zip(keys, frames, strict=True))
    for number, (own, frame) in enumerate(zip(keys, frames, strict=True), 1):
        if frame.is_sealed and own not in inside:
            inside[own] = _sealed_in(topology, frame, packets, set(inside.values()))
        key = inside[own] if frame.is_sealed else own
        if key is None:
            continue
        waiting = [
            seen
            for seen in alike.setdefault(key, [])
            if topology.may_follow(seen.frame, frame) and (seen.number, *_place(frame)) not in arrived
        ]
        waiting = [seen for seen in waiting if seen.frame.tunnel_end == frame.tunnel_end] or waiting
        before = waiting[-1] if waiting else None
        if not waiting and frame.direction == "out" and frame.machine in topology.translating:
            before = next((seen for seen in reversed(translated.get(disguised(frame), []))
                           if topology.may_follow(seen.frame, frame)), None)
        elif before and passed[key, before.frame.at, before.frame.direction] == passed[key, frame.at, frame.direction]:
            before = next(seen for seen in waiting if seen.frame.at == before.frame.at)
        sighting = Sighting(number, frame, before.number if before else None)
        alike[key].append(sighting)
        if frame.machine in topology.translating and (shape := disguised(frame)):
            translated.setdefault(shape, []).append(sighting)
        if before is None:
            packets.append([])
        packet = packet_of[number] = packet_of[before.number] if before else packets[-1]
        packet.append(sighting)
        if before:
            arrived.add((before.number, *_place(frame)))
    return packets


def _sealed_in(topology: Topology, wire: Frame, packets: Iterable[Sequence[Sighting]],
               taken: Collection[Hashable]) -> Hashable | None:
    """Which packet travels in a frame that is sealed, where it leaves the machine that sealed it: of those that went
    into a tunnel there, and are in no other frame, the first of that size. A tunnel keeps their order."""
    if wire.direction != "out":
        return None
    waiting = sorted((s for packet in packets for s in packet
                      if topology.parent.get(s.frame.at) == wire.at and s.frame.direction == "out"),
                     key=lambda sighting: sighting.number)
    for sighting in waiting:
        key = identity(sighting.frame)
        if key not in taken and sealed_bytes(sighting.frame.inner["ip.len"]) == wire.fields["udp.len"]:
            return key
    return None


def _place(frame: Frame) -> tuple[str, str, str | None]:
    """Where a frame is, and for which tunnel end."""
    return frame.at, frame.direction, frame.tunnel_end
