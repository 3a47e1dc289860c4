"""Frames as field tables: frames written by hand after the RFCs, and damaged ones."""

from __future__ import annotations

import random

import pytest

from controllers.wire import checksum
from emu.packets import arp_request, dissect, echo_request, headers, sealed_bytes

ECHO = bytes.fromhex("122233445503 aabbccdde101 08004500001c 12344000 3f01 0000 0a000102 0a0003020800 0000 0007 0001")
VXLAN = (
    bytes.fromhex(
        "122233445503 122233445501 0800"
        "4500004e 00010000 4011 0000 c0a80101 c0a80103"
        "c001 2118 003a 0000"
        "08000000 00000100"
    )
    + ECHO
)


def test_an_arp_request() -> None:
    frame = arp_request("aa:bb:cc:dd:e1:01", "10.0.1.2", "10.0.3.2")
    assert len(frame) == 60
    assert dissect(frame) == {
        "len": 60,
        "eth.dst": "ff:ff:ff:ff:ff:ff",
        "eth.src": "aa:bb:cc:dd:e1:01",
        "eth.type": 0x0806,
        "arp.op": 1,
        "arp.sha": "aa:bb:cc:dd:e1:01",
        "arp.spa": "10.0.1.2",
        "arp.tha": "00:00:00:00:00:00",
        "arp.tpa": "10.0.3.2",
    }


def test_an_echo_request() -> None:
    fields = dissect(ECHO)
    assert (fields["ip.src"], fields["ip.dst"], fields["ip.ttl"], fields["ip.df"]) == ("10.0.1.2", "10.0.3.2", 63, True)
    assert (fields["icmp.type"], fields["icmp.id"], fields["icmp.seq"]) == (8, 7, 1)


def test_an_echo_request_to_be_sent_as_it_is() -> None:
    fields = dissect(ECHO[:14] + (packet := echo_request("10.0.1.2", "10.0.3.2", 1500)))
    assert (fields["ip.src"], fields["ip.dst"], fields["ip.len"], fields["ip.df"]) == (
        "10.0.1.2",
        "10.0.3.2",
        1500,
        False,
    )
    assert (len(packet), fields["icmp.type"]) == (1500, 8)
    assert checksum(packet[20:]) == 0


def test_a_packet_in_a_packet() -> None:
    fields = dissect(VXLAN)
    assert (fields["ip.src"], fields["ip.dst"], fields["udp.dport"], fields["vxlan.vni"]) == (
        "192.168.1.1",
        "192.168.1.3",
        8472,
        1,
    )
    inner = {key.removeprefix("inner."): value for key, value in fields.items() if key.startswith("inner.")}
    assert inner == {key: value for key, value in dissect(ECHO).items() if key != "len"}


def too_big(code: int = 4) -> bytes:
    """A router's answer to ``ECHO`` (RFC 1191, figure 1), or another that cannot deliver."""
    return (
        bytes.fromhex(
            f"aabbccdde101 122233445503 0800 45000038 00000000 4001 0000 0a000101 0a00010203{code:02x} 0000 0000 05aa"
        )
        + ECHO[14:]
    )


def test_fragmentation_needed_tells_an_mtu_and_what_it_is_about() -> None:
    fields = dissect(too_big())
    assert (fields["icmp.type"], fields["icmp.code"], fields["icmp.mtu"]) == (3, 4, 1450)
    assert "icmp.seq" not in fields
    assert (fields["quoted.ip.src"], fields["quoted.ip.dst"]) == ("10.0.1.2", "10.0.3.2")
    assert "icmp.mtu" not in dissect(too_big(code=1))


@pytest.mark.parametrize("words", [0, 4, 8, 15])
def test_an_ip_header_that_cannot_be_so_long_is_payload(words: int) -> None:
    """The frame has room for one of 28 bytes, seven words."""
    frame = bytearray(ECHO)
    frame[14] = 0x40 + words
    found = headers(bytes(frame))
    assert [(header.protocol, header.start, header.size) for header in found] == [("eth", 0, 14), ("payload", 14, 28)]


def test_options_belong_to_the_ip_header() -> None:
    frame = bytearray(ECHO)
    frame[14] = 0x47
    assert [(header.protocol, header.size) for header in headers(bytes(frame))] == [("eth", 14), ("ip", 28)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (4, [("payload", 24)]),
        (5, [("tcp", 20), ("payload", 4)]),
        (6, [("tcp", 24)]),
        (7, [("payload", 24)]),
    ],
)
def test_a_tcp_header_that_cannot_be_so_long_is_payload(words: int, found: list[tuple[str, int]]) -> None:
    segment = bytes.fromhex("9c40 0050 00000001 00000000") + bytes([words << 4, 2]) + bytes(10)
    ip = bytes.fromhex("4500002c 00000000 4006 0000 0a000102 0a000302")
    assert [(h.protocol, h.size) for h in headers(ECHO[:14] + ip + segment)] == [("eth", 14), ("ip", 20), *found]


def test_a_later_fragment_has_no_transport_header() -> None:
    later = bytearray(ECHO)
    later[20:22] = b"\x00\xb9"
    assert "icmp.type" not in dissect(bytes(later))


def test_damaged_frames_are_dissected_as_far_as_they_go() -> None:
    source = random.Random(1)
    for frame in (ECHO, VXLAN, arp_request("aa:bb:cc:dd:e1:01", "10.0.1.2", "10.0.3.2")):
        whole = set(dissect(frame))
        for length in range(len(frame)):
            assert set(dissect(frame[:length])) <= whole
        for _ in range(2000):
            damaged = bytearray(frame)
            for _ in range(source.randrange(1, 6)):
                damaged[source.randrange(len(damaged))] = source.randrange(256)
            dissect(bytes(damaged))


OUTER = "122233445503 122233445501 0800 45000060 00010000 40{proto} 0000 c0a80101 c0a80103"
IN_UDP = OUTER.format(proto="11") + "c001{port:04x} 004c 0000"
TUNNELLED = {
    "geneve": (IN_UDP.format(port=6081) + "0000 6558 000001 00", ECHO, {"geneve.vni": 1}),
    "geneve with options": (IN_UDP.format(port=6081) + "0200 6558 000001 00 0102000100000000", ECHO, {"geneve.vni": 1}),
    "gre": (OUTER.format(proto="2f") + "0000 0800", ECHO[14:], {"gre.type": 0x0800}),
    "ipip": (OUTER.format(proto="04"), ECHO[14:], {"ip.proto": 4}),
    "tinc": (IN_UDP.format(port=655) + "00000007" + 12 * "00" + "0800", ECHO[14:], {"tinc.seq": 7}),
}


@pytest.mark.parametrize("kind", TUNNELLED)
def test_what_is_in_a_tunnel_is_found_by_the_tunnels_own_format(kind: str) -> None:
    head, carried, told = TUNNELLED[kind]
    fields = dissect(bytes.fromhex(head) + carried)
    assert {name: fields[name] for name in told} == told
    assert (fields["ip.src"], fields["ip.dst"]) == ("192.168.1.1", "192.168.1.3")
    inner = {key.removeprefix("inner."): value for key, value in fields.items() if key.startswith("inner.")}
    expected = {key: value for key, value in dissect(ECHO).items() if key != "len"}
    if carried != ECHO:
        expected = {key: value for key, value in expected.items() if not key.startswith("eth.")}
        inner = {key: value for key, value in inner.items() if not key.startswith("eth.")}
    assert inner == expected


@pytest.mark.parametrize(
    "head",
    [
        IN_UDP.format(port=6081) + "4000 6558 000001 00",  # a version of Geneve that is none
        IN_UDP.format(port=6081) + "3f00 6558 000001 00",  # options longer than the frame
        OUTER.format(proto="2f") + "2000 0800",  # GRE with a key
        IN_UDP.format(port=655) + "00000007" + 12 * "01" + "0800",  # enciphered by tinc, not a frame of zeros
    ],
)
def test_what_is_in_no_tunnel_of_ours_is_payload(head: str) -> None:
    found = headers(bytes.fromhex(head) + ECHO[14:])
    assert found[-1].protocol == "payload"
    assert not any(header.depth for header in found)


def test_a_sealed_packet_is_told_by_its_receiver_and_number() -> None:
    fields = dissect(bytes.fromhex(IN_UDP.format(port=51820) + "04000000 78563412 0500000000000000") + bytes(48))
    assert (fields["wg.type"], fields["wg.receiver"], fields["wg.counter"]) == (4, 0x12345678, 5)
    assert not any(name.startswith("inner.") for name in fields)


@pytest.mark.parametrize(("packet", "datagram"), [(28, 72), (32, 72), (33, 88), (48, 88)])
def test_sealing_fills_packets_up(packet: int, datagram: int) -> None:
    assert sealed_bytes(packet) == datagram


def test_a_packet_without_ethernet_header() -> None:
    found = headers(ECHO[14:], has_ethernet=False)
    assert [(header.protocol, header.start) for header in found][:2] == [("ip", 0), ("icmp", 20)]
