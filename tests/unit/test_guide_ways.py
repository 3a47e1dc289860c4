"""What is news in a walk, and what can be told in one breath."""

from __future__ import annotations

import pytest

from emu.guide.ways import ending, groups, has_failed, microseconds, printable, repeats
from emu.packets import ACK
from emu.walk.model import ANSWERED, DROPPED, LOST
from tests.unit.walk_support import (
    Builder,
    Sighting,
    flooded_walk,
    http_walk,
    lost_walk,
    tcp,
    who_has,
)


def test_a_packet_repeats_the_first_one_that_went_its_way() -> None:
    walk = http_walk("routed")
    titles = {packet.number: packet.title for packet in walk.packets}
    assert {(titles[new], titles[old]) for new, old in repeats(walk).items()} == {
        ("ACK", "SYN"), ("GET /", "SYN"), ("FIN ACK", "SYN"), ("ACK", "SYN ACK"), ("200 OK", "SYN ACK"),
    }


def test_a_packet_that_is_lost_repeats_none() -> None:
    builder = Builder("bare")
    builder.send("tcp", "ACK", "node-a", "node-c", tcp(1, 80, 1, 1, ACK))
    builder.send("tcp", "ACK", "node-a", "node-c", tcp(1, 80, 2, 1, ACK), end=LOST)
    builder.send("tcp", "ACK", "node-a", "node-c", tcp(1, 80, 3, 1, ACK))
    assert repeats(builder.walk()) == {3: 1}


def test_steps_of_a_packet_for_one_stand_alone_in_order() -> None:
    walk = http_walk()
    for packet in walk.packets:
        assert [group[0].index for group in groups(walk.steps_of(packet))] == list(packet.steps)


def test_silent_branches_are_one_group_and_the_answered_one_is_not_in_it() -> None:
    walk = flooded_walk(50)
    sizes = [len(group) for group in groups(walk.steps)]
    assert sorted(sizes) == [1, 1, 1, 1, 48, 48]
    answered = next(step for step in walk.steps if step.fate == ANSWERED)
    assert (answered,) in groups(walk.steps)
    assert ending(next(group for group in groups(walk.steps) if len(group) > 1 and group[0].fate == DROPPED)) == (
        "each: silent"
    )


def test_branches_that_go_on_differently_are_not_one_group() -> None:
    """A bridge floods five containers and the wire: at the switch the frame goes no further."""
    builder = Builder("l2", "arp")
    asks = builder.packet("arp-request", "who has 10.0.1.9?", "ctr-1", "")
    mac = builder.plan.container_of["ctr-1"].mac
    ports = [f"node-a:port-{n}" for n in range(5)]
    builder.flood(asks, who_has(mac, "10.0.1.2", "10.0.1.9"), (
        Sighting("node-a:veth-ctr-1", "in"), Sighting("node-a:eth0", "out", 0),
        Sighting("switch:node-a-eth0", "in", 1, DROPPED, "goes no further"),
        *(Sighting(port, "out", 0) for port in ports),
        *(Sighting(f"ctr-{n}:eth0", "in", 3 + n, DROPPED, f"ctr-{n} has no such address") for n in range(5)),
    ))
    found = groups(builder.walk().steps)
    assert [(group[0].point, len(group)) for group in found[1:]] == [
        ("node-a:eth0", 1), ("switch:node-a-eth0", 1), ("node-a:port-0", 5), ("ctr-0:eth0", 5),
    ]


def test_a_bystander_s_silence_is_no_failure_but_one_s_own_is() -> None:
    builder = Builder("bare", "arp")
    asks = builder.packet("arp-request", "who has 192.168.1.3?", "node-a", "")
    builder.flood(asks, who_has(builder.plan.nodes[0].mac, "192.168.1.1", "192.168.1.3"), (
        Sighting("node-b:eth0", "in", -1, DROPPED, "node-b has no such address: silent"),
        Sighting("node-c:eth0", "in", -1, DROPPED, "its own address, and yet no answer"),
    ))
    walk = builder.walk()
    assert [has_failed(walk.plan, step) for step in walk.steps] == [False, True]


@pytest.mark.parametrize("fate", [LOST, DROPPED])
def test_a_packet_for_one_that_ends_early_has_failed(fate: str) -> None:
    walk = lost_walk(fate)
    assert [has_failed(walk.plan, step) for step in walk.steps] == [False] * (len(walk.steps) - 1) + [True]


def test_the_ending_is_the_last_words_of_a_note() -> None:
    builder = Builder("l2", "arp")
    asks = builder.packet("arp-request", "who has 10.0.3.2?", "ctr-1", "")
    note = "handed up to cbr0; node-a has no such address: silent"
    question = who_has("aa:bb:cc:dd:e1:01", "10.0.1.2", "10.0.3.2")
    builder.seen(asks, "node-a:cbr0", "in", question, fate=DROPPED, note=note)
    assert ending(builder.walk().steps) == "has no such address: silent"


@pytest.mark.parametrize(("value", "text"), [
    (0.04, "0.0 µs"), (9.44, "9.4 µs"), (213.6, "214 µs"), (9999.0, "9999 µs"), (12_500.0, "12.5 ms"),
    (3_058_459.1, "3.06 s"),
])
def test_times_have_the_digits_that_help(value: float, text: str) -> None:
    assert microseconds(value) == text
    assert microseconds(value, unicode=False) == text.replace("µ", "u")


def test_what_is_not_printable_is_replaced() -> None:
    assert printable("a\x1b[2J\n\x00é\x9b") == "a?[2J??é?"
