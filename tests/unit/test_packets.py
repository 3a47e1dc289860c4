"""Frames as field tables: frames written by hand after the RFCs, and damaged ones."""

from __future__ import annotations

import random

from emu.packets import arp_request, dissect

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
