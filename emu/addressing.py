"""Names, addresses and MACs of a scenario: pure and deterministic.

The deck gives four node MACs with the group bit set (11:22:33:44:55:01 and so on). IEEE 802 calls those
multicast and Linux refuses them as a device's address, so the nearest unicast, locally administered ones
stand for them: bit 0 of the first octet cleared, bit 1 set. Every other MAC is 0a:58 followed by the four
octets of its IPv4 address, as Kubernetes' kubenet and CNI's bridge plugin make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from emu.errors import UsageError
from emu.model import Container, Node, Scenario

DECK_NODE_MACS = ("12:22:33:44:55:01", "02:23:45:67:89:02", "12:22:33:44:55:03", "02:23:45:67:89:04")
DECK_CONTAINER_MACS = {"10.0.1.2": "aa:bb:cc:dd:e1:01", "10.0.3.2": "aa:bb:cc:dd:e3:02"}
DECK_CONTAINER_NODES = (1, 3)
DECK_OUTSIDE = 2
"""The number of the deck's node that an outside machine takes the place of: node-b, 192.168.1.2."""
GATEWAY_MAC = "12:22:33:44:55:fe"

OUTSIDE_BLOCK, BRIDGE_BLOCK = 254, 255
"""The /24 blocks of the node network (counted from its start) kept for outside machines and for bridge machines."""

INTERFACE_NAME_LENGTH = 15
"""IFNAMSIZ less the closing zero (``include/uapi/linux/if.h``)."""

FIRST_CONTAINER = 2
RESERVED_AT_END = 2
"""The last two addresses of a pod subnet: the overlay device's of the deck (.254) and the broadcast address."""


def letters(number: int) -> str:
    """1 -> a, 26 -> z, 27 -> aa, as spreadsheets count columns."""
    text = ""
    while number > 0:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def mac_of(address: str) -> str:
    """The MAC that follows from an IPv4 address (kubenet, CNI ``plugins/pkg/utils/hwaddr``)."""
    if address in DECK_CONTAINER_MACS:
        return DECK_CONTAINER_MACS[address]
    return "0a:58:" + ":".join(f"{octet:02x}" for octet in IPv4Address(address).packed)


def gateway_address(node_cidr: str) -> str:
    """The L3 gateway's address: the first of the node network (192.168.0.1 in the deck's)."""
    return str(IPv4Network(node_cidr)[1])


def node_addresses(node_cidr: str) -> Iterator[str]:
    """Addresses for nodes, in order; it ends where the node network does.

    Networks wider than a /24 begin at the second /24, as the deck's do (192.168.1.1), and leave out every
    address that ends in 0 or 255 and the /24s of outside and of bridge machines. Smaller ones begin behind
    the gateway.
    """
    network = IPv4Network(node_cidr)
    if network.prefixlen >= 24:
        yield from (str(address) for address in list(network.hosts())[1:])
        return
    for block in range(1, network.num_addresses // 256):
        if block in (OUTSIDE_BLOCK, BRIDGE_BLOCK):
            continue
        for last in range(1, 255):
            yield str(network[block * 256 + last])


def pod_subnet_prefix(containers: int) -> int:
    """Prefix length of a node's pod subnet: /24 as in the deck, shorter where more containers need it."""
    needed = containers + FIRST_CONTAINER + RESERVED_AT_END
    return min(24, 32 - (needed - 1).bit_length())


def pod_subnets(scenario: Scenario) -> Iterator[IPv4Network]:
    """Pod subnets in order, the first one left out (the deck's begin at 10.0.1.0/24; flannel leaves it out, too)."""
    network = IPv4Network(scenario.pod_cidr)
    prefix = scenario.flannel.subnet_length if scenario.flannel else pod_subnet_prefix(scenario.containers_per_node)
    if prefix < network.prefixlen:
        return
    subnets = network.subnets(new_prefix=prefix)
    next(subnets)
    yield from subnets


def nodes_of(scenario: Scenario) -> tuple[Node, ...]:
    """The nodes and containers of a scenario that ``emu.checks`` has found sound. In the deck's scenario an outside
    machine takes the place of node-b."""
    if scenario.kube_nodes:
        count = scenario.containers_per_node
        return tuple(
            _node(node.name, number, node.address, IPv4Network(node.pod_subnet), (number - 1) * count + 1, count)
            for number, node in enumerate(scenario.kube_nodes, 1)
        )
    addresses = node_addresses(scenario.node_cidr)
    subnets = pod_subnets(scenario)
    nodes, first_container = [], 1
    for number in range(1, scenario.node_count + 1):
        has_none = scenario.is_deck and number not in DECK_CONTAINER_NODES
        count = 0 if has_none else scenario.containers_per_node
        node = _node(node_name(number), number, next(addresses), next(subnets), first_container, count)
        if number != _given_up(scenario):
            nodes.append(node)
        first_container += count
    return tuple(nodes)


def _given_up(scenario: Scenario) -> int | None:
    """The number of the node whose place an outside machine takes."""
    return DECK_OUTSIDE if scenario.is_deck and scenario.outside else None


def outside_name(number: int) -> str:
    """What the outside machine of a number, from 1 on, is called."""
    return f"outside-{number}"


def machine_names(scenario: Scenario) -> list[str]:
    """The names of all nodes and outside machines, whether or not there are addresses for them."""
    numbers = (number for number in range(1, scenario.node_count + 1) if number != _given_up(scenario))
    nodes = [node.name for node in scenario.kube_nodes] or map(node_name, numbers)
    return [*nodes, *map(outside_name, range(1, scenario.outside + 1))]


def others_of(scenario: Scenario, bridges: int = 0, have_leases: bool = False) -> tuple[tuple[Node, ...],
                                                                                     tuple[Node, ...]]:
    """The outside machines of a sound scenario, and ``bridges`` bridge machines. Bridge machines have a pod subnet of
    the overlay that runs on them; outside machines do if they ``have_leases``.

    Numbers go on after the nodes'. Raises ``UsageError`` where the networks have no room for so many.
    """
    blocks = IPv4Network(scenario.node_cidr).num_addresses // 256
    spare = islice(node_addresses(scenario.node_cidr), scenario.node_count, None)
    subnets = list(islice(pod_subnets(scenario), scenario.node_count + scenario.outside + bridges))

    def machine(name: str, number: int, block: int, index: int, leases: bool) -> Node:
        has_block = block < blocks
        address = str(IPv4Network(scenario.node_cidr)[block * 256 + index]) if has_block else next(spare, "")
        if not address or number > len(subnets):
            lacking = "--pod-cidr" if address else "--node-cidr"
            raise UsageError(f"{lacking} has no room for {name} besides {scenario.node_count} nodes")
        return _node(name, number, address, subnets[number - 1] if leases else None)

    outside, number = [], scenario.node_count
    for index in range(1, scenario.outside + 1):
        if _given_up(scenario) and index == 1:
            there = list(islice(node_addresses(scenario.node_cidr), DECK_OUTSIDE))[-1]
            lease = subnets[DECK_OUTSIDE - 1] if have_leases else None
            outside.append(_node(outside_name(index), DECK_OUTSIDE, there, lease))
            continue
        number += 1
        outside.append(machine(outside_name(index), number, OUTSIDE_BLOCK, index, have_leases))
    first = number + 1
    between = [machine(f"bridge-{index}", first + index - 1, BRIDGE_BLOCK, index, True)
               for index in range(1, bridges + 1)]
    return tuple(outside), tuple(between)


def node_name(number: int) -> str:
    """What the node of a number, from 1 on, is called."""
    return f"node-{letters(number)}"


def _node(name: str, number: int, address: str, subnet: IPv4Network | None, first_container: int = 1,
          containers: int = 0) -> Node:
    bridge, vtep = (str(subnet[1]), str(subnet[0])) if subnet else ("", "")
    return Node(
        name=name,
        number=number,
        address=address,
        mac=DECK_NODE_MACS[number - 1] if number <= len(DECK_NODE_MACS) else mac_of(address),
        pod_subnet=str(subnet or ""),
        bridge_address=bridge,
        bridge_mac=mac_of(bridge) if subnet else "",
        vtep_address=vtep,
        vtep_mac=mac_of(vtep) if subnet else "",
        containers=tuple(
            Container(
                name=f"ctr-{first_container + index}",
                node=name,
                address=str(subnet[FIRST_CONTAINER + index]),
                mac=mac_of(str(subnet[FIRST_CONTAINER + index])),
            )
            for index in range(containers)
            if subnet
        ),
    )
