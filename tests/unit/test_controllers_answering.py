"""Which ARP requests are answered for containers, and which never are."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from controllers.answering import answer, flows
from controllers.learning import planned_flows, standing_flows
from controllers.pipeline import CONTROLLER, FLOOD, IN_PORT, Send
from controllers.plan import BY_CONTROLLER, BY_SWITCH, Binding
from controllers.wire import ARP_REPLY, Arp, Ethernet, arp_reply, parse_arp, parse_ethernet
from tests.unit.test_controllers_fake_switch import FakeSwitch

NODE_A, NODE_C, CTR_1 = "12:22:33:44:55:01", "12:22:33:44:55:03", "aa:bb:cc:dd:e1:01"
BINDINGS = {"10.0.1.2": Binding("10.0.1.2", NODE_A, 1), "10.0.3.2": Binding("10.0.3.2", NODE_C, 3)}
QUESTION = Arp(op=1, sha=CTR_1, spa="10.0.1.2", tha="00:00:00:00:00:00", tpa="10.0.3.2")


def frame(arp: Arp, src: str = CTR_1) -> bytes:
    """A broadcast ARP message; made from the reply builder, whose own bytes are tested in test_controllers_wire."""
    made = bytearray(arp_reply(Arp(2, arp.tha, arp.tpa, arp.sha, arp.spa), arp.sha))
    made[0:6], made[6:12] = b"\xff" * 6, bytes.fromhex(src.replace(":", ""))
    made[20:22] = arp.op.to_bytes(2, "big")
    return bytes(made)


def test_the_answer_names_the_nodes_mac_and_goes_to_the_asker_alone() -> None:
    assert parse_arp(frame(QUESTION)) == QUESTION
    reply = answer(BINDINGS, 1, frame(QUESTION))
    assert reply is not None
    assert reply.port == 1
    assert parse_ethernet(reply.frame) == Ethernet(CTR_1, NODE_C, 0x0806)
    assert parse_arp(reply.frame) == Arp(ARP_REPLY, NODE_C, "10.0.3.2", CTR_1, "10.0.1.2")


@pytest.mark.parametrize(
    ("why", "port", "arp"),
    [
        ("unknown target", 1, replace(QUESTION, tpa="10.0.3.9")),
        ("target behind the asking port", 3, replace(QUESTION, spa="10.0.3.7")),
        ("probe", 1, replace(QUESTION, spa="0.0.0.0")),
        ("gratuitous, the asker's own address", 1, replace(QUESTION, spa="10.0.3.2")),
        ("a reply", 1, replace(QUESTION, op=2)),
        ("not the sender of the frame", 1, replace(QUESTION, sha="aa:bb:cc:dd:e1:99")),
    ],
)
def test_silence(why: str, port: int, arp: Arp) -> None:
    assert answer(BINDINGS, port, frame(arp)) is None, why


def test_no_answer_to_a_group_address_or_to_rubbish() -> None:
    group = "01:00:5e:00:00:01"
    assert answer(BINDINGS, 1, frame(replace(QUESTION, sha=group), src=group)) is None
    assert answer(BINDINGS, 1, frame(QUESTION)[:41]) is None
    assert answer(BINDINGS, 1, b"") is None


def switch(by: str = BY_CONTROLLER) -> FakeSwitch:
    stations = planned_flows({NODE_A: 1, CTR_1: 1, NODE_C: 3})
    return FakeSwitch([*standing_flows(), *stations, *flows([IPv4Network("10.0.0.0/16")], BINDINGS.values(), by)])


BROADCAST = {"eth_dst": "ff:ff:ff:ff:ff:ff", "eth_type": 0x0806}


def asked(tpa: str, *, spa: str = "10.0.1.2", op: int = 1, port: int = 1, src: str = CTR_1) -> list[int]:
    return switch().ports(in_port=port, eth_src=src, arp_op=op, arp_spa=spa, arp_tpa=tpa, **BROADCAST)


def test_only_requests_that_may_be_answered_reach_the_controller() -> None:
    assert asked("10.0.3.2") == [CONTROLLER]
    assert asked("10.0.3.9") == [], "unknown target: not flooded either"
    assert asked("10.0.1.2", spa="10.0.1.3") == [], "target behind the asking port"
    assert asked("10.0.3.2", spa="0.0.0.0") == [], "probe"
    assert asked("10.0.3.2", spa="10.0.3.2") == [], "gratuitous"
    assert asked("192.168.1.3") == [FLOOD], "outside the networks: none of its business"
    assert asked("10.0.3.2", op=2) == [FLOOD], "replies pass"
    assert asked("10.0.3.2", port=3) == [], "a spoofed sender is dropped before"


def test_the_switch_answers_by_itself_with_what_the_controller_would_say() -> None:
    question = {"arp_op": 1, "arp_sha": CTR_1, "arp_spa": "10.0.1.2", "arp_tha": "00:00:00:00:00:00"}
    asker = {"in_port": 1, "eth_src": CTR_1, **BROADCAST, **question}
    ((port, _, said),) = switch(BY_SWITCH).outputs(**asker, arp_tpa="10.0.3.2")
    told = Arp(said["arp_op"], said["arp_sha"], said["arp_spa"], said["arp_tha"], said["arp_tpa"])
    reply = answer(BINDINGS, 1, frame(QUESTION))
    assert reply is not None
    assert (port, told) == (IN_PORT, parse_arp(reply.frame))
    assert (said["eth_src"], said["eth_dst"]) == (NODE_C, CTR_1)
    for why, change in SILENT.items():
        assert switch(BY_SWITCH).ports(**{**asker, "arp_tpa": "10.0.3.2", **change}) == [], why


SILENT = {
    "unknown target": {"arp_tpa": "10.0.3.9"},
    "target behind the asking port": {"arp_tpa": "10.0.1.2"},
    "probe": {"arp_spa": "0.0.0.0"},
    "gratuitous": {"arp_spa": "10.0.3.2"},
}


def test_a_reply_is_a_message_to_one_port() -> None:
    assert isinstance(answer(BINDINGS, 1, frame(QUESTION)), Send)
