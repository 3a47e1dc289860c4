"""A lab with one fact wrong: the request that shows it, and the claims that catch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emu.claims import Claim, Ping, Probe
from emu.faults import Fault
from emu.frames import Frame
from emu.live.judge import Verdict, judge
from emu.live.lab import Lab
from emu.live.tracing import trace
from emu.model import Plan
from emu.walk.model import Walk


@dataclass(frozen=True)
class Broken:
    """What was seen in a broken lab. ``errors``: of controller and switch, as ``Lab.errors``."""

    walk: Walk
    verdicts: Sequence[Verdict]
    errors: Sequence[str]

    @property
    def caught_by(self) -> tuple[str, ...]:
        """The ids of the claims that fail."""
        return tuple(verdict.claim.id for verdict in self.verdicts if verdict.result == "fails")


def build_broken(plan: Plan, fault: Fault, claims: Sequence[Claim]) -> Broken:
    """Build a sound plan with one fact wrong, and judge it by the sound plan's ``claims``.

    The packets of the walk are those that are judged, where a claim is about the same request.
    """
    src, dst = fault.probe(plan)
    with Lab(fault.apply(plan)) as lab:
        walk, recording = trace(lab, src, dst, fault.request)
        known: dict[Probe, Sequence[Frame]] = {Ping(src, dst): recording.frames} if fault.request == "ping" else {}
        return Broken(walk, judge(lab, claims, known), lab.errors())
