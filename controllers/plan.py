"""What the controllers are told beforehand: the `control` part of a plan, as checked values. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

from controllers.pipeline import PORT_MAX
from controllers.wire import ETHERNET_BYTES, is_unicast_ipv4, is_unicast_mac

BY_CONTROLLER, BY_SWITCH = "controller", "switch"
"""Who answers by proxy ARP."""

APPLICATIONS = ("l2_switch", "proxy_arp", "l3_gateway")

T = TypeVar("T")


class PlanError(Exception):
    """A plan that cannot be used; `problems` holds all that is wrong with it, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Station:
    """A MAC that sends and receives behind a port, and the addresses it may speak for in ARP; with none it is free."""

    name: str
    mac: str
    port: int
    speaks_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binding:
    """An address that proxy ARP answers for: the MAC to answer with and the port the address is behind."""

    ip: str
    mac: str
    port: int


@dataclass(frozen=True)
class ProxyArp:
    """The networks whose ARP requests are never flooded, the addresses in them that are answered for, and by whom:
    the controller, or the switch's own flows."""

    networks: tuple[IPv4Network, ...]
    bindings: tuple[Binding, ...]
    by: str = BY_CONTROLLER


@dataclass(frozen=True)
class Neighbor:
    """A next hop of the gateway; without a MAC, the gateway asks for it."""

    ip: str
    mac: str | None
    port: int


@dataclass(frozen=True)
class Route:
    """A prefix and the address of the neighbor it is reached through."""

    prefix: IPv4Network
    via: str


@dataclass(frozen=True)
class EgressMtu:
    """The largest IPv4 packet, in bytes, that the gateway may send by a port."""

    port: int
    mtu: int


@dataclass(frozen=True)
class Gateway:
    """The gateway's address and MAC, the same on every one of its ports, and all it knows to route.

    A port without an egress MTU takes whatever has come in by another. `speaker`: the port of the routing daemon that
    stands beside the gateway, speaks in its name, and writes what it learns to its kernel's table; None: nothing is
    learned.
    """

    ip: str
    mac: str
    ports: tuple[int, ...]
    neighbors: tuple[Neighbor, ...]
    routes: tuple[Route, ...]
    egress_mtus: tuple[EgressMtu, ...] = ()
    speaker: int | None = None


@dataclass(frozen=True)
class Control:
    """The `control` part of a plan: which applications run on the one switch of the lab, and what they know."""

    apps: tuple[str, ...] = ()
    dpid: int | None = None
    stations: tuple[Station, ...] = ()
    proxy_arp: ProxyArp | None = None
    gateway: Gateway | None = None


class _Reader:
    """Walks a JSON document and notes every problem with the place it is at, instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def wrong(self, place: str, value: object, wanted: str) -> None:
        self.problems.append(f"{place}: {value!r} is not {wanted}")

    def part(self, parent: dict[str, Any], place: str, key: str, kind: type[T], default: T) -> T:
        value = parent.get(key, default)
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        self.wrong(f"{place}.{key}", value, {dict: "an object", list: "a list", str: "a text", int: "a number"}[kind])
        return default

    def rows(self, parent: dict[str, Any], place: str, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for index, row in enumerate(self.part(parent, place, key, list, [])):
            where = f"{place}.{key}[{index}]"
            if isinstance(row, dict):
                yield where, row
            else:
                self.wrong(where, row, "an object")

    def read(self, row: dict[str, Any], place: str, key: str, wanted: str, convert: Callable[[Any], T]) -> T | None:
        if key in row:
            return self.value(row[key], f"{place}.{key}", wanted, convert)
        self.problems.append(f"{place}.{key} is missing")
        return None

    def value(self, value: Any, place: str, wanted: str, convert: Callable[[Any], T]) -> T | None:
        try:
            return convert(value)
        except (AttributeError, TypeError, ValueError):
            self.wrong(place, value, wanted)
            return None

    def mac(self, row: dict[str, Any], place: str) -> str:
        return self.read(row, place, "mac", "the MAC address of one station", _mac) or ""

    def ip(self, row: dict[str, Any], place: str, key: str = "ip") -> str:
        return self.read(row, place, key, "the IPv4 address of one machine", _ip) or ""

    def port(self, row: dict[str, Any], place: str) -> int:
        return self.read(row, place, "port", _PORT, _port) or 0


_PORT = "a port number"


def _mac(value: Any) -> str:
    mac = str.lower(value)
    if not is_unicast_mac(mac):
        raise ValueError(value)
    return mac


def _ip(value: Any) -> str:
    address = str(IPv4Address(str.strip(value)))
    if not is_unicast_ipv4(address):
        raise ValueError(value)
    return address


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= PORT_MAX:
        raise ValueError(value)
    return value


def _mtu(value: Any) -> int:
    # RFC 791: every link carries 68 bytes; the check's operand is 16 bits and counts the Ethernet header.
    if isinstance(value, bool) or not isinstance(value, int) or not 68 <= value <= 0xFFFF - ETHERNET_BYTES:
        raise ValueError(value)
    return value


def _dpid(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 64:
        raise ValueError(value)
    return value


def _network(value: Any) -> IPv4Network:
    return IPv4Network(str.strip(value))


def _each(
    reader: _Reader, parent: dict[str, Any], place: str, key: str, wanted: str, convert: Callable[[Any], T]
) -> list[T]:
    """The elements of a plain list."""
    values = reader.part(parent, place, key, list, [])
    found = [reader.value(value, f"{place}.{key}[{index}]", wanted, convert) for index, value in enumerate(values)]
    return [value for value in found if value is not None]


def _once(reader: _Reader, place: str, what: str, keys: Iterable[object]) -> None:
    for key, times in Counter(keys).items():
        if key and times > 1:
            reader.problems.append(f"{place}: {what} {key} is there {times} times")


def _proxy_arp(reader: _Reader, part: dict[str, Any], place: str) -> ProxyArp:
    networks = _each(reader, part, place, "networks", "an IPv4 network", _network)
    bindings = [
        Binding(reader.ip(row, where), reader.mac(row, where), reader.port(row, where))
        for where, row in reader.rows(part, place, "bindings")
    ]
    _once(reader, f"{place}.bindings", "address", [binding.ip for binding in bindings])
    for binding in bindings:
        if binding.ip and not any(IPv4Address(binding.ip) in network for network in networks):
            reader.problems.append(f"{place}.bindings: address {binding.ip} is in none of the networks")
    by = reader.value(part.get("by", BY_CONTROLLER), f"{place}.by", f"{BY_CONTROLLER} or {BY_SWITCH}", _answerer)
    return ProxyArp(tuple(networks), tuple(bindings), by or BY_CONTROLLER)


def _gateway(reader: _Reader, part: dict[str, Any], place: str) -> Gateway:
    neighbors = [
        Neighbor(
            reader.ip(row, where),
            None if row.get("mac") is None else reader.mac(row, where),
            reader.port(row, where),
        )
        for where, row in reader.rows(part, place, "neighbors")
    ]
    routes = []
    for where, row in reader.rows(part, place, "routes"):
        prefix = reader.read(row, where, "prefix", "an IPv4 prefix", _network)
        via = reader.ip(row, where, "via")
        if via and via not in {neighbor.ip for neighbor in neighbors}:
            reader.problems.append(f"{where}.via: {via} is none of the neighbors")
        if prefix is not None:
            routes.append(Route(prefix, via))
    ports = _each(reader, part, place, "ports", _PORT, _port)
    for neighbor in neighbors:
        if neighbor.port and neighbor.port not in ports:
            reader.problems.append(
                f"{place}.neighbors: port {neighbor.port} of {neighbor.ip} is none of the gateway's ports"
            )
    mtus = [
        EgressMtu(reader.port(row, where), reader.read(row, where, "mtu", "an MTU", _mtu) or 0)
        for where, row in reader.rows(part, place, "egress_mtus")
    ]
    for port in (mtu.port for mtu in mtus):
        if port and port not in ports:
            reader.problems.append(f"{place}.egress_mtus: port {port} is none of the gateway's ports")
    _once(reader, f"{place}.egress_mtus", "port", [mtu.port for mtu in mtus])
    _once(reader, f"{place}.neighbors", "address", [neighbor.ip for neighbor in neighbors])
    _once(reader, f"{place}.routes", "prefix", [route.prefix for route in routes])
    ip, mac = reader.ip(part, place), reader.mac(part, place)
    speaker = None if part.get("speaker") is None else reader.read(part, place, "speaker", _PORT, _port)
    if speaker is not None:
        # Flows are spread by port: one that several next hops share would be one next hop.
        _once(reader, f"{place}.neighbors", "port", [neighbor.port for neighbor in neighbors])
        if speaker in ports:
            reader.problems.append(f"{place}.speaker: port {speaker} is one of the gateway's ports")
    return Gateway(ip, mac, tuple(ports), tuple(neighbors), tuple(routes), tuple(mtus), speaker)


def parse(document: object) -> Control:
    """The `control` part of a plan read from JSON. Keys besides `control` are none of the controllers' business.

    Raises PlanError with every problem at once.
    """
    reader = _Reader()
    place = "control"
    if not isinstance(document, dict) or not isinstance(document.get(place), dict):
        raise PlanError(["the plan has no part `control`"])
    part: dict[str, Any] = document[place]
    apps = _each(reader, part, place, "apps", f"one of {', '.join(APPLICATIONS)}", _application)
    reader.problems += combination_problems(apps)
    stations = [
        Station(
            reader.part(row, where, "name", str, ""),
            reader.mac(row, where),
            reader.port(row, where),
            tuple(_each(reader, row, where, "speaks_for", "the IPv4 address of one machine", _ip)),
        )
        for where, row in reader.rows(part, place, "stations")
    ]
    _once(reader, f"{place}.stations", "MAC", [station.mac for station in stations])
    proxy_arp = gateway = None
    if part.get("proxy_arp") is not None:
        proxy_arp = _proxy_arp(reader, reader.part(part, place, "proxy_arp", dict, {}), f"{place}.proxy_arp")
    if part.get("gateway") is not None:
        gateway = _gateway(reader, reader.part(part, place, "gateway", dict, {}), f"{place}.gateway")
    dpid = reader.read(part, place, "dpid", "a datapath id", _dpid)
    for app, given, key in (("proxy_arp", proxy_arp, "proxy_arp"), ("l3_gateway", gateway, "gateway")):
        if app in apps and given is None:
            reader.problems.append(f"{place}.{key} is missing, which {app} needs")
    if reader.problems:
        raise PlanError(reader.problems)
    return Control(tuple(apps), dpid, tuple(stations), proxy_arp, gateway)


def _answerer(value: Any) -> str:
    if value not in (BY_CONTROLLER, BY_SWITCH):
        raise ValueError(value)
    return str(value)


def _application(value: Any) -> str:
    if value not in APPLICATIONS:
        raise ValueError(value)
    return str(value)


def combination_problems(apps: list[str]) -> list[str]:
    """What is wrong with running these applications together on one switch."""
    problems = [] if len(set(apps)) == len(apps) else ["an application is there more than once"]
    if "l3_gateway" in apps and len(set(apps)) > 1:
        problems.append("l3_gateway is a router: it shares its switch with no other application")
    return problems
