"""Frames joined where a tunnel seals them or a machine gives them another sender."""

from __future__ import annotations

import struct

import pytest

from emu.frames import Frame
from emu.model import Hop
from emu.packets import ACK, ECHO_REQUEST, ICMP, TCP, UDP
from emu.walk.join import in_order, join
from emu.walk.topology import topology
from tests.unit.walk_support import Builder, echo, encapsulated, ethernet, ipv4, tcp


def framed(hop: Hop, packet: bytes, counter: int, t_ns: int) -> Frame:
    """The frame in which a packet is at a declared hop."""
    if hop.sealed and hop.outer:
        body = struct.pack("<IIQ", 4, 77, counter) + bytes((len(packet) + 15) // 16 * 16 + 16)
        outer = ipv4(hop.outer["ip.src"], hop.outer["ip.dst"], 64, UDP,
                     struct.pack("!HHHH", 51820, 51820, 8 + len(body), 0) + body)
        sealed = ethernet(hop.outer["eth.src"], hop.outer["eth.dst"], 0x0800, outer)
        return Frame(hop.point, hop.direction, t_ns, sealed)
    if not hop.eth_src:
        return Frame(hop.point, hop.direction, t_ns, packet, has_ethernet=False)
    plain = ethernet(hop.eth_src, hop.eth_dst, 0x0800, packet)
    return Frame(hop.point, hop.direction, t_ns, encapsulated(hop.outer, plain) if hop.outer else plain)


@pytest.mark.parametrize("sizes", [(16, 16), (16, 256), (256, 16)])
def test_packets_are_followed_through_a_tunnel_that_seals_them(sizes: tuple[int, int]) -> None:
    """By their order, and where it says nothing by their sizes: two pass every interface at the same moments."""
    builder = Builder("overlay:backend=wireguard", "ping")
    hops = builder.hops(builder.src, builder.dst)
    ends = builder.plan.address(builder.src), builder.plan.address(builder.dst)
    frames = [
        framed(hop, ipv4(*ends, hop.ttl, ICMP, echo(ECHO_REQUEST, 7, number) + bytes(size), number), number,
               1000 * place + number)
        for place, hop in enumerate(hops)
        for number, size in enumerate(sizes)
    ]
    there = topology(builder.plan)
    found = join(there, in_order(there, frames))
    assert [[seen.frame.at for seen in packet] for packet in found] == [[hop.point for hop in hops]] * 2
    for number, packet in enumerate(found):
        assert {seen.frame.t_ns % 1000 for seen in packet} == {number}


def test_a_sealed_packet_of_another_size_is_not_taken_for_one_that_went_in() -> None:
    builder = Builder("overlay:backend=wireguard", "ping")
    hops = builder.hops(builder.src, builder.dst)
    ends = builder.plan.address(builder.src), builder.plan.address(builder.dst)
    frames = [
        framed(hop, ipv4(*ends, hop.ttl, ICMP, echo(ECHO_REQUEST, 7, 1) + bytes(200 if hop.sealed else 0)), 1,
               1000 * place)
        for place, hop in enumerate(hops)
    ]
    there = topology(builder.plan)
    assert not any(seen.frame.is_sealed for packet in join(there, in_order(there, frames)) for seen in packet)


def test_a_connection_is_followed_where_its_sender_gets_another_address_and_port() -> None:
    builder = Builder("overlay:outside=bridge,snat=on", "http", "outside-1", "ctr-4")
    hops = builder.hops("outside-1", "ctr-4")
    own, target = builder.plan.address("outside-1"), builder.plan.address("ctr-4")
    assert {hop.ip_src or own for hop in hops} > {own}, "the path declares that somebody translates"
    frames = [
        framed(hop, ipv4(hop.ip_src or own, target, hop.ttl, TCP,
                         tcp(40001 + connection if (hop.ip_src or own) == own else 60010 - connection, 80,
                             5000 * connection, 9, ACK, b"x"), connection), 0, 1000 * place + connection)
        for place, hop in enumerate(hops)
        for connection in range(2)
    ]
    there = topology(builder.plan)
    found = join(there, in_order(there, frames))
    assert [[seen.frame.at for seen in packet] for packet in found] == [[hop.point for hop in hops]] * 2
    for connection, packet in enumerate(found):
        assert {seen.frame.inner["tcp.seq"] for seen in packet} == {5000 * connection}
