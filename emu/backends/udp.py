"""A user-space tunnel on a TUN device called flannel0, as the deck's slides have it (flannel's ``udp``).

flannel's own daemon is long out of use; tinc 1.0 in router mode, which neither enciphers nor authenticates here, does
the same: packets out of flannel0 go to a program, which sends each in a UDP datagram to the program of the node whose
pod subnet it is for. A packet crosses from kernel to program and back once more at either end. (flannel's proxy takes
two off the TTL; this takes none.)

tinc finds out by TCP who is there and exchanges keys, though it uses none: packets of its first seconds are lost. News
of all nodes travels along these connections, so a daemon needs few: to the nodes 1, 2, 4, 8 ... before its own, and
without any one node the others are still connected. Packets go straight to the node they are for.

Entries per node: 1 route in the kernel, whatever the number of nodes; the program holds a subnet for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from emu.backends.base import (
    UNDERLAY,
    Backend,
    Peer,
    Plain,
    address_query,
    answering,
    link_query,
    outer_header,
    routes_query,
)
from emu.claims import Query
from emu.laws import ROUTES, Amounts, Growth
from emu.model import Address, Device, Node, Route, Scenario, Tunnel
from emu.packets import TINC_PORT, UDP
from emu.programs import Process, symbol

FOLDER = "/run/emu/tinc"
"""Of each lab its own, like all of its /run. All daemons share one key, which the first of them to start makes for a
host called lab; nothing else writes these files, since daemons that run read them again."""

_START = """set -e
cd "$1"
flock lock sh -c 'test -e hosts/lab || { mkdir hosts && echo Name = lab >tinc.conf && tincd -c . -K1024; }' </dev/null
exec tincd -c "$2" -D --pidfile="$2/pid"
"""


class UdpBackend(Plain):
    """See the module."""

    name = "udp"
    device_name = "flannel0"
    overhead_bytes = 46
    """Outer IPv4 20 and UDP 8, tinc's packet number 4, and an Ethernet header, 14, which tinc has even around what came
    out of a TUN device (tinc 1.0, ``net.h``: ``vpn_packet_t``; seen on the wire)."""
    source = "tinc 1.0: tinc.conf(5), net_packet.c; flannel pkg/backend/udp"
    law: Amounts = {ROUTES: Growth(1)}

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        return (Device(self.device_name, "tun", "", mtu, tunnel=Tunnel(UNDERLAY, node.address, port=TINC_PORT)),)

    def addresses(self, node: Node, scenario: Scenario) -> tuple[Address, ...]:
        return (Address(self.device_name, _last_address(node), int(scenario.pod_cidr.rpartition("/")[2])),)

    def routes(self, node: Node, scenario: Scenario) -> tuple[Route, ...]:
        return (Route(scenario.pod_cidr, self.device_name, source=_last_address(node)),)

    def peer(self, node: Node, other: Node) -> Peer:
        return Peer()

    def processes(self, node: Node, others: Sequence[Node], scenario: Scenario, mtu: int) -> tuple[Process, ...]:
        here = f"{FOLDER}/{symbol(node.name)}"
        earlier = [other for other in others if other.number < node.number]
        told = [other for other in earlier if (node.number - other.number).bit_count() == 1]
        lines = ("Mode = router", "Device = /dev/net/tun", "DeviceType = tun", f"Interface = {self.device_name}",
                 "AddressFamily = ipv4", f"PrivateKeyFile = {FOLDER}/rsa_key.priv",
                 *_PLAIN, f"Name = {symbol(node.name)}", *(f"ConnectTo = {symbol(other.name)}" for other in told))
        hosts = ((f"{here}/hosts/{symbol(member.name)}", _host(member)) for member in (node, *others))
        files = ((f"{here}/tinc.conf", "\n".join(lines) + "\n"), *hosts)
        return (Process(f"tinc-{node.name}", ("sh", "-c", _START, "sh", FOLDER, here), files,
                        ready=answering(map(_last_address, earlier)),
                        peers=tuple(other.address for other in others), needs=("tincd",)),)

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        return outer_header(node_a, node_b, UDP, udp_dport=TINC_PORT)

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        device, length = self.device_name, int(scenario.pod_cidr.rpartition("/")[2])
        return (
            link_query(node, device, scenario.mtu - self.overhead_bytes, info_kind="tun"),
            address_query(node, device, _last_address(node), length),
            routes_query(node, device, [{"dst": scenario.pod_cidr, "scope": "link"}]),
        )


_PLAIN = ("Cipher = none", "Digest = none", "Compression = 0", "PMTUDiscovery = no")


def _last_address(node: Node) -> str:
    """The last but one of a pod subnet: 10.0.1.254, as on the slides."""
    return str(IPv4Network(node.pod_subnet)[-2])


def _host(member: Node) -> str:
    lines = (f"Address = {member.address}", f"Subnet = {member.pod_subnet}", *_PLAIN,
             f"PublicKeyFile = {FOLDER}/hosts/lab")
    return "\n".join(lines) + "\n"


BACKEND: Backend = UdpBackend()
