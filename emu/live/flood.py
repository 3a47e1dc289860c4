"""More UDP than a link carries, from one namespace to another, and what arrives of it by the kernel's counters."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace

WARMUP_S = 0.3
"""Sent before anything counts: what the link may let pass at once is gone then, and its queue is full."""

_TICK_S = 0.001
_BATCH = 64


@dataclass(frozen=True)
class Flooded:
    """What came in of a flood in ``seconds``, in bytes of frames with their Ethernet headers."""

    received_bytes: int
    seconds: float


def flood(src: Namespace, dst: Namespace, address: str, payload_bytes: int, offered_bps: float,
          duration_s: float) -> Flooded:
    """Send datagrams to ``address`` in ``dst`` at ``offered_bps`` of payload, or as fast as goes, for ``duration_s``
    that count. What finds no room in the sender's socket is not sent. Counted at ``eth0`` of ``dst``."""
    with network_namespace(dst.descriptor):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # nobody reads: the counters are before it
    with network_namespace(src.descriptor):
        source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sink, source:
        sink.bind((address, 0))
        source.connect(sink.getsockname())
        source.setblocking(False)
        _send(source, bytes(payload_bytes), offered_bps, WARMUP_S)
        before, begun = dst.received_bytes("eth0"), time.monotonic()
        _send(source, bytes(payload_bytes), offered_bps, duration_s)
        after, ended = dst.received_bytes("eth0"), time.monotonic()
    return Flooded(after - before, ended - begun)


def _send(source: socket.socket, payload: bytes, offered_bps: float, duration_s: float) -> None:
    """Send for so long; what one tick could not send in time is sent in the next."""
    begun, sent_bits = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < duration_s:
        for _ in range(_BATCH):
            if sent_bits > offered_bps * passed:
                time.sleep(_TICK_S)
                break
            sent_bits += len(payload) * 8
            with contextlib.suppress(BlockingIOError):
                source.send(payload)
