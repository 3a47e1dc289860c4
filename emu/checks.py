"""Every invariant of a scenario and of a plan. Each function returns all problems at once, none raises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

from emu.addressing import (
    FIRST_CONTAINER,
    INTERFACE_NAME_LENGTH,
    RESERVED_AT_END,
    machine_names,
    node_addresses,
    pod_subnet_prefix,
    pod_subnets,
)
from emu.flannel import node_network, pod_network
from emu.model import Plan, Scenario, Shape, contains

SMALLEST_MTU, LARGEST_MTU = 576, 65_000
"""RFC 791's smallest datagram every host must take, and what a veth device and its encapsulation can carry."""

SMALLEST_BW, LARGEST_BW = 0.01, 34_359.0
"""Mbit/s: a frame of 1,500 bytes takes 1.2 s at the least; a tc rate is 32 bits of bytes a second at the most
(``struct tc_ratespec`` in ``include/uapi/linux/pkt_sched.h``)."""

LARGEST_DELAY_MS = 500.0
"""A round trip crosses four links, and ARP gives up after three requests, one a second (``net/ipv4/arp.c``)."""

MOST_OUTSIDE = 99
"""A port of the switch is called after its machine, in 15 characters: outside-99-eth0."""

LARGEST_SUBNET_BITS = 16
DECK_POD_PREFIX, DECK_SUBNET_PREFIX = 16, 24
NOT_FOR_MACHINES = tuple(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))
"""This network, loopback, multicast and reserved (RFC 6890): the kernel refuses them as addresses or next hops."""


def scenario_problems(scenario: Scenario) -> list[tuple[str, str]]:
    """Everything wrong with a scenario: the field it is about and the mistake in words; empty if it is sound."""
    problems: list[tuple[str, str]] = []
    if scenario.node_count < 2:
        problems.append(("nodes", f"--nodes {scenario.node_count}: a lab has 2 nodes or more"))
    if scenario.containers_per_node < 0:
        problems.append(("containers", f"--containers {scenario.containers_per_node}: 0 or more"))
    if not SMALLEST_MTU <= scenario.mtu <= LARGEST_MTU:
        problems.append(("mtu", f"--mtu {scenario.mtu}: between {SMALLEST_MTU} and {LARGEST_MTU} bytes"))
    if not 0 <= scenario.outside <= MOST_OUTSIDE:
        problems.append(("outside", f"--outside {scenario.outside}: between 0 and {MOST_OUTSIDE} machines"))
    if scenario.seed < 0:
        problems.append(("seed", f"--seed {scenario.seed}: 0 or more"))
    problems += _links_problems(scenario)
    pods = _network("pod_cidr", scenario, problems)
    nodes = _network("node_cidr", scenario, problems)
    problems += _cluster_problems(scenario, pods, nodes)
    if pods and nodes and pods.overlaps(nodes):
        both = " and ".join(_called(scenario, field) for field in ("pod_cidr", "node_cidr"))
        problems.append(("pod_cidr", f"{both} overlap"))
    if nodes and scenario.node_count >= 2 and not scenario.kube_nodes:
        room = sum(1 for _ in islice(node_addresses(str(nodes)), scenario.node_count))
        if room < scenario.node_count:
            problems.append(("node_cidr", f"--node-cidr {nodes} has room for {room} nodes, not {scenario.node_count}"))
    if pods and scenario.containers_per_node >= 0 and scenario.node_count >= 2 and not scenario.kube_nodes:
        problems += _pod_problems(scenario, pods)
    return problems


def _pods_in(prefix_length: int) -> int:
    """How many containers a pod subnet has addresses for."""
    return max(0, (1 << (32 - prefix_length)) - FIRST_CONTAINER - RESERVED_AT_END)


def _cluster_problems(
    scenario: Scenario, pods: IPv4Network | None, nodes: IPv4Network | None
) -> list[tuple[str, str]]:
    """What of a real cluster's nodes does not fit the rest."""
    count = scenario.containers_per_node
    problems = []
    if scenario.kube_nodes and scenario.outside:
        problems.append(("outside", "--outside does not go with --kube-nodes"))
    for node in scenario.kube_nodes:
        subnet, where = IPv4Network(node.pod_subnet), f"--kube-nodes: {node.name}: "
        if pods and not subnet.subnet_of(pods):
            problems.append(("kube_nodes", f"{where}its pods, {subnet}, are not in {pods}"))
        if nodes and IPv4Address(node.address) not in nodes:
            problems.append(("kube_nodes", f"{where}its address, {node.address}, is not in {nodes}"))
        if count > _pods_in(subnet.prefixlen):
            problems.append(_too_small(scenario, subnet.prefixlen, f"{where}its pod subnet, {subnet},",
                                       f"{subnet} of {node.name}"))
    return problems


def _too_small(scenario: Scenario, prefix_length: int, unasked: str, asked: str) -> tuple[str, str]:
    """What a file's pod subnet has no room for: containers that nobody has asked for, or that somebody has."""
    count, room = scenario.containers_per_node, _pods_in(prefix_length)
    if scenario.containers is None:
        return "containers", (f"{unasked} has room for {room} container{'' if room == 1 else 's'}, {count} wanted:"
                              " see --containers")
    return "containers", f"--containers {count}: {asked} has room for {room}"


def _links_problems(scenario: Scenario) -> list[tuple[str, str]]:
    """Everything wrong with what is asked of all links and, beyond that, of some."""
    problems = _link_problems(scenario.shape_of(""))
    machines = machine_names(scenario)
    for name in scenario.links:
        own = [problem for problem in _link_problems(scenario.shape_of(name)) if problem not in problems]
        problems = problems + [("links", f"--links {name}: {text.removeprefix('--')}") for _, text in own]
        if name not in machines:
            problems.append(("links", f"--links: there is no node '{name}', nor an outside machine"))
    return problems


def _link_problems(shape: Shape) -> list[tuple[str, str]]:
    """Everything that no link can be. (Written so that a value that is no number at all, NaN, is refused.)"""
    problems = []
    if shape.bw is not None and not SMALLEST_BW <= shape.bw <= LARGEST_BW:
        problems.append(("bw", f"--bw {shape.bw:g}: between {SMALLEST_BW:g} and {LARGEST_BW:.0f} Mbit/s"))
    if not 0 <= shape.delay <= LARGEST_DELAY_MS:
        problems.append(("delay", f"--delay {shape.delay:g}: between 0 and {LARGEST_DELAY_MS:g} ms; beyond, ARP would"
                                  " give up on an answer"))
    if not shape.jitter >= 0:
        problems.append(("jitter", f"--jitter {shape.jitter:g}: 0 ms or more"))
    elif shape.jitter > max(shape.delay, 0):
        problems.append(("jitter", f"--jitter {shape.jitter:g} is more than --delay {shape.delay:g}: no frame arrives"
                                   " before it is sent"))
    if not 0 <= shape.loss <= 100:
        problems.append(("loss", f"--loss {shape.loss:g}: between 0 and 100 percent"))
    return problems


def _network(field: str, scenario: Scenario, problems: list[tuple[str, str]]) -> IPv4Network | None:
    try:
        network = IPv4Network(getattr(scenario, field))
    except ValueError as error:
        problems.append((field, f"{_called(scenario, field)}: {error}"))
        return None
    reserved = next((kept for kept in NOT_FOR_MACHINES if network.overlaps(kept)), None)
    if reserved:
        problems.append((field, f"{_called(scenario, field)}: no machine can have an address of {reserved}"))
        return None
    return network


def _called(scenario: Scenario, field: str) -> str:
    """A network in the words of who asked for it: the option's, or those of the file that it follows from."""
    cidr, nodes = getattr(scenario, field), scenario.kube_nodes
    if field == "pod_cidr" and scenario.flannel:
        return f"--flannel: Network {cidr}"
    if field == "pod_cidr" and nodes and cidr == pod_network(nodes):
        subnets = sorted(IPv4Network(node.pod_subnet) for node in nodes)
        return f"--kube-nodes: {cidr}, the smallest network of all pod subnets, {subnets[0]} to {subnets[-1]}"
    if field == "node_cidr" and nodes and cidr == node_network(nodes):
        addresses = sorted(IPv4Address(node.address) for node in nodes)
        return f"--kube-nodes: {cidr}, the smallest network of all nodes' addresses, {addresses[0]} to {addresses[-1]}"
    return f"--{field.replace('_', '-')} {cidr}"


def _pod_problems(scenario: Scenario, pods: IPv4Network) -> list[tuple[str, str]]:
    count = scenario.containers_per_node
    prefix = pod_subnet_prefix(count)
    if 32 - prefix > LARGEST_SUBNET_BITS:
        return [("containers", f"--containers {count}: at most {_pods_in(32 - LARGEST_SUBNET_BITS)} on a node")]
    if scenario.flannel and count > _pods_in(scenario.flannel.subnet_length):
        subnet = f"a subnet of /{scenario.flannel.subnet_length}"
        return [_too_small(scenario, scenario.flannel.subnet_length, f"--flannel: {subnet}", subnet)]
    room = sum(1 for _ in islice(pod_subnets(scenario), scenario.node_count))
    # The deck numbers a node's pods 10.0.X.0/24. Larger pod subnets are for networks wider than the deck's.
    if room < scenario.node_count or (prefix < DECK_SUBNET_PREFIX and pods.prefixlen >= DECK_POD_PREFIX):
        return [("pod_cidr", f"{_called(scenario, 'pod_cidr')} is too small for {scenario.node_count} nodes with"
                             f" {count} containers each: a wider one is needed")]
    return []


def plan_problems(plan: Plan) -> list[str]:
    """Everything inconsistent in a plan; empty for every plan a sound design makes."""
    problems = [f"the name {name} is used twice" for name in _twice(m.name for m in plan.machines)]
    problems += [f"the address {a} is used twice" for a in _twice(m.address for m in plan.machines)]
    ports = [*plan.switch.ports, *((plan.switch.own,) if plan.switch.own else ())]
    problems += [f"switch port {n} is used twice" for n in _twice(p.number for p in ports)]
    problems += [f"switch device {d} is used twice" for d in _twice(p.device for p in ports)]
    # They share a /run. A daemon may read its files again at any time: another's start must not write them anew.
    files = [path for m in plan.machines for process in m.processes for path, _ in process.files]
    problems += [f"two processes bring the file {path}" for path in _twice(files)]
    names = [port.device for port in plan.switch.ports]
    for machine in plan.machines:
        devices = {device.name for device in machine.devices}
        names += devices
        problems += [f"{machine.name}: two devices {d}" for d in _twice(d.name for d in machine.devices)]
        users: set[str] = set()
        for entries in (machine.addresses, machine.routes, machine.neighbors, machine.fdb):
            users.update(entry.device for entry in entries)
        for item in machine.filters:
            users.update({item.came_by, item.came_not_by, item.leaves_by} - {""})
        problems += [f"{machine.name}: no device {d}" for d in sorted(users - devices)]
        own = {address.address for address in machine.addresses}
        if machine.address not in own:
            problems.append(f"{machine.name}: {machine.address} is on none of its devices")
    problems += [
        f"the interface name {name} is longer than {INTERFACE_NAME_LENGTH} characters"
        for name in sorted({name for name in names if len(name) > INTERFACE_NAME_LENGTH})
    ]
    problems += [f"the MAC {mac} is on two stations" for mac in _twice(s.mac for s in plan.control.stations)]
    if plan.control.proxy_arp:
        networks = plan.control.proxy_arp.networks
        problems += [
            f"proxy ARP answers for {binding.ip}, outside of {', '.join(networks)}"
            for binding in plan.control.proxy_arp.bindings
            if not any(contains(network, binding.ip) for network in networks)
        ]
    if plan.control.gateway:
        gateway = plan.control.gateway.ip
        problems += [f"the gateway's address, {gateway}, is {m.name}'s" for m in plan.machines if m.address == gateway]
        excess = sorted({egress.mtu for egress in plan.control.gateway.egress_mtus if egress.mtu > plan.switch.mtu})
        problems += [f"egress_mtu={mtu} is more than a link carries, {plan.switch.mtu} bytes" for mtu in excess]
    return problems


def machine_wide_problems(plan: Plan) -> list[str]:
    """Why a plan cannot be made real on the machine's own Open vSwitch; empty if it can."""
    if plan.switch.own:
        daemons = ", ".join(process.name for process in plan.switch.own.processes)
        return [f"{plan.spec} runs {daemons} beside the switch, which would write to this machine's own routing table:"
                " emu up has it in a lab of its own"]
    return []


def _twice(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]
