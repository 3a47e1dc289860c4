"""Requests made visible: one traced into a folder (``emu trace``), the deck's systems as a guide (``emu guide``)."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from emu import __version__, pcapng
from emu.claims import Probe
from emu.designs import DEFAULT_DESIGNS, make_plan, parse_design
from emu.designs.outside import NONE, WAYS
from emu.frames import Frame
from emu.guide import chapters, ladder, page
from emu.guide.chapters.base import ChapterMaker
from emu.guide.journey import chapter_of
from emu.guide.page import FactRow
from emu.listing import objects_in
from emu.live.judge import Verdict, judge
from emu.live.lab import Lab
from emu.live.tracing import trace
from emu.model import Plan, Scenario
from emu.output import OutputFolder, json_text
from emu.walk.document import document
from emu.walk.model import Step, Walk
from emu.walk.topology import topology

TITLE = "An illustrated guide to container networks"
REQUEST_WORDS = {"http": "GET /", "ping": "A ping", "full-ping": "A full-size ping", "arp": "An ARP request"}


@cache
def chapter_makers() -> Mapping[str, ChapterMaker]:
    """The chapters of the guide by their names, in the deck's order."""
    return {maker.name: maker for maker in sorted(objects_in(chapters, "CHAPTER", {"base", "ways"}), key=_place)}


def _place(maker: ChapterMaker) -> tuple[int, int, int, str]:
    """The deck's systems in its order, each before its variants; last how others come to an overlay."""
    spec = parse_design(maker.spec)
    way = WAYS.index(spec.params.get("outside", NONE))
    return DEFAULT_DESIGNS.index(spec.name), way, maker.outside, maker.spec


def plan_for(maker: ChapterMaker, scenario: Scenario) -> Plan:
    """The plan of a chapter's lab. ``UsageError`` where its design cannot be made of the scenario."""
    outside = max(scenario.outside, maker.outside)
    return make_plan(parse_design(maker.spec), replace(scenario, outside=outside))


def write_walk(out: Path, walk: Walk, frames: Sequence[Frame], about: Mapping[str, str]) -> OutputFolder:
    """A new folder with the walk as walk.json, walk.pcapng, walk.svg and walk.html; returns it. All is drawn before
    there is a folder."""
    title = f"{REQUEST_WORDS[walk.request]} from {walk.src} to {walk.dst}"
    files: dict[str, str | bytes] = {
        "walk.pcapng": capture_file(walk, frames),
        "walk.json": json_text(document(walk)),
        "walk.svg": ladder.draw(walk),
        "walk.html": page.render(title, [chapter_of(walk)], about, ()),
    }
    folder = OutputFolder.create_next(out)
    for name, content in files.items():
        folder.write(name, content)
    return folder


def capture_file(walk: Walk, frames: Sequence[Frame]) -> bytes:
    """All frames captured, as pcapng; those of the walk with a comment that says what happened."""
    comments = {step.pcap_frame: _comment(walk, step) for step in walk.steps}
    return pcapng.document(topology(walk.plan).points(), frames, comments)


def _comment(walk: Walk, step: Step) -> str:
    packet = walk.packet(step.packet)
    said = "; ".join(filter(None, (step.fate, step.note, step.decided_by)))
    return f"step {step.index} of {len(walk.steps)}, packet {packet.number} '{packet.title}': {said}"


def about_lab(lab: Lab, command: str) -> dict[str, str]:
    """What a page says of how it was made."""
    facts = lab.facts()
    scenario = lab.plan.scenario
    return {
        "Made by": f"kubenet-emu {__version__}: {command}",
        "On": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "Kernel": f"Linux {platform.release()}, network namespaces",
        "Switch": f"Open vSwitch {facts['ovs_version']}, {facts['datapath']} datapath, controller on {facts['sdn']}",
        "Scenario": f"{len(lab.plan.nodes)} nodes, MTU {scenario.mtu}, offloads {scenario.offload}",
    }


@dataclass(frozen=True)
class Told:
    """A system of the deck, traced and judged. ``captures``: the pcapng file of each walk."""

    maker: ChapterMaker
    walks: Mapping[str, Walk]
    captures: Mapping[str, bytes]
    verdicts: Sequence[Verdict]
    errors: Sequence[str]
    about: Mapping[str, str]

    @property
    def complaints(self) -> list[str]:
        """Where its walks left the declared paths or got no answer, and what the controller complained of."""
        walks = [
            f"{name}: {sentence}"
            for name, walk in self.walks.items()
            for sentence in (*walk.differences, *_unanswered(walk))
        ]
        return [*walks, *self.errors]


def _unanswered(walk: Walk) -> list[str]:
    """That a request got no answer, where its design declares a way; or one where it declares none."""
    if parse_design(walk.plan.design).design.round_trips(walk.plan, walk.src, walk.dst):
        return [walk.problem] if walk.problem else []
    return [] if walk.problem else [f"an answer came from {walk.dst}, and there is no way there"]


def tell(maker: ChapterMaker, plan: Plan, command: str) -> Told:
    """Bring a design up, make its chapter's requests in it, and judge what the deck says of it."""
    with Lab(plan) as lab:
        about = about_lab(lab, command)
        walks, captures = {}, {}
        known: dict[Probe, Sequence[Frame]] = {}
        for name, request in maker.requests(plan).items():
            walk, recording = trace(lab, request.src, request.dst, request.kind)
            walks[name], captures[name] = walk, capture_file(walk, recording.frames)
            known[request] = recording.frames
        return Told(maker, walks, captures, judge(lab, maker.facts(plan), known), lab.errors(), about)


def write_guide(out: Path, told: Sequence[Told]) -> Path:
    """A new folder with guide.html and the captures it was drawn from; returns it.

    ``EmuError`` where a walk lacks what a slide shows; nothing is written then.
    """
    drawn = [each.maker.chapter(each.walks) for each in told]
    rows = [row for each in told for row in fact_rows(each)]
    html = page.render(TITLE, drawn, told[0].about, rows)
    folder = OutputFolder.create_next(out)
    for each in told:
        for name, content in each.captures.items():
            folder.write(f"{name}.pcapng", content)
    folder.write("guide.html", html)
    return folder.path


def fact_rows(told: Told) -> list[FactRow]:
    """The facts of a system as rows of the guide's table."""
    return [
        FactRow(
            verdict.claim.id,
            verdict.claim.source.rpartition("slide ")[2],
            verdict.claim.text,
            verdict.result,
            verdict.seen or verdict.because,
            told.maker.name,
        )
        for verdict in told.verdicts
    ]
