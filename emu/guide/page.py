"""Chapters as one self-contained HTML page: slides, packet inspector, step rail, no network needed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from emu.guide.inspector import STRIP_WIDTH, Inspection, inspect
from emu.guide.realms import ALL, GLYPHS, NODE, OUTSIDE, POD
from emu.guide.scene import Chapter, Slide
from emu.guide.stage import draw
from emu.look import tokens
from emu.model import Plan

HOLDS, FAILS, NOT_JUDGED = "holds", "fails", "not judged"
COVER, FACTS = "cover/title", "facts/table"
"""Where the first and the last slide are found (``#cover/title``)."""
LISTED = 12
"""Machines listed beside a slide that is about no frame."""
SHORT_FRAME = 66
"""Bytes of a frame whose hex dump stands open, because there is room for it."""
LEGEND = ((NODE, "an address of a node"), (POD, "an address of a container"), (OUTSIDE, "a machine that is no node"),
          (ALL, "everybody: broadcast"))


@dataclass(frozen=True)
class FactRow:
    """A fact of the deck and what was seen of it.

    ``id``: as its chapter's slides name it. ``deck``: the slide that states it. ``result``: holds, fails or not
    judged. ``chapter``: the name of the chapter whose captures it was judged by.
    """

    id: str
    deck: str
    text: str
    result: str
    seen: str
    chapter: str


@dataclass(frozen=True)
class AddressRow:
    """A machine and its addresses, in the list that stands in the inspector's place."""

    name: str
    realm: str
    glyph: str
    address: str
    mac: str


@dataclass(frozen=True)
class Stop:
    """A step of the page: its link, and its claim for the rail and the screen reader."""

    ident: str
    claim: str


@dataclass(frozen=True)
class Station:
    """A chapter in the step rail. The cover and the table of facts are chapters of one step and without number."""

    number: str
    short: str
    stops: tuple[Stop, ...]


@dataclass(frozen=True)
class View:
    """A slide as the template needs it."""

    stop: Stop
    number: int
    chapter_number: int
    step_number: int
    chapter: Chapter
    slide: Slide
    wide: Markup
    narrow: Markup
    capture: str
    others: str
    inspection: Inspection | None
    addresses: tuple[AddressRow, ...]
    more_addresses: int


def render(title: str, chapters: Sequence[Chapter], about: Mapping[str, str], facts: Sequence[FactRow]) -> str:
    """The page. ``about``: what the cover says of how it was made, row by row. Without ``facts`` it has no table.

    Every chapter has at least one slide. ``ValueError`` if a slide shows a walk that is none of its chapter's captures.
    """
    views = _views(chapters)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"unbroken": unbroken, "breakable": breakable}
    script = Markup(_text("page.js"))
    cover = Stop(COVER, title)
    table = Stop(FACTS, facts_claim(facts)) if facts else None
    return environment.from_string(_text("page.html")).render(
        title=title,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(_text("stage.css") + _text("page.css")),
        themes={name: _properties(colors) for name, colors in tokens()["color"].items()},
        fonts={name: Markup(tokens()["font"][name]) for name in ("sans", "mono")},
        strip_width=STRIP_WIDTH,
        short_frame=SHORT_FRAME,
        glyphs=GLYPHS,
        legend=LEGEND,
        cover=cover,
        table=table,
        about=about,
        facts=facts,
        first_with=_first_with(views),
        short_names={chapter.name: chapter.short for chapter in chapters},
        chapters=chapters,
        views=views,
        stations=_stations(cover, chapters, views, table),
        total=len(views) + (2 if table else 1),
        frames=sum(len(walk.steps) for chapter in chapters for walk in chapter.captures.values()),
    )


_NAME = re.compile(r"[A-Za-z]+-[A-Za-z0-9]+")


def unbroken(text: str) -> Markup:
    """Text in which no line ends within a name: ``node-c`` stays whole."""
    return Markup(_NAME.sub(r'<span class="nw">\g<0></span>', str(escape(text))))


def breakable(text: str) -> Markup:
    """What a table says, in which a line may end after every comma; arrows as arrows."""
    return Markup(str(escape(text.replace("->", "→"))).replace(",", ",<wbr>"))


def facts_claim(facts: Sequence[FactRow]) -> str:
    """How many of the deck's facts hold, as a headline."""
    held = sum(fact.result == HOLDS for fact in facts)
    how_many = f"All {held}" if held == len(facts) else f"{held} of {len(facts)}"
    return f"{how_many} facts of the deck hold."


def _views(chapters: Sequence[Chapter]) -> list[View]:
    pairs = [(index, step, chapter, slide) for index, chapter in enumerate(chapters, 1)
             for step, slide in enumerate(chapter.slides, 1)]
    return [_view(number, *pair) for number, pair in enumerate(pairs, 2)]


def _view(number: int, chapter_number: int, step_number: int, chapter: Chapter, slide: Slide) -> View:
    ident = f"{chapter.name}/{slide.name}"
    letters = ident.replace("/", "-")
    addresses = [] if slide.step else list(_addresses(slide.scene.plan, slide.scene.source, slide.scene.destination))
    return View(
        stop=Stop(ident, slide.claim),
        number=number,
        chapter_number=chapter_number,
        step_number=step_number,
        chapter=chapter,
        slide=slide,
        wide=Markup(draw(slide.scene, "wide", f"w-{letters}", slide.claim)),
        narrow=Markup(draw(slide.scene, "narrow", f"n-{letters}", slide.claim)),
        capture=_capture(chapter, slide),
        others=_others(slide),
        inspection=inspect(slide.walk, slide.step, slide.key_field) if slide.step else None,
        addresses=tuple(addresses[:LISTED]),
        more_addresses=max(0, len(addresses) - LISTED),
    )


def _others(slide: Slide) -> str:
    """The other frames that a slide was drawn from: all of its packet."""
    if slide.step is None:
        return ""
    numbers = sorted(slide.walk.step(index).pcap_frame for index in slide.walk.packet(slide.step.packet).steps)
    return f" of {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else ""


def _capture(chapter: Chapter, slide: Slide) -> str:
    found = next((name for name, walk in chapter.captures.items() if walk is slide.walk), None)
    if found is None:
        raise ValueError(f"{chapter.name}/{slide.name} shows a walk that is no capture of its chapter")
    return f"{found}.pcapng"


def _addresses(plan: Plan, source: str, destination: str) -> Iterator[AddressRow]:
    """All nodes, each with its containers; those that the slide is about first."""
    in_focus = [plan.node_of[name] for name in (source, destination) if name in plan.node_of]
    for node in dict.fromkeys((*in_focus, *plan.underlay)):
        realm = NODE if plan.by_name[node.name].kind == "node" else OUTSIDE
        yield AddressRow(node.name, realm, GLYPHS[realm], node.address, node.mac)
        for container in node.containers:
            yield AddressRow(container.name, POD, GLYPHS[POD], container.address, container.mac)


def _first_with(views: Sequence[View]) -> Mapping[tuple[str, str], str]:
    """Link of the first slide that shows a fact, by its chapter's name and the fact's id."""
    return {(view.chapter.name, fact): view.stop.ident for view in reversed(views) for fact in view.slide.facts}


def _stations(cover: Stop, chapters: Sequence[Chapter], views: Sequence[View], table: Stop | None) -> list[Station]:
    stations = [Station("", "Start", (cover,))]
    for number, chapter in enumerate(chapters, 1):
        stops = tuple(view.stop for view in views if view.chapter_number == number)
        stations.append(Station(str(number), chapter.short, stops))
    return [*stations, Station("", "Facts", (table,))] if table else stations


def _properties(colors: Mapping[str, str]) -> Markup:
    """Colours as CSS custom properties."""
    return Markup("".join(f"--{name.replace('_', '-')}:{value};" for name, value in colors.items()))


def _text(name: str) -> str:
    return files("emu.guide").joinpath(name).read_text(encoding="utf-8")
