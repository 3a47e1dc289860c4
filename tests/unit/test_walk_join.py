"""Frames joined into packets by what they are, and told: fates, changes, causes, differences from the declared path."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from emu.designs import all_designs, make_plan, parse_design
from emu.frames import Frame
from emu.model import SWITCH, Hop, Plan, Scenario
from emu.packets import ARP_REPLY, ECHO_REPLY, ECHO_REQUEST, ICMP, SYN
from emu.walk.join import Sighting, identity, in_order, join
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, FORWARDED, LOST, Walk
from emu.walk.questions import BRIDGE_ENTRY, FLOW, ROUTE, TUNNEL_ENTRY
from emu.walk.tell import Journeys, tell
from emu.walk.topology import topology
from tests.unit.walk_support import Builder, arp, echo, ethernet, flooded_walk, http_walk, ipv4, lost_walk, tcp, who_has


def packets_of(plan: Plan, frames: Sequence[Frame]) -> list[list[Sighting]]:
    there = topology(plan)
    return join(there, in_order(there, frames))


def told(walk: Walk, frames: Sequence[Frame] | None = None, problem: str = "") -> Walk:
    """The walk that is told of the frames of a walk made by hand."""
    there, design = topology(walk.plan), parse_design(walk.plan.design).design
    seen = in_order(there, frames or [step.frame for step in walk.steps])
    ends = (walk.src, walk.dst)
    trips = design.round_trips(walk.plan, *ends)
    return tell(Journeys(walk.plan, there, join(there, seen)), walk.request, ends, trips, {}, problem)


def shape(walk: Walk) -> list[list[tuple[str, str, str]]]:
    """Of every packet: its capture points in order, and what became of it there."""
    alike = {ANSWERED: DELIVERED}
    return [
        [(s.point, s.frame.direction, alike.get(s.fate, s.fate)) for s in walk.steps_of(packet)]
        for packet in walk.packets
    ]


def came_from(walk: Walk) -> list[dict[tuple[str, str], str]]:
    """Of every packet: for each sighting the capture point it came from."""
    return [
        {(s.point, s.frame.direction): walk.step(s.previous).point if s.previous else "" for s in walk.steps_of(packet)}
        for packet in walk.packets
    ]


@pytest.mark.parametrize("spec", list(all_designs()))
def test_a_request_is_joined_as_it_went_in_every_design(spec: str) -> None:
    made = http_walk(spec)
    seen = told(made)
    assert shape(seen) == shape(made)
    assert [packet.title for packet in seen.packets] == [packet.title for packet in made.packets]
    assert [packet.kind for packet in seen.packets] == [packet.kind for packet in made.packets]
    assert [(packet.src, packet.dst) for packet in seen.packets] == [(p.src, p.dst) for p in made.packets]
    assert [step.previous for step in seen.steps] == [step.previous for step in made.steps]
    assert [step.changed for step in seen.steps] == [step.changed for step in made.steps]
    assert seen.differences == ()
    assert seen.holds


def test_steps_with_one_time_stamp_are_in_the_order_in_which_a_node_handles_them() -> None:
    """The kernel stamps a frame once on its way in, and hands it up with that stamp."""
    made = http_walk("overlay")
    stamped: list[Frame] = []
    for step in made.steps:
        before = made.step(step.previous).frame if step.previous else None
        handed_up = before is not None and before.direction == step.frame.direction == "in"
        stamped.append(replace(step.frame, t_ns=stamped[(step.previous or 1) - 1].t_ns) if handed_up else step.frame)
    random.Random(1).shuffle(stamped)
    assert came_from(told(made, stamped)) == came_from(made)


def test_packets_under_way_at_the_same_time_are_told_apart_by_what_they_are() -> None:
    """Two pings pass every interface at the very same moments."""
    builder = Builder("routed", "ping")
    hops = builder.hops(builder.src, builder.dst)
    frames = [
        Frame(hop.point, hop.direction, 1000 + number, builder.frame(hop, builder.src, builder.dst, ICMP, segment))
        for number, hop in enumerate(hops)
        for segment in (echo(ECHO_REQUEST, 7, 1), echo(ECHO_REQUEST, 7, 2))
    ]
    found = packets_of(builder.plan, frames)
    assert len(found) == 2
    for packet in found:
        assert [seen.frame.at for seen in packet] == [hop.point for hop in hops]
        assert len({seen.frame.fields["icmp.seq"] for seen in packet}) == 1


def test_a_frame_with_no_way_from_an_earlier_one_was_made_where_it_is_seen() -> None:
    """A bystander's port cannot have got the packet from the far end of the lab, whatever the clock says."""
    made = http_walk("bare")
    packet = made.packets[0]
    astray = replace(made.step(packet.steps[-1]).frame, at="node-b:eth0", t_ns=made.steps[-1].frame.t_ns + 1)
    found = packets_of(made.plan, [*(step.frame for step in made.steps), astray])
    assert [[seen.frame.at for seen in packet] for packet in found if packet[0].frame.at == "node-b:eth0"] == [
        ["node-b:eth0"]
    ]


def test_equal_frames_back_to_back_keep_their_order() -> None:
    """Two copies leave before the first comes in: links and switches do not reorder."""
    made = http_walk("bare")
    syn = [made.step(index).frame for index in made.packets[0].steps]
    frames = [replace(frame, t_ns=1000 * place + copy) for place, frame in enumerate(syn) for copy in range(3)]
    found = packets_of(made.plan, frames)
    assert [[seen.frame.t_ns % 1000 for seen in packet] for packet in found] == [[k] * len(syn) for k in range(3)]


def test_a_lost_first_copy_is_not_given_what_the_second_did() -> None:
    made = http_walk("bare")
    syn = [made.step(index).frame for index in made.packets[0].steps]
    again = [replace(frame, t_ns=frame.t_ns + 1_000_000_000) for frame in syn]
    found = packets_of(made.plan, [*syn[:2], *again])
    assert [len(packet) for packet in found] == [2, len(syn)]


def test_fragments_of_one_packet_are_told_apart() -> None:
    builder = Builder("bare", "ping")
    hops = builder.hops(builder.src, builder.dst)
    frames = []
    for place, hop in enumerate(hops):
        for k in range(3):
            data = bytearray(builder.frame(hop, builder.src, builder.dst, 17, bytes(64)))
            data[20:22] = ((0x2000 if k < 2 else 0) | 8 * k).to_bytes(2, "big")
            frames.append(Frame(hop.point, hop.direction, 1000 * place - k, bytes(data)))
    found = packets_of(builder.plan, frames)
    assert sorted(seen[0].frame.fields["ip.fragment"] & 0x1FFF for seen in found) == [0, 8, 16]
    for packet in found:
        assert len(packet) == len(hops)
        assert len({seen.frame.fields["ip.fragment"] for seen in packet}) == 1


def test_a_packet_sent_twice_is_two_packets() -> None:
    made = http_walk("bare")
    syn = [made.step(index).frame for index in made.packets[0].steps]
    again = [replace(frame, t_ns=frame.t_ns + 1_000_000_000) for frame in syn]
    walk = told(made, [*syn, *again])
    assert [packet.title for packet in walk.packets] == ["SYN", "SYN"]
    assert [walk.step(packet.steps[0]).note for packet in walk.packets] == [
        "sent",
        "sent; again: the same as packet 1",
    ]


def test_a_copy_at_a_place_where_the_packet_has_been_is_a_difference() -> None:
    made = http_walk("bare")
    frames = [step.frame for step in made.steps]
    port = next(frame for frame in frames if frame.at == "switch:node-c-eth0" and frame.direction == "out")
    walk = told(made, [*frames, replace(port, t_ns=port.t_ns + 1)])
    copies = [packet for packet in walk.packets if packet.title == "SYN"]
    assert walk.step(copies[1].steps[0]).note == f"sent; a second copy of packet {copies[0].number}"
    assert walk.differences


def flooded(walk: Walk) -> Walk:
    port = next(s.frame for s in walk.steps if s.point == "switch:node-c-eth0" and s.frame.direction == "out")
    astray = replace(port, at="switch:node-b-eth0"), replace(port, at="node-b:eth0", direction="in", t_ns=port.t_ns + 1)
    return told(walk, [*(step.frame for step in walk.steps), *astray])


def test_a_unicast_that_others_hear_is_a_difference() -> None:
    differences = flooded(http_walk("bare")).differences
    assert differences == ("copies seen at switch:node-b-eth0, node-b:eth0 (SYN)",)


@pytest.mark.parametrize("fate", [LOST, DROPPED])
def test_a_packet_that_ends_under_way_says_where_and_how(fate: str) -> None:
    made = lost_walk(fate)
    walk = told(made, problem="no answer")
    last = walk.steps[-1]
    assert last.fate == fate
    assert all(step.fate == FORWARDED for step in walk.steps[:-1])
    assert not walk.holds
    assert f"last seen at {last.point} ({fate})" in walk.differences[0]


def test_everybody_hears_a_broadcast_and_one_answers() -> None:
    made = flooded_walk(6)
    asks = made.steps_of(made.packets[0])
    target, asker = asks[0].frame.fields["arp.tpa"], made.plan.nodes[0]
    other = made.plan.nodes[2]
    reply = arp(ARP_REPLY, other.mac, target, asker.mac, asker.address)
    answer = Frame(f"{other.name}:eth0", "out", made.steps[-1].frame.t_ns + 1, reply)
    walk = told(made, [*(step.frame for step in made.steps), answer])
    heard = {step.frame.machine: step.fate for step in walk.steps_of(walk.packets[0]) if step.fate != FORWARDED}
    assert heard == {node.name: ANSWERED if node is other else DROPPED for node in made.plan.nodes[1:]}
    assert walk.packets[1].answers == 1
    assert "has no such address: silent" in walk.step(asks[-1].index).note


def test_proxy_arp_is_told_by_the_mac_that_answers() -> None:
    builder = Builder("l2", "arp")
    source, target = (builder.plan.container_of[name] for name in (builder.src, builder.dst))
    port, far = f"{SWITCH}:{builder.plan.port_of['node-a'].device}", builder.plan.node_of[target.name]
    question = who_has(source.mac, source.address, target.address)
    answer = arp(ARP_REPLY, far.mac, target.address, source.mac, source.address)
    frames = [
        Frame("node-a:eth0", "out", 1, question),
        Frame(port, "in", 2, question),
        Frame(port, "out", 3, answer),
        Frame("node-a:eth0", "in", 4, answer),
    ]
    walk = told(builder.walk(), frames)
    assert [(packet.kind, packet.answers) for packet in walk.packets] == [("arp-request", None), ("arp-reply", 1)]
    assert walk.steps[1].fate == ANSWERED
    assert walk.steps[2].note == f"answered by proxy ARP with {far.name}'s MAC"
    assert walk.packets[1].src == SWITCH


def hop_changed(spec: str, number: int, **changes: object) -> Walk:
    """A ping in which one hop is not as declared."""
    builder = Builder(spec, "ping")
    hops = list(builder.hops(builder.src, builder.dst))
    wrong = [replace(hop, **changes) if k == number else hop for k, hop in enumerate(hops)]  # type: ignore[arg-type]
    segment = echo(ECHO_REQUEST, 7, 1)
    frames = [
        Frame(hop.point, hop.direction, k, builder.frame(hop, builder.src, builder.dst, ICMP, segment))
        for k, hop in enumerate(wrong)
    ]
    return told(builder.walk(), frames)


def declared(spec: str) -> tuple[Hop, ...]:
    plan = make_plan(parse_design(spec), Scenario())
    assert plan.endpoints
    return parse_design(spec).design.path(plan, *plan.endpoints)


@pytest.mark.parametrize("spec", list(all_designs()))
def test_any_field_that_is_not_as_declared_at_any_hop_is_a_difference(spec: str) -> None:
    for number, hop in enumerate(declared(spec)):
        where = f"at {hop.point} {hop.direction}: "
        wrong = {
            "ttl": ("TTL", 7),
            "eth_dst": ("destination MAC", "02:00:00:00:00:09"),
            "eth_src": ("source MAC", "02:00:00:00:00:09"),
        }
        for field, (words, value) in wrong.items():
            found = hop_changed(spec, number, **{field: value}).differences
            assert found[0] == f"{where}{words} {value} instead of {getattr(hop, field)} (ping)"
        if hop.outer:
            outer = {**hop.outer, "ip.dst": "192.168.1.4"}
            found = hop_changed(spec, number, outer=outer).differences
            assert found[0] == f"{where}outer ip.dst 192.168.1.4 instead of {hop.outer['ip.dst']} (ping)"


def test_a_packet_that_skips_the_tunnel_is_a_difference() -> None:
    number = next(k for k, hop in enumerate(declared("overlay")) if hop.outer)
    assert hop_changed("overlay", number, outer=None).differences


def test_what_decided_is_asked_of_the_right_tables() -> None:
    made = http_walk("overlay")
    there = topology(made.plan)
    journeys = Journeys(made.plan, there, packets_of(made.plan, [step.frame for step in made.steps]))
    syn = next(packet for packet in journeys.packets if packet[0].frame.inner.get("tcp.flags") == SYN)
    asked = {
        (seen.frame.at, seen.frame.direction): [
            (question.kind, *question.words) for question in journeys.about(syn, seen)
        ]
        for seen in syn
    }
    c = made.plan.nodes[2]
    assert asked["ctr-1:eth0", "out"] == [(ROUTE, "10.0.3.2", "10.0.1.2", "")]
    assert asked["node-a:veth-ctr-1", "in"] == []
    assert asked["node-a:flannel.1", "out"] == [(ROUTE, "10.0.3.2", "10.0.1.2", "cbr0")]
    assert asked["node-a:eth0", "out"] == [
        (TUNNEL_ENTRY, "flannel.1", c.vtep_mac),
        (ROUTE, "192.168.1.3", "192.168.1.1", ""),
    ]
    assert [kind for kind, *_ in asked["switch:node-c-eth0", "out"]] == [FLOW]
    assert asked["node-c:cbr0", "out"] == [(ROUTE, "10.0.3.2", "10.0.1.2", "flannel.1")]
    assert asked["node-c:veth-ctr-4", "out"] == [(BRIDGE_ENTRY, "cbr0", "aa:bb:cc:dd:e3:02")]
    questions = journeys.questions()
    assert len(questions) == len(set(questions))


def test_identity_is_what_no_hop_changes() -> None:
    builder = Builder("overlay", "ping")
    for segment, other in (
        (echo(ECHO_REQUEST, 7, 1), echo(ECHO_REPLY, 7, 1)),
        (tcp(1, 2, 3, 4, SYN), tcp(1, 2, 9, 4, SYN)),
    ):
        proto = ICMP if len(segment) == 24 else 6
        names = {
            identity(Frame(hop.point, hop.direction, 0, builder.frame(hop, builder.src, builder.dst, proto, segment)))
            for hop in builder.hops(builder.src, builder.dst)
        }
        hop = builder.hops(builder.src, builder.dst)[0]
        assert len(names) == 1
        assert identity(Frame("a:b", "in", 0, builder.frame(hop, builder.src, builder.dst, proto, other))) not in names


def test_frames_of_other_protocols_are_left_out() -> None:
    plan = make_plan(parse_design("bare"), Scenario())
    assert (
        packets_of(
            plan, [Frame("node-a:eth0", "out", 1, ethernet("02:00:00:00:00:01", "02:00:00:00:00:02", 0x88CC, b"x"))]
        )
        == []
    )
    odd = ipv4("192.168.1.1", "192.168.1.3", 64, 132, b"12345678")
    found = packets_of(
        plan, [Frame("node-a:eth0", "out", 1, ethernet("02:00:00:00:00:01", "02:00:00:00:00:02", 0x0800, odd))]
    )
    assert len(found) == 1
