"""Frames as bytes: round trips, what is malformed, what RFC 792 and RFC 1812 ask, and that nothing ever raises."""

from __future__ import annotations

import random
import struct
from ipaddress import IPv4Address

import pytest

from controllers import wire

SRC_MAC, DST_MAC = "02:00:00:00:00:05", "12:22:33:44:55:fe"
ROUTER = ("12:22:33:44:55:fe", "192.168.0.1")


def datagram(
    dst: str = "10.0.9.9",
    *,
    src: str = "10.0.1.2",
    proto: int = 17,
    payload: bytes = struct.pack("!HHHH", 40000, 33434, 12, 0) + b"data",
    ttl: int = 64,
    fragment: int = 0,
    options: bytes = b"",
    dst_mac: str = DST_MAC,
    src_mac: str = SRC_MAC,
) -> bytes:
    """A frame with an IPv4 packet; of the code under test it uses the checksum alone, which has a test of its own."""
    size = 20 + len(options)
    head = struct.pack("!BBHHHBB", 0x40 | size // 4, 0, size + len(payload), 9, fragment, ttl, proto)
    ends = IPv4Address(src).packed + IPv4Address(dst).packed
    checksum = wire.checksum(head + bytes(2) + ends + options)
    packet = head + checksum.to_bytes(2, "big") + ends + options + payload
    return bytes.fromhex((dst_mac + src_mac).replace(":", "")) + b"\x08\x00" + packet


def icmp(dst: str, kind: int, body: bytes, **fields: str | int) -> bytes:
    message = bytes((kind, 0, 0, 0)) + body
    message = message[:2] + wire.checksum(message).to_bytes(2, "big") + message[4:]
    return datagram(dst, proto=1, payload=message, **fields)  # type: ignore[arg-type]


def echo_request(dst: str) -> bytes:
    return icmp(dst, 8, b"\x12\x34\x00\x07" + b"odd data!")


def test_checksum_of_the_rfcs_example() -> None:
    # RFC 1071, 3: the sum of these is ddf2.
    assert wire.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2 ^ 0xFFFF
    assert wire.checksum(b"\x01") == wire.checksum(b"\x01\x00")


def test_arp_reply_is_what_the_deck_shows() -> None:
    question = wire.Arp(1, "aa:bb:cc:dd:e1:01", "10.0.1.2", "00:00:00:00:00:00", "10.0.3.2")
    assert wire.arp_reply(question, "12:22:33:44:55:03").hex() == (
        "aabbccdde101" "122233445503" "0806"
        "0001" "0800" "06" "04" "0002" "122233445503" "0a000302" "aabbccdde101" "0a000102"
    )  # fmt: skip


def test_headers_are_read() -> None:
    frame = datagram("10.0.3.2", ttl=7, fragment=0x2000, options=bytes(4))
    assert wire.parse_ethernet(frame) == wire.Ethernet(DST_MAC, SRC_MAC, 0x0800)
    assert wire.parse_ipv4(frame) == wire.Ipv4(
        src="10.0.1.2", dst="10.0.3.2", proto=17, ttl=7, tos=0, dont_fragment=False, fragment_offset=0,
        more_fragments=True, header_bytes=24, total_bytes=36,
    )  # fmt: skip
    padded = wire.parse_ipv4(frame + bytes(20))
    assert padded is not None
    assert wire.ipv4_payload(frame + bytes(20), padded) == frame[38:], "padding is no payload"


@pytest.mark.parametrize(
    ("why", "offset", "value"),
    [
        ("another protocol", 12, b"\x86\xdd"),
        ("version 6", 14, b"\x65"),
        ("header of 16 bytes", 14, b"\x44"),
        ("header longer than the packet", 14, b"\x4f"),
        ("packet shorter than its header", 16, b"\x00\x13"),
    ],
)
def test_a_header_that_contradicts_itself_is_none(why: str, offset: int, value: bytes) -> None:
    frame = bytearray(datagram())
    frame[offset : offset + len(value)] = value
    frame[24:26] = b"\0\0"
    frame[24:26] = wire.checksum(bytes(frame[14 : 14 + (frame[14] & 15) * 4])).to_bytes(2, "big")
    assert wire.parse_ipv4(bytes(frame)) is None, why


def test_a_wrong_header_checksum_is_none() -> None:
    frame = bytearray(datagram())
    frame[22] -= 1
    assert wire.parse_ipv4(bytes(frame)) is None


def test_every_beginning_of_a_frame_is_read_or_none() -> None:
    arp = wire.arp_reply(wire.Arp(1, SRC_MAC, "10.0.0.1", SRC_MAC, "10.0.0.2"), DST_MAC)
    for length in range(len(arp)):
        assert wire.parse_arp(arp[:length]) is None
        assert (wire.parse_ethernet(arp[:length]) is None) == (length < 14)
    for length in range(34):
        assert wire.parse_ipv4(datagram()[:length]) is None


def test_arp_of_other_kinds_is_none() -> None:
    arp = wire.arp_reply(wire.Arp(1, SRC_MAC, "10.0.0.1", SRC_MAC, "10.0.0.2"), DST_MAC)
    assert wire.parse_arp(arp) is not None
    for offset in (12, 15, 16, 18, 19):
        other = bytearray(arp)
        other[offset] += 1
        assert wire.parse_arp(bytes(other)) is None, offset


@pytest.mark.parametrize(
    "text", ["", "12:22:33:44:55", "12:22:33:44:55:0", "122233445501", "12:22:33:44:55:gg", "12-22-33-44-55-01"]
)
def test_what_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        wire.mac_bytes(text)


def test_echo_reply_repeats_the_request() -> None:
    request = echo_request("192.168.0.1")
    reply = wire.echo_reply(request, ROUTER[0])
    assert reply is not None
    assert wire.parse_ethernet(reply) == wire.Ethernet(SRC_MAC, ROUTER[0], 0x0800)
    ip = wire.parse_ipv4(reply)
    assert ip is not None
    assert (ip.src, ip.dst, ip.ttl, ip.total_bytes) == ("192.168.0.1", "10.0.1.2", 64, len(reply) - 14)
    assert wire.checksum(reply[34:]) == 0
    assert reply[34:36] == b"\0\0"
    assert reply[38:] == request[38:]


def test_no_echo_reply_to_what_is_not_whole() -> None:
    body = b"\x12\x34\x00\x07data"
    broken = bytearray(echo_request("192.168.0.1"))
    broken[-1] ^= 1
    refused = {
        "cut": echo_request("192.168.0.1")[:-1],
        "wrong checksum": bytes(broken),
        "a reply": icmp("192.168.0.1", 0, body),
        "first fragment": icmp("192.168.0.1", 8, body, fragment=0x2000),
        "later fragment": icmp("192.168.0.1", 8, body, fragment=5),
        "from many": icmp("192.168.0.1", 8, body, src="224.0.0.1"),
        "from nobody": icmp("192.168.0.1", 8, body, src="0.0.0.0"),
        "from a group MAC": icmp("192.168.0.1", 8, body, src_mac="01:00:5e:00:00:01"),
        "no message": icmp("192.168.0.1", 8, b""),
        "not ICMP": datagram("192.168.0.1"),
        "not IPv4": b"\xff" * 60,
    }
    for why, frame in refused.items():
        assert wire.echo_reply(frame, ROUTER[0]) is None, why


def test_an_error_quotes_the_packet_and_goes_back() -> None:
    frame = datagram(ttl=1, options=bytes(8))
    error = wire.icmp_error(frame, 11, 0, *ROUTER)
    assert error is not None
    assert wire.parse_ethernet(error) == wire.Ethernet(SRC_MAC, ROUTER[0], 0x0800)
    ip = wire.parse_ipv4(error)
    assert ip is not None
    assert (ip.src, ip.dst, ip.proto, ip.tos, ip.ttl) == (ROUTER[1], "10.0.1.2", 1, 0xC0, 64)
    assert wire.checksum(error[34:]) == 0
    assert error[34:36] == b"\x0b\0"
    assert error[38:42] == bytes(4)
    assert error[42:] == frame[14:]
    assert wire.icmp_error(frame + bytes(10), 11, 0, *ROUTER) == error, "padding is not quoted"


def test_an_error_fits_into_576_bytes_and_quotes_at_least_eight() -> None:
    long = wire.icmp_error(datagram(payload=bytes(1400)), 3, 0, *ROUTER)
    assert long is not None
    assert len(long) == 14 + 576
    short = datagram(payload=bytes(20))
    assert wire.icmp_error(short[:-12], 3, 0, *ROUTER) is not None, "header and 8 bytes will do"
    assert wire.icmp_error(short[:-13], 3, 0, *ROUTER) is None


@pytest.mark.parametrize(
    ("why", "frame"),
    [
        *((f"ICMP error {kind}", icmp("10.0.9.9", kind, bytes(4) + bytes(28))) for kind in (3, 4, 5, 11, 12)),
        ("no ICMP type to tell", datagram(proto=1, payload=b"")),
        ("later fragment", datagram(fragment=1)),
        ("broadcast frame", datagram(dst_mac="ff:ff:ff:ff:ff:ff")),
        ("multicast frame", datagram(dst_mac="01:00:5e:00:00:05")),
        ("from a group MAC", datagram(src_mac="01:00:5e:00:00:05")),
        ("to multicast", datagram("224.0.0.5")),
        ("to broadcast", datagram("255.255.255.255")),
        ("from nobody", datagram(src="0.0.0.0")),
        ("from loopback", datagram(src="127.0.0.1")),
        ("from multicast", datagram(src="239.1.1.1")),
        ("from broadcast", datagram(src="255.255.255.255")),
        ("not IPv4", bytes(60)),
    ],
)
def test_no_error_about(why: str, frame: bytes) -> None:
    assert not wire.may_be_told(frame), why
    assert wire.icmp_error(frame, 3, 0, *ROUTER) is None, why


def test_errors_about_first_fragments_and_echo_requests() -> None:
    assert wire.may_be_told(datagram(fragment=0x2000))
    assert wire.may_be_told(echo_request("10.0.9.9"))


def test_mutated_frames_never_raise() -> None:
    generator = random.Random(1)
    question = wire.Arp(1, SRC_MAC, "10.0.0.1", DST_MAC, "10.0.0.2")
    originals = [wire.arp_reply(question, DST_MAC), datagram(options=bytes(12)), echo_request("192.168.0.1"), b""]
    answered = 0
    for _ in range(5000):
        frame = bytearray(generator.choice(originals))
        for _ in range(generator.randrange(4)):
            if frame:
                frame[generator.randrange(len(frame))] = generator.randrange(256)
        data = bytes(frame[: generator.randrange(len(frame) + 1)]) if generator.random() < 0.3 else bytes(frame)
        wire.parse_ethernet(data)
        wire.parse_arp(data)
        wire.parse_ipv4(data)
        error = wire.icmp_error(data, 11, 0, *ROUTER)
        reply = wire.echo_reply(data, ROUTER[0])
        assert error is None or len(error) <= 14 + 576
        assert reply is None or len(reply) <= len(data)
        answered += error is not None or reply is not None
    assert answered > 500, "the mutations leave nothing that is answered"
