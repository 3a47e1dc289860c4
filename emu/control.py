"""What a plan tells the controller, as frozen values: stations, proxy ARP, the gateway.

``controllers.plan`` reads it as JSON, and knows nothing else of a plan.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Station:
    """A MAC address known to be behind a switch port. ``speaks_for``: the only addresses it may give as its own in ARP;
    none: the switch does not look."""

    name: str
    mac: str
    port: int
    speaks_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binding:
    """An IPv4 address, the MAC that stands for it, and the switch port where that MAC is."""

    ip: str
    mac: str
    port: int


@dataclass(frozen=True)
class ProxyArp:
    """What proxy ARP answers for; requests for anything else in ``networks`` stay unanswered. ``by``: ``controller``,
    or ``switch``, whose flows then hold the answers."""

    networks: tuple[str, ...]
    bindings: tuple[Binding, ...]
    by: str = "controller"


@dataclass(frozen=True)
class GatewayRoute:
    """A route of the L3 gateway."""

    prefix: str
    via: str


@dataclass(frozen=True)
class NextHop:
    """A next hop of the L3 gateway and the switch port it is behind; without a MAC, the gateway asks for it."""

    ip: str
    port: int
    mac: str | None


@dataclass(frozen=True)
class EgressMtu:
    """The largest IPv4 packet that the L3 gateway sends by a port, in bytes."""

    port: int
    mtu: int


@dataclass(frozen=True)
class Gateway:
    """The L3 gateway: one address and one MAC on every port, its next hops and its routes, and the MTU of ports that
    take less than their link carries.

    ``speaker``: the port of a routing daemon beside it; ``announced``: the routes that one is to learn before the lab
    is ready.
    """

    ip: str
    mac: str
    ports: tuple[int, ...]
    neighbors: tuple[NextHop, ...]
    routes: tuple[GatewayRoute, ...]
    egress_mtus: tuple[EgressMtu, ...] = ()
    speaker: int | None = None
    announced: tuple[GatewayRoute, ...] = ()


@dataclass(frozen=True)
class Control:
    """What the controller is told: which applications run and everything the plan knows that they need."""

    apps: tuple[str, ...]
    dpid: int
    stations: tuple[Station, ...] = ()
    proxy_arp: ProxyArp | None = None
    gateway: Gateway | None = None
