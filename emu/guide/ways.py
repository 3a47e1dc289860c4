"""Which packets of a walk bring news, and which steps of a broadcast can be told in one breath."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from emu.model import Plan
from emu.packets import ARP_REQUEST
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, LOST, Packet, Step, Walk
from emu.walk.words import payload

MANY = 4
"""From so many branches of a broadcast on, those that end in silence are told together."""


def repeats(walk: Walk) -> dict[int, int]:
    """Packet number -> number of the earlier packet that went the very same way and was changed in the same way."""
    ways: list[tuple[Packet, tuple[object, ...]]] = []
    found = {}
    for packet in walk.packets:
        way = _way(walk, packet)
        earlier = next((other.number for other, known in ways if known == way and other.kind == packet.kind), None)
        if earlier is None:
            ways.append((packet, way))
        else:
            found[packet.number] = earlier
    return found


def _way(walk: Walk, packet: Packet) -> tuple[object, ...]:
    """All that a packet met, without times and without what tables said of it (their counters differ)."""
    place = {index: number for number, index in enumerate(packet.steps)}
    return tuple(
        (
            *(step.point, step.frame.direction, place.get(step.previous or 0), step.changed),
            DELIVERED if step.fate == ANSWERED else step.fate,
        )
        for step in walk.steps_of(packet)
    )


def carries_data(walk: Walk, packet: Packet) -> bool:
    """Whether this is a TCP packet with something in it, not only a handshake or an acknowledgment."""
    return packet.kind == "tcp" and bool(payload(walk.step(packet.steps[0]).frame))


def parties(packet: Packet) -> tuple[str, str]:
    """Source and destination as a reader is told them."""
    return packet.src or "somebody", packet.dst or ("everybody" if packet.kind == "arp-request" else "somebody")


def groups(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """The steps of one packet in order; of a broadcast, ``MANY`` or more that are alike in all but their place, and of
    which nothing but silence came, are one group."""
    silences = _silences(steps)
    by_index = {step.index: step for step in steps}
    alike: dict[Hashable, list[Step]] = {}
    for step in steps:
        depth, fork = 1, step.previous
        while fork in silences:
            depth, fork = depth + 1, by_index[fork].previous
        key = (fork, depth, silences[step.index]) if step.index in silences else step.index
        alike.setdefault(key, []).append(step)
    found: list[tuple[Step, ...]] = []
    for group in alike.values():
        found.extend([tuple(group)] if len(group) >= MANY else [(step,) for step in group])
    return sorted(found, key=lambda group: group[0].index)


def _silences(steps: Sequence[Step]) -> dict[int, Hashable]:
    """The steps that were dropped, or of which all that followed was: what happened there and behind, without names."""
    following: dict[int, list[int]] = {}
    found: dict[int, Hashable] = {}
    for step in reversed(steps):
        after = following.get(step.index, [])
        if all(index in found for index in after) if after else step.fate == DROPPED:
            note = step.note.replace(step.frame.machine, "each")
            found[step.index] = (step.frame.direction, step.fate, note, frozenset(found[index] for index in after))
        if step.previous:
            following.setdefault(step.previous, []).append(step.index)
    return found


def has_failed(plan: Plan, step: Step) -> bool:
    """Whether a frame ended here that should have gone on, or been answered; a bystander's silence is none."""
    if step.fate != DROPPED:
        return step.fate == LOST
    machine, fields = plan.by_name.get(step.frame.machine), step.frame.inner
    is_own = machine is not None and any(own.address == fields.get("arp.tpa") for own in machine.addresses)
    return is_own or fields.get("arp.op") != ARP_REQUEST


def ending(group: Sequence[Step]) -> str:
    """Why a packet ended at a step, or at each of a group of them: the last words of its note."""
    note, machine = printable(group[0].note).rpartition("; ")[2] or group[0].fate, group[0].frame.machine
    return note.replace(machine, "each") if len(group) > 1 else note.removeprefix(f"{machine} ")


def complaints(walk: Walk) -> list[str]:
    """Why the request got no answer, and where it left the declared path: a sentence each."""
    problem = [f"no answer: {printable(walk.problem)}"] if walk.problem else []
    return [*problem, *(f"not as declared: {printable(difference)}" for difference in walk.differences)]


def size(walk: Walk, unicode: bool = True) -> str:
    """How many packets and steps there are, and how long it took."""
    took = microseconds(walk.steps[-1].t_us if walk.steps else 0, unicode)
    return f"packets: {len(walk.packets)}, steps: {len(walk.steps)}, in all {took}"


def printable(text: str) -> str:
    """``text`` without what a terminal would obey and XML forbids: what came over the wire may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def microseconds(value: float, unicode: bool = True) -> str:
    """A time with its unit and no more digits than help: ``9.4 µs``, ``214 µs``, ``12.5 ms``, ``3.06 s``."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:.2f} s"
    if value >= 10_000:
        return f"{value / 1000:.1f} ms"
    return f"{value:.{1 if value < 10 else 0}f} {'µs' if unicode else 'us'}"
