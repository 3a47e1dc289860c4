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
from typing import Any

from emu.control import Control
from emu.filters import ArpFilter, NatRule
from emu.flannel import Flannel, KubeNode
from emu.programs import Process

SWITCH = "switch"
"""The name under which the lab's one Open vSwitch bridge appears among the machines of a path."""
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
ANY_MAC = "00:00:00:00:00:00"
"""The MAC of a VXLAN device's default entries (``all_zeros_mac`` in ``drivers/net/vxlan/vxlan_core.c``)."""
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
    of every link but for what ``links`` says otherwise of a machine's. ``outside``: machines outside the cluster; in
    the deck's scenario the first of them stands where node-b stood. ``flannel``, ``kube_nodes``: of a real cluster.
    """

    nodes: int | None = None
    containers: int | None = None
    bw: float | None = None
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    links: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    outside: int = 0
    mtu: int = 1500
    pod_cidr: str = "10.0.0.0/16"
    node_cidr: str = "192.168.0.0/16"
    offload: str = "off"
    datapath: str = "auto"
    sdn: str = "auto"
    seed: int = 1
    flannel: Flannel | None = None
    kube_nodes: tuple[KubeNode, ...] = ()

    @property
    def is_deck(self) -> bool:
        """Whether this is the deck's scenario rather than a uniform one."""
        return self.nodes is None and self.containers is None and not self.kube_nodes

    @property
    def node_count(self) -> int:
        return len(self.kube_nodes) or (4 if self.nodes is None else self.nodes)

    @property
    def containers_per_node(self) -> int:
        return 3 if self.containers is None else self.containers

    def document(self) -> dict[str, Any]:
        """As JSON has it; what is rare is there only where it is asked for, as in runs of older versions."""
        rare = {"outside": 0, "flannel": None, "kube_nodes": ()}
        return {name: list(value) if name == "kube_nodes" else value for name, value in asdict(self).items()
                if name not in rare or value != rare[name]}

    def shape_of(self, machine: str) -> Shape:
        """What the link between a machine and the switch is to be like."""
        return replace(Shape(self.bw, self.delay, self.jitter, self.loss), **self.links.get(machine, {}))


@dataclass(frozen=True)
class Container:
    """A container of the scenario and where it stands."""

    name: str
    node: str
    address: str
    mac: str


@dataclass(frozen=True)
class Node:
    """A machine of the underlay: its address there and the pod subnet behind it.

    So are machines that are no nodes of the cluster, outside machines and bridge machines: they have no containers. An
    overlay that runs on one leases it a pod subnet all the same, whose first address is its tunnel device's.
    """

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
class Tunnel:
    """Where a tunnel device's packets go out and in: by the interface ``parent``, whose address is ``local``. ``vni``
    and ``port``: of those that have them (RFC 7348, RFC 8926), UDP's port for all that travels in UDP; ``learns``:
    whether it learns behind which tunnel end a MAC is."""

    parent: str
    local: str
    vni: int = 0
    port: int = 0
    learns: bool = False


@dataclass(frozen=True)
class Device:
    """A network device inside one namespace. ``kind`` is ``veth``, ``bridge``, or of tunnel devices ``vxlan``,
    ``geneve``, ``ipip``, ``gre``, ``wireguard`` or ``tun`` (a program is behind it).

    ``settings``: names below ``net.ipv4`` with ``*`` for the device, and values: ``("conf.*.proxy_arp_pvlan", "1")``.
    """

    name: str
    kind: str
    mac: str
    mtu: int
    master: str | None = None
    tunnel: Tunnel | None = None
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def has_ethernet(self) -> bool:
        """Whether frames with an Ethernet header pass it; else bare packets do, and its MAC is empty."""
        return self.kind in ("veth", "bridge", "vxlan", "geneve")


@dataclass(frozen=True)
class Encap:
    """What a route has a tunnel device put around packets: to which tunnel end, with which ``vni`` (0: none)."""

    destination: str
    vni: int = 0


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
    encap: Encap | None = None


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
class Machine:
    """A network namespace of the lab, with all that is configured in it. ``kind``: ``node``, ``container``, ``outside``
    (a machine outside the cluster) or ``bridge`` (one between the overlay and the network it lies over)."""

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
    nat: tuple[NatRule, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    processes: tuple[Process, ...] = ()

    def device(self, name: str) -> Device:
        """A device by its name; ``KeyError`` if there is none."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)


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
    it where it travels encapsulated, named as ``emu.packets`` names them. ``ip_src`` and ``ip_dst``: the innermost
    packet's addresses where masquerading has them differ from those of its two ends. MACs are empty where there is no
    Ethernet header; ``sealed``: nothing of what travels inside can be read.
    """

    machine: str
    interface: str
    direction: str
    eth_src: str
    eth_dst: str
    ttl: int
    outer: Mapping[str, object] | None = None
    ip_src: str = ""
    ip_dst: str = ""
    sealed: bool = False

    @property
    def point(self) -> str:
        """The capture point, as in ``node-a:eth0``."""
        return f"{self.machine}:{self.interface}"


@dataclass(frozen=True)
class Plan:
    """Everything a lab consists of. Equal scenarios give plans that are equal byte for byte.

    ``others``: the machines of the underlay that are no nodes of the cluster.
    """

    design: str
    params: Mapping[str, str]
    scenario: Scenario
    nodes: tuple[Node, ...]
    machines: tuple[Machine, ...]
    links: tuple[Link, ...]
    switch: Switch
    control: Control
    endpoints: tuple[str, str] | None
    others: tuple[Node, ...] = ()

    @property
    def underlay(self) -> tuple[Node, ...]:
        """Every machine at the switch."""
        return (*self.nodes, *self.others)

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
        """The machine of the underlay on which a machine stands: itself, or for a container its node."""
        return {name: node for node in self.underlay for name in (node.name, *(c.name for c in node.containers))}

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
