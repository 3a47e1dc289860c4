"""What a slide shows, as data: derived from a plan and a walk, drawn by ``emu.guide.stage`` twice (wide and narrow).

Nothing here has coordinates. Places are named as machines and capture points (``node-a:eth0``) are; the stage knows
where they are. Realms say whose an address is: ``node``, ``pod``, ``outside`` or ``all`` (everybody).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emu.model import Plan
from emu.walk.model import Step, Walk


@dataclass(frozen=True)
class Row:
    """A row of an envelope: ``to``, its value and whose that is (an empty realm: nobody's, plain text)."""

    key: str
    value: str
    realm: str = ""


@dataclass(frozen=True)
class Envelope:
    """A frame or packet as the stage shows it: what the deck says of it and no more.

    ``title`` and ``side`` stand in its head (both may be empty: then it has no head), ``text`` under the rows,
    ``payload`` at the foot in bold. ``realm`` is that of the source in its outermost header. ``inner`` is drawn inside.
    """

    realm: str
    title: str = ""
    side: str = ""
    rows: tuple[Row, ...] = ()
    text: str = ""
    payload: str = ""
    inner: Envelope | None = None


@dataclass(frozen=True)
class Leg:
    """One stretch of a packet's way, drawn as one line through ``points`` (capture points, in order).

    ``style``: ``now`` (unicast), ``broadcast``, ``past``, ``ahead``, ``pipe`` (encapsulated, now), ``pipe-past`` or
    ``control`` (to or from the controller). ``realm``: of the source in the outermost header. ``label``: a measured
    time, drawn beside the head. ``ends``: ``arrives`` (a head), ``dropped`` (a cross with ``reason``) or ``open``
    (neither). A broadcast is several legs, one a receiver, that share their beginning. ``controller`` is a point, too.
    """

    points: tuple[str, ...]
    style: str
    realm: str
    label: str = ""
    ends: str = "arrives"
    reason: str = ""


@dataclass(frozen=True)
class Card:
    """What a node's card says besides what the plan says.

    ``process`` (the program that asks or answers; for a container's, it stays empty), ``waiting`` (a frame that waits
    for ARP), ``facts`` (left text, right text, realm of the right one), ``pill`` (a verb: "root netns answers"),
    ``answers`` (a thick outline), ``note`` (what a bystander made of it: "not me: silent"), ``blocked`` (a container
    that was kept out, with the words beside it), ``active`` (containers of this node that are in play),
    ``overhead_bytes`` (beside an overlay device).
    """

    process: str = ""
    waiting: Envelope | None = None
    facts: tuple[tuple[str, str, str], ...] = ()
    pill: str = ""
    answers: bool = False
    note: str = ""
    blocked: tuple[str, str] | None = None
    active: tuple[str, ...] = ()
    overhead_bytes: int = 0


@dataclass(frozen=True)
class TableRow:
    """A row of the gateway's table: prefix, next hop (a node's name), origin (``static``), and whether it matched."""

    prefix: str
    next_hop: str
    origin: str
    matched: bool = False


@dataclass(frozen=True)
class Medium:
    """The bar between the nodes. ``kind``: ``switch`` or ``gateway``. ``does``: what it does now ("floods").

    ``rows``: the gateway's table (``more`` rows left out). ``controller``: draw the controller beside it.
    """

    kind: str
    name: str
    does: str = ""
    rows: tuple[TableRow, ...] = ()
    more: int = 0
    controller: bool = False


@dataclass(frozen=True)
class Scene:
    """One picture. ``source`` and ``destination`` are the machines in focus (containers or nodes); their nodes stand
    in the upper row, all other nodes below. ``inside``: only the source's node is shown, large (the deck's "inside the
    node"). ``cards``: by node; ``switch`` may have one with a pill and an outline; of nodes below only note, pill and
    outline are drawn. ``desc``: the whole event in words, for a screen reader.
    """

    plan: Plan
    source: str
    destination: str
    medium: Medium
    desc: str
    cards: Mapping[str, Card] = field(default_factory=dict)
    legs: tuple[Leg, ...] = ()
    envelope: Envelope | None = None
    envelope_at: str = ""
    """The capture point where the envelope's leader ends (the medium, if empty)."""
    highlighted: tuple[str, ...] = ()
    """Machines, devices or capture points that the slide is about; drawn with a thick outline."""
    inside: bool = False


@dataclass(frozen=True)
class Slide:
    """One claim, one frame, one picture.

    ``name`` is the stable part of its link (``#l2/proxy-reply``). ``claim``: a sentence that can be false, at most 58
    characters. ``caption``: at most two lines of 80. ``step``: the frame in the inspector; ``None`` where the slide is
    about no frame (a topology). ``key_field``: the field (as ``emu.packets`` names it) that the slide is about.
    ``facts``: ids of the deck's facts that it shows. ``deck``: the deck's slides it redraws, as in ``5`` or ``16-18``.
    """

    name: str
    claim: str
    caption: str
    scene: Scene
    walk: Walk
    step: Step | None = None
    key_field: str = ""
    facts: tuple[str, ...] = ()
    deck: str = ""


@dataclass(frozen=True)
class Chapter:
    """A system of the deck: its slides, and the capture files they were drawn from: a walk each, by the file's name
    without its ``.pcapng``.
    """

    name: str
    title: str
    short: str
    spec: str
    slides: tuple[Slide, ...]
    captures: Mapping[str, Walk]
