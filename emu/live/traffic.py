"""What a lab sends when asked, made by sockets of its own rather than by commands: requests of ``emu.live.service``."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from emu.live import transfer
from emu.live.census import Counts, Learned
from emu.live.entries import Entries, enter, remove
from emu.live.flood import Flooded, flood
from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace
from emu.live.process import wait_until
from emu.live.steady import Steadied, Steady
from emu.live.sweep import Miss, Pair, sweep
from emu.model import ANY_MAC, Plan
from emu.packets import ARP_REPLY, ETHERTYPE_ARP, arp_request, dissect

DISCARD_PORT = 9
"""RFC 863; nobody listens there."""


class Traffic:
    """Probes, flows, and changes of tables, in the namespaces of a lab."""

    plan: Plan
    spaces: dict[str, Namespace]

    def __init__(self) -> None:
        self._numbers = count()
        self._steady: dict[int, Steady] = {}

    def sweep(self, pairs: Sequence[Pair], most_neighbors: int) -> list[Miss]:
        """Ping every pair; those that failed."""
        return self._sweep(pairs, most_neighbors, lambda names: None)

    def _sweep(self, pairs: Sequence[Pair], most_neighbors: int, look: Callable[[Iterable[str]], None]) -> list[Miss]:
        node_of = {name: node.name for name, node in self.plan.node_of.items()}
        copies = max(sum(entry.mac == ANY_MAC for entry in machine.fdb) for machine in self.plan.machines)
        return sweep(self.spaces, node_of, pairs, most_neighbors, copies, look)

    def exchange(self, pairs: Sequence[Pair], most_neighbors: int) -> tuple[list[Miss], dict[str, Counts]]:
        """``sweep``; and what each machine has learned of it."""
        learned = Learned(self.spaces)
        return self._sweep(pairs, most_neighbors, learned.look), learned.counts()

    def ask_arp(self, name: str, requests: Sequence[tuple[str, str, str]]) -> None:
        """Put ARP requests (sender address, target address, sender's MAC or nothing for its own) on the wire by a
        machine's eth0, all but the last without waiting; return when the last one is answered."""
        own = self.plan.by_name[name].device("eth0").mac
        last = requests[-1][1]
        with network_namespace(self.spaces[name].descriptor), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("eth0", ETHERTYPE_ARP))
            for sender, target, mac in requests:
                sock.send(arp_request(mac or own, sender, target))
            sock.setblocking(False)
            wait_until(f"an answer to who has {last}", lambda: _has_answer(sock, last))

    def send_datagrams(self, name: str, address: str, count: int) -> None:
        """Have a machine send empty UDP datagrams to an address, each from a port of its own, where nobody listens."""
        with network_namespace(self.spaces[name].descriptor):
            for _ in range(count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.sendto(b"", (address, DISCARD_PORT))

    def forge(self, name: str, packet: bytes, address: str) -> None:
        """Have a machine send an IPv4 packet as it is to an address; its kernel routes it (raw(7), IP_HDRINCL)."""
        with network_namespace(self.spaces[name].descriptor), socket.socket(
            socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW
        ) as sock:
            sock.sendto(packet, (address, 0))

    def transfer(self, src: str, dst: str, size_bytes: int) -> bool:
        """Send bytes from one machine to another over TCP; whether they arrived as they were sent."""
        return transfer.transfer(self.spaces[src], self.spaces[dst], self.plan.address(dst), size_bytes)

    def flood(self, src: str, dst: str, payload_bytes: int, offered_bps: float, duration_s: float) -> Flooded:
        """Send more UDP from one machine to another than links carry; what arrived of it."""
        address = self.plan.address(dst)
        return flood(self.spaces[src], self.spaces[dst], address, payload_bytes, offered_bps, duration_s)

    def steady(self, src: str, dst: str, protocol: str, interval_ms: float) -> int:
        """Begin to send messages at a fixed rate; a number for ``steadied``."""
        number = next(self._numbers)
        self._steady[number] = Steady(
            self.spaces[src], self.spaces[dst], self.plan.address(dst), protocol, interval_ms / 1000)
        return number

    def steady_received(self, number: int) -> int:
        """How many messages have arrived."""
        return self._steady[number].received()

    def steady_is_over(self, number: int) -> bool:
        """Whether something has ended it."""
        return self._steady[number].is_over()

    def steadied(self, number: int) -> Steadied:
        """End it; what became of it."""
        return self._steady.pop(number).stop()

    def enter_entries(self, entries: Sequence[Entries]) -> None:
        """Enter neighbors, FDB entries and routes of machines."""
        for of_machine in entries:
            enter(self.spaces[of_machine.machine], of_machine)

    def remove_entries(self, entries: Sequence[Entries]) -> None:
        """Remove them."""
        for of_machine in entries:
            remove(self.spaces[of_machine.machine], of_machine)


def _has_answer(sock: socket.socket, address: str) -> bool:
    """Whether what waits at a socket has an ARP reply for ``address`` in it."""
    with contextlib.suppress(BlockingIOError):
        while True:
            fields = dissect(sock.recv(2048))
            if (fields.get("arp.op"), fields.get("arp.spa")) == (ARP_REPLY, address):
                return True
    return False
