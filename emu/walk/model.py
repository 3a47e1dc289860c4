"""A walk: the journey of one request through a lab, as captured frames joined into ordered steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from emu.frames import Frame
from emu.model import Plan

FORWARDED, DELIVERED, ANSWERED, DROPPED, LOST = "forwarded", "delivered", "answered", "dropped", "lost"
"""What becomes of a frame at a step. ``dropped``: it came in and went no further, on purpose (``note`` says why; a
bystander that hears a broadcast drops it); ``lost``: it left and never came in at the other end."""


@dataclass(frozen=True)
class Change:
    """A header field that is not what it was one step before.

    ``field`` is named as in ``emu.packets``, without ``inner.``; ``encap`` stands for the whole outer part of a
    frame, which appears (``was`` is ``None``) or is taken off (``now`` is ``None``).
    """

    field: str
    was: Any
    now: Any


@dataclass(frozen=True)
class Step:
    """One sighting of a packet: a frame at an interface.

    ``index`` counts from 1 in order of the walk; ``previous`` is the index of the step this frame came from (``None``
    where the packet was made). ``t_us``: since the walk's first step; ``took_us``: since ``previous``.
    ``packet`` numbers the packet (``Walk.packet``); ``pcap_frame`` is the frame's number in walk.pcapng.
    """

    index: int
    packet: int
    frame: Frame
    t_us: float
    took_us: float | None
    previous: int | None
    changed: tuple[Change, ...]
    decided_by: str
    fate: str
    note: str
    pcap_frame: int

    @property
    def point(self) -> str:
        """The capture point, as in ``node-a:eth0``."""
        return self.frame.at


@dataclass(frozen=True)
class Packet:
    """One packet, from the interface where it was made to all that it reached.

    ``kind``: arp-request, arp-reply, echo-request, echo-reply, icmp-error, tcp, udp or ip. ``title`` says what it is
    in the words of a reader: ``who has 10.0.3.2?``, ``SYN``, ``GET /``. ``src`` and ``dst`` are names of machines: who
    made an ARP packet (the switch, where it answers by proxy), whose the source address of another is (``dst`` is empty
    for everybody, either where the plan does not know the address). ``steps``: indices in order.
    """

    number: int
    kind: str
    title: str
    src: str
    dst: str
    steps: tuple[int, ...]
    answers: int | None


@dataclass(frozen=True)
class Walk:
    """The journey of one request and of all that it caused.

    ``differences``: where it left the path its design declares, a sentence each. ``problem``: why the request got no
    answer, in the words of the tool that sent it; empty if it got one.
    """

    plan: Plan
    request: str
    src: str
    dst: str
    steps: tuple[Step, ...]
    packets: tuple[Packet, ...]
    differences: tuple[str, ...]
    problem: str

    @cached_property
    def by_number(self) -> Mapping[int, Packet]:
        return {packet.number: packet for packet in self.packets}

    def step(self, index: int) -> Step:
        """The step with this index; ``IndexError`` if there is none."""
        if index < 1:
            raise IndexError(index)
        return self.steps[index - 1]

    def packet(self, number: int) -> Packet:
        """The packet with this number; ``KeyError`` if there is none."""
        return self.by_number[number]

    def steps_of(self, packet: Packet) -> tuple[Step, ...]:
        """The steps of a packet, in order."""
        return tuple(self.steps[index - 1] for index in packet.steps)

    def chain(self, step: Step) -> tuple[Step, ...]:
        """The steps that lead from where a packet was made to ``step``, which is the last of them."""
        earlier = self.chain(self.step(step.previous)) if step.previous else ()
        return (*earlier, step)

    def way(self, packet: Packet) -> tuple[Step, ...]:
        """The steps from where a packet was made to where it was wanted; the longest way it took if it got to no such
        place."""
        steps = self.steps_of(packet)
        wanted = [step for step in steps if step.fate in (DELIVERED, ANSWERED)]
        return max((self.chain(step) for step in wanted or steps), key=len)

    @property
    def holds(self) -> bool:
        """Whether the request was answered and everything went as declared."""
        return not self.problem and not self.differences
