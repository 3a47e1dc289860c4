"""Every ordered pair of machines pings, from one process: ICMP sockets in every namespace, one epoll.

All of the kernels' ARP entries count against one machine-wide limit (``gc_thresh3``), whatever their namespace.
So pairs go in batches that stay well below it, and neighbors are forgotten between batches.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isqrt
from socket import inet_aton

from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace
from emu.packets import ECHO_REPLY, ECHO_REQUEST

ENTRIES_PER_EXCHANGE = 3
"""Neighbors that two machines learn of each other, and their nodes' share."""

_SOL_RAW, _ICMP_FILTER = 255, 1
_AT_ONCE = 64
_PATIENCE_S, _SHORT_PATIENCE_S = 20.0, 2.0
_RETRY_S = 1.0
_BUFFER_BYTES = 4 << 20

Pair = tuple[str, str, str, int | None]
"""Source machine, destination machine, destination address, TTL the answer must arrive with (``None``: there must be
none)."""

Miss = tuple[str, str, int | None]
"""Source, destination, TTL seen (``None``: no answer)."""


def sweep(
    spaces: Mapping[str, Namespace],
    node_of: Mapping[str, str],
    pairs: Sequence[Pair],
    most_neighbors: int,
    copies: int,
    look: Callable[[Iterable[str]], None],
) -> list[Miss]:
    """Ping every pair until it is answered, again every second; the pairs that got no answer, or one with another TTL
    than declared. Those that are to get none have two seconds. It tells what can be reached, not what is lost.

    ``node_of``: the node on which each machine stands, which learns neighbors for it.
    ``most_neighbors``: the machine's limit of ARP entries; about a third of it is used.
    ``copies``: to how many other nodes each node sends a copy of what one of its containers broadcasts: it learns all
    of them, and all of them learn it.
    ``look``: called with the machines whose neighbors are about to be forgotten.
    """
    names = sorted({name for pair in pairs for name in pair[:2]}, key=lambda name: (node_of[name], name))
    sweeper = _Sweeper(spaces, names)
    misses: list[Miss] = []
    try:
        room = most_neighbors // 3
        for batch in batches(names, pairs, side_of_batch(names, node_of, room, copies)):
            hopeless = batch[0][3] is None
            misses += sweeper.batch(batch, _SHORT_PATIENCE_S if misses or hopeless else _PATIENCE_S)
            here = {name for pair in batch for name in pair[:2]}
            involved = here | {node_of[name] for name in here}
            look(involved)
            for name in involved | set(node_of.values()) if copies else involved:
                spaces[name].flush_neighbors()
    finally:
        sweeper.close()
    return misses


def side_of_batch(names: Sequence[str], node_of: Mapping[str, str], room: int, copies: int) -> int:
    """How many machines a batch may have on either side, to make do with ``room`` neighbors; ``names`` are node by
    node."""
    side = isqrt(room // ENTRIES_PER_EXCHANGE)
    if copies:
        nodes = len({node_of[name] for name in names})
        side = min(side, max(1, room // (4 * copies)) * len(names) // nodes)
    return max(2, side)


def batches(names: Sequence[str], pairs: Sequence[Pair], side: int) -> list[list[Pair]]:
    """The pairs in batches between at most ``side`` machines and as many others: blocks of the square of all pairs, so
    that little has to be forgotten after each. Pairs that are to get no answer are in batches of their own."""
    block = {name: index // side for index, name in enumerate(names)}
    found: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((*sorted(block[name] for name in pair[:2]), pair[3] is None), []).append(pair)
    return list(found.values())


class _Sweeper:
    def __init__(self, spaces: Mapping[str, Namespace], names: Sequence[str]) -> None:
        self._poll = select.epoll()
        self._sockets: dict[str, socket.socket] = {}
        self._names: dict[int, str] = {}
        self._number = {name: number for number, name in enumerate(names)}
        self._address: dict[str, str] = {}
        for name in names:
            with network_namespace(spaces[name].descriptor):
                sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            # Of all ICMP only echo replies; every bit set is a type kept out (raw(7)).
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~(1 << ECHO_REPLY) & 0xFFFFFFFF))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            sock.setblocking(False)
            self._sockets[name] = sock
            self._names[sock.fileno()] = name
            self._poll.register(sock, select.EPOLLIN)

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._poll.close()

    def batch(self, pairs: Sequence[Pair], patience_s: float) -> list[Miss]:
        """Ping the pairs, again every second those without an answer, until ``patience_s`` is over."""
        seen: dict[tuple[str, str], int] = {}
        end = time.monotonic() + patience_s
        waiting = list(pairs)
        self._address.update({destination: address for _, destination, address, _ in pairs})
        while waiting and time.monotonic() < end:
            for start in range(0, len(waiting), _AT_ONCE):
                for source, destination, address, _ in waiting[start : start + _AT_ONCE]:
                    self._send(source, destination, address)
                self._receive(seen, 0.0)
            retry = min(end, time.monotonic() + _RETRY_S)
            while any(pair[:2] not in seen for pair in waiting) and time.monotonic() < retry:
                self._receive(seen, 0.05)
            waiting = [pair for pair in waiting if pair[:2] not in seen]
        return [(s, d, seen.get((s, d))) for s, d, _, ttl in pairs if seen.get((s, d)) != ttl]

    def _send(self, source: str, destination: str, address: str) -> None:
        header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, self._number[source], self._number[destination])
        packet = struct.pack("!BBHHH", ECHO_REQUEST, 0, _checksum(header), *struct.unpack("!HH", header[4:]))
        try:
            self._sockets[source].sendto(packet, (address, 0))
        except OSError:  # unreachable, or no room for the moment: a miss unless a later try gets through
            return

    def _receive(self, seen: dict[tuple[str, str], int], wait_s: float) -> None:
        names = list(self._number)
        for descriptor, _ in self._poll.poll(wait_s):
            name = self._names[descriptor]
            while True:
                try:
                    data = self._sockets[name].recv(256)
                except BlockingIOError:
                    break
                offset = (data[0] & 15) * 4
                identifier, sequence = struct.unpack("!HH", data[offset + 4 : offset + 8])
                if identifier != self._number[name] or sequence >= len(names):
                    continue  # somebody else's ping
                if data[12:16] == inet_aton(self._address[names[sequence]]):
                    seen.setdefault((name, names[sequence]), data[8])


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return 0xFFFF - ((total + (total >> 16)) & 0xFFFF)
