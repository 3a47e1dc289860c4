"""What the stage's parts are called once they have a place, and the measures of a layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emu.guide.stage_tracks import Tracks
from emu.guide.svg import Layout, Rect
from emu.look import tokens
from emu.model import Container, Node

CONTROLLER = "controller"
CROWD = "crowd"


@dataclass(frozen=True)
class Measures:
    """``stage`` of look.json for one layout; see there."""

    layout: Layout
    view: tuple[float, float]
    pad: float
    card_w: float
    shared_w: float
    top: tuple[float, float]
    medium: tuple[float, float]
    lane: float
    bottom: tuple[float, float]
    eth0: tuple[float, float, float, float]
    packet: tuple[float, float]
    packet_shared: tuple[float, float]
    netns: float
    netns_bare: float
    containers: tuple[float, float]
    container_w: float
    small_w: float
    named: int
    bridge: tuple[float, float]
    device: tuple[float, float]
    device_w: float
    plate: tuple[float, float]
    jack: tuple[float, float]
    gateway: tuple[float, float]

    @property
    def is_wide(self) -> bool:
        return self.layout == "wide"


def measures(layout: Layout, inside: bool) -> Measures:
    """The measures of a layout; ``inside``: those for one node shown large."""
    values: dict[str, Any] = {**tokens()["stage"][layout]}
    changes = values.pop("inside")
    return Measures(layout, **{**values, **(changes if inside else {})})


@dataclass(frozen=True)
class Slot:
    """A box in the row of containers: one in full, one by name, or (``container`` is ``None``) ``count`` others."""

    box: Rect
    container: Container | None
    is_full: bool = False
    count: int = 1


@dataclass(frozen=True)
class Place:
    """Where a node stands. ``kind``: ``focus`` (a card of the upper row), ``card`` or ``plate``.

    ``mirrored``: eth0 is right of the containers (the destination's card).
    """

    node: Node
    kind: str
    box: Rect
    port: Rect
    mirrored: bool = False
    slots: tuple[Slot, ...] = ()
    bridge: Rect | None = None
    tunnels: Mapping[str, Rect] = field(default_factory=dict)


@dataclass(frozen=True)
class Crowd:
    """The nodes drawn as squares in one box, and how many more there are."""

    box: Rect
    squares: Mapping[str, Rect]
    rest: tuple[str, ...]


@dataclass(frozen=True)
class Room:
    """How high the parts are that depend on words: the envelope, frames that wait over it, cards and plates of the
    lower row, the gateway's table. ``spare``: for what else found none, between upper row and medium."""

    packet: float = 0.0
    card: float = 0.0
    plate: float = 30.0
    table: float = 0.0
    waiting: float = 0.0
    spare: float = 0.0


@dataclass(frozen=True)
class Places:
    """Where everything stands."""

    measures: Measures
    nodes: Mapping[str, Place]
    crowd: Crowd | None
    medium: Rect
    lane: float
    controller: Rect | None
    packet: Rect
    tracks: Tracks
    height: float

    @property
    def focus(self) -> tuple[Place, ...]:
        """The nodes of the upper row."""
        return tuple(place for place in self.nodes.values() if place.kind == "focus")

    @property
    def between(self) -> Rect:
        """The strip between the upper row and the medium."""
        side = 4.0 if self.measures.is_wide else 44.0
        top = self.measures.top[1] + self.measures.plate[1] / 2 + 2
        return Rect(side, top, self.measures.view[0] - side, self.medium.top - 4)
