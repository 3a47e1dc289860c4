"""A walk held against the path its design declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emu.model import Hop
from emu.walk.model import Packet, Step, Walk


def differences(walk: Walk, paths: Mapping[tuple[str, str], Sequence[Hop]]) -> tuple[str, ...]:
    """Where packets between the ends of ``paths`` left the way that is declared for them, a sentence each.

    Every such packet must be seen at exactly the declared capture points, in their order, with the declared MACs, TTL
    and outer headers. What goes wrong with many packets in the same way is told once.
    """
    found: dict[str, list[str]] = {}
    for packet in walk.packets:
        path = paths.get((packet.src, packet.dst))
        if path is None or packet.kind.startswith("arp") or packet.kind == "icmp-error":
            continue
        if not path or walk.step(packet.steps[0]).frame.inner["ip.dst"] != _answered_at(walk, packet, path):
            continue  # a node may speak from another of its addresses, and is answered there, by another way
        for sentence in _of_packet(walk, packet, path):
            found.setdefault(sentence, []).append(packet.title)
    told = [f"{sentence} ({', '.join(dict.fromkeys(titles))})" for sentence, titles in found.items()]
    return (*told, *_unsent(walk, paths))


def _answered_at(walk: Walk, packet: Packet, path: Sequence[Hop]) -> str:
    """The address to which a packet on this path is sent."""
    return path[0].ip_dst or walk.plan.address(packet.dst)


def _unsent(walk: Walk, paths: Mapping[tuple[str, str], Sequence[Hop]]) -> list[str]:
    """Ways on which nothing was sent. Asking for a MAC alone sends nothing on them."""
    used = {(packet.src, packet.dst) for packet in walk.packets if not packet.kind.startswith("arp")}
    ways = [] if walk.request == "arp" else [ends for ends in paths if ends not in used]
    return [f"nothing was sent from {src} to {dst}" for src, dst in ways]


def _of_packet(walk: Walk, packet: Packet, path: Sequence[Hop]) -> list[str]:
    steps = walk.steps_of(packet)
    way = walk.way(packet)
    for number, hop in enumerate(path):
        where = f"{hop.point} {hop.direction}"
        if number == len(way):
            return [f"last seen at {way[-1].point} ({way[-1].fate}); declared next: {where}"]
        step = way[number]
        if (step.point, step.frame.direction) != (hop.point, hop.direction):
            return [f"seen at {step.point} {step.frame.direction}, declared: {where}"]
        wrong = [f"{name} {seen} instead of {wanted}" for name, wanted, seen in _fields(hop, step) if seen != wanted]
        if wrong:
            return [f"at {where}: {', '.join(wrong)}"]
    if len(way) > len(path):
        return [f"goes on to {way[len(path)].point}, declared to end at {path[-1].point}"]
    astray = [step.point for step in steps if step not in way]
    return [f"copies seen at {', '.join(astray)}"] if astray else []


def _fields(hop: Hop, step: Step) -> list[tuple[str, Any, Any]]:
    inner, whole = step.frame.inner, step.frame.fields
    macs = (("source MAC", hop.eth_src, inner.get("eth.src")), ("destination MAC", hop.eth_dst, inner.get("eth.dst")))
    inside: list[tuple[str, Any, Any]] = [] if hop.sealed else [
        *(macs if hop.eth_src else ()),
        ("TTL", hop.ttl, inner.get("ip.ttl")),
        *((("source address", hop.ip_src, inner.get("ip.src")),) if hop.ip_src else ()),
        *((("destination address", hop.ip_dst, inner.get("ip.dst")),) if hop.ip_dst else ()),
    ]
    found = [*inside, ("encapsulated", hop.outer is not None, step.frame.is_encapsulated)]
    return found + [(f"outer {name}", wanted, whole.get(name)) for name, wanted in (hop.outer or {}).items()]
