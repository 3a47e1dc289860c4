"""The cluster at hand, from its own files: flannel's ``net-conf.json``, and what ``kubectl get nodes -o json`` prints.

Keys are read as Go's encoding/json reads them, in any case (flannel ``pkg/subnet/config.go``, ``pkg/backend/*``); those
that mean something which a lab does not have are refused, each with its file, and nothing is left out in silence.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

BACKENDS = {"vxlan": "vxlan", "udp": "udp", "host-gw": "hostgw", "wireguard": "wireguard", "ipip": "ipip"}
"""flannel's types, and what they are here: back ends of ``overlay``, but for ``host-gw``, a design of its own."""

LARGEST_VNI, LARGEST_PORT = 2**24 - 1, 65_535
LONGEST_SUBNET = 30
"""A node's pods and its own ends of bridge and tunnel need addresses (flannel ``pkg/subnet/config.go``)."""

SMALLEST_NODE_NETWORK = 24
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""A node's name is a DNS subdomain (RFC 1123)."""
_LONGEST_NAME = 63
Part = TypeVar("Part", dict[str, Any], list[Any])
_TAKEN = re.compile(r"(ctr|outside|bridge)-\d+|switch|gateway")
"""Names of a lab's own machines."""


@dataclass(frozen=True)
class Flannel:
    """What a ``net-conf.json`` says. ``direct_routing``: nodes on one link are routed to without the tunnel."""

    network: str
    subnet_length: int
    backend: str
    vni: int = 1
    port: int = 8472
    direct_routing: bool = False


@dataclass(frozen=True)
class KubeNode:
    """A node of a real cluster."""

    name: str
    address: str
    pod_subnet: str


def read_net_conf(path: Path) -> tuple[Flannel | None, list[str]]:
    """What is in a ``net-conf.json``, and every mistake in it; nothing where it has one."""
    document, problems = _read(path)
    if problems:
        return None, problems
    found = _Reader(f"{path}: ", document)
    network = found.network("network")
    length = found.number("subnetlen", _usual_length(network), 1, LONGEST_SUBNET)
    backend = found.mapping("backend")
    for key, allowed in (("enableipv4", True), ("enableipv6", False), ("enablenftables", False)):
        found.must_be(key, allowed)
    for key in ("subnetmin", "subnetmax"):
        found.refuse(key, "nodes have subnets from the second one on, in order")
    found.refuse("ipv6network", "labs are of IPv4")
    found.no_others()
    inner = _Reader(f"{path}: Backend: ", backend)
    kind = str(inner.take("type", "udp"))
    settings: dict[str, Any] = {}
    if kind not in BACKENDS:
        inner.problems.append(f"{inner.where}Type '{kind}' is not built; there are: {', '.join(BACKENDS)}")
    elif kind == "vxlan":
        settings = {"vni": inner.number("vni", 1, 1, LARGEST_VNI), "port": inner.number("port", 8472, 1, LARGEST_PORT),
                    "direct_routing": inner.truth("directrouting")}
        inner.must_be("learning", False)
        inner.must_be("gbp", False)
        inner.refuse("mtu", "--mtu says it of the underlay")
    inner.no_others()
    problems = found.problems + inner.problems
    if network and length < network.prefixlen + 2:
        problems.append(f"{path}: SubnetLen {length} leaves less than four subnets of {network}")
    if problems or network is None:
        return None, problems
    return Flannel(str(network), length, kind, **settings), []


def _usual_length(network: IPv4Network | None) -> int:
    """``CheckNetworkConfig``: /24 where the network has room for four of them, else a quarter of it."""
    return 24 if network is None or network.prefixlen <= 22 else min(network.prefixlen + 2, LONGEST_SUBNET)


def read_kube_nodes(path: Path) -> tuple[tuple[KubeNode, ...], list[str]]:
    """The nodes that ``kubectl get nodes -o json`` has printed, in its order, and every mistake; none where there is
    one."""
    document, problems = _read(path)
    items = document.get("items")
    if not problems and not isinstance(items, list):
        problems = [f"{path}: no list of nodes: what 'kubectl get nodes -o json' prints is wanted"]
    if problems or not isinstance(items, list):
        return (), problems
    nodes = [_node(path, number, item, problems) for number, item in enumerate(items, 1)]
    found = [node for node in nodes if node]
    for what, of in (("name", [n.name for n in found]), ("address", [n.address for n in found]),
                     ("podCIDR", [n.pod_subnet for n in found])):
        problems += [f"{path}: two nodes have the {what} {value}" for value, times in Counter(of).items() if times > 1]
    for a, b in pairwise(sorted(found, key=lambda node: IPv4Network(node.pod_subnet))):
        if a.pod_subnet != b.pod_subnet and IPv4Network(a.pod_subnet).overlaps(IPv4Network(b.pod_subnet)):
            problems.append(f"{path}: the podCIDRs of {a.name} and {b.name} overlap: {a.pod_subnet}, {b.pod_subnet}")
    if len(items) < 2:
        problems.append(f"{path}: {len(items)} nodes: a lab has 2 nodes or more")
    return (tuple(found) if not problems else ()), problems


def _node(path: Path, number: int, item: Any, problems: list[str]) -> KubeNode | None:
    meta, spec, status = (_within(item, key, dict) for key in ("metadata", "spec", "status"))
    name = str(meta.get("name", ""))
    where = f"{path}: node {name or number}: "
    listed = [each for each in _within(status, "addresses", list) if isinstance(each, dict)]
    addresses = [str(each.get("address", "")) for each in listed if each.get("type") == "InternalIP"]
    address = next((a for a in addresses if _is(IPv4Address, a)), "")
    pods = str(spec.get("podCIDR", ""))
    before = len(problems)
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        problems.append(f"{where}its name is no DNS name of at most {_LONGEST_NAME} characters")
    elif _TAKEN.fullmatch(name):
        problems.append(f"{where}a machine of the lab itself has this name")
    if not address:
        problems.append(f"{where}no InternalIP of IPv4")
    if not _is(IPv4Network, pods) or "/" not in pods:
        problems.append(f"{where}no podCIDR of IPv4 (spec.podCIDR)")
    elif IPv4Network(pods).prefixlen > LONGEST_SUBNET:
        problems.append(f"{where}its podCIDR {pods} is smaller than a /{LONGEST_SUBNET}")
    return KubeNode(name, address, pods) if len(problems) == before else None


def node_network(nodes: Sequence[KubeNode]) -> str:
    """The smallest network that has all nodes' addresses, neither first nor last, and none smaller than a /24."""
    numbers = [int(IPv4Address(node.address)) for node in nodes]
    network = _common(numbers, SMALLEST_NODE_NETWORK)
    while network.prefixlen and {int(network[0]), int(network[-1])} & set(numbers):
        network = network.supernet()
    return str(network)


def pod_network(nodes: Sequence[KubeNode]) -> str:
    """The smallest network that all nodes' pod subnets are in, and that has room for three more."""
    subnets = [IPv4Network(node.pod_subnet) for node in nodes]
    numbers = [int(end) for subnet in subnets for end in (subnet[0], subnet[-1])]
    return str(_common(numbers, max(0, min(subnet.prefixlen for subnet in subnets) - 2)))


def _common(numbers: Sequence[int], longest: int) -> IPv4Network:
    """The smallest network of all these addresses, with a prefix of at most ``longest`` bits."""
    shared = 32 - (min(numbers) ^ max(numbers)).bit_length()
    return IPv4Network((numbers[0], min(shared, longest)), strict=False)


def _within(item: Any, key: str, kind: type[Part]) -> Part:
    """What a JSON object has by a key; empty where it has nothing of that kind."""
    value = item.get(key) if isinstance(item, dict) else None
    return value if isinstance(value, kind) else kind()


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, [f"{path}: {error.strerror}"]
    except ValueError as error:
        return {}, [f"{path}: no JSON: {error}"]
    return (document, []) if isinstance(document, dict) else ({}, [f"{path}: no JSON object"])


def _is(kind: Callable[[str], object], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


class _Reader:
    """Takes keys out of a JSON object, and keeps what is wrong with them."""

    def __init__(self, where: str, document: Mapping[str, Any]) -> None:
        self.where, self.problems = where, list[str]()
        self._names = {key.lower(): key for key in document}
        self._rest = {key.lower(): value for key, value in document.items()}

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is done with."""
        return self._rest.pop(key, default)

    def _name(self, key: str) -> str:
        return self._names.get(key, key)

    def network(self, key: str) -> IPv4Network | None:
        """An IPv4 network that must be there."""
        value = self.take(key)
        if value is None or not _is(IPv4Network, str(value)):
            self.problems.append(f"{self.where}{self._name(key).capitalize()} is no IPv4 network: {value!r}")
            return None
        return IPv4Network(str(value))

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number; 0 stands for the default, as in flannel."""
        value = self.take(key, default) or default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.problems.append(f"{self.where}{self._name(key)} {value!r}: between {least} and {most}")
            return default
        return value

    def truth(self, key: str) -> bool:
        """True or false."""
        value = self.take(key, False)
        if not isinstance(value, bool):
            self.problems.append(f"{self.where}{self._name(key)} {value!r}: true or false")
        return value is True

    def mapping(self, key: str) -> Mapping[str, Any]:
        """An object within; empty where there is none."""
        value = self.take(key, {})
        if isinstance(value, dict):
            return value
        self.problems.append(f"{self.where}{self._name(key)} is no JSON object")
        return {}

    def must_be(self, key: str, only: bool) -> None:
        """Refuse any value but one."""
        value = self.take(key, only)
        if value is not only:
            self.problems.append(f"{self.where}{self._name(key)} {json.dumps(value)} is not built")

    def refuse(self, key: str, why: str) -> None:
        """Refuse a key."""
        if self.take(key) is not None:
            self.problems.append(f"{self.where}{self._name(key)} is not built: {why}")

    def no_others(self) -> None:
        """Refuse what is left."""
        self.problems += [f"{self.where}unknown key {self._name(key)}" for key in self._rest]
