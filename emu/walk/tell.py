"""Joined packets and the answers to what was asked about them -> a ``Walk``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from emu.frames import Frame
from emu.model import BROADCAST_MAC, SWITCH, Hop, Plan
from emu.packets import ARP_REQUEST, FIN, SYN
from emu.walk import words
from emu.walk.expected import differences
from emu.walk.join import Sighting, message
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, FORWARDED, LOST, Change, Packet, Step, Walk
from emu.walk.questions import NO_WAY_BACK, Question, questions, why_last
from emu.walk.topology import Topology

_ONE_STEP_ANSWERS = ("arp-request", "echo-request")
"""Kinds that a machine answers by itself, without a program: the step that is answered says so."""


@dataclass(frozen=True)
class Journeys:
    """What was captured of one request: every frame of the lab in order, and the packets they make."""

    plan: Plan
    topology: Topology
    packets: Sequence[Sequence[Sighting]]

    def questions(self) -> list[Question]:
        """Everything to be asked of the lab, each question once."""
        asked: dict[Question, None] = {}
        for packet in self.packets:
            for sighting in packet:
                asked.update(dict.fromkeys(self.about(packet, sighting)))
                if self.is_last(packet, sighting):
                    asked.update(dict.fromkeys(why_last(self.plan, self.topology, sighting.frame)))
        return list(asked)

    @cached_property
    def causes(self) -> Mapping[int, int]:
        """Packet number -> number of the packet it answers."""
        return _causes(self.packets)

    def is_last(self, packet: Sequence[Sighting], sighting: Sighting) -> bool:
        """Whether nothing of the packet follows a sighting of it."""
        return all(other.previous != sighting.number for other in packet)

    def about(self, packet: Sequence[Sighting], sighting: Sighting) -> list[Question]:
        """The questions whose answers decided that a packet was seen here."""
        before = next((s.frame for s in packet if s.number == sighting.previous), None)
        if before is None and sighting.frame.machine == SWITCH:  # an answer of the switch: what had it answer?
            before = self._cause(packet)
        return questions(self.plan, self.topology, sighting.frame, before, self.is_last(packet, sighting))

    def _cause(self, packet: Sequence[Sighting]) -> Frame | None:
        """The frame at the switch that the packet, made there, answers."""
        made = packet[0]
        seen = [s for other in self.packets for s in other if s.frame.at == made.frame.at and s.number < made.number]
        return next((s.frame for s in reversed(seen) if s.frame.direction == "in" and _asks(s.frame, made.frame)), None)


def tell(
    journeys: Journeys,
    request: str,
    ends: tuple[str, str],
    trips: Sequence[tuple[Sequence[Hop], Sequence[Hop]]],
    answers: Mapping[Question, str],
    problem: str,
) -> Walk:
    """The walk of ``request`` between the machines ``ends``.

    ``trips``: the ways there and back that the design declares, any of which it may take. ``problem``: why there was no
    answer, or empty.
    """
    return _Teller(journeys, answers).walk(request, ends, trips, problem)


class _Teller:
    def __init__(self, journeys: Journeys, answers: Mapping[Question, str]) -> None:
        self.journeys, self.topology, self.plan = journeys, journeys.topology, journeys.plan
        self.answers = answers
        ordered = sorted((s for packet in journeys.packets for s in packet), key=lambda s: s.number)
        self.index = {sighting.number: index for index, sighting in enumerate(ordered, 1)}
        self.ordered = ordered
        self.cause = journeys.causes

    def walk(
        self, request: str, ends: tuple[str, str], trips: Sequence[tuple[Sequence[Hop], Sequence[Hop]]], problem: str
    ) -> Walk:
        packets = [self._packet(number, seen) for number, seen in enumerate(self.journeys.packets, 1)]
        steps = [step for number, seen in enumerate(self.journeys.packets, 1) for step in self._steps(number, seen)]
        steps.sort(key=lambda step: step.index)
        walk = Walk(self.plan, request, *ends, tuple(steps), tuple(packets), (), problem)
        way_back = ends[::-1]
        found = min((differences(walk, {ends: there, way_back: back}) for there, back in trips), key=len, default=())
        return Walk(self.plan, request, *ends, walk.steps, walk.packets, found, problem)

    def _packet(self, number: int, seen: Sequence[Sighting]) -> Packet:
        frame = seen[0].frame
        fields = frame.inner
        if "arp.op" in fields:  # a proxy speaks in another's name, and a question is for everybody
            src = frame.machine
            dst = "" if fields["arp.op"] == ARP_REQUEST else self.topology.owner_of_ip.get(fields["arp.tpa"], "")
        else:
            last = seen[-1].frame.inner  # on the way, addresses may be translated
            src, dst = (self.topology.owner_of_ip.get(ip, "") for ip in (fields["ip.src"], last["ip.dst"]))
        indices = tuple(sorted(self.index[sighting.number] for sighting in seen))
        return Packet(number, words.kind(frame), words.title(frame), src, dst, indices, self.cause.get(number))

    def _steps(self, number: int, seen: Sequence[Sighting]) -> list[Step]:
        by_number = {sighting.number: sighting for sighting in seen}
        steps = []
        for sighting in seen:
            frame = sighting.frame
            before = by_number[sighting.previous] if sighting.previous else None
            changed = words.changes(before.frame, frame) if before else ()
            is_last = self.journeys.is_last(seen, sighting)
            fate, fate_note = self._ending(number, frame) if is_last else (FORWARDED, "")
            known = (self.answers.get(question, "") for question in self.journeys.about(seen, sighting))
            decided_by = "; ".join(filter(None, known))
            note = "; ".join(filter(None, (self._note(number, before, frame, changed, decided_by), fate_note)))
            steps.append(
                Step(
                    index=self.index[sighting.number],
                    packet=number,
                    frame=frame,
                    t_us=(frame.t_ns - self.ordered[0].frame.t_ns) / 1000,
                    took_us=(frame.t_ns - before.frame.t_ns) / 1000 if before else None,
                    previous=self.index[before.number] if before else None,
                    changed=changed,
                    decided_by=decided_by,
                    fate=fate,
                    note=note,
                    pcap_frame=sighting.number,
                )
            )
        return steps

    def _ending(self, number: int, frame: Frame) -> tuple[str, str]:
        """Fate and reason of a frame that nothing follows."""
        fields, machine = frame.fields if frame.is_sealed else frame.inner, frame.machine
        reason, no_way_back = self._reasons(frame)
        if frame.direction == "out":
            if frame.at in self.topology.parent:  # it has left no machine yet
                return DROPPED, reason
            return LOST, f"left {frame.at} and never came in at {self.topology.peer.get(frame.at, 'the other end')}"
        answer = self._answer_of(number, machine)
        if answer and words.kind(self.journeys.packets[answer - 1][0].frame) == "icmp-error":
            error = words.title(self.journeys.packets[answer - 1][0].frame)
            return DROPPED, "; ".join(filter(None, (reason, f"{machine} says {error} (packet {answer})")))
        if answer and words.kind(frame) in _ONE_STEP_ANSWERS:
            return ANSWERED, ""
        if fields.get("arp.op") == ARP_REQUEST:
            own = self.topology.owner_of_ip.get(fields["arp.tpa"]) == machine
            silent = "its own address, and yet no answer" if own else f"{machine} has no such address: silent"
            return DROPPED, "goes no further" if machine == SWITCH else reason or silent
        target = fields["ip.dst"] if "ip.dst" in fields else fields["arp.tpa"]
        if self.topology.owner_of_ip.get(target) == machine and not reason:
            return DELIVERED, no_way_back
        return DROPPED, "goes no further" if machine == SWITCH else reason or f"{machine} does not send it on"

    def _answer_of(self, number: int, machine: str) -> int | None:
        """The number of the packet by which ``machine`` answers a packet."""
        answers = (answer for answer, cause in self.cause.items() if cause == number)
        return next((a for a in answers if self.journeys.packets[a - 1][0].frame.machine == machine), None)

    def _reasons(self, frame: Frame) -> tuple[str, str]:
        """Why a frame got no further, and why no answer to it could be sent, as far as a kernel tells."""
        asked = why_last(self.plan, self.topology, frame)
        known = {question.kind: self.answers.get(question, "") for question in asked}
        no_way_back = known.pop(NO_WAY_BACK, "")
        return "; ".join(filter(None, known.values())), no_way_back

    def _note(
        self, number: int, before: Sighting | None, frame: Frame, changed: Sequence[Change], decided_by: str
    ) -> str:
        fields = frame.inner
        if before is None:
            return self._made(number, frame, decided_by)
        names = {change.field: change for change in changed}
        if "encap" in names:
            if names["encap"].now is not None:
                return f"encapsulated: {words.tunnel(frame.fields)}"
            return f"taken out of the tunnel: {names['encap'].was.partition(',')[0]}"
        if "ip.ttl" in names:
            macs = ", MACs rewritten" if "eth.dst" in names else ""
            ends = (("ip.src", "source"), ("ip.dst", "destination"))
            new = [f", {word} {names[f].was} -> {names[f].now}" for f, word in ends if f in names]
            return f"routed: TTL {names['ip.ttl'].was} -> {names['ip.ttl'].now}{macs}{''.join(new)}"
        if before.frame.direction == "out" and frame.direction == "in":
            return ""  # over the link
        if frame.machine == SWITCH:
            return "flooded" if self._copies(number, before) > 1 else "switched"
        if frame.direction == "in":
            return f"handed up to {frame.interface}"
        if before.frame.direction == "in":
            return "copied to every port" if fields["eth.dst"] == BROADCAST_MAC else "bridged"
        return f"out of {before.frame.interface} by this port"

    def _copies(self, number: int, before: Sighting) -> int:
        return sum(other.previous == before.number for other in self.journeys.packets[number - 1])

    def _made(self, number: int, frame: Frame, decided_by: str) -> str:
        """What is said of a packet where it was made."""
        return "; ".join(filter(None, (self._sent(number, frame, decided_by), self._again(number, frame))))

    def _again(self, number: int, frame: Frame) -> str:
        """Which earlier packet this one is once more, if any: sent again there, or copied on its way."""
        same = message(frame)
        earlier = (k for k in range(1, number) if same and message(self.journeys.packets[k - 1][0].frame) == same)
        first = next(earlier, None)
        if first is None:
            return ""
        is_resent = self.journeys.packets[first - 1][0].frame.at == frame.at
        return f"again: the same as packet {first}" if is_resent else f"a second copy of packet {first}"

    def _sent(self, number: int, frame: Frame, decided_by: str) -> str:
        fields = frame.inner
        if fields.get("arp.op") == ARP_REQUEST:
            unanswered = "" if number in self.cause.values() else "; nobody answers"
            return f"asks everybody who has {fields['arp.tpa']}{unanswered}"
        if "arp.op" in fields:
            speaker = self.topology.owner_of_mac.get(fields["arp.sha"], "somebody")
            whose = self.topology.owner_of_ip.get(fields["arp.spa"])
            if whose not in (speaker, None):
                told = f"answered by proxy ARP with {speaker}'s MAC"
                return f"{told}: {who}" if (who := _answerer(frame, decided_by)) else told
            return "answers for itself"
        return f"answers packet {self.cause[number]}" if number in self.cause else "sent"


def _answerer(frame: Frame, decided_by: str) -> str:
    """Who has answered in another's name, by where the answer was made and what the switch did with the question;
    nothing if that is not known."""
    if frame.machine != SWITCH or not decided_by:
        return f"by {frame.machine}'s kernel" if frame.machine != SWITCH else ""
    return "by the controller" if "to the controller" in decided_by else "by a flow of the switch itself"


def _causes(packets: Sequence[Sequence[Sighting]]) -> dict[int, int]:
    """Packet number -> number of the packet it answers."""
    found = {}
    for number, packet in enumerate(packets, 1):
        made = packet[0]
        for earlier in range(number - 1, 0, -1):
            first = packets[earlier - 1][0]
            if first.number < made.number and _asks(first.frame, made.frame):
                found[number] = earlier
                break
    return found


def _asks(question: Frame, answer: Frame) -> bool:
    """Whether ``answer`` is what ``question`` wanted (or the error it led to)."""
    asked, said = question.inner, answer.inner
    if "arp.op" in asked or "arp.op" in said:
        same = asked.get("arp.tpa") == said.get("arp.spa") and asked.get("arp.sha") == said.get("arp.tha")
        return asked.get("arp.op") == ARP_REQUEST and said.get("arp.op") == 2 and same
    if "ip.src" not in asked or "ip.src" not in said:
        return False
    if "quoted.ip.dst" in said:
        return bool((asked["ip.id"], asked["ip.src"], asked["ip.dst"]) == (
            said["quoted.ip.id"], said["quoted.ip.src"], said["quoted.ip.dst"]))
    if (asked["ip.src"], asked["ip.dst"]) != (said["ip.dst"], said["ip.src"]):
        return False
    if "icmp.seq" in asked and "icmp.seq" in said:
        return bool((asked["icmp.type"], said["icmp.type"]) == (8, 0) and asked["icmp.seq"] == said["icmp.seq"])
    if "tcp.flags" not in asked or "tcp.flags" not in said:
        return False
    takes = asked["tcp.len"] + bool(asked["tcp.flags"] & (SYN | FIN))
    news = said["tcp.len"] or said["tcp.flags"] & SYN
    return bool(takes and news and (asked["tcp.seq"] + takes) % 2**32 == said["tcp.ack"])
