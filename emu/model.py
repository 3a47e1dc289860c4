"""What a lab is made of, as frozen values.

A ``Scenario`` is what a user asks for; a design turns it into a ``Plan``: every namespace, device, address,
route and table entry of the lab, and what the controller is to know. A plan is plain data. Making it real is
the business of ``emu.live``, which never learns which design it builds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from emu.control import Control

SWITCH = "switch"
"""The name under which the lab's one Open vSwitch bridge appears among the machines of a path."""

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
INITIAL_TTL = 64
"""The TTL Linux gives a packet it sends (RFC 1700; ``net.ipv4.ip_default_ttl``)."""


@dataclass(frozen=True)
class Shape:
    """What a link between a node and the switch does to frames, alike in both directions.

    ``bw`` in Mbit/s of Ethernet frames as Linux counts them (header included; no preamble, checksum and gap), ``None``
    for as fast as it goes; ``delay`` and ``jitter`` in ms, each frame being late by ``delay`` plus or minus up to
    ``jitter``; ``loss`` in percent of the frames, each for itself.
    """

    bw: float | None = None
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0


UNSHAPED = Shape()
"""A link as the kernel makes it."""


@dataclass(frozen=True)
class Scenario:
    """What is asked for, whatever the design.

    ``nodes`` and ``containers`` (per node) are both ``None`` for the deck's own scenario: four nodes, three
    containers each on the first and the third. ``bw``, ``delay``, ``jitter`` and ``loss``: as in ``Shape``,
    of every link but for what ``links`` says otherwise of a node's.
    """

    nodes: int | None = None
    containers: int | None = None
    bw: float | None = None
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    links: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    mtu: int = 1500
    pod_cidr: str = "10.0.0.0/16"
    node_cidr: str = "192.168.0.0/16"
    offload: str = "off"
    datapath: str = "auto"
    sdn: str = "auto"
    seed: int = 1

    @property
    def is_deck(self) -> bool:
        """Whether this is the deck's scenario rather than a uniform one."""
        return self.nodes is None and self.containers is None

    @property
    def node_count(self) -> int:
        return 4 if self.nodes is None else self.nodes

    @property
    def containers_per_node(self) -> int:
        return 3 if self.containers is None else self.containers

    def shape_of(self, node: str) -> Shape:
        """What the link between a node and the switch is to be like."""
        return replace(Shape(self.bw, self.delay, self.jitter, self.loss), **self.links.get(node, {}))


@dataclass(frozen=True)
class Container:
    """A container of the scenario and where it stands."""

    name: str
    node: str
    address: str
    mac: str


@dataclass(frozen=True)
class Node:
    """A node (a machine) of the scenario: its address on the underlay and the pod subnet behind it."""

    name: str
    number: int
    address: str
    mac: str
    pod_subnet: str
    bridge_address: str
    bridge_mac: str
    vtep_address: str
    vtep_mac: str
    containers: tuple[Container, ...]


@dataclass(frozen=True)
class Vxlan:
    """Attributes of a VXLAN device (RFC 7348). ``learning``: of MACs, from what comes in."""

    vni: int
    port: int
    local: str
    parent: str
    learning: bool = False


@dataclass(frozen=True)
class Device:
    """A network device inside one namespace. ``kind`` is ``veth``, ``bridge`` or ``vxlan``.

    ``settings``: names below ``net.ipv4`` with ``*`` for the device, and values: ``("conf.*.proxy_arp_pvlan", "1")``.
    """

    name: str
    kind: str
    mac: str
    mtu: int
    master: str | None = None
    vxlan: Vxlan | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Address:
    """An IPv4 address on a device. The kernel adds no route for it: all routes of a plan are named.

    ``peer``: who is at the other end, where that is one machine and no network.
    """

    device: str
    address: str
    prefix_length: int
    peer: str | None = None


@dataclass(frozen=True)
class Route:
    """An IPv4 route. ``via`` is ``None`` for an on-link destination; ``congctl`` pins TCP's congestion control."""

    destination: str
    device: str
    via: str | None = None
    source: str | None = None
    onlink: bool = False
    table: int = 254
    congctl: str | None = None


@dataclass(frozen=True)
class Rule:
    """A routing rule: look in ``table`` at ``priority`` for packets that came in by ``iif`` (``lo``: sent here)."""

    priority: int
    table: int
    iif: str


@dataclass(frozen=True)
class Neighbor:
    """A permanent neighbor entry."""

    device: str
    address: str
    mac: str


@dataclass(frozen=True)
class FdbEntry:
    """A permanent forwarding entry of a tunnel device itself: ``mac`` is behind the tunnel end ``destination``."""

    device: str
    mac: str
    destination: str


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
        listed = any(contains(network, target) for network in self.targets)
        return not self.targets or listed != self.others


@dataclass(frozen=True)
class Process:
    """A program that runs from the start, in the foreground, and the files it needs: path and text.

    ``status``: a command that tells how it is, of a program that can be asked.
    """

    name: str
    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    status: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A network namespace of the lab: a node or a container, with all that is configured in it."""

    name: str
    kind: str
    address: str
    devices: tuple[Device, ...]
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    filters: tuple[ArpFilter, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True)
class Link:
    """A veth pair between two devices of two machines."""

    machine_a: str
    device_a: str
    machine_b: str
    device_b: str


@dataclass(frozen=True)
class Port:
    """A port of the switch: its OpenFlow number, its device on the switch's side, who is behind it, and what the link
    between the two devices is like."""

    number: int
    device: str
    machine: str
    machine_device: str
    shape: Shape = UNSHAPED


@dataclass(frozen=True)
class OwnPort:
    """A port of the switch that is a device of the switch's own machine: what runs there speaks by it.

    ``neighbors``: IPv4 addresses and MACs that are known there for ever.
    """

    number: int
    device: str
    mac: str
    address: str
    prefix_length: int
    neighbors: tuple[tuple[str, str], ...]
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class Switch:
    """The lab's Open vSwitch bridge."""

    dpid: int
    mtu: int
    ports: tuple[Port, ...]
    own: OwnPort | None = None


@dataclass(frozen=True)
class Hop:
    """A capture point on a path and the header fields a frame has there.

    ``eth_src``, ``eth_dst`` and ``ttl`` are those of the innermost frame; ``outer`` holds the fields around
    it where it travels encapsulated, named as ``emu.packets`` names them.
    """

    machine: str
    interface: str
    direction: str
    eth_src: str
    eth_dst: str
    ttl: int
    outer: Mapping[str, object] | None = None

    @property
    def point(self) -> str:
        """The capture point, as in ``node-a:eth0``."""
        return f"{self.machine}:{self.interface}"


@dataclass(frozen=True)
class Plan:
    """Everything a lab consists of. Equal scenarios give plans that are equal byte for byte."""

    design: str
    params: Mapping[str, str]
    scenario: Scenario
    nodes: tuple[Node, ...]
    machines: tuple[Machine, ...]
    links: tuple[Link, ...]
    switch: Switch
    control: Control
    endpoints: tuple[str, str] | None

    @property
    def spec(self) -> str:
        """The design and its parameters in the words of the command line."""
        if not self.params:
            return self.design
        return f"{self.design}:{','.join(f'{key}={value}' for key, value in self.params.items())}"

    @cached_property
    def by_name(self) -> Mapping[str, Machine]:
        return {machine.name: machine for machine in self.machines}

    @cached_property
    def node_of(self) -> Mapping[str, Node]:
        """The node on which a machine stands: a node's own for a node, its host's for a container."""
        return {name: node for node in self.nodes for name in (node.name, *(c.name for c in node.containers))}

    @cached_property
    def container_of(self) -> Mapping[str, Container]:
        return {container.name: container for node in self.nodes for container in node.containers}

    @cached_property
    def port_of(self) -> Mapping[str, Port]:
        return {port.machine: port for port in self.switch.ports}

    def address(self, name: str) -> str:
        """The IPv4 address others reach the machine ``name`` by; ``KeyError`` if there is none such."""
        return self.by_name[name].address

    def find(self, name_or_address: str) -> str | None:
        """The name of the machine that is called, or addressed, so; ``None`` if there is none."""
        if name_or_address in self.by_name:
            return name_or_address
        return next((m.name for m in self.machines if m.address == name_or_address), None)

    def to_json(self) -> str:
        """The plan as one JSON document with a fixed order of keys."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)


def host_route(address: str) -> str:
    """``address`` as a /32 prefix."""
    return f"{IPv4Address(address)}/32"


def contains(network: str, address: str) -> bool:
    """Whether ``address`` lies in ``network``."""
    return IPv4Address(address) in IPv4Network(network)
