"""The stage as a reader gets it: the SVG is parsed again and measured."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import combinations, pairwise

import pytest

from emu.designs import all_designs, make_plan, parse_design
from emu.guide.scene import Card, Envelope, Leg, Medium, Row, Scene, TableRow
from emu.guide.stage import draw
from emu.guide.stage_legs import heard
from emu.guide.svg import Layout
from emu.look import tokens
from emu.model import Plan, Scenario

SVG = "{http://www.w3.org/2000/svg}"
LAYOUTS: tuple[Layout, ...] = ("wide", "narrow")
SIZES = {"nm": "name", "lb": "label", "ad": "address", "sm": "small", "tiny": "tiny", "lat": "latency"}
SIZES |= {"port-t": "port", "pill-t": "port"}
BOLD, MONO = {"nm", "lb", "strong", "pill-t", "c-fail"}, {"ad", "mono", "lat"}
SCENARIOS = {
    "deck": Scenario(),
    "two nodes": Scenario(nodes=2, containers=1),
    "no containers": Scenario(nodes=3, containers=0),
    "ten nodes": Scenario(nodes=10, containers=2),
    "50 nodes": Scenario(nodes=50, containers=3),
    "500 nodes": Scenario(nodes=500, containers=2, pod_cidr="10.0.0.0/12"),
    "300 containers": Scenario(nodes=2, containers=300, pod_cidr="10.0.0.0/12"),
}


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float
    words: str = ""

    def overlaps(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


class Picture:
    """A drawn stage, parsed; words have the widths that the look gives for the widest fallback font."""

    def __init__(self, scene: Scene, layout: Layout) -> None:
        self.layout = layout
        self.markup = draw(scene, layout, "s1", "A claim")
        self.root = ET.fromstring(self.markup.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))

    def of_class(self, name: str) -> list[ET.Element]:
        return [element for element in self.root.iter() if name in element.get("class", "").split()]

    @property
    def view(self) -> Box:
        left, top, width, height = map(float, self.root.attrib["viewBox"].split())
        return Box(left, top, left + width, top + height)

    @property
    def words(self) -> str:
        """All that is written, without line breaks."""
        return " ".join("".join(element.itertext()) for element in self.root.iter(f"{SVG}text"))

    @property
    def texts(self) -> list[Box]:
        return [self._text_box(element) for element in self.root.iter(f"{SVG}text")]

    def _text_box(self, element: ET.Element) -> Box:
        parts = list(element.iter(f"{SVG}tspan")) or [element]
        width = sum(self._width(part) + float(part.get("dx", 0)) for part in parts)
        size = max(self._size(part) for part in parts)
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        left = {"start": x, "middle": x - width / 2, "end": x - width}[element.get("text-anchor", "start")]
        return Box(left, y - 0.75 * size, left + width, y + 0.2 * size, "".join(element.itertext()))

    def _size(self, element: ET.Element) -> float:
        classes = element.attrib["class"].split()
        kinds = [SIZES[name] for name in classes if name in SIZES]
        return float(tokens()["type"][self.layout][kinds[-1]][0])

    def _width(self, element: ET.Element) -> float:
        classes = set(element.attrib["class"].split())
        face = "mono" if classes & MONO else "sans_bold" if classes & BOLD else "sans"
        return len(element.text or "") * float(tokens()["font"]["em_per_char"][face]) * self._size(element)

    @property
    def lines(self) -> list[Box]:
        """The straight stretches of all legs."""
        found = []
        for element in (e for name in ("go", "bc", "past", "ahead", "pipe-o") for e in self.of_class(name)):
            points = [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", element.attrib["d"])]
            for (x0, y0), (x1, y1) in pairwise(points):
                found.append(Box(min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
        return found

    @property
    def times(self) -> list[Box]:
        return [self._text_box(element) for element in self.of_class("lat") if "on-plate" not in element.attrib["class"]]

    @property
    def tips(self) -> list[tuple[float, float]]:
        found = [re.match(r"M(\S+) ([^L]+)L", element.attrib["d"]) for element in self.of_class("head")]
        return [(float(match[1]), float(match[2])) for match in found if match]

    def boxes(self, *classes: str) -> Iterator[Box]:
        for name in classes:
            for element in self.of_class(name):
                x, y, width, height = (float(element.attrib[key]) for key in ("x", "y", "width", "height"))
                yield Box(x, y, x + width, y + height)


@cache
def plan_of(spec: str, scenario: Scenario | None = None) -> Plan:
    return make_plan(parse_design(spec), scenario or Scenario())


def up(node: str) -> tuple[str, str]:
    return f"{node}:eth0", f"switch:{node}-eth0"


def down(node: str) -> tuple[str, str]:
    return f"switch:{node}-eth0", f"{node}:eth0"


def ends_of(plan: Plan) -> tuple[str, str]:
    """A source and a destination on two nodes: the deck's, or the first two machines that fit."""
    if plan.endpoints:
        return plan.endpoints
    return plan.nodes[0].name, plan.nodes[1].name


def inside(plan: Plan, name: str) -> tuple[str, ...]:
    """The points of a packet's way within the node of ``name``, from it to the node's eth0, exclusive."""
    node = plan.node_of[name]
    tunnels = tuple(f"{node.name}:{d.name}" for d in plan.by_name[node.name].devices if d.kind == "vxlan")
    if name == node.name:
        return ()
    return (f"{name}:eth0", f"{node.name}:veth-{name}", f"{node.name}:cbr0", *tunnels)


def asking(plan: Plan) -> Scene:
    """A broadcast from the source's node to everybody, with all that a bare slide says."""
    src, dst = ends_of(plan)
    a, b = plan.node_of[src].name, plan.node_of[dst].name
    others = [node.name for node in plan.nodes if node.name != a]
    legs = tuple(
        Leg((*up(a), *down(name)), "broadcast", "node", f"+{30 + index % 40} µs") for index, name in enumerate(others)
    )
    waiting = Envelope("pod", rows=(Row("to", plan.address(dst), "pod"),), payload="GET /")
    cards = {name: Card(note="not me: silent") for name in others if name != b}
    cards[a] = Card(waiting=waiting, facts=(("ARP cache", f"{plan.address(dst)} → ?", "node"),))
    cards[b] = Card(pill="that is my address", answers=True)
    request = Envelope(
        "node",
        "ARP request",
        rows=(Row("to", "everybody", "all"), Row("from", plan.node_of[src].mac, "node")),
        payload=f"who has {plan.node_of[dst].address}?",
    )
    return Scene(plan, src, dst, Medium("switch", "L2 switch", "floods"), "in words", cards, legs, request)


def travelling(plan: Plan) -> Scene:
    """A packet from source to destination: past, on the wire, ahead; through a gateway if the plan has one."""
    src, dst = ends_of(plan)
    a, b = plan.node_of[src], plan.node_of[dst]
    style = "pipe" if any(d.kind == "vxlan" for d in plan.by_name[a.name].devices) else "now"
    way_up, way_down = inside(plan, src), tuple(reversed(inside(plan, dst)))
    legs = [Leg((*way_up[-1:], *up(a.name), *down(b.name)), style, "node", "+47.5 µs")]
    if way_up:
        legs.append(Leg(way_up, "past", "pod", "+9 µs"))
    if way_down:
        legs.append(Leg((f"{b.name}:eth0", *way_down), "ahead", "pod"))
    inner = Envelope("pod", rows=(Row("to", plan.address(dst), "pod"), Row("TTL", "63")), payload="GET /")
    packet = Envelope("node", "on the wire", "188 bytes", (Row("to", b.address, "node"),), "UDP 8472", inner=inner)
    medium = Medium("switch", "L2 switch", "sees ■ only")
    if plan.control.gateway:
        rows = tuple(TableRow(n.pod_subnet, n.name, "static", n is b) for n in (a, b))
        medium = Medium("gateway", "L3 gateway", "longest prefix", rows, 4)
    cards = {
        a.name: Card(facts=(("neighbor", f"{b.address} → {b.mac}", "node"),), overhead_bytes=50 * (style == "pipe")),
        b.name: Card(pill="root netns routes", note="heard it all"),
    }
    return Scene(plan, src, dst, medium, "in words", cards, tuple(legs), packet)


def dropped(plan: Plan) -> Scene:
    src, dst = ends_of(plan)
    leg = Leg((*inside(plan, src), *up(plan.node_of[src].name)), "now", "pod", ends="dropped", reason="no route to it")
    return Scene(plan, src, dst, Medium("switch", "L2 switch"), "in words", {}, (leg,), None)


def asked_controller(plan: Plan) -> Scene:
    src, dst = ends_of(plan)
    a = plan.node_of[src].name
    legs = (
        Leg((*inside(plan, src), *up(a)), "past", "pod"),
        Leg((up(a)[1], "controller"), "control", "pod", "+812 µs"),
    )
    envelope = Envelope("pod", "ARP request", payload="who has it?")
    cards = {"switch": Card(pill="asks the controller")}
    medium = Medium("switch", "L2 switch", "table-miss", controller=True)
    return Scene(plan, src, dst, medium, "in words", cards, legs, envelope, "controller")


SCENES = {"asking": asking, "travelling": travelling, "dropped": dropped, "controller": asked_controller}
ALL = [
    pytest.param(spec, size, kind, layout, id=f"{spec}-{size}-{kind}-{layout}")
    for spec in all_designs()
    for size in SCENARIOS
    for kind in SCENES
    for layout in LAYOUTS
]
_pictures: dict[tuple[str, str, str, Layout], Picture] = {}


def picture(spec: str, size: str, kind: str, layout: Layout) -> Picture:
    key = (spec, size, kind, layout)
    if key not in _pictures:
        _pictures[key] = Picture(SCENES[kind](plan_of(spec, SCENARIOS[size])), layout)
    return _pictures[key]


@pytest.mark.parametrize(("spec", "size", "kind", "layout"), ALL)
def test_words_stay_in_the_picture_and_apart(spec: str, size: str, kind: str, layout: Layout) -> None:
    drawn = picture(spec, size, kind, layout)
    view = drawn.view
    outside = [
        t for t in drawn.texts if not (view.left <= t.left and t.right <= view.right and t.bottom <= view.bottom)
    ]
    assert not outside
    assert not [(a.words, b.words) for a, b in combinations(drawn.texts, 2) if a.overlaps(b)]


@pytest.mark.parametrize(("spec", "size", "kind", "layout"), ALL)
def test_no_measured_time_stands_on_a_line(spec: str, size: str, kind: str, layout: Layout) -> None:
    drawn = picture(spec, size, kind, layout)
    assert not [time.words for time in drawn.times for line in drawn.lines if time.overlaps(line)]


@pytest.mark.parametrize(("spec", "size", "kind", "layout"), ALL)
def test_every_head_touches_what_it_reaches(spec: str, size: str, kind: str, layout: Layout) -> None:
    drawn = picture(spec, size, kind, layout)
    targets = list(drawn.boxes("port", "ctr", "dev", "bridge", "plate", "crowd", "jack", "ctl"))
    for x, y in drawn.tips:
        assert any(
            (y in (box.top, box.bottom) and box.left <= x <= box.right)
            or (x in (box.left, box.right) and box.top <= y <= box.bottom)
            for box in targets
        ), (x, y)


@pytest.mark.parametrize(("spec", "size", "kind", "layout"), ALL)
def test_all_that_the_scene_says_is_written(spec: str, size: str, kind: str, layout: Layout) -> None:
    plan = plan_of(spec, SCENARIOS[size])
    scene = SCENES[kind](plan)
    written = re.sub(r"\s+", "", picture(spec, size, kind, layout).words)
    for words in said(scene):
        assert re.sub(r"\s+", "", words) in written, words


def said(scene: Scene) -> Iterator[str]:
    """Words that must appear; those of a crowd's members are summed up."""
    focus = {scene.plan.node_of[name].name for name in (scene.source, scene.destination)}
    shown = focus if len(scene.plan.nodes) > 10 else {node.name for node in scene.plan.nodes} | {"switch"}
    yield from (scene.medium.name, scene.medium.does)
    for name, card in scene.cards.items():
        if name in shown:
            yield from (card.pill, card.note, card.process)
            yield from (words for fact in card.facts for words in fact[:2])
            yield from envelope_words(card.waiting)
    for leg in scene.legs:
        if leg.points[-1].partition(":")[0] in shown:
            yield leg.label
        yield leg.reason
    for row in scene.medium.rows:
        yield from (row.prefix, row.next_hop, row.origin)
    yield from envelope_words(scene.envelope)
    for name in focus:
        node = scene.plan.node_of[name]
        yield from (node.name, node.address, node.mac)


def envelope_words(envelope: Envelope | None) -> Iterator[str]:
    if envelope:
        yield from (envelope.title, envelope.side, envelope.text, envelope.payload)
        yield from (words for row in envelope.rows for words in (row.key, row.value))
        yield from envelope_words(envelope.inner)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("spec", ["l2", "routed", "overlay"])
def test_source_and_destination_on_one_node(spec: str, layout: Layout) -> None:
    leg = Leg(("ctr-1:eth0", "node-a:veth-ctr-1", "node-a:veth-ctr-2", "ctr-2:eth0"), "now", "pod", "+7.3 µs")
    plan = plan_of(spec)
    scene = Scene(plan, "ctr-1", "ctr-2", Medium("switch", "L2 switch"), "", {}, (leg,), None)
    drawn = Picture(scene, layout)
    assert "10.0.1.2" in drawn.words
    assert "10.0.1.3" in drawn.words
    assert drawn.tips[0][1] in [box.bottom for box in drawn.boxes("ctr")]
    assert not [(a.words, b.words) for a, b in combinations(drawn.texts, 2) if a.overlaps(b)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_node_shown_large_stands_alone(layout: Layout) -> None:
    scene = Scene(plan_of("l2"), "ctr-1", "ctr-4", Medium("switch", "L2 switch"), "", inside=True)
    drawn = Picture(scene, layout)
    assert "node-a" in drawn.words
    assert "node-b" not in drawn.words
    assert not [(a.words, b.words) for a, b in combinations(drawn.texts, 2) if a.overlaps(b)]


def test_a_leg_beside_the_tunnel_does_not_touch_the_overlay_device() -> None:
    legs = (Leg(("ctr-1:eth0", "node-a:cbr0", *up("node-a")), "now", "pod"),)
    drawn = Picture(Scene(plan_of("overlay"), "ctr-1", "ctr-4", Medium("switch", "s"), "", {}, legs), "wide")
    device = min(drawn.boxes("dev"), key=lambda box: box.left)
    line = drawn.of_class("go")[0].attrib["d"]
    corners = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", line)]
    assert not [p for p in corners if device.left <= p[0] <= device.right and device.top <= p[1] <= device.bottom]


def test_a_broadcast_draws_no_stretch_twice() -> None:
    drawn = Picture(asking(plan_of("bare")), "wide")
    lines = [element.attrib["d"] for element in drawn.of_class("bc")]
    starts = [re.match(r"M(\S+) ([^LQ]+)", line) for line in lines]
    assert len(lines) == 3
    assert sorted((float(m[1]), float(m[2])) for m in starts if m)[1:] == [(200.0, 359.0), (624.0, 359.0)]


def test_a_dropped_frame_has_a_cross_and_no_head() -> None:
    drawn = Picture(dropped(plan_of("l2")), "wide")
    assert len(drawn.of_class("cross")) == 1
    assert not drawn.tips


def test_the_matched_row_of_a_gateway_is_marked_and_joined_to_its_port() -> None:
    drawn = Picture(travelling(plan_of("routed")), "wide")
    assert len(drawn.of_class("match")) == 1
    assert len(drawn.of_class("join")) == 1
    assert [element.text for element in drawn.of_class("strong")] == ["10.0.3.0/24"]


def test_squares_tell_who_heard_answered_and_lost() -> None:
    plan = plan_of("bare", SCENARIOS["50 nodes"])
    scene = asking(plan)
    lost = next(leg for leg in scene.legs if leg.points[-1].startswith(plan.nodes[7].name))
    legs = tuple(replace(leg, ends="dropped") if leg is lost else leg for leg in scene.legs)
    cards = {**scene.cards, plan.nodes[9].name: Card(answers=True)}
    drawn = Picture(replace(scene, legs=legs, cards=cards), "wide")
    counts = [len(drawn.of_class(name)) for name in ("sq", "heard", "answered", "lost")]
    assert counts == [48, 46, 1, 1]
    assert "47 heard" in drawn.words


def test_more_than_two_hundred_nodes_are_counted() -> None:
    drawn = picture("bare", "500 nodes", "asking", "wide")
    assert len(drawn.of_class("sq")) == 200
    assert "and 298 more: not me: silent" in drawn.words


def test_heard_gives_count_and_range() -> None:
    legs = [Leg((), "broadcast", "node", label) for label in ("+64 µs", "+9.5 µs", "+31 µs")]
    assert heard(legs) == "3 heard, +9.5 to +64 µs"
    assert heard(legs[:1]) == "1 heard, +64 µs"
    assert heard([Leg((), "broadcast", "node")]) == "1 heard"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hostile_words_are_escaped(layout: Layout) -> None:
    bad = '<script>"&\''
    scene = replace(asking(plan_of("l2")), desc=bad, medium=Medium("switch", bad, bad), envelope=Envelope("pod", bad))
    markup = draw(scene, layout, bad, bad)
    assert "<script" not in markup
    ET.fromstring(markup)


def test_a_point_that_is_not_on_the_stage_is_an_error() -> None:
    scene = replace(dropped(plan_of("bare")), legs=(Leg(("nobody:eth0", "node-a:eth0"), "now", "node"),))
    with pytest.raises(KeyError):
        draw(scene, "wide", "s", "t")


def test_styles_have_the_sizes_of_the_look() -> None:
    css = files("emu.guide").joinpath("stage.css").read_text(encoding="utf-8")
    for layout, before in (("wide", r"\.stage "), ("narrow", r"\.stage\.narrow ")):
        for name, entry in SIZES.items():
            if entry in tokens()["type"][layout]:
                found = re.search(rf"^{before}\.{name}\{{[^}}]*?([\d.]+)px", css, re.MULTILINE)
                assert found, (layout, name)
                assert float(found[1]) == tokens()["type"][layout][entry][0]
