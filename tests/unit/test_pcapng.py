"""Capture files, read back block by block after draft-ietf-opsawg-pcapng."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from emu import __version__, pcapng
from emu.frames import Frame

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
Block = tuple[int, bytes]


def blocks(data: bytes) -> Iterator[Block]:
    """Kind and body of each block; fails where a length is not what stands around the block."""
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        yield kind, data[8 : length - 4]
        data = data[length:]


def options(data: bytes) -> dict[int, bytes]:
    """Options by their code; fails unless they end with ``opt_endofopt`` and nothing after it."""
    found: dict[int, bytes] = {}
    while True:
        code, length = struct.unpack_from("<HH", data)
        data = data[4:]
        if code == 0:
            assert (length, data) == (0, b"")
            return found
        found[code] = data[:length]
        data = data[length + -length % 4 :]


def test_the_section_header() -> None:
    ((kind, body),) = blocks(pcapng.section())
    assert kind == SECTION
    assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
    described = options(body[16:])
    assert described[4].decode() == f"kubenet-emu {__version__}"
    assert all(described[code] for code in (2, 3))


def test_an_interface() -> None:
    ((kind, body),) = blocks(pcapng.interface("node-a:eth0"))
    assert kind == INTERFACE
    assert struct.unpack_from("<HHI", body) == (1, 0, 0)  # Ethernet, no limit of length
    assert options(body[8:]) == {2: b"node-a:eth0", 9: b"\x09"}


@pytest.mark.parametrize("length", range(60, 64))
@pytest.mark.parametrize(("direction", "flags"), [("in", 1), ("out", 2)])
def test_a_packet_is_padded_and_keeps_every_nanosecond(length: int, direction: str, flags: int) -> None:
    t_ns = 1_795_558_535_697_574_773
    data = bytes(range(length))
    ((kind, body),) = blocks(pcapng.packet(7, t_ns, data, direction))
    number, high, low, captured, original = struct.unpack_from("<IIIII", body)
    assert (kind, number, captured, original) == (PACKET, 7, length, length)
    assert high << 32 | low == t_ns
    assert body[20 : 20 + length] == data
    assert options(body[20 + length + -length % 4 :]) == {2: struct.pack("<I", flags)}


def test_a_comment() -> None:
    ((_, body),) = blocks(pcapng.packet(0, 0, bytes(60), "in", "takes 3 µs"))
    assert options(body[80:])[1].decode() == "takes 3 µs"


def test_a_direction_that_is_none() -> None:
    with pytest.raises(KeyError):
        pcapng.packet(0, 0, bytes(60), "sideways")


def test_a_document_has_its_interfaces_first_and_comments_by_number() -> None:
    frames = [Frame("b:eth0", "out", 5, bytes(60)), Frame("a:eth0", "in", 6, bytes(61))]
    kinds, bodies = zip(*blocks(pcapng.document(["a:eth0", "b:eth0"], frames, {2: "the second"})), strict=True)
    assert kinds == (SECTION, INTERFACE, INTERFACE, PACKET, PACKET)
    assert [options(body[8:])[2] for body in bodies[1:3]] == [b"a:eth0", b"b:eth0"]
    assert [struct.unpack_from("<IIIII", body) for body in bodies[3:]] == [(1, 0, 5, 60, 60), (0, 0, 6, 61, 61)]
    assert [options(body[offset:]).get(1) for body, offset in zip(bodies[3:], (80, 84), strict=True)] == [
        None,
        b"the second",
    ]
