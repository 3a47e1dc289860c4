"""WireGuard (NDSS 2017): every packet enciphered and authenticated, as flannel's ``wireguard`` has it.

The kernel's, or wireguard-go where the kernel has none: the plan is the same. What comes out of the tunnel must be from
an address that belongs to the peer who sealed it ("cryptokey routing"), which are its pod subnet and, so that nodes can
answer pods from their own address, its own. (flannel has the pod subnet alone, and masquerades.)

Keys follow from the scenario's seed: they are for labs, and protect nothing.

Entries per node: 1 route in the kernel, whatever the number of nodes; the device holds a peer for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from emu.flannel import Flannel
from emu.keys import pair
from emu.laws import ROUTES, Amounts, Growth
from emu.model import Device, Node, Route, Scenario, Tunnel, host_route
from emu.packets import UDP, WIREGUARD_DATA, WIREGUARD_PORT
from emu.programs import Process

FOLDER = "/run/emu/wireguard"
_START = """if ip -d link show dev "$1" | grep -q '^    wireguard'; then wg setconf "$1" "$2" && exec sleep infinity; fi
mkdir -p /run/wireguard
mount -t tmpfs none /run/wireguard
{ until grep -q " 00010000 .*/wireguard/$1.sock$" /proc/net/unix; do kill -0 $$ || exit; sleep 0.02; done
  wg setconf "$1" "$2" && ip link set dev "$1" mtu "$3" || kill $$; } &
exec wireguard-go -f "$1"
"""
"""The kernel's device takes its configuration at once. wireguard-go is told by a socket that it names after the device,
so that each has a /run/wireguard of its own; wg removes a socket that does not listen yet (00010000: it does). It sets
another MTU when it starts. It takes the shell's place, so that its CPU time is the started process's."""


OVERHEAD_BYTES, FLANNEL_OVERHEAD_BYTES = 60, 80
"""Outer IPv4 20, UDP 8, and around the packet 32: header 16, tag 16. It is filled up to a multiple of 16, but never
beyond the MTU (``drivers/net/wireguard/send.c``, ``calculate_skb_padding``). flannel reckons with IPv6 outside: 80.
"""


class WireguardBackend(Plain):
    """See the module."""

    name = "wireguard"
    device_name = "flannel-wg"
    source = "flannel pkg/backend/wireguard: device.go, wireguard_network.go"
    law: Amounts = {ROUTES: Growth(1)}
    sealed = True
    only_own = True

    def __init__(self, overhead_bytes: int = OVERHEAD_BYTES) -> None:
        self.overhead_bytes = overhead_bytes

    def configured(self, flannel: Flannel) -> Backend:
        return WireguardBackend(FLANNEL_OVERHEAD_BYTES)

    def devices(self, node: Node, mtu: int) -> tuple[Device, ...]:
        tunnel = Tunnel(UNDERLAY, node.address, port=WIREGUARD_PORT)
        return (Device(self.device_name, "wireguard", "", mtu, tunnel=tunnel),)

    def routes(self, node: Node, scenario: Scenario) -> tuple[Route, ...]:
        return (Route(scenario.pod_cidr, self.device_name),)

    def peer(self, node: Node, other: Node) -> Peer:
        return Peer()

    def processes(self, node: Node, others: Sequence[Node], scenario: Scenario, mtu: int) -> tuple[Process, ...]:
        path = f"{FOLDER}/{node.name}.conf"
        private, _ = pair(scenario.seed, node.name)
        peers = "".join(f"[Peer]\nPublicKey = {pair(scenario.seed, other.name)[1]}\n"
                        f"Endpoint = {other.address}:{WIREGUARD_PORT}\n"
                        f"AllowedIPs = {other.pod_subnet}, {host_route(other.address)}\n" for other in others)
        config = f"[Interface]\nPrivateKey = {private}\nListenPort = {WIREGUARD_PORT}\n{peers}"
        argv = ("unshare", "--mount", "sh", "-c", _START, "sh", self.device_name, path, str(mtu))
        ready = answering(other.vtep_address for other in others if other.number < node.number)
        return (Process(f"wireguard-{node.name}", argv, ((path, config),), ready=ready, needs=("wg",)),)

    def outer(self, node_a: Node, node_b: Node) -> Mapping[str, object]:
        return outer_header(node_a, node_b, UDP, udp_dport=WIREGUARD_PORT, wg_type=WIREGUARD_DATA)

    def state(self, node: Node, others: Sequence[Node], scenario: Scenario) -> tuple[Query, ...]:
        device = self.device_name
        return (
            link_query(node, device, scenario.mtu - self.overhead_bytes),
            address_query(node, device, node.vtep_address),
            routes_query(node, device, [{"dst": scenario.pod_cidr, "scope": "link"}]),
        )


BACKEND: Backend = WireguardBackend()
