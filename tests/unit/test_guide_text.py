"""A walk on a terminal: 80 columns whatever comes, the story before the details, news marked, repeats in one line."""

from __future__ import annotations

import io
import re

import pytest

from emu.guide.text import render, style
from emu.packets import ACK, PSH
from emu.walk.model import DROPPED, LOST, Walk
from tests.unit.walk_support import Builder, flooded_walk, http_walk, lost_walk, ping_walk, tcp

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def block(text: str, number: int) -> str:
    """What is told of one packet, its heading first."""
    return next(part for part in text.split("\n\n") if part.startswith(f"{number}  "))


@pytest.mark.parametrize("walk", [*map(http_walk, ("bare", "l2", "routed", "overlay")), flooded_walk(200)])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_asked(walk: Walk, width: int) -> None:
    for unicode in (True, False):
        assert max(map(len, render(walk, width, unicode=unicode).splitlines())) <= width


def test_the_story_comes_first_with_every_packet_in_one_line() -> None:
    walk = http_walk()
    story = render(walk).split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in story] == [str(packet.number) for packet in walk.packets]
    assert all(packet.title in line for packet, line in zip(walk.packets, story, strict=True))
    assert "octr-1 > *" in story[0]


def test_a_packet_without_news_is_told_in_its_line_only() -> None:
    walk = http_walk()
    text = render(walk)
    ack = next(packet for packet in walk.packets if packet.title == "ACK")
    assert f"\n{ack.number}  " not in text
    syn = next(packet for packet in walk.packets if packet.title == "SYN")
    assert re.search(rf"^ *{ack.number}  octr-1 > octr-4 .* as {syn.number}$", text, re.MULTILINE)


def test_a_request_on_a_known_way_has_its_times_but_not_the_headers_again() -> None:
    walk = http_walk("routed")
    get = next(packet for packet in walk.packets if packet.title == "GET /")
    told = block(render(walk), get.number).splitlines()
    assert told[1].strip() == "headers and decisions as in 1"
    assert len(told) == 2 + len(get.steps)


def test_routing_shows_what_the_fields_were() -> None:
    told = block(render(http_walk("routed")), 1)
    assert "routed: TTL 64 -> 63, MACs rewritten" in told
    assert re.search(r"Eth +#node-a > #gateway\s+~ src was octr-1, dst was #node-a:cbr0", told)
    assert re.search(r"IP +o10\.0\.1\.2 > o10\.0\.3\.2  ttl 63  ~ ttl was 64", told)
    assert re.search(r"by +route 10\.0\.3\.2/24 dev eth0\n +neighbor at 12:22:33:44:55:fe", told)


def test_encapsulation_adds_headers_and_indents_the_inner_ones() -> None:
    told = block(render(ping_walk(), unicode=False), 1)
    added = told[told.index("encapsulated") :]
    assert re.search(r"\n +\+ IP +#192\.168\.1\.1 > #192\.168\.1\.3  ttl 64\n", added)
    assert re.search(r"\n +\+ VXLAN +vni 1\n +\| Eth +#node-a:flannel\.1 > #node-c:flannel\.1\n", added)
    assert re.search(r"\n +- VXLAN VNI 1, outer 192\.168\.1\.1 -> 192\.168\.1\.3\n", added)


def test_a_packet_that_waits_says_for_which_ones() -> None:
    walk = http_walk()
    syn = next(packet for packet in walk.packets if packet.title == "SYN")
    assert f"meanwhile packets {syn.number + 1}, {syn.number + 2}" in block(render(walk), syn.number)


def test_many_silent_bystanders_are_told_in_one_breath() -> None:
    text = render(flooded_walk(50))
    assert re.search(r"48 interfaces +in +each: silent; the last at", text)
    assert re.search(r"48 interfaces +out ", text)
    assert "and 40 more" in text
    assert re.search(r"switch node-c-eth0 +out", text)
    assert len(text.splitlines()) < 30


@pytest.mark.parametrize(("fate", "where"), [(LOST, "LOST at switch node-c-eth0"),
                                             (DROPPED, "dropped at switch node-a-eth0")])
def test_a_failed_request_ends_with_its_reasons(fate: str, where: str) -> None:
    text = render(lost_walk(fate))
    assert where in text.split("\n\n")[1]
    summary = " ".join(text.split("\n\n")[-1].split())
    assert "no answer: no answer in 1 s" in summary
    assert "not as declared: the echo request never reached node-c:eth0" in summary
    assert "as declared" not in summary.replace("not as declared", "")


def test_a_walk_as_declared_says_so_at_its_end() -> None:
    text = render(ping_walk("bare"))
    assert text.endswith("\nas declared\n")
    assert "packets: 2, steps: 8," in text


def test_a_request_that_sends_nothing_is_told_too() -> None:
    text = render(Builder("bare", "arp").walk("node-a asks nobody"))
    assert "packets: 0, steps: 0," in text
    assert "no answer: node-a asks nobody" in text


def test_plain_text_is_ascii_and_colour_changes_nothing_else() -> None:
    walk = http_walk()
    assert render(walk, unicode=False).isascii()
    coloured = render(walk, color=True)
    assert "\x1b[33moctr-1\x1b[0m" in coloured
    assert ESCAPES.sub("", coloured) == render(walk)
    assert all(line.count("\x1b[") % 2 == 0 or line.endswith("\x1b[0m") for line in coloured.splitlines())


def test_what_came_over_the_wire_cannot_drive_the_terminal() -> None:
    builder = Builder("bare")
    builder.send("tcp", "GET /\x1b[2J\x9b\ue000", "node-a", "node-c", tcp(1, 80, 1, 1, ACK | PSH, b"x"))
    text = render(builder.walk(problem="curl: \x07"))
    assert "GET /?[2J??" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ue000-\uf8ff]", text)


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, is_terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self.is_terminal, self._encoding = is_terminal, encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(("stream", "environ", "expected"), [
    (Stream(True), {"LANG": "en_US.UTF-8"}, (True, True)),
    (Stream(False), {"LANG": "en_US.UTF-8"}, (False, True)),
    (Stream(True), {"LANG": "C.utf8", "NO_COLOR": "1"}, (False, True)),
    (Stream(True), {"LANG": "C.utf8", "NO_COLOR": ""}, (True, True)),
    (Stream(True), {"LANG": "C.utf8", "TERM": "dumb"}, (False, True)),
    (Stream(True), {"LC_ALL": "C", "LANG": "en_US.UTF-8"}, (True, False)),
    (Stream(True), {"LC_ALL": "de_DE.UTF-8@euro", "LANG": "C"}, (True, True)),
    (Stream(True, "ascii"), {"LANG": "C.UTF-8"}, (True, False)),
    (Stream(True), {}, (True, False)),
])
def test_style(stream: Stream, environ: dict[str, str], expected: tuple[bool, bool]) -> None:
    assert style(stream, environ) == expected
