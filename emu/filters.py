"""What a machine drops, and whose addresses it gives other names: frozen values of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

NAT_CHAIN = "FLANNEL-POSTRTG"
"""Where a machine's masquerading is, in the table ``nat``: flannel's own name for it."""


@dataclass(frozen=True)
class ArpFilter:
    """ARP requests that a bridge drops at a ``hook`` of nftables' bridge family: input, forward or output (nft(8)).

    All that is given must fit: the ports, and the address asked for, one of ``targets`` (addresses, or networks; with
    ``others``: none of them)."""

    hook: str
    why: str
    came_by: str = ""
    came_not_by: str = ""
    leaves_by: str = ""
    targets: tuple[str, ...] = ()
    others: bool = False

    def drops(self, came_by: str, target: str) -> bool:
        """Whether a request for ``target`` that came by a port (empty: made here) meets this filter on some way out."""
        if (self.came_by and came_by != self.came_by) or (came_by and came_by in (self.came_not_by, self.leaves_by)):
            return False
        listed = any(IPv4Address(target) in IPv4Network(network) for network in self.targets)
        return not self.targets or listed != self.others


@dataclass(frozen=True)
class NatRule:
    """A rule met by the first packet of a connection that leaves a machine: whether it is masqueraded, which gives it
    the address of the interface it leaves by, or not (``return``). All that is given must fit: networks that the
    packet's source and destination are in, or (``not_from``, ``not_to``) are not in, and the packet's mark."""

    verdict: str
    source: str = ""
    destination: str = ""
    not_from: bool = False
    not_to: bool = False
    mark: int = 0

    @property
    def words(self) -> str:
        """The rule as nft(8) reads and prints it. Ports are drawn at random, as flannel has it (RFC 6056)."""
        words = [f"meta mark 0x{self.mark:08x}"] if self.mark else []
        words += [f"ip {key} {'!= ' if inverted else ''}{network}" for key, inverted, network in (
            ("saddr", self.not_from, self.source), ("daddr", self.not_to, self.destination)) if network]
        return " ".join([*words, "masquerade fully-random" if self.verdict == "masquerade" else self.verdict])
