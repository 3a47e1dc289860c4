"""Messages from one namespace to another at a fixed rate, and when they arrived: what a change in mid-transfer does.

Numbered messages of eight bytes leave at fixed times, whether or not earlier ones have arrived: a stall is seen in
full, where a sender that waits would hide it. Over UDP that tells how long the network was away, and what it lost; over
TCP how long a connection stood still, which its retransmission timer rounds up (RFC 6298), and whether it lived.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

from emu.errors import LabError
from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace

PROTOCOLS = ("udp", "tcp")
DRAIN_S = 60.0
"""How long what is on its way may take once the last message was sent: TCP tries again after up to some tens of seconds
(RFC 6298, exponential backoff)."""
_QUIET_S = 0.5
_NUMBER = struct.Struct("!Q")


@dataclass(frozen=True)
class Steadied:
    """What became of a flow. ``sent`` and ``received``: messages; ``longest_gap_s``: the longest time in which none
    arrived, less the interval at which they were sent; ``sources``: the addresses they came from, in order; ``error``:
    what ended it early, empty if nothing did."""

    sent: int
    received: int
    longest_gap_s: float
    sources: tuple[str, ...]
    error: str


class Steady:
    """A flow that goes on from the constructor's return to ``stop``."""

    def __init__(self, src: Namespace, dst: Namespace, address: str, protocol: str, interval_s: float) -> None:
        """One of ``PROTOCOLS`` to an address of ``dst``. ``LabError`` where a connection cannot be made."""
        self._interval_s, self._is_tcp = interval_s, protocol == "tcp"
        kind = socket.SOCK_STREAM if self._is_tcp else socket.SOCK_DGRAM
        with network_namespace(dst.descriptor):
            self._server = socket.socket(socket.AF_INET, kind)
        with network_namespace(src.descriptor):
            self._client = socket.socket(socket.AF_INET, kind)
        self._server.bind((address, 0))
        self._sent, self._stopping, self._error = 0, threading.Event(), ""
        self._arrivals: list[float] = []
        self._sources: dict[str, None] = {}
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        try:
            if self._is_tcp:
                self._server.listen(1)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client.settimeout(DRAIN_S)
            self._client.connect(self._server.getsockname())
        except OSError as error:
            self._close()
            raise LabError(f"no {protocol} from {src.name} to {address}: {error}") from None
        self._receiver.start()
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def stop(self) -> Steadied:
        """End it when what is on its way has arrived, or is not going to; what became of it."""
        self._stopping.set()
        self._sender.join()
        self._receiver.join()
        self._close()
        gaps = (later - sooner for sooner, later in pairwise(self._arrivals))
        gap_s = max(0.0, max(gaps, default=0.0) - self._interval_s)
        return Steadied(self._sent, len(self._arrivals), gap_s, tuple(self._sources), self._error)

    def received(self) -> int:
        """How many messages have arrived so far."""
        return len(self._arrivals)

    def is_over(self) -> bool:
        """Whether it was ended early."""
        return bool(self._error)

    def _send(self) -> None:
        begun = time.monotonic()
        while not self._stopping.is_set():
            try:
                self._client.send(_NUMBER.pack(self._sent))
            except OSError as error:
                if self._is_tcp:
                    self._error = self._error or f"sender: {error.strerror or error}"
                    return
            self._sent += 1
            self._stopping.wait(max(0.0, begun + self._sent * self._interval_s - time.monotonic()))
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)

    def _receive(self) -> None:
        try:
            self._take(self._server.accept()[0] if self._is_tcp else self._server)
        except OSError as error:
            self._error = self._error or f"receiver: {error.strerror or error}"

    def _take(self, socket_: socket.socket) -> None:
        """Note when messages come, until the sender is done with and nothing more is on its way."""
        with contextlib.closing(socket_) if self._is_tcp else contextlib.nullcontext():
            socket_.settimeout(_QUIET_S)
            begun_s, rest = 0.0, 0
            while not self._error:
                try:
                    data, source = socket_.recvfrom(1 << 16)
                except TimeoutError:
                    over_s = DRAIN_S if self._is_tcp else _QUIET_S
                    begun_s = begun_s or (time.monotonic() if self._stopping.is_set() else 0.0)
                    if begun_s and time.monotonic() - begun_s >= over_s:
                        return
                    continue
                if not data and self._is_tcp:
                    return
                rest += len(data)
                self._arrivals += [time.monotonic()] * (rest // _NUMBER.size)
                rest %= _NUMBER.size
                self._sources.setdefault((source or socket_.getpeername())[0])

    def _close(self) -> None:
        self._client.close()
        self._server.close()
