"""What a shape becomes for tc: queue, burst, order of qdiscs, and how many of all random numbers a filter loses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from emu.designs import DEFAULT_DESIGNS, plans_for
from emu.live.links import burst_bytes, lossy, queue_bytes, queue_ms, settings, tc_commands
from emu.measure.words import links
from emu.model import UNSHAPED, Scenario, Shape


def test_an_unshaped_link_is_left_alone() -> None:
    assert tc_commands(UNSHAPED, "eth0", 1500, netem=True) == tc_commands(UNSHAPED, "eth0", 1500, netem=False) == []


def test_netem_comes_before_the_rate() -> None:
    assert tc_commands(Shape(50, 5, 0.5, 1), "eth0", 1500, netem=True) == [
        "qdisc add dev eth0 root handle 1: netem limit 100000 delay 5ms 0.5ms loss 1%",
        "qdisc add dev eth0 parent 1:1 handle 2: tbf rate 50000000bit burst 25000 limit 312500",
    ]
    assert tc_commands(Shape(delay=5), "eth0", 1500, netem=True) == [
        "qdisc add dev eth0 root handle 1: netem limit 100000 delay 5ms"]


def test_without_netem_a_filter_loses_frames_before_they_meet_the_rate() -> None:
    assert tc_commands(Shape(2.5, loss=1), "node-a-eth0", 1500, netem=False) == [
        "qdisc add dev node-a-eth0 clsact",
        lossy(1, "node-a-eth0"),
        "qdisc add dev node-a-eth0 root handle 2: tbf rate 2500000bit burst 3028 limit 15625",
    ]


def test_what_is_drawn_anew_for_each_link_is_no_setting_of_it() -> None:
    printed = "qdisc netem 1: root limit 100000 delay 2ms  500us seed {}\nqdisc tbf 2: parent 1:1 rate 50Mbit\n"
    one, other = (settings([printed.format(seed), ""]) for seed in (11635979572123791948, 7))
    assert one == other == ["qdisc netem 1: root limit 100000 delay 2ms  500us", "qdisc tbf 2: parent 1:1 rate 50Mbit"]


@pytest.mark.parametrize("mtu", [576, 1500, 9000])
@pytest.mark.parametrize("bw", [0.01, 1, 50, 1000, 34_359])
def test_a_queue_is_short_in_time_but_has_room_for_frames(bw: float, mtu: int) -> None:
    frame = mtu + 14
    assert queue_bytes(bw, mtu) >= 10 * frame
    assert queue_ms(bw, mtu) == pytest.approx(max(50, 10 * frame * 8 / bw / 1000), rel=0.01)
    assert 2 * frame <= burst_bytes(bw, mtu) < queue_bytes(bw, mtu) < 2**32


def lost(program: str, number: int) -> bool:
    """Run the filter's classic BPF with a random number; whether it has the frame vanish (TC_ACT_STOLEN)."""
    count, *instructions = program.split(",")
    assert int(count) == len(instructions)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, k = map(int, instructions[at].split())
        at += 1
        if (code, k) == (0x20, 2**32 - 0x1000 + 56):  # load SKF_AD_RANDOM
            accumulator = number
        elif code == 0x25:  # jump if greater
            at += if_true if accumulator > k else if_false
        else:
            assert code == 0x06
            assert k in (4, 2**32 - 1)
            return k == 4


@pytest.mark.parametrize("percent", [1e-6, 0.1, 10, 50, 100])
def test_the_filter_loses_the_share_of_all_random_numbers_that_was_asked_for(percent: float) -> None:
    found = re.fullmatch(r"filter add dev eth0 egress bpf da bytecode '([\d, ]+)'", lossy(percent, "eth0"))
    assert found
    share = round(percent / 100 * 2**32)
    assert lost(found[1], 0)
    assert lost(found[1], share - 1)
    assert share == 2**32 or not lost(found[1], share)


def test_every_link_of_every_design_is_alike() -> None:
    scenario = Scenario(nodes=3, bw=50, delay=2, loss=1)
    plans = plans_for(list(DEFAULT_DESIGNS), scenario, [])
    assert len(plans) == len(DEFAULT_DESIGNS)
    ends = [{(port.machine, port.machine_device, port.device, port.shape) for port in plan.switch.ports}
            for plan in plans]
    assert len(ends[0]) == 3
    assert all(each == ends[0] for each in ends)
    assert {shape for *_, shape in ends[0]} == {Shape(50, 2, 0, 1)}


@pytest.mark.parametrize(("scenario", "text"), [
    ({"mtu": 1500}, "links unshaped"),
    ({"mtu": 1500, "bw": None, "delay": 0.0, "jitter": 0.0, "loss": 0.0}, "links unshaped"),
    ({"mtu": 1500, "bw": 50.0, "loss": 0.1}, "links of 50 Mbit/s with a queue of 50 ms, 0.1 % loss each way"),
    ({"mtu": 1500, "bw": 1.0}, "links of 1 Mbit/s with a queue of 121 ms"),
    ({"mtu": 1500, "links": {"node-c": {"bw": 10}}},
     "links unshaped; that of node-c: 10 Mbit/s with a queue of 50 ms"),
    ({"mtu": 1500, "delay": 5.0, "jitter": 1.0}, "links of 5 ms delay each way (± 1 ms)"),
])
def test_links_in_words(scenario: dict[str, Any], text: str) -> None:
    assert links(scenario) == text
