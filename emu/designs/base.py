"""What a design is, and the parts that designs share: containers on a bridge, uplinks to the switch, paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from emu.addressing import INTERFACE_NAME_LENGTH, nodes_of
from emu.claims import Claim
from emu.control import Control
from emu.laws import LEARNED_NEIGHBORS, ROUTES, Amounts, Growth, StateLaw, per_node
from emu.model import (
    INITIAL_TTL,
    SWITCH,
    Address,
    Container,
    Device,
    Hop,
    Link,
    Machine,
    Node,
    OwnPort,
    Plan,
    Port,
    Route,
    Scenario,
    Switch,
)
from emu.programs import Process

CONGESTION_CONTROL = "cubic"
"""TCP's congestion control on every route that an experiment's endpoints use: kernels differ in their default."""

UPLINK, BRIDGE = "eth0", "cbr0"
THIRD = 3

SEGMENT_FLOWS = Growth(6) + per_node(3)
"""Flows of a switch that knows where nodes are: what it refuses and its tables' ends; of each node its place, its being
elsewhere, and the way to it (``controllers/learning.py``)."""

CONTAINER_STATE: Amounts = {ROUTES: Growth(2), LEARNED_NEIGHBORS: Growth(own_containers=1)}
"""Of a container that is alone with its node's others: of them, and of its gateway, it learns the MACs."""

QUIET = {
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
    **{
        f"net.ipv4.conf.{which}.{key}": "0"
        for which in ("all", "default")
        for key in (
            "rp_filter",
            "accept_redirects",
            "send_redirects",
            "proxy_arp",
            "proxy_arp_pvlan",
            "arp_ignore",
            "arp_announce",
        )
    },
}
"""Set in every namespace: a new one copies these from the machine's own, which may have anything."""

FORWARDING = {**QUIET, "net.ipv4.ip_forward": "1"}
NOT_FORWARDING = {**QUIET, "net.ipv4.ip_forward": "0"}


@dataclass(frozen=True)
class Parameter:
    """The values of a design's parameter, the default first.

    ``numbers``: the smallest and the largest of whole numbers that are values too. ``optional``: with its default value
    it is not in the design's name, nor in results. ``only_with``: a parameter and its value without which this one
    means nothing. ``not_with``: a parameter and its value that rule out all but this one's default, and why.
    """

    values: tuple[str, ...]
    numbers: tuple[int, int] | None = None
    optional: bool = False
    only_with: tuple[str, str] | None = None
    not_with: tuple[str, str, str] | None = None

    @property
    def default(self) -> str:
        return self.values[0]

    @property
    def offered(self) -> str:
        """The values in words."""
        numbers = (f"{self.numbers[0]}..{self.numbers[1]}",) if self.numbers else ()
        return "|".join((*self.values, *numbers))

    def has(self, value: str) -> bool:
        """Whether this is a value that is built. A number has one way to be written."""
        if value in self.values or self.numbers is None:
            return value in self.values
        number = int(value) if value.isdecimal() else -1
        return str(number) == value and self.numbers[0] <= number <= self.numbers[1]


RoundTrip = tuple[tuple[Hop, ...], tuple[Hop, ...]]
"""The path of a packet, and that of the answer to it."""


class Design(Protocol):
    """One way to connect containers (or, for ``bare``, nodes). Everything here is pure."""

    name: str
    summary: str
    parameters: Mapping[str, Parameter]
    has_containers: bool
    has_outside: bool

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        """The plan for a sound scenario."""
        ...

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        """Every capture point a packet from ``src`` to ``dst`` passes, with the fields it has there. Where several ways
        are equally good, one of them; nothing where there is none."""
        ...

    def round_trips(self, plan: Plan, src: str, dst: str) -> tuple[RoundTrip, ...]:
        """The ways that a packet from ``src`` to ``dst`` and the answer to it can take; nothing where there is none."""
        ...

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        """What must be true of the lab."""
        ...

    def law(self, params: Mapping[str, str]) -> StateLaw:
        """How much state there is, by the size of the cluster."""
        ...


class OneWay:
    """A design in which there is one way from any machine to any other, answers take the ways of what they answer to,
    and every machine is a node or a container."""

    has_outside = False

    def round_trips(self: Design, plan: Plan, src: str, dst: str) -> tuple[RoundTrip, ...]:
        """See ``Design``."""
        return ((self.path(plan, src, dst), self.path(plan, dst, src)),)


@dataclass
class Path:
    """Builds a path hop by hop; keeps the header fields that a frame has at the moment."""

    eth_src: str
    eth_dst: str
    ttl: int = INITIAL_TTL
    outer: Mapping[str, object] | None = None
    ip_src: str = ""
    ip_dst: str = ""
    sealed: bool = False
    hops: list[Hop] = field(default_factory=list)

    def crosses(self, machine: str, interface: str, direction: str) -> Path:
        """The frame is seen at ``machine:interface``, going ``in`` or ``out``."""
        self.hops.append(Hop(machine, interface, direction, self.eth_src, self.eth_dst, self.ttl, self.outer,
                             self.ip_src, self.ip_dst, self.sealed))
        return self

    def routed(self, eth_src: str, eth_dst: str) -> Path:
        """A router hands it on: TTL one less, both MACs new."""
        self.ttl, self.eth_src, self.eth_dst = self.ttl - 1, eth_src, eth_dst
        return self

    def leaves(self, container: Container) -> Path:
        """Out of a container, into its node's end of the veth pair."""
        return self.crosses(container.name, UPLINK, "out").crosses(container.node, veth(container), "in")

    def enters(self, container: Container) -> Path:
        """Out of the node's end of the veth pair, into a container."""
        return self.crosses(container.node, veth(container), "out").crosses(container.name, UPLINK, "in")

    def over_switch(self, plan: Plan, node_a: Node, node_b: Node) -> Path:
        """From one node's uplink to another's, through a switch that changes nothing."""
        self.crosses(node_a.name, UPLINK, "out").crosses(SWITCH, plan.port_of[node_a.name].device, "in")
        return self.crosses(SWITCH, plan.port_of[node_b.name].device, "out").crosses(node_b.name, UPLINK, "in")


def local_path(plan: Plan, src: str, dst: str, node_mac: str) -> tuple[Hop, ...]:
    """A path that stays on one node: over its bridge, whose own MAC is ``node_mac``; nothing is routed."""
    source, target = plan.container_of.get(src), plan.container_of.get(dst)
    path = Path(source.mac if source else node_mac, target.mac if target else node_mac)
    node = plan.node_of[src].name
    if source:
        path.leaves(source)
    if not target:
        path.crosses(node, BRIDGE, "in")
    elif not source:
        path.crosses(node, BRIDGE, "out")
    if target:
        path.enters(target)
    return tuple(path.hops)


def veth(container: Container) -> str:
    """The node's end of a container's veth pair."""
    return f"veth-{container.name}"


def endpoints(nodes: Sequence[Node], of_nodes: bool) -> tuple[str, str] | None:
    """The plan's two endpoints: the first container of the first node and of the third (of the last where there
    are fewer), never both on one node; for ``of_nodes`` the nodes themselves. ``None`` without containers."""
    first, other = nodes[0], next((node for node in nodes if node.number == THIRD), nodes[-1])
    if of_nodes:
        return first.name, other.name
    if not first.containers or not other.containers:
        return None
    return first.containers[0].name, other.containers[0].name


def uplink(node: Node, mtu: int, master: str | None = None) -> Device:
    """A node's interface to the switch."""
    return Device(UPLINK, "veth", node.mac, mtu, master)


def pod_bridge(node: Node, mac: str, mtu: int) -> tuple[Device, ...]:
    """A node's bridge and its ends of its containers' veth pairs. The bridge's MAC is pinned: left alone it
    would follow the ports'."""
    ports = (Device(veth(c), "veth", _port_mac(c), mtu, BRIDGE) for c in node.containers)
    return (Device(BRIDGE, "bridge", mac, mtu), *ports)


def _port_mac(container: Container) -> str:
    """A MAC for a bridge port: nothing is ever sent from it, it only must be nobody else's."""
    octets = container.mac.split(":")
    return ":".join(("0e", *octets[1:]))


def container_machines(node: Node, mtu: int, pod_network: str | None) -> Iterable[Machine]:
    """The containers of a node: own subnet (or all of ``pod_network``) on-link, default route by the bridge."""
    for container in node.containers:
        on_link = pod_network or node.pod_subnet
        yield Machine(
            name=container.name,
            kind="container",
            address=container.address,
            devices=(Device(UPLINK, "veth", container.mac, mtu),),
            addresses=(Address(UPLINK, container.address, prefix_length(node.pod_subnet)),),
            routes=(
                Route(on_link, UPLINK, source=container.address, congctl=CONGESTION_CONTROL),
                Route(
                    "0.0.0.0/0", UPLINK, via=node.bridge_address, source=container.address, congctl=CONGESTION_CONTROL
                ),
            ),
            sysctls=NOT_FORWARDING,
        )


def node_with_pods(
    node: Node,
    *,
    devices: tuple[Device, ...],
    addresses: tuple[Address, ...],
    routes: tuple[Route, ...],
    processes: tuple[Process, ...] = (),
) -> Machine:
    """A node that routes for its containers: its bridge address and its pod subnet, and what is given."""
    bridge = Address(BRIDGE, node.bridge_address, prefix_length(node.pod_subnet))
    return Machine(
        name=node.name,
        kind="node",
        address=node.address,
        devices=devices,
        addresses=(*addresses, bridge),
        routes=(Route(node.pod_subnet, BRIDGE, source=node.bridge_address), *routes),
        sysctls=FORWARDING,
        processes=processes,
    )


def prefix_length(network: str) -> int:
    """24 for 10.0.1.0/24."""
    return int(network.rpartition("/")[2])


def assemble(
    design: Design,
    scenario: Scenario,
    params: Mapping[str, str],
    nodes: tuple[Node, ...],
    machines: Iterable[Machine],
    control: Control,
    own: OwnPort | None = None,
    others: tuple[Node, ...] = (),
) -> Plan:
    """The plan of these machines: node k on port k of the switch, which may have a port of its ``own``, containers
    linked to their nodes, ``others`` that are no nodes at its further ports, and the two endpoints, which are nodes
    where no node has containers by design."""
    return Plan(
        design=design.name,
        params=params,
        scenario=scenario,
        nodes=nodes,
        machines=tuple(machines),
        links=tuple(Link(node.name, veth(c), c.name, UPLINK) for node in nodes for c in node.containers),
        switch=Switch(
            1,
            scenario.mtu,
            tuple(Port(n.number, _port_name(n), n.name, UPLINK, scenario.shape_of(n.name)) for n in (*nodes, *others)),
            own,
        ),
        control=control,
        endpoints=endpoints(nodes, of_nodes=not design.has_containers),
        others=others,
    )


def _port_name(node: Node) -> str:
    """What the switch's end of a machine's link is called: after the machine, or its number where that is too long."""
    name = f"{node.name}-eth0"
    return name if len(name) <= INTERFACE_NAME_LENGTH else f"n{node.number}-eth0"


def nodes_for(scenario: Scenario, with_containers: bool = True) -> tuple[Node, ...]:
    """The scenario's nodes, without their containers for a design that has none."""
    nodes = nodes_of(scenario)
    return nodes if with_containers else tuple(replace(node, containers=()) for node in nodes)
