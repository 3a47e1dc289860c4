"""More UDP than a link carries, from one namespace to another, and what arrives of it by the kernel's counters and time
stamps."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from emu.live.capture import Taps
from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace

WARMUP_S = 0.3
"""Sent before anything counts: what the link may let pass at once is gone then, and its queue is full."""

_SOURCES = 48
"""Sockets that send in turns. One holds some 90 frames by default, which a link of 1 Gbit/s sends in 1 ms: it would run
dry whenever the sender is late. So many fill the link's queue of 50 ms."""

_TICK_S = 0.001
_BATCH = 64


@dataclass(frozen=True)
class Flooded:
    """What came in of a flood in ``seconds``, in bytes of frames with their Ethernet headers.

    ``arrivals``: when frames came in (ns since the epoch, the kernel's stamp), and their bytes; all of them, up to a
    moment from which the capture had no more room: some 29,000 frames as root, else what net.core.rmem_max allows.
    """

    received_bytes: int
    seconds: float
    arrivals: tuple[tuple[int, int], ...]


def flood(src: Namespace, dst: Namespace, address: str, payload_bytes: int, offered_bps: float,
          duration_s: float) -> Flooded:
    """Send datagrams to ``address`` in ``dst`` at ``offered_bps`` of payload, or as fast as goes, for ``duration_s``
    that count. What finds no room in the sender's socket is not sent. Counted at ``eth0`` of ``dst``."""
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(_udp_socket(dst))  # nobody reads: the counters are before it
        sink.bind((address, 0))
        sources = [stack.enter_context(_udp_socket(src)) for _ in range(_SOURCES)]
        for source in sources:
            source.connect(sink.getsockname())
            source.setblocking(False)
        _send(sources, bytes(payload_bytes), offered_bps, WARMUP_S)
        with contextlib.closing(Taps({dst.name: dst.descriptor}, [f"{dst.name}:eth0"])) as taps:
            before, begun = dst.received_bytes("eth0"), time.monotonic()
            _send(sources, bytes(payload_bytes), offered_bps, duration_s)
            after, ended, ended_ns = dst.received_bytes("eth0"), time.monotonic(), time.time_ns()
            # Frames are left with the kernel until now: reading them meanwhile would take CPU from what is measured.
            # What comes while they are read may find room again that frames before it did not have.
            arrivals = tuple((t_ns, len(data)) for _, is_out, t_ns, data in taps.rest()
                             if not is_out and t_ns <= ended_ns)
    return Flooded(after - before, ended - begun, arrivals)


def _udp_socket(space: Namespace) -> socket.socket:
    with network_namespace(space.descriptor):
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _send(sources: Sequence[socket.socket], payload: bytes, offered_bps: float, duration_s: float) -> None:
    """Send for so long; what one tick could not send in time is sent in the next."""
    begun, sent = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < duration_s:
        for _ in range(_BATCH):
            if sent * len(payload) * 8 > offered_bps * passed:
                time.sleep(_TICK_S)
                break
            with contextlib.suppress(BlockingIOError):
                sources[sent % len(sources)].send(payload)
            sent += 1
