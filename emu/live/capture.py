"""Frames as they pass any number of interfaces of a lab at once, on one clock.

Packet sockets (packet(7)) instead of tcpdump: no process an interface, no privileges dropped (which fails
without root, where only user 0 is mapped), and the first frame after ``start`` is seen.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from emu.errors import LabError
from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace
from emu.packets import dissect

_SO_TIMESTAMPNS = 35
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_ETH_P_ALL = 3
_OUTGOING = 4
_BUFFER_BYTES = 1 << 20
_LONGEST_FRAME_BYTES = 1 << 16


class Capture:
    """Frames at a set of capture points (``machine:interface``), from ``__init__`` to ``stop``."""

    def __init__(self, spaces: Mapping[str, Namespace], points: Iterable[str]) -> None:
        self._frames: list[dict[str, Any]] = []
        self._sockets: dict[int, tuple[str, socket.socket]] = {}
        self._poll = select.epoll()
        self._wake, self._waker = socket.socketpair()
        self._poll.register(self._wake, select.EPOLLIN)
        for point in points:
            machine, interface = point.split(":", 1)
            with network_namespace(spaces[machine].descriptor):
                tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            tap.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            tap.setblocking(False)
            tap.bind((interface, _ETH_P_ALL))
            self._sockets[tap.fileno()] = (point, tap)
            self._poll.register(tap, select.EPOLLIN)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def has(self, where: Mapping[str, Any]) -> bool:
        """Whether a frame with these fields has been seen by now."""
        return any(all(frame.get(key) == value for key, value in where.items()) for frame in list(self._frames))

    def stop(self) -> list[dict[str, Any]]:
        """End the capture; ``LabError`` if the kernel had to drop a frame.

        All frames, in the order of the kernel's time stamps; each has the fields of
        ``emu.packets.dissect`` and ``at`` (capture point), ``dir`` (``in`` or ``out``) and ``t_ns``."""
        self._waker.send(b"x")
        self._thread.join()
        lost = {}
        for point, tap in self._sockets.values():
            self._drain(tap.fileno())
            _, drops = struct.unpack("II", tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
            if drops:
                lost[point] = drops
            tap.close()
        self._poll.close()
        self._wake.close()
        self._waker.close()
        if lost:
            raise LabError(f"the capture lost frames: {lost}")
        return sorted(self._frames, key=lambda frame: int(frame["t_ns"]))

    def _collect(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == self._wake.fileno():
                    return
                self._drain(descriptor)

    def _drain(self, descriptor: int) -> None:
        point, tap = self._sockets[descriptor]
        while True:
            try:
                data, ancillary, _, address = tap.recvmsg(_LONGEST_FRAME_BYTES, 64)
            except OSError:  # nothing left, or the interface went away
                return
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
            self._frames.append(
                {
                    **dissect(data),
                    "at": point,
                    "dir": "out" if address[2] == _OUTGOING else "in",
                    "t_ns": seconds * 1_000_000_000 + nanoseconds,
                }
            )
