"""The stage as a reader gets it: the SVG is parsed again and measured."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from itertools import combinations

import pytest

from emu.designs import all_designs
from emu.guide.scene import Card, Envelope, Leg, Medium, Scene
from emu.guide.stage import draw
from emu.guide.stage_legs import heard
from emu.guide.svg import Layout
from emu.look import tokens
from emu.model import Scenario
from tests.unit.stage_support import LAYOUTS, SCENES, SIZES, Picture, asking, down, dropped, plan_of, travelling, up

SCENARIOS = {
    "deck": Scenario(),
    "two nodes": Scenario(nodes=2, containers=1),
    "no containers": Scenario(nodes=3, containers=0),
    "ten nodes": Scenario(nodes=10, containers=2),
    "50 nodes": Scenario(nodes=50, containers=3),
    "500 nodes": Scenario(nodes=500, containers=2, pod_cidr="10.0.0.0/12"),
    "300 containers": Scenario(nodes=2, containers=300, pod_cidr="10.0.0.0/12"),
}
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


def test_the_way_through_a_bridge_goes_on_where_it_came_in() -> None:
    legs = (
        Leg(("ctr-1:eth0", "node-a:veth-ctr-1", "node-a:cbr0"), "past", "pod"),
        Leg(("node-a:cbr0", "node-a:flannel.1"), "now", "pod"),
    )
    drawn = Picture(Scene(plan_of("overlay"), "ctr-1", "ctr-4", Medium("switch", "s"), "", {}, legs), "wide")
    came_in, went_on = drawn.of_class("past")[0].attrib["d"], drawn.of_class("go")[0].attrib["d"]
    assert came_in.startswith("M88 120")
    assert went_on.startswith("M88 158")


def test_the_dot_of_an_answer_is_behind_the_plate_it_leaves_by() -> None:
    legs = (Leg((*up("node-c"), *down("node-a")), "now", "node"),)
    cards = {"node-c": Card(answers=True)}
    drawn = Picture(Scene(plan_of("bare"), "node-a", "node-c", Medium("switch", "s"), "", cards, legs), "wide")
    dot = drawn.of_class("origin")[0]
    plate = max(drawn.boxes("port"), key=lambda box: (box.top < 300, box.left))
    assert float(dot.attrib["cy"]) + float(dot.attrib["r"]) <= plate.top
    assert plate.left < float(dot.attrib["cx"]) < plate.right


def test_a_lost_frame_is_among_the_squares_however_many_there_are() -> None:
    scene = asking(plan_of("bare", SCENARIOS["500 nodes"]))
    legs = (*scene.legs[:-1], replace(scene.legs[-1], ends="dropped"))
    assert len(Picture(replace(scene, legs=legs), "wide").of_class("lost")) == 1


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


CSS = files("emu.guide").joinpath("stage.css").read_text(encoding="utf-8")
STROKES = {"card": "card", "dev": "device", "env": "envelope", "go": "now", "bc": "broadcast", "past": "travelled"}
STROKES |= {"ahead": "ahead", "pipe-o": "pipe_outer", "pipe-g": "pipe_gap", "pipe-i": "pipe_core"}


@pytest.mark.parametrize(("name", "entry"), STROKES.items())
def test_lines_are_as_thick_as_the_look_says(name: str, entry: str) -> None:
    found = re.search(rf"^\.stage \.{name}\{{[^}}]*?stroke-width:([\d.]+)", CSS, re.MULTILINE)
    assert found
    assert float(found[1]) == tokens()["stroke"][entry]


@pytest.mark.parametrize(("name", "entry"), [("ahead", "ahead"), ("bc", "broadcast"), ("go.control", "control")])
def test_lines_are_dashed_as_the_look_says(name: str, entry: str) -> None:
    found = re.search(rf"^\.stage \.{re.escape(name)}\{{[^}}]*?stroke-dasharray:([\d. ]+)", CSS, re.MULTILINE)
    assert found
    assert [float(part) for part in found[1].split()] == tokens()["dash"][entry]


def test_styles_have_the_sizes_of_the_look() -> None:
    for layout, before in (("wide", r"\.stage "), ("narrow", r"\.stage\.narrow ")):
        for name, entry in SIZES.items():
            if entry in tokens()["type"][layout]:
                found = re.search(rf"^{before}\.{name}\{{[^}}]*?([\d.]+)px", CSS, re.MULTILINE)
                assert found, (layout, name)
                assert float(found[1]) == tokens()["type"][layout][entry][0]
