"""Capture files that Wireshark and tshark open: pcapng (draft-ietf-opsawg-pcapng), one interface a capture point.

``section``, ``interface`` and ``packet`` each give one block, so that a capture can be written while it goes on;
``document`` gives a whole file. Numbers are little-endian; time stamps are nanoseconds since the epoch.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable, Mapping, Sequence

from emu import __version__
from emu.frames import Frame

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_LENGTH_UNKNOWN = -1
_LINKTYPE_ETHERNET, _LINKTYPE_RAW = 1, 101
_NO_SNAP_LENGTH = 0
_NANOSECONDS = 9
_COMMENT = 1
_HARDWARE, _SYSTEM, _APPLICATION = 2, 3, 4
_IF_NAME, _IF_TSRESOL = 2, 9
_EPB_FLAGS = 2
_END_OF_OPTIONS = bytes(4)
_FLAGS = {"in": 1, "out": 2}


def section() -> bytes:
    """The block a file begins with: where and by what it was captured."""
    described = (
        (_HARDWARE, platform.machine().encode()),
        (_SYSTEM, f"{platform.system()} {platform.release()}".encode()),
        (_APPLICATION, f"kubenet-emu {__version__}".encode()),
    )
    return _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, _LENGTH_UNKNOWN), described)


def interface(name: str, has_ethernet: bool = True) -> bytes:
    """An interface called ``name`` (``node-a:eth0``), of Ethernet frames or else of bare IP packets; interfaces are
    numbered from 0 as they come."""
    link = _LINKTYPE_ETHERNET if has_ethernet else _LINKTYPE_RAW
    described = ((_IF_NAME, name.encode()), (_IF_TSRESOL, bytes([_NANOSECONDS])))
    return _block(_INTERFACE, struct.pack("<HHI", link, 0, _NO_SNAP_LENGTH), described)


def packet(interface_number: int, t_ns: int, data: bytes, direction: str, comment: str = "") -> bytes:
    """A whole frame at an interface. ``direction``: ``in`` or ``out``. ``comment``: at most 65535 bytes of UTF-8."""
    head = struct.pack("<IIIII", interface_number, t_ns >> 32, t_ns & 0xFFFFFFFF, len(data), len(data))
    described = [(_EPB_FLAGS, struct.pack("<I", _FLAGS[direction]))]
    if comment:
        described.append((_COMMENT, comment.encode()))
    return _block(_PACKET, head + _padded(data), described)


def document(points: Sequence[str], frames: Sequence[Frame], comments: Mapping[int, str]) -> bytes:
    """A whole file: an interface for each of ``points``, then the frames. ``comments``: by frame number, from 1."""
    bare = {frame.at for frame in frames if not frame.has_ethernet}
    number_of = {point: number for number, point in enumerate(points)}
    packets = (
        packet(number_of[frame.at], frame.t_ns, frame.data, frame.direction, comments.get(number, ""))
        for number, frame in enumerate(frames, 1)
    )
    return b"".join((section(), *(interface(point, point not in bare) for point in points), *packets))


def _block(kind: int, body: bytes, options: Iterable[tuple[int, bytes]]) -> bytes:
    described = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    length = struct.pack("<I", 12 + len(body) + len(described) + len(_END_OF_OPTIONS))
    return struct.pack("<I", kind) + length + body + described + _END_OF_OPTIONS + length


def _padded(data: bytes) -> bytes:
    """``data`` filled up to a multiple of four bytes."""
    return data + bytes(-len(data) % 4)
