"""The page: what it says of every frame, that it stands alone, and that nothing in it can break out of its text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from emu.designs import make_plan, parse_design
from emu.guide.fields import ADDRESSES, FIELDS, text, value_text
from emu.guide.inspector import FieldRow, hex_dump, inspect, payload_text, rows_of
from emu.guide.page import FAILS, HOLDS, NOT_JUDGED, FactRow, facts_claim, render
from emu.guide.realms import ALL, NOBODY, NODE, POD, Realms
from emu.guide.scene import Chapter, Medium, Scene, Slide
from emu.model import BROADCAST_MAC, Plan, Scenario
from emu.packets import ACK, SYN, headers
from emu.walk.model import Step, Walk
from tests.unit.walk_support import http_walk, lost_walk, ping_walk

VOID = {"meta", "br", "input", "link", "img"}
FACTS = (
    FactRow("ttl", "15", "The TTL goes down.", HOLDS, "63 was 64", "overlay"),
    FactRow("mac", "16", "The MAC changes.", FAILS, "the same", "overlay"),
    FactRow("bgp", "17", "BGP tells the routes.", NOT_JUDGED, "", "overlay"),
)
ABOUT = {"Command": "emu guide", "Kernel": "Linux 6.1"}


class Page(HTMLParser):
    """Tags and texts of a page; fails where tags are not nested."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def having(self, tag: str, css_class: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag and css_class in attrs.get("class", "").split()]


def scene(walk: Walk) -> Scene:
    return Scene(walk.plan, walk.src, walk.dst, Medium("switch", "L2 switch"), "The packet goes its way.")


def slide(walk: Walk, step: Step | None, name: str, claim: str = "It goes its way.", key_field: str = "") -> Slide:
    return Slide(name, claim, "It goes. That matters.", scene(walk), walk, step, key_field, ("ttl",), "16")


def chapter(walk: Walk, slides: tuple[Slide, ...], name: str = "overlay") -> Chapter:
    return Chapter(name, "An overlay", "Overlay", walk.plan.spec, slides, {name: walk})


def step_at(walk: Walk, point: str, direction: str, title: str) -> Step:
    number = next(packet.number for packet in walk.packets if packet.title == title)
    return next(step for step in walk.steps
                if (step.point, step.frame.direction, step.packet) == (point, direction, number))


def rows(walk: Walk, step: Step, key_field: str = "") -> dict[str, FieldRow]:
    """The rows of the innermost envelope that are shown at first, by key and the name of what owns them."""
    box = inspect(walk, step, key_field).box
    return {row.key: row for section in (box.inner or box).sections for row in section.rows}


@pytest.fixture(scope="module")
def walk() -> Walk:
    return http_walk("overlay")


@pytest.fixture(scope="module")
def page(walk: Walk) -> str:
    slides = (slide(walk, None, "nodes", "Nodes hold containers."), slide(walk, walk.step(1), "asks", "ctr-1 asks."),
              slide(walk, walk.step(60), "later", "Later."))
    return render("A guide", [chapter(walk, slides)], ABOUT, FACTS)


def plan_of(spec: str) -> Plan:
    return make_plan(parse_design(spec), Scenario())


def test_one_section_a_slide_with_its_number_and_claim(page: str) -> None:
    sections = Page(page).having("section", "slide")
    assert [(section["id"], section["aria-label"]) for section in sections] == [
        ("cover/title", "1 of 5: A guide"),
        ("overlay/nodes", "2 of 5: Nodes hold containers."),
        ("overlay/asks", "3 of 5: ctr-1 asks."),
        ("overlay/later", "4 of 5: Later."),
        ("facts/table", "5 of 5: 1 of 3 facts of the deck hold."),
    ]


def test_links_lead_somewhere_and_ids_are_unique(page: str) -> None:
    tags = Page(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"] for tag, attrs in tags if tag == "a" and "href" in attrs}
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_every_slide_can_be_reached_by_the_rail(page: str) -> None:
    parsed = Page(page)
    stops = [attrs["href"] for attrs in parsed.having("a", "st")]
    assert stops == [f"#{attrs['id']}" for attrs in parsed.having("section", "slide")]


def test_every_slide_names_its_evidence_and_has_both_stages(page: str, walk: Walk) -> None:
    """The frame in the inspector, and all frames of its packet, of which the picture is drawn."""
    parsed = Page(page)
    first, later = (walk.packet(walk.step(index).packet).steps for index in (1, 60))
    evidence = [text for text in parsed.texts if ".pcapng" in text]
    assert [line.strip() for line in evidence] == [
        "overlay.pcapng (addresses: the plan's) · deck slide 16",
        f"overlay.pcapng, frame 1 of {first[0]} to {first[-1]} · deck slide 16",
        f"overlay.pcapng, frame 60 of {later[0]} to {later[-1]} · deck slide 16",
    ]
    assert len(parsed.having("svg", "wide")) == len(parsed.having("svg", "narrow")) == 3


def test_it_needs_nothing_from_elsewhere(page: str) -> None:
    assert not re.search(r"https?://", page.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    assert not re.search(r"url\(|@import|<link|<img|<iframe", page)
    assert not [name for _, attrs in Page(page).tags for name in attrs if name.startswith("on") or name == "src"]


def test_only_its_own_script_may_run(page: str) -> None:
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_nothing_breaks_out_of_its_text(walk: Walk) -> None:
    evil = "<img src=x onerror=alert(1)>\"'</style></script>"
    step = replace(walk.step(1), note=evil, decided_by=evil)
    hostile = replace(walk, steps=(step, *walk.steps[1:]))
    shown = replace(slide(hostile, step, "s", evil), caption=evil, deck=evil)
    named = replace(chapter(hostile, (shown,)), title=evil, short=evil, captures={evil: hostile})
    parsed = Page(render(evil, [named], {evil: evil}, [FactRow(evil, evil, evil, HOLDS, evil, evil)]))
    assert "img" not in {tag for tag, _ in parsed.tags}
    assert sum(evil in text for text in parsed.texts) >= 15


def test_a_slide_of_a_foreign_walk_is_refused(walk: Walk) -> None:
    with pytest.raises(ValueError, match="overlay/s shows a walk"):
        render("A guide", [chapter(walk, (slide(ping_walk(), None, "s"),))], ABOUT, ())


def test_without_facts_there_is_no_table(walk: Walk) -> None:
    page = render("A walk", [chapter(walk, (slide(walk, walk.step(1), "s"),))], ABOUT, ())
    assert "facts/table" not in page
    assert "2 of 2: It goes its way." in page


def test_facts_are_counted_and_lead_to_the_slide_that_shows_them(page: str) -> None:
    parsed = Page(page)
    assert facts_claim(FACTS[:1]) == "All 1 facts of the deck hold."
    assert [css for css in ("holds", "fails", "not-judged") if parsed.having("tr", css)] == [
        "holds", "fails", "not-judged"]
    assert '<a href="#overlay/nodes">Overlay</a>' in page


def test_forty_slides_stay_small(walk: Walk) -> None:
    slides = tuple(slide(walk, step, f"s{step.index}") for step in walk.steps[40:80])
    page = render("A guide", [chapter(walk, slides)], ABOUT, FACTS)
    without_stages = re.sub(r"<svg class=\"stage.*?</svg>", "", page, flags=re.DOTALL)
    assert len(without_stages) < 1_500_000


def test_where_and_when_a_frame_was_seen(walk: Walk) -> None:
    seen = inspect(walk, walk.step(2))
    assert (seen.verb, seen.place, seen.interface) == ("comes in at", "node-a", "veth-ctr-1")
    assert inspect(walk, step_at(walk, "switch:node-c-eth0", "out", "GET /")).place == "the switch"
    assert [tick.when for tick in seen.ticks[:3]] == ["earlier", "now", "later"]
    assert len(seen.ticks) == seen.total == len(walk.steps)
    positions = [tick.x for tick in seen.ticks]
    assert positions == sorted(positions)


def test_a_routed_packet_shows_what_the_router_changed(walk: Walk) -> None:
    shown = rows(walk, step_at(walk, "node-a:flannel.1", "out", "GET /"))
    assert (shown["TTL"].value, shown["TTL"].was) == ("63", "64")
    before, after = inspect(walk, walk.step(1)), inspect(walk, walk.step(2))
    assert not [row for seen in (before, after) for row in rows_of(seen.box) if row.was is not None]


def test_encapsulation_adds_headers_and_the_other_end_takes_them_off(walk: Walk) -> None:
    wrapped = inspect(walk, step_at(walk, "node-a:eth0", "out", "GET /"))
    assert wrapped.box.is_added
    assert wrapped.box.inner is not None
    assert not wrapped.box.inner.is_added
    assert (wrapped.box.realm, wrapped.box.inner.realm) == (NODE, POD)
    assert [section.title for section in wrapped.box.sections] == ["Ethernet", "IPv4", "UDP + VXLAN"]
    passed = inspect(walk, step_at(walk, "switch:node-a-eth0", "in", "GET /"))
    assert not passed.box.is_added
    unwrapped = inspect(walk, step_at(walk, "node-c:flannel.1", "in", "GET /"))
    assert unwrapped.is_unwrapped
    assert unwrapped.box.inner is None


def test_the_byte_strip_is_to_scale(walk: Walk) -> None:
    seen = inspect(walk, step_at(walk, "node-a:eth0", "out", "GET /"))
    assert [(part.label, part.size, part.depth) for part in seen.segments] == [
        ("Eth", 14, 0), ("IP", 20, 0), ("VX", 16, 0), ("Eth", 14, 1), ("IP", 20, 1), ("TCP", 20, 1),
        ("GET / HTTP/1.1", 34, 1)]
    assert sum(part.size for part in seen.segments) == seen.length
    assert {row.segment for row in rows_of(seen.box)} == {part.number for part in seen.segments}


def test_an_arp_answer_is_told_as_an_answer(walk: Walk) -> None:
    asked, answered = rows(walk, walk.step(1)), rows(walk, step_at(walk, "ctr-1:eth0", "in", "10.0.1.1 is at "
                                                                    "0a:58:0a:00:01:01"))
    assert (asked["asks for"].value, asked["asks for"].note) == ("10.0.1.1", "node-a:cbr0")
    assert (answered["who"].value, answered["is at"].value) == ("10.0.1.1", "0a:58:0a:00:01:01")
    assert (answered["is at"].realm, answered["told to"].realm) == (NODE, POD)


def test_rows_say_where_their_bytes_are(walk: Walk) -> None:
    for step in walk.steps:
        for row in rows_of(inspect(walk, step).box):
            assert row.hex.startswith(step.frame.data[row.start : row.start + min(row.size, 12)].hex(" "))


def test_the_field_of_the_slide_is_marked_and_shown(walk: Walk) -> None:
    step = step_at(walk, "node-a:eth0", "out", "GET /")
    marked = [row for row in rows_of(inspect(walk, step, "inner.tcp.seq").box) if row.is_key]
    assert [(row.key, row.is_minor) for row in marked] == [("seq", False)]
    assert [row.key for row in rows_of(inspect(walk, step, "inner.http.line").box) if row.is_key] == ["data"]
    assert [row for row in rows_of(inspect(walk, step).box) if row.key == "seq" and row.is_minor]


def test_every_field_has_words() -> None:
    for walk in (http_walk("overlay"), ping_walk("l2"), lost_walk()):
        for step in walk.steps:
            for header in (header for header in step.frame.headers if header.protocol != "payload"):
                names = [field.name.removeprefix("inner.") for field in header.fields if field.size]
                assert set(names) <= set(FIELDS)
    assert text("gre.key").key == "gre.key"
    cites = ("RFC", "IEEE", "section", "net_packet.c")
    assert all(any(word in words.help for word in cites) for name, words in FIELDS.items() if name != "payload")


def test_numbers_are_named() -> None:
    assert value_text("tcp.flags", SYN | ACK) == "SYN, ACK"
    assert value_text("eth.type", 0x0806) == "0x0806"
    assert payload_text(b"GET / HTTP/1.1\r\nHost: x\r\n") == "GET / HTTP/1.1"
    assert payload_text(bytes(range(16))) == ""


def test_damaged_frames_are_shown_as_far_as_they_go(walk: Walk) -> None:
    step = step_at(walk, "node-a:eth0", "out", "GET /")
    for length in range(len(step.frame.data)):
        cut = replace(step.frame, data=step.frame.data[:length])
        seen = inspect(walk, replace(step, frame=cut))
        assert seen.length == length
        assert len(headers(cut.data)) >= len(seen.segments)


def test_the_hex_dump_has_its_bytes_where_the_page_looks_for_them() -> None:
    data = bytes(range(60, 81))
    lines = hex_dump(data).split("\n")
    assert len({len(line) for line in lines[:-1]}) == 1
    for index, byte in enumerate(data):
        column = 6 + 3 * (index % 8)
        assert lines[index // 8][column : column + 2] == f"{byte:02x}"
    assert lines[0].endswith("<=>?@ABC")


@pytest.mark.parametrize("spec", ["bare", "l2", "routed", "overlay"])
def test_every_address_of_a_plan_is_somebodys(spec: str) -> None:
    plan = plan_of(spec)
    realms = Realms(plan)
    for node in plan.nodes:
        assert realms.of_ip(node.address) == realms.of_mac(node.mac) == (NODE, node.name)
        for container in node.containers:
            assert realms.of_ip(container.address) == realms.of_mac(container.mac) == (POD, container.name)
    assert realms.of_mac(BROADCAST_MAC) == (ALL, "everybody")
    assert realms.of_ip("203.0.113.1") == realms.of_mac("00:00:00:00:00:00") == (NOBODY, "")


def test_devices_in_the_pod_network_are_the_nodes() -> None:
    node = plan_of("overlay").nodes[0]
    realms = Realms(plan_of("overlay"))
    assert realms.of_mac(node.vtep_mac) == realms.of(node.vtep_address) == (NODE, "node-a:flannel.1")
    assert realms.of_ip(node.bridge_address) == (NODE, "node-a:cbr0")
    gateway = plan_of("routed").control.gateway
    assert gateway
    assert Realms(plan_of("routed")).of(gateway.mac) == (NODE, "gateway")


def test_the_fields_that_have_owners() -> None:
    last_words = ("src", "dst", "sha", "spa", "tha", "tpa")
    assert {name for name in FIELDS if name.rpartition(".")[2] in last_words} == ADDRESSES
