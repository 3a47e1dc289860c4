"""walk.svg: valid, stand-alone, legible; everything of the walk is on it, and what it shows is what was seen."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from emu.guide.columns import columns, rows
from emu.guide.ladder import draw
from emu.guide.ladder_svg import STYLES, width
from emu.guide.svg import Rect
from emu.model import Scenario
from emu.packets import ACK, ARP_REPLY, ECHO_REQUEST, ICMP, PSH
from emu.walk.model import ANSWERED, DROPPED, LOST, Walk
from tests.unit.walk_support import (
    Builder,
    Sighting,
    arp,
    echo,
    flooded_walk,
    http_walk,
    lost_walk,
    ping_walk,
    tcp,
    who_has,
)

SVG = "{http://www.w3.org/2000/svg}"
IN_LEGEND = 1
"""How often the legend shows a sign."""


def proxied_walk() -> Walk:
    """l2, where the switch answers ctr-1's broadcast, and ctr-2 and ctr-3 and node-a hear it."""
    builder = Builder("l2", "arp")
    ctr, far = builder.plan.container_of["ctr-1"], builder.plan.nodes[2]
    asks = builder.packet("arp-request", "who has 10.0.3.2?", "ctr-1", "")
    silent = "handed up to cbr0; node-a has no such address: silent"
    builder.flood(asks, who_has(ctr.mac, ctr.address, "10.0.3.2"), (
        Sighting("ctr-1:eth0", "out"), Sighting("node-a:veth-ctr-1", "in", 0),
        Sighting("node-a:cbr0", "in", 1, DROPPED, silent), Sighting("node-a:eth0", "out", 1),
        Sighting("switch:node-a-eth0", "in", 3, ANSWERED), Sighting("node-a:veth-ctr-2", "out", 1),
        Sighting("ctr-2:eth0", "in", 5, DROPPED, "ctr-2 has no such address: silent"),
    ))
    reply = builder.packet("arp-reply", f"10.0.3.2 is at {far.mac}", "node-c", "ctr-1", asks)
    builder.flood(reply, arp(ARP_REPLY, far.mac, "10.0.3.2", ctr.mac, ctr.address), (
        Sighting("switch:node-a-eth0", "out"), Sighting("node-a:eth0", "in", 0),
        Sighting("node-a:veth-ctr-1", "out", 1), Sighting("ctr-1:eth0", "in", 2),
    ))
    return builder.walk()


def crowded_walk() -> Walk:
    """Long names: the last containers of a lab of 50 nodes with 100 each."""
    scenario = Scenario(nodes=50, containers=100)
    ends = Builder("overlay", scenario=scenario).plan.machines[-1].name, "ctr-1"
    builder = Builder("overlay", "ping", *ends, scenario=scenario)
    builder.send("echo-request", "ping", *ends, echo(ECHO_REQUEST, 1, 1), ICMP)
    return builder.walk()


WALKS = {
    **{spec: http_walk(spec) for spec in ("bare", "l2", "routed", "overlay")},
    "ping": ping_walk(),
    "lost": lost_walk(LOST),
    "dropped": lost_walk(DROPPED),
    "proxied": proxied_walk(),
    "crowd": flooded_walk(50),
    "many": flooded_walk(200),
    "long names": crowded_walk(),
}


def words(root: ElementTree.Element) -> list[tuple[str, str, Rect]]:
    """Every text: its style, what it says and its box."""
    found = []
    for text in root.iter(f"{SVG}text"):
        said, style = text.text or "", text.attrib["class"].split()[0].removeprefix("t-")
        x, y, size = float(text.attrib["x"]), float(text.attrib["y"]), STYLES[style].size
        wide = width(said, style)
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[text.attrib.get("text-anchor", "start")]
        found.append((style, said, Rect(left, y - 0.75 * size, left + wide, y + 0.2 * size)))
    return found


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.attrib.get("class", "").split()]


def titles(root: ElementTree.Element) -> str:
    return " ".join(said for style, said, _ in words(root) if style == "title")


def drawn(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(draw(WALKS[name]))


@pytest.mark.parametrize("name", WALKS)
def test_words_are_legible_inside_and_apart(name: str) -> None:
    root = drawn(name)
    sheet = Rect(0, 0, *(float(part) for part in root.attrib["viewBox"].split()[2:]))
    found = words(root)
    assert min(style.size for style in STYLES.values()) >= 11
    assert not [said for _, said, box in found if not sheet.holds(box)]
    assert not [(a[1], b[1]) for a, b in combinations(found, 2) if a[2].overlaps(b[2])]


@pytest.mark.parametrize("name", WALKS)
def test_every_packet_has_its_number_and_title(name: str) -> None:
    walk, root = WALKS[name], drawn(name)
    assert [said for style, said, _ in words(root) if style == "badge"] == [str(p.number) for p in walk.packets]
    assert titles(root) == " ".join(packet.title for packet in walk.packets)


def test_a_request_that_sends_nothing_is_drawn_too() -> None:
    root = ElementTree.fromstring(draw(Builder("bare", "arp").walk("node-a asks nobody")))
    assert "no answer: node-a asks nobody" in [said for _, said, _ in words(root)]


def test_a_long_title_is_cut() -> None:
    builder = Builder("bare")
    builder.send("tcp", f"GET /{'a' * 500}", "node-a", "node-c", tcp(1, 80, 1, 1, ACK | PSH, b"x"))
    assert re.fullmatch(r"GET /a+ a*…", titles(ElementTree.fromstring(draw(builder.walk()))))


@pytest.mark.parametrize("name", WALKS)
def test_time_goes_down_and_is_printed_where_packets_start(name: str) -> None:
    walk, found = WALKS[name], words(drawn(name))
    times = [(box.top, float(said)) for style, said, box in found if style == "time" and re.fullmatch(r"[\d.]+", said)]
    assert times == sorted(times)
    starts = {round(walk.step(packet.steps[0]).t_us, 1) for packet in walk.packets}
    assert starts <= {t for _, t in times}


def test_it_stands_alone_and_says_what_it_shows() -> None:
    text = draw(WALKS["overlay"])
    root = ElementTree.fromstring(text)
    assert not re.search(r"href|url\(|<script|@import|<image", text)
    assert "prefers-color-scheme:dark" in text
    assert root.find(f"{SVG}title") is not None
    told = root.findtext(f"{SVG}desc") or ""
    assert all(f"{packet.number}: " in told and packet.title in told for packet in WALKS["overlay"].packets)


@pytest.mark.parametrize("spec", ["bare", "l2", "routed", "overlay"])
def test_columns_follow_the_declared_way_and_bystanders_stand_aside(spec: str) -> None:
    walk = WALKS[spec]
    way, aside = columns(walk, rows(walk))
    points = [point for group in way for point in group.points]
    declared = [hop.point for hop in Builder(spec).hops(walk.src, walk.dst)]
    assert [point for point in points if point in declared] == list(dict.fromkeys(declared))
    seen = {step.point for step in walk.steps}
    assert {point for group in aside for point in group.points} == seen - {*points}


def test_of_a_lost_packet_the_way_it_did_not_go_is_there_too() -> None:
    walk = WALKS["lost"]
    way, _ = columns(walk, rows(walk))
    assert way[-1].points == ("ctr-4:eth0",)


@pytest.mark.parametrize(("name", "expected"), [("bare", 0), ("routed", 0), ("ping", 10)])
def test_a_pipe_is_drawn_while_a_packet_is_in_another(name: str, expected: int) -> None:
    """From flannel.1 to flannel.1: five legs of a packet's way through an overlay."""
    assert len(of_class(drawn(name), "pipe-outer")) - IN_LEGEND == expected


@pytest.mark.parametrize(("name", "reason"), [
    ("lost", "left the switch, never came in at node-c"),
    ("dropped", "no flow for 12:22:33:44:55:03: table-miss"),
])
def test_a_packet_that_ends_early_has_a_cross_and_the_reason(name: str, reason: str) -> None:
    root = drawn(name)
    assert len(of_class(root, "cross")) == 1 + IN_LEGEND
    bad = [said for style, said, _ in words(root) if style == "bad"]
    assert bad[0] == reason
    assert bad[1] == "no answer: no answer in 1 s"
    assert bad[2].startswith("not as declared: the echo request never reached")


def test_silence_of_bystanders_is_no_failure() -> None:
    root = drawn("proxied")
    assert len(of_class(root, "cross")) == IN_LEGEND
    assert [said for style, said, _ in words(root) if style == "why"] == ["has no such address: silent"] * 2


def test_what_changed_is_said_where_it_changed() -> None:
    said = [said for style, said, _ in words(drawn("ping")) if style == "tag"]
    assert said == ["TTL 63", "+50 B", "-50 B", "TTL 62"] * 2


def test_many_bystanders_share_a_column() -> None:
    found = [said for style, said, _ in words(drawn("many")) if style == "column"]
    assert found.count("198 interfaces out") == found.count("198 interfaces in") == 2  # above and below
    assert len(found) < 20


def test_what_came_over_the_wire_is_escaped() -> None:
    builder = Builder("bare")
    title = "GET /<script>&\x00\x1b"
    builder.send("tcp", title, "node-a", "node-c", tcp(1, 80, 1, 1, ACK | PSH, b"x"))
    root = ElementTree.fromstring(draw(builder.walk()))
    assert "GET /<script>&??" in [said for style, said, _ in words(root) if style == "title"]
