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

_KEYS_OF_UNBUILT = ("udpencap", "espproposal", "prestartupcommand", "poststartupcommand", "subnetaddcommand",
                    "subnetremovecommand", "accesskeyid", "accesskeysecret")
"""Those of flannel's other types, ``ipsec``, ``extension`` and ``tencent-vpc``, that no type here has."""
_NO_IPV6 = "labs are of IPv4"

LARGEST_VNI, LARGEST_PORT = 2**24 - 1, 65_535
LONGEST_SUBNET = 30
"""A node's pods and its own ends of bridge and tunnel need addresses (flannel ``pkg/subnet/config.go``)."""

SMALLEST_NODE_NETWORK = 24
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""A node's name is a DNS subdomain (RFC 1123)."""
_LONGEST_NAME = 63
Part = TypeVar("Part", dict[str, Any], list[Any], str)
_TAKEN = re.compile(r"(ctr|outside|bridge)-\d+|switch|gateway")
"""Names of a lab's own machines."""
_ANNOTATION = "flannel.alpha.coreos.com/"
_PUBLIC_ADDRESSES = ("public-ip", "public-ip-overwrite", "node-public-ip")
"""Annotations with a node's address. Other nodes read the first (flannel ``pkg/subnet/kube/kube.go``, ``nodeToLease``),
which its own flannel writes when it starts: the second where that is there (``AcquireLease``), else the third
(``GetStoredPublicIP``), else the address of its interface."""
_CIDR = re.compile(r"[0-9.]+/[0-9]{1,2}")


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
    length = found.number("subnetlen", _usual_length(network), 1, LONGEST_SUBNET, zero_too=True)
    inner = _Reader(f"{path}: Backend: ", found.mapping("backend", {"Type": "udp"}))
    for key, allowed in (("enableipv4", True), ("enableipv6", False), ("enablenftables", False)):
        found.must_be(key, allowed)
    for key, usual in zip(("subnetmin", "subnetmax"), _usual_range(network, length), strict=True):
        found.must_be(key, "0.0.0.0", usual, why="nodes have subnets from the second one on, in order")
    found.must_be("ipv6subnetlen", 0, 64, why=_NO_IPV6)
    for key in ("ipv6network", "ipv6subnetmin", "ipv6subnetmax"):
        found.refuse(key, _NO_IPV6)
    found.no_others()
    kind, settings = _backend(inner)
    problems = found.problems + inner.problems
    if network and length < network.prefixlen + 2:
        problems.append(f"{path}: SubnetLen {length} leaves less than four subnets of {network}")
    if problems or network is None:
        return None, problems
    return Flannel(str(network), length, kind, **settings), []


def _backend(inner: _Reader) -> tuple[str, dict[str, Any]]:
    """Type and settings of a back end, with what is wrong left in the reader. The keys of no type that is built are
    judged as whatever type knows them: a mistyped Type is one mistake."""
    given = inner.take("type")
    kind = given.lower() if isinstance(given, str) else ""  # flannel pkg/backend/manager.go, GetBackend
    if given is None or given == "":
        inner.problems.append(f"{inner.where}no Type: flannel takes udp only where there is no Backend at all")
    elif kind not in BACKENDS:
        inner.problems.append(f"{inner.where}Type {_shown(given)} is not built; there are: {', '.join(BACKENDS)}")
    settings: dict[str, Any] = {}
    for name, judge in _SETTINGS.items():
        if kind == name or kind not in BACKENDS:
            settings |= judge(inner)
    if kind not in BACKENDS:
        for key in _KEYS_OF_UNBUILT:
            inner.take(key)
    inner.no_others()
    return kind, settings


def _vxlan(inner: _Reader) -> dict[str, Any]:
    """``pkg/backend/vxlan/vxlan.go``, ``parseVXLANConfig``. A port of 0 is not handed on to the kernel, whose own is
    8472; a VNI of 0 is."""
    settings = {"vni": inner.number("vni", 1, 1, LARGEST_VNI),
                "port": inner.number("port", 8472, 1, LARGEST_PORT, zero_too=True),
                "direct_routing": inner.truth("directrouting")}
    inner.must_be("learning", False)
    inner.must_be("gbp", False)
    inner.refuse("mtu", "--mtu says it of the underlay")
    return settings


def _udp(inner: _Reader) -> dict[str, Any]:
    """``pkg/backend/udp/udp_amd64.go``."""
    inner.must_be("port", 8285, why="it is of flannel's own protocol; a lab's udp is tinc's, at a port of its own")
    return {}


def _wireguard(inner: _Reader) -> dict[str, Any]:
    """``pkg/backend/wireguard/wireguard.go``."""
    inner.must_be("listenport", 51820, why="nodes listen at 51820")
    inner.must_be("listenportv6", 51821, why=_NO_IPV6)
    inner.must_be("mode", "separate", why=_NO_IPV6)
    inner.must_be("persistentkeepaliveinterval", 0, why="no packets but those asked for")
    inner.refuse("psk", "a lab's keys follow from its seed", but="")
    inner.refuse("mtu", "--mtu says it of the underlay")
    return {}


def _ipip(inner: _Reader) -> dict[str, Any]:
    """``pkg/backend/ipip/ipip.go``."""
    return {"direct_routing": inner.truth("directrouting")}


_SETTINGS: Mapping[str, Callable[[_Reader], dict[str, Any]]] = {"vxlan": _vxlan, "udp": _udp, "wireguard": _wireguard,
                                                              "ipip": _ipip}
"""The types that have settings, and what judges them. What one has judged, the next does not see."""


def _usual_range(network: IPv4Network | None, length: int) -> tuple[str | None, str | None]:
    """``CheckNetworkConfig``: nodes' subnets begin with the second one and end with the last."""
    size = 1 << (32 - length)
    return (str(network[size]), str(network[-size])) if network and length > network.prefixlen else (None, None)


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
        problems.append(f"{path}: {len(items)} node{'' if len(items) == 1 else 's'}: a lab has 2 nodes or more")
    return (tuple(found) if not problems else ()), problems


def _node(path: Path, number: int, item: Any, problems: list[str]) -> KubeNode | None:
    name = _within(_within(item, "metadata", dict), "name", str)
    where = f"{path}: node {name or number}: "
    before = len(problems)
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        problems.append(f"{where}its name is no DNS name of at most {_LONGEST_NAME} characters")
    elif _TAKEN.fullmatch(name):
        problems.append(f"{where}a machine of the lab itself has this name")
    address = _address(item, where, problems)
    pods = _pod_subnet(_within(item, "spec", dict), where, problems)
    return KubeNode(name, address, pods) if len(problems) == before else None


def _address(item: Any, where: str, problems: list[str]) -> str:
    """The address by which other nodes know a node: flannel's own annotation, and the InternalIP where there is none
    yet."""
    annotations = _within(_within(item, "metadata", dict), "annotations", dict)
    key = next((key for key in _PUBLIC_ADDRESSES if annotations.get(_ANNOTATION + key)), "")
    if key:
        address = _within(annotations, _ANNOTATION + key, str)
        if not _is(IPv4Address, address):
            problems.append(f"{where}its annotation {key} is no IPv4 address{_quoted([address])}")
        return address
    listed = [each for each in _within(_within(item, "status", dict), "addresses", list) if isinstance(each, dict)]
    internal = [_within(each, "address", str) for each in listed if each.get("type") == "InternalIP"]
    found = next((address for address in internal if _is(IPv4Address, address)), "")
    if not found:
        problems.append(f"{where}no InternalIP of IPv4{_quoted(internal)}")
    return found


def _pod_subnet(spec: Mapping[str, Any], where: str, problems: list[str]) -> str:
    """flannel ``pkg/subnet/kube/kube.go``, ``nodeToLease``: of the list, where it is not empty, the first of IPv4."""
    listed = _within(spec, "podCIDRs", list)
    key = "podCIDRs" if listed else "podCIDR"
    texts = [text for text in listed or [spec.get(key)] if isinstance(text, str)]
    found = next((network for network in map(_network, texts) if network), None)
    if len(listed) > 2:
        problems.append(f"{where}{len(listed)} podCIDRs, of which flannel takes at most one of IPv4 and one of IPv6")
    elif found is None:
        problems.append(f"{where}no podCIDR of IPv4 (spec.{key}){_quoted(texts)}")
    elif found.prefixlen > LONGEST_SUBNET:
        problems.append(f"{where}its podCIDR {found} is smaller than a /{LONGEST_SUBNET}")
    return str(found or "")


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
    except (ValueError, RecursionError) as error:
        return {}, [f"{path}: no JSON: {error}"]
    return (document, []) if isinstance(document, dict) else ({}, [f"{path}: no JSON object"])


def _is(kind: Callable[[str], object], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _network(text: str) -> IPv4Network | None:
    """A network as Go's ``net.ParseCIDR`` reads it: with a length, and bits beyond that set to 0 (flannel
    ``pkg/ip/ipnet.go``, ``UnmarshalJSON``)."""
    try:
        return IPv4Network(text, strict=False) if _CIDR.fullmatch(text) else None
    except ValueError:
        return None


def _quoted(texts: Sequence[str]) -> str:
    """What was found in place of something better; nothing where nothing was."""
    found = [repr(text) for text in texts if text]
    return f": {', '.join(found)}" if found else ""


def _shown(value: Any) -> str:
    """A value of a JSON file, in a line; what is in an object or a list is left out."""
    if value and isinstance(value, dict | list):
        return "{...}" if isinstance(value, dict) else "[...]"
    return repr(value) if isinstance(value, str) else json.dumps(value)


class _Reader:
    """Takes keys out of a JSON object, and keeps what is wrong with them."""

    def __init__(self, where: str, document: Mapping[str, Any]) -> None:
        self.where, self.problems = where, list[str]()
        self._names = {key.lower(): key for key in document}
        self._rest = {key.lower(): value for key, value in document.items()}
        for key, times in Counter(map(str.lower, document)).items():
            if times > 1:
                same = " and ".join(name for name in document if name.lower() == key)
                self.problems.append(f"{where}{same}: one key, given {times} times")

    def take(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is done with."""
        return self._rest.pop(key, default)

    def _tell(self, key: str, what: str) -> None:
        self.problems.append(f"{self.where}{self._names.get(key, key.capitalize())}{what}")

    def network(self, key: str) -> IPv4Network | None:
        """An IPv4 network that must be there."""
        value = self.take(key)
        found = _network(value) if isinstance(value, str) else None
        if found is None:
            self._tell(key, f" is no IPv4 network: {_shown(value)}" if value is not None else " is not there")
        return found

    def number(self, key: str, default: int, least: int, most: int, zero_too: bool = False) -> int:
        """A whole number. ``null`` stands for the default, as it does to Go, and with ``zero_too`` 0, as to flannel."""
        value = self.take(key)
        if value is None or (zero_too and _is_number(value) and value == 0):
            return default
        if not _is_number(value) or not least <= value <= most:
            self._tell(key, f" {_shown(value)}: between {least} and {most}"
                            f"{', and 0 is not the default to flannel' if value == 0 and _is_number(value) else ''}")
            return default
        return int(value)

    def truth(self, key: str) -> bool:
        """True or false; ``null`` is false, as it is to Go."""
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            self._tell(key, f" {_shown(value)}: true or false")
        return value is True

    def mapping(self, key: str, default: Mapping[str, Any]) -> Mapping[str, Any]:
        """An object within; ``null`` is an empty one, which is not the default."""
        value = self.take(key, default)
        if value is None or isinstance(value, dict):
            return value or {}
        self._tell(key, " is no JSON object")
        return default

    def must_be(self, key: str, *allowed: Any, why: str = "") -> None:
        """Refuse any value but the usual ones."""
        value = self.take(key)
        if value is not None and not any(value == each and type(value) is type(each) for each in allowed):
            self._tell(key, f" {_shown(value)} is not built{f': {why}' if why else ''}")

    def refuse(self, key: str, why: str, but: Any = None) -> None:
        """Refuse a key, without showing its value."""
        value = self.take(key)
        if value is not None and value != but:
            self._tell(key, f" is not built: {why}")

    def no_others(self) -> None:
        """Refuse what is left."""
        self.problems += [f"{self.where}unknown key {self._names[key]}" for key in self._rest]
