"""Scenes to draw, and drawn stages parsed again."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from emu.designs import make_plan, parse_design
from emu.guide.scene import Card, Envelope, Leg, Medium, Row, Scene, TableRow
from emu.guide.stage import draw
from emu.guide.svg import Layout
from emu.look import tokens
from emu.model import Plan, Scenario

SVG = "{http://www.w3.org/2000/svg}"
LAYOUTS: tuple[Layout, ...] = ("wide", "narrow")
SIZES = {"nm": "name", "lb": "label", "ad": "address", "sm": "small", "tiny": "tiny", "lat": "latency"}
SIZES |= {"port-t": "port", "pill-t": "port"}
BOLD, MONO = {"nm", "lb", "strong", "pill-t", "c-fail"}, {"ad", "mono", "lat"}


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
        beside_lines = [e for e in self.of_class("lat") if "on-plate" not in e.attrib["class"]]
        return [self._text_box(element) for element in beside_lines]

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
