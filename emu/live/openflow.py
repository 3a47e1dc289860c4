"""A switch that is nothing but a connection to a controller: it hands over frames and counts what comes back.

What cbench of OFLOPS does: a controller is asked as fast as it answers, with no switch behind it that could be slower.
OpenFlow 1.3 (ONF TS-006, version 1.3.5); only what our controllers and Ryu's examples send and read.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from types import TracebackType

from emu.errors import LabError

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PACKET_IN, PACKET_OUT, FLOW_MOD, MULTIPART_REQUEST, MULTIPART_REPLY = 10, 13, 14, 18, 19
BARRIER_REQUEST, BARRIER_REPLY = 20, 21
_VERSION = 4
_HEADER = struct.Struct("!BBHI")
_AGGREGATE = 2
_NO_BUFFER, _NO_MATCH_REASON = 0xFFFFFFFF, 0
_OXM_IN_PORT, _OXM_METADATA = 0x80000004, 0x80000408
_ALL_TABLES = 254
_DEADLINE_S = 300.0
"""Nothing takes so long: it detects a controller that hangs."""


def packet_in(in_port: int, frame: bytes, cookie: int = 0, metadata: int = 0, table: int = 0) -> bytes:
    """The message by which a switch hands a frame to its controller (7.4.1), the match padded to 8 bytes.

    ``cookie``: of the flow that did it; ``metadata``: what that packet had by then.
    """
    fields = struct.pack("!IIIQ", _OXM_IN_PORT, in_port, _OXM_METADATA, metadata)
    match = struct.pack("!HH", 1, 4 + len(fields)) + fields
    match += bytes(-len(match) % 8)
    body = struct.pack("!IHBBQ", _NO_BUFFER, len(frame), _NO_MATCH_REASON, table, cookie) + match + bytes(2) + frame
    return _message(PACKET_IN, 0, body)


def _message(kind: int, xid: int, body: bytes = b"") -> bytes:
    return _HEADER.pack(_VERSION, kind, _HEADER.size + len(body), xid) + body


def free_address() -> tuple[str, int]:
    """A port of loopback's where nobody listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "127.0.0.1", int(free.getsockname()[1])


class ControllerLost(LabError):
    """The controller has closed the connection, or does not answer."""


class Switch:
    """A switch without ports or tables, connected to the controller that listens at ``address``.

    ``received`` counts the controller's messages by kind, ``errors`` has the bodies of its error messages.
    """

    def __init__(self, address: tuple[str, int], dpid: int = 1) -> None:
        self._dpid = dpid
        self._socket = socket.create_connection(address, _DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received: Counter[int] = Counter()
        self.errors: list[bytes] = []
        self._changed = threading.Condition()
        self._ended = False
        self._sending = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Switch:
        self._reader.start()
        self.send(_message(HELLO, 0))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # the other side has ended it: what there is to say, others have raised
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(_DEADLINE_S)
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send whole messages; waits where the controller does not read."""
        with self._sending:
            self._socket.sendall(data)

    def wait_for(self, kinds: tuple[int, ...], count: int) -> None:
        """Return when so many messages of these kinds have come in all; ``ControllerLost`` if none comes any more."""
        deadline = time.monotonic() + _DEADLINE_S
        with self._changed:
            while sum(self.received[kind] for kind in kinds) < count:
                if self._ended or not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise ControllerLost(f"of {count} messages {sum(self.received[kind] for kind in kinds)} came")

    def wait_idle(self, quiet_s: float = 0.3) -> None:
        """Return when the controller has greeted, and then said nothing for so long."""
        self.wait_for((FEATURES_REQUEST,), 1)
        with self._changed:
            while self._changed.wait(quiet_s):
                pass

    def _read(self) -> None:
        pending = bytearray()
        try:
            while data := self._socket.recv(1 << 16):
                pending += data
                self._take(pending)
        except OSError:
            pass  # ended from this side or that
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, pending: bytearray) -> None:
        """Answer and count all whole messages, and remove them."""
        begin, answers, counted = 0, [], Counter[int]()
        while len(pending) - begin >= _HEADER.size:
            _, kind, length, xid = _HEADER.unpack_from(pending, begin)
            if len(pending) - begin < length:
                break
            counted[kind] += 1
            if kind not in (FLOW_MOD, PACKET_OUT):
                answers.append(self._answer(kind, xid, bytes(pending[begin + _HEADER.size:begin + length])))
            begin += length
        del pending[:begin]
        if said := b"".join(answers):
            self.send(said)
        with self._changed:
            self.received += counted
            self._changed.notify_all()

    def _answer(self, kind: int, xid: int, body: bytes) -> bytes:
        """What a switch says to a message; nothing to most."""
        if kind == ERROR:
            self.errors.append(body)
        if kind == ECHO_REQUEST:
            return _message(ECHO_REPLY, xid, body)
        if kind == FEATURES_REQUEST:
            return _message(FEATURES_REPLY, xid, struct.pack("!QIBB2xII", self._dpid, 0, _ALL_TABLES, 0, 0, 0))
        if kind == BARRIER_REQUEST:
            return _message(BARRIER_REPLY, xid)
        if kind == MULTIPART_REQUEST:
            asked = int.from_bytes(body[:2], "big")
            told = struct.pack("!QQI4x", 0, 0, 0) if asked == _AGGREGATE else b""
            return _message(MULTIPART_REPLY, xid, struct.pack("!HH4x", asked, 0) + told)
        return b""
