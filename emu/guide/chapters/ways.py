"""What the deck's three bridges between the physical and the overlay network have in common (deck, slides 35-37)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emu.claims import Claim, Request, Seen
from emu.guide.chapters.base import REQUEST, Picture, fact
from emu.guide.scene import Chapter, Medium, Slide
from emu.model import Plan
from emu.walk.model import Walk

SLIDES = "35-37"
MEDIUM = Medium("switch", "L2 switch", "MACs of ■ and ◆ only")
GET = {"http.line": REQUEST}

Facts = Callable[[Plan, Request], tuple[Claim, ...]]
Slides = Callable[[Picture], tuple[Slide, ...]]


class Way:
    """A chapter about one of them. ``facts`` and ``slides``: what is of this one alone."""

    outside = 0

    def __init__(self, way: str, title: str, short: str, facts: Facts, slides: Slides) -> None:
        self.name, self.spec = f"outside-{way}", f"overlay:outside={way}"
        self._title, self._short, self._facts, self._slides = title, short, facts, slides

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        """``GET /`` from the outside machine to the second endpoint."""
        assert plan.endpoints is not None
        return {self.name: Request(plan.others[0].name, plan.endpoints[1], "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        """See ``base.ChapterMaker``."""
        return self._facts(plan, self.requests(plan)[self.name])

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        """See ``base.ChapterMaker``."""
        walk = walks[self.name]
        return Chapter(self.name, self._title, self._short, walk.plan.spec, self._slides(Picture(walk)), walks)


def arrives(probe: Request, plan: Plan, source: str, whose: str, ttl: int, need: str) -> Claim:
    """As whom a pod sees the client."""
    return fact(
        "seen-as",
        SLIDES,
        f"{probe.dst} gets the request from {source}, {whose}; TTL {ttl}",
        Seen(probe, (f"{probe.dst}:eth0",), {**GET, "dir": "in"},
             {"ip.src": source, "ip.dst": plan.address(probe.dst), "ip.ttl": ttl}, count=1),
        need,
    )
