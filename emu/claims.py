"""Claims: what must be true of a running lab, as data. ``emu.live.judge`` is the one evaluator.

A claim names a *test* (what to look at and what to expect) and the claims it rests on: where one of those
fails, the claim reads "not judged" instead of failing for another's fault.

Frame fields are named as in ``emu.packets``: ``eth.src``, ``arp.tpa``, ``ip.ttl``; fields of an encapsulated
frame have ``inner.`` before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ping:
    """A probe: one ICMP echo request from a cold lab, answered or not."""

    src: str
    dst: str


@dataclass(frozen=True)
class ArpRequest:
    """One ARP request as sent by hand: addresses of RFC 826, sender first. ``mac``: the sender's; empty for its own."""

    sender: str
    target: str
    mac: str = ""


@dataclass(frozen=True)
class ArpRequests:
    """A probe: ARP requests put on the wire by ``src`` in turn, the last of which is answered in a sound lab.

    The answer to the last one is the fence: whoever was to answer the others has had its chance by then.
    """

    src: str
    requests: tuple[ArpRequest, ...]


@dataclass(frozen=True)
class Forged:
    """A probe: one echo request by ``src`` to ``dst`` made by hand, which says that it comes from the address
    ``claimed`` and may be fragmented, of ``size_bytes`` with its IPv4 header; then ping's own, which is answered in a
    sound lab: by then the first one is where it was to go."""

    src: str
    dst: str
    claimed: str
    size_bytes: int = 84


@dataclass(frozen=True)
class Stream:
    """A probe: ``size_bytes`` over a TCP connection from ``src`` to ``dst``."""

    src: str
    dst: str
    size_bytes: int


@dataclass(frozen=True)
class Datagrams:
    """A probe: ``count`` flows of one UDP datagram each from ``src`` to ``dst``, where nobody wants them, from as many
    ports; then ping's own request, which is answered in a sound lab."""

    src: str
    dst: str
    count: int


@dataclass(frozen=True)
class Request:
    """A probe that was sent elsewhere: one request as ``emu trace`` makes it, whose frames are handed to the judge.

    ``kind``: ``ping``, ``arp`` or ``http``.
    """

    src: str
    dst: str
    kind: str


Probe = Ping | ArpRequests | Forged | Stream | Datagrams | Request


@dataclass(frozen=True)
class Seen:
    """At every one of ``points`` a frame that fits ``where`` is seen, and the first has the fields of ``expect``.

    ``count``: how many frames fit ``where`` there, where that matters.
    """

    probe: Probe
    points: tuple[str, ...]
    where: Mapping[str, Any]
    expect: Mapping[str, Any]
    count: int | None = None


@dataclass(frozen=True)
class Unseen:
    """At none of ``points`` a frame that fits ``where`` is seen."""

    probe: Probe
    points: tuple[str, ...]
    where: Mapping[str, Any]


@dataclass(frozen=True)
class Ordered:
    """At ``point`` the first frames that fit each of ``wheres`` are seen in this order."""

    probe: Probe
    point: str
    wheres: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Reaches:
    """Every ordered pair of machines: an echo request is answered, and the answer's TTL is as declared; or, where no
    way is declared, there is no answer."""


@dataclass(frozen=True)
class Prints:
    """A command run in ``machine`` ends with ``returncode`` and prints ``lines`` in this order (as substrings)."""

    machine: str
    argv: tuple[str, ...]
    returncode: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """A question to one machine's kernel (``argv`` prints JSON) and the objects it must answer with.

    Each expected object stands for the answered one at the same place, which may have further keys; of a name that is
    there twice, the second is ``NAME.2``.
    """

    machine: str
    argv: tuple[str, ...]
    expected: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class KernelState:
    """Every query is answered with exactly the expected objects, in any order."""

    queries: tuple[Query, ...]


@dataclass(frozen=True)
class Transfers:
    """``size_bytes`` cross a TCP connection from ``src`` to ``dst`` and arrive unchanged."""

    src: str
    dst: str
    size_bytes: int


@dataclass(frozen=True)
class Uninvolved:
    """The controller is handed no packet while machines ping each other ``count`` times."""

    src: str
    dst: str
    count: int


@dataclass(frozen=True)
class Learned:
    """The kernel beside the gateway has these routes (next hops by prefix) of its routing daemon's and no others, and
    the switch's flow table has them, and besides them those that the plan gives the gateway."""

    routes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Dropped:
    """The controller and its switch count ``count`` packets more that were dropped for ``reason`` when ``probe`` is
    sent from a cold lab."""

    probe: Probe
    reason: str
    count: int


@dataclass(frozen=True)
class PacketIns:
    """One ping from a cold lab, answered, takes exactly ``count`` packets to the controller."""

    src: str
    dst: str
    count: int


@dataclass(frozen=True)
class Refused:
    """All requests of a probe but the last are dropped by the switch as spoofed: its counters say so, and nothing that
    the controller has learned, or is told of, changes."""

    probe: ArpRequests


Test = (Seen | Unseen | Ordered | Reaches | Prints | KernelState | Transfers | Uninvolved | Learned | Dropped
        | PacketIns | Refused)


@dataclass(frozen=True)
class Claim:
    """One sentence that can be false, where it comes from, how to test it and what it rests on."""

    id: str
    text: str
    source: str
    test: Test
    needs: tuple[str, ...] = ()
