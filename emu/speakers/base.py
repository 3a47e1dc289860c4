"""What a routing daemon is to a plan: a process of a node that announces the node's pods, as pure data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from emu.model import Node
from emu.programs import Process

FOLDER = "/run/emu/bgp"
"""Of each lab its own, like all of its /run."""

GATEWAY_AS = 4_200_000_000
"""The first AS number for private use of 32 bits (RFC 6996); node k has the k-th after it."""

KEEPALIVES = 3
"""Keepalives in a hold time (RFC 4271, section 10)."""

BFD_INTERVAL_MS, BFD_MULTIPLIER = 300, 5
"""RFC 5880: silent for this many intervals is down. A userspace switch under load delays packets by tens of ms."""


@dataclass(frozen=True)
class Timers:
    """How a silent neighbor is found out: after ``hold_s``, or by BFD."""

    hold_s: int
    bfd: bool


@dataclass(frozen=True)
class Order:
    """What makes a daemon do something: files to write, then commands to run in its machine."""

    files: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, ...], ...]


class Speaker(Protocol):
    """One routing daemon."""

    name: str

    def on_node(self, node: Node, gateway: str, timers: Timers) -> Process:
        """The daemon of a node: it announces the node's pod subnet to the gateway, and takes nothing from it."""
        ...

    def announce(self, node: Node, prefixes: Iterable[str]) -> Order:
        """Announce these prefixes besides the pod subnet, and no others."""
        ...

    def stop(self, node: Node) -> Order:
        """End the session in good order, by the administrator's will."""
        ...

    def resume(self, node: Node) -> Order:
        """Take up again what ``stop`` ended."""
        ...

    def pid_file(self, node: Node) -> str:
        """Where the daemon writes its process number."""
        ...

    def sessions(self, node: Node) -> tuple[str, ...]:
        """The command that tells of the node's session."""
        ...


def as_number(node: Node) -> int:
    """The autonomous system of a node."""
    return GATEWAY_AS + node.number
