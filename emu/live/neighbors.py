"""IPv4 neighbors as rtnetlink(7) messages, many in one: a sweep over all pairs of 250 machines has 70,000 of them
forgotten, and pyroute2 takes a third of a millisecond for each."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# include/uapi/linux/netlink.h, rtnetlink.h and neighbour.h
_ERROR, _DONE = 2, 3
_NEW_NEIGHBOR, _DELETE_NEIGHBOR, _GET_NEIGHBORS = 28, 29, 30
_REQUEST, _ACKNOWLEDGE, _DUMP = 1, 4, 0x300
_DESTINATION = 1
_PERMANENT, _NO_ARP, _FAILED = 0x80, 0x40, 0x20
_HEADER, _NEIGHBOR, _ATTRIBUTE, _RESULT = (struct.Struct(form) for form in ("=IHHII", "=B3xiHBB", "=HH", "=i"))
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Neighbor:
    """An entry of a neighbor table: interface index, state (``NUD_*``) and IPv4 address."""

    index: int
    state: int
    address: bytes

    @property
    def is_learned(self) -> bool:
        """Whether traffic has made it, and not the plan."""
        return not self.state & (_PERMANENT | _NO_ARP)

    @property
    def is_usable(self) -> bool:
        """Whether it was learned, and an answer has come."""
        return bool(self.state & ~(_PERMANENT | _NO_ARP | _FAILED))


def neighbors(netlink: socket.socket) -> list[Neighbor]:
    """All entries of the namespace that a socket is of. Raises ``OSError``."""
    netlink.send(_message(_GET_NEIGHBORS, _REQUEST | _DUMP, 0, Neighbor(0, 0, b"")))
    found: list[Neighbor] = []
    while True:
        for kind, _, body in messages(netlink.recv(_READ_BYTES)):
            if kind == _DONE:
                return found
            if kind == _ERROR:
                _check(body)
            if kind == _NEW_NEIGHBOR:
                found.append(_entry(body))


def forget(netlink: socket.socket, entries: Sequence[Neighbor]) -> None:
    """Delete entries; that one is gone already is fine. Raises ``OSError``."""
    if not entries:
        return
    last = len(entries)
    flags = [_REQUEST] * (last - 1) + [_REQUEST | _ACKNOWLEDGE]  # the others are heard of only where they fail
    netlink.send(b"".join(_message(_DELETE_NEIGHBOR, flag, number, entry)
                          for number, (flag, entry) in enumerate(zip(flags, entries, strict=True), start=1)))
    while True:
        for _, number, body in messages(netlink.recv(_READ_BYTES)):
            _check(body, errno.ENOENT)
            if number == last:
                return


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and body of each message that was read at once."""
    while data:
        length, kind, _, number, _ = _HEADER.unpack_from(data)
        yield kind, number, data[_HEADER.size : length]
        data = data[_aligned(length) :]


def _message(kind: int, flags: int, number: int, entry: Neighbor) -> bytes:
    body = _NEIGHBOR.pack(socket.AF_INET, entry.index, entry.state, 0, 0)
    if entry.address:
        body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(entry.address), _DESTINATION) + entry.address
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, number, 0) + body


def _entry(body: bytes) -> Neighbor:
    _, index, state, _, _ = _NEIGHBOR.unpack_from(body)
    attributes = body[_NEIGHBOR.size :]
    while True:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _DESTINATION:
            return Neighbor(index, state, attributes[_ATTRIBUTE.size : length])
        attributes = attributes[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _check(body: bytes, *fine: int) -> None:
    (number,) = _RESULT.unpack_from(body)
    if number and -number not in fine:
        raise OSError(-number, f"rtnetlink, neighbors: {os.strerror(-number)}")
