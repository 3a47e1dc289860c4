"""Any walk as a chapter of slides: each packet in stretches, from one decision to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emu.guide.chapters.base import Picture, story
from emu.guide.scene import Card, Chapter, Leg, Medium, Slide
from emu.guide.ways import microseconds, parties, repeats
from emu.model import SWITCH
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, LOST, Change, Packet, Step, Walk

LONGEST_CLAIM = 58


def chapter_of(walk: Walk) -> Chapter:
    """The slides of a walk. A packet that only repeats the way of an earlier one has one slide."""
    picture, known = Picture(walk), repeats(walk)
    slides = tuple(
        slide
        for packet in walk.packets
        for slide in (_whole(picture, packet) if _is_one(walk, packet, known) else _stretches(picture, packet))
    )
    return Chapter("walk", f"{walk.src} to {walk.dst}", "Walk", walk.plan.spec, slides, {"walk": walk})


def _is_one(walk: Walk, packet: Packet, known: dict[int, int]) -> bool:
    return packet.number in known or packet.kind == "arp-request" or len(walk.way(packet)) < 2


def _whole(p: Picture, packet: Packet) -> Iterator[Slide]:
    """A packet on one slide: a broadcast with all who hear it, or a way that has been seen before."""
    way = p.walk.way(packet)
    is_question = packet.kind == "arp-request"
    legs = p.broadcast(packet) if is_question else p.journey(packet)
    to, end = parties(packet)[1], way[-1]
    claim = f"{parties(packet)[0]} {'asks' if is_question else 'to ' + to}: {packet.title}"
    shown = end if end.fate != DROPPED else way[0]
    yield _slide(p, packet, f"{packet.number}", claim, shown, legs or p.journey(packet), way[0].note)


def _stretches(p: Picture, packet: Packet) -> Iterator[Slide]:
    """A packet on several slides: a new one wherever it is routed, wrapped, unwrapped or switched."""
    way = p.walk.way(packet)
    begins = [0, *(number for number, step in enumerate(way) if number and _decides(step, way[number - 1]))]
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(way)], strict=True), 1):
        first, last = way[max(0, begin - 1)], way[end - 1]
        claim = _claim(packet, way[begin], last)
        legs = p.journey(packet, first=first, last=last)
        yield _slide(p, packet, f"{packet.number}-{number}", claim, way[begin], legs, way[begin].note)


def _decides(step: Step, before: Step) -> bool:
    names = {change.field for change in step.changed}
    switched = step.frame.machine == SWITCH and before.frame.machine == SWITCH
    return bool(names & {"encap", "ip.ttl"}) or switched


def _claim(packet: Packet, step: Step, last: Step) -> str:
    changed = {change.field: change for change in step.changed}
    machine = "The gateway" if step.frame.machine == SWITCH else step.frame.machine
    if last.fate == LOST or (last.fate == DROPPED and last is step):
        return f"{packet.title}: {last.fate} at {last.point}."
    if "encap" in changed:
        return f"{machine} {'takes off' if changed['encap'].now is None else 'puts on'} the outer packet."
    if "ip.ttl" in changed:
        return f"{machine} routes it: {_ttl(changed['ip.ttl'])}."
    if step.frame.machine == SWITCH and step.previous is not None:
        return f"The switch sends it out by {step.frame.interface}."
    return f"{parties(packet)[0]} sends: {packet.title}"


def _ttl(change: Change) -> str:
    return f"TTL {change.was}, then {change.now}"


def _slide(
    p: Picture, packet: Packet, name: str, claim: str, step: Step, legs: Sequence[Leg], note: str
) -> Slide:
    walk, plan = p.walk, p.plan
    kind = "gateway" if plan.control.gateway else "switch"
    ends = [end for end in (walk.src, walk.dst) if end in plan.container_of]
    cards = {plan.node_of[end].name: Card(active=(end,)) for end in ends}
    medium = Medium(kind, "L3 gateway" if plan.control.gateway else "L2 switch")
    scene = p.scene(medium, story(p, walk.way(packet)), cards=cards, legs=tuple(legs), envelope=p.envelope(step))
    took = walk.steps_of(packet)[-1].t_us - walk.step(packet.steps[0]).t_us
    what = {DELIVERED: "delivered", ANSWERED: "answered"}.get(walk.way(packet)[-1].fate, walk.way(packet)[-1].fate)
    caption = f"{note}. Packet {packet.number} of {len(walk.packets)}: {len(packet.steps)} steps, "
    caption = f"{caption[0].upper()}{caption[1:]}{what} after {microseconds(took)}."
    return Slide(name, shortened(claim), caption, scene, walk, step)


def shortened(claim: str) -> str:
    """A claim that stays on one line."""
    return claim if len(claim) <= LONGEST_CLAIM else f"{claim[: LONGEST_CLAIM - 1]}…"
