"""Any walk as a chapter of slides: each packet in stretches, from one decision to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emu.guide.chapters.base import Picture, place, story
from emu.guide.scene import Card, Chapter, Leg, Medium, Slide
from emu.guide.ways import complaints, has_failed, microseconds, parties, repeats, size
from emu.model import SWITCH
from emu.walk.model import DROPPED, Packet, Step, Walk

LONGEST_CLAIM, LONGEST_CAPTION = 58, 160


def chapter_of(walk: Walk) -> Chapter:
    """The slides of a walk. A packet that only repeats the way of an earlier one has one slide; the last slide says how
    it ended."""
    picture, known = Picture(walk), repeats(walk)
    slides = [
        slide
        for packet in walk.packets
        for slide in (_whole(picture, packet) if _is_one(walk, packet, known) else _stretches(picture, packet))
    ]
    return Chapter(
        "walk", f"{walk.src} to {walk.dst}", "Walk", walk.plan.spec, (*slides, _verdict(picture)), {"walk": walk}
    )


def _is_one(walk: Walk, packet: Packet, known: dict[int, int]) -> bool:
    return packet.number in known or packet.kind == "arp-request" or len(walk.way(packet)) < 2


def _whole(p: Picture, packet: Packet) -> Iterator[Slide]:
    """A packet on one slide: a broadcast with all who hear it, or a way that has been seen before."""
    way = p.walk.way(packet)
    is_question = packet.kind == "arp-request"
    legs = p.broadcast(packet) if is_question else p.journey(packet)
    to, end = parties(packet)[1], way[-1]
    claim = f"{p.speaker(packet)} {'asks' if is_question else 'to ' + to}: {packet.title}"
    shown = end if end.fate != DROPPED else way[0]
    yield _slide(p, packet, f"{packet.number}", claim, shown, legs or p.journey(packet), way[0].note)


def _stretches(p: Picture, packet: Packet) -> Iterator[Slide]:
    """A packet on several slides: a new one wherever it is routed, wrapped, unwrapped, switched, or comes to grief."""
    way = p.walk.way(packet)
    begins = [0, *(number for number, step in enumerate(way) if number and _decides(p, step, way[number - 1]))]
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(way)], strict=True), 1):
        first, last = way[_begin(p, way, begin)], way[end - 1]
        claim = _claim(p, packet, way[begin])
        legs = p.journey(packet, first=first, last=last)
        yield _slide(p, packet, f"{packet.number}-{number}", claim, way[begin], legs, way[begin].note)


def _begin(p: Picture, way: Sequence[Step], begin: int) -> int:
    """Where the line of a stretch begins: one step before it, or where it came to the machine that it ends in."""
    if not has_failed(p.plan, way[begin]):
        return max(0, begin - 1)
    here = way[begin].frame.machine
    return next((number for number in range(begin - 1, 0, -1) if way[number].frame.machine != here), 0)


def _decides(p: Picture, step: Step, before: Step) -> bool:
    names = {change.field for change in step.changed}
    switched = step.frame.machine == SWITCH and before.frame.machine == SWITCH
    return bool(names & {"encap", "ip.ttl"}) or switched or has_failed(p.plan, step)


def _claim(p: Picture, packet: Packet, step: Step) -> str:
    changed = {change.field: change for change in step.changed}
    machine = p.switch if step.frame.machine == SWITCH else step.frame.machine
    if has_failed(p.plan, step):
        return _sentence(f"{machine} has it, and it goes no further: {step.fate}.")
    if "encap" in changed:
        return _sentence(f"{machine} {'takes off' if changed['encap'].now is None else 'puts on'} the outer packet.")
    if "ip.ttl" in changed:
        return _sentence(f"{machine} routes it: TTL {changed['ip.ttl'].was}, then {changed['ip.ttl'].now}.")
    if step.frame.machine == SWITCH and step.previous is not None:
        return _sentence(f"{machine} sends it out by {step.frame.interface}.")
    if packet.kind == "arp-reply":
        return _sentence(f"{p.speaker(packet)} answers: I have {step.frame.inner['arp.spa']}.")
    return _sentence(f"{p.speaker(packet)} sends: {packet.title}")


def _slide(p: Picture, packet: Packet, name: str, claim: str, step: Step, legs: Sequence[Leg], note: str) -> Slide:
    walk = p.walk
    scene = p.scene(
        _medium(p),
        story(p, walk.way(packet)),
        cards=_cards(p),
        legs=tuple(legs),
        envelope=p.envelope(step),
        envelope_at=place(legs, step),
    )
    took = walk.steps_of(packet)[-1].t_us - walk.step(packet.steps[0]).t_us
    end = walk.way(packet)[-1].fate
    caption = f"{note}. Packet {packet.number} of {len(walk.packets)}: {len(packet.steps)} steps, {end}"
    return Slide(name, shortened(claim), f"{_sentence(caption)} after {microseconds(took)}.", scene, walk, step)


def _verdict(p: Picture) -> Slide:
    """How the walk ended: as declared, or what went wrong."""
    wrong = complaints(p.walk)
    claim = "Answered, and all of it as declared."
    if wrong:
        claim = "Not answered." if p.walk.problem else "Answered, but not as declared."
    caption = "; ".join(_sentence(sentence) for sentence in wrong) or f"{size(p.walk)}."
    desc = f"{claim} {caption}"
    return Slide("end", claim, shortened(caption, LONGEST_CAPTION), p.scene(_medium(p), desc, cards=_cards(p)), p.walk)


def _medium(p: Picture) -> Medium:
    return Medium(
        "gateway" if p.plan.control.gateway else "switch",
        f"L{3 if p.plan.control.gateway else 2} " + p.switch.removeprefix("the "),
    )


def _cards(p: Picture) -> dict[str, Card]:
    ends = [end for end in (p.walk.src, p.walk.dst) if end in p.plan.container_of]
    return {
        p.plan.node_of[end].name: Card(active=tuple(e for e in ends if p.plan.node_of[e] is p.plan.node_of[end]))
        for end in ends
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if not text.startswith(("node-", "ctr-", "outside-")) else text


def shortened(text: str, longest: int = LONGEST_CLAIM) -> str:
    """A claim that stays on one line, a caption that stays on two."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
