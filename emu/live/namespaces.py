"""A plan's namespaces, devices, addresses and tables, made by netlink from one process.

A process of its own for each ``ip`` command costs some 7 ms; a netlink message about a tenth of one.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from emu.errors import LabError
from emu.live.linux import MS_BIND, NAMESPACE_FOLDER, mount, network_namespace, new_network_namespace
from emu.live.process import run
from emu.model import INITIAL_TTL, Device, FdbEntry, Machine, Neighbor, OwnPort, Plan, Route

_LINK_SCOPE, _GLOBAL_SCOPE, _BOOT_PROTOCOL = 253, 0, 3
_NO_PREFIX_ROUTE = 0x200
PERMANENT, _NO_ARP, _FAILED = 0x80, 0x40, 0x20
_RTNH_F_ONLINK = 4
_NTF_MASTER = 4
_LOCAL_TABLE, _UNICAST, _CLONED = 255, 1, 0x200  # RT_TABLE_LOCAL, RTN_UNICAST, RTM_F_CLONED

# RTAX_CC_ALGO is 16 in include/uapi/linux/rtnetlink.h; pyroute2 0.7 ends at 15.
rtmsg.metrics.nla_map = (*rtmsg.metrics.nla_map, ("RTAX_CC_ALGO", "asciiz"))

_SIOCETHTOOL = 0x8946
_TUNSETIFF, _TUNSETPERSIST, _IFF_TUN = 0x400454CA, 0x400454CB, 0x0001  # include/uapi/linux/if_tun.h
OFFLOADS = {"tso": (0x1E, 0x1F), "gso": (0x23, 0x24), "gro": (0x2B, 0x2C), "tx": (0x16, 0x17)}
"""ETHTOOL_G* and ETHTOOL_S* numbers (``include/uapi/linux/ethtool.h``), segmentation before the checksums it needs."""


class Namespace:
    """One network namespace, the netlink socket in it and what it is called."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        with network_namespace(descriptor):
            self.route = IPRoute()
            self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._index: dict[str, int] = {}

    def index(self, device: str) -> int:
        """The interface index of a device here; ``LookupError`` if there is none."""
        if device not in self._index:
            found = self.route.link_lookup(ifname=device)
            if not found:
                raise LookupError(f"{self.name} has no device {device}")
            self._index[device] = found[0]
        return self._index[device]

    def ip(self, *words: str) -> None:
        """Have iproute2 do here what pyroute2 has no words for; ``LabError`` with what it complains of."""
        with network_namespace(self.descriptor):
            run(("ip", *words))

    def put_neighbor(self, command: str, neighbor: Neighbor) -> None:
        """``replace`` or ``del`` a neighbor that is there for ever."""
        self.route.neigh(command, ifindex=self.index(neighbor.device), dst=neighbor.address, lladdr=neighbor.mac,
                         state=PERMANENT)

    def put_fdb(self, command: str, entry: FdbEntry) -> None:
        """``append`` or ``del`` an entry of a tunnel device."""
        self.route.fdb(command, ifindex=self.index(entry.device), lladdr=entry.mac, dst=entry.destination)

    def put_route(self, command: str, route: Route) -> None:
        """``add``, ``replace`` or ``del`` a route."""
        if not route.encap:
            self.route.route(command, **route_fields(self, route))
            return
        vni = ("id", str(route.encap.vni)) if route.encap.vni else ()
        via = ("via", route.via) if route.via else ()
        flags = ("onlink",) if route.onlink else ()
        metrics = ("congctl", route.congctl) if route.congctl else ()
        self.ip("route", command, route.destination, "encap", "ip", *vni, "dst", route.encap.destination, "ttl",
                str(INITIAL_TTL), *via, "dev", route.device, *flags, *metrics)

    def set_sysctls(self, sysctls: Iterable[tuple[str, str]]) -> None:
        """Write sysctls of this namespace; those the kernel does not have are left out."""
        with network_namespace(self.descriptor):
            for key, value in sysctls:
                path = Path("/proc/sys", *key.split("."))
                if path.exists():
                    path.write_text(value)

    def sent_bytes(self, device: str) -> int:
        """Bytes that a device has sent, Ethernet headers included."""
        return int(self.route.get_links(self.index(device))[0].get_attr("IFLA_STATS64")["tx_bytes"])

    def sysctl(self, key: str) -> str | None:
        """A sysctl of this namespace, or ``None`` where the kernel does not have it."""
        path = Path("/proc/sys", *key.split("."))
        with network_namespace(self.descriptor):
            return path.read_text().strip() if path.exists() else None

    def set_offloads(self, device: str, names: Iterable[str], on: bool) -> None:
        """Switch offloads of a device on or off (ethtool's legacy ioctls; what a device lacks stays off)."""
        for name in names:
            self._ethtool(device, OFFLOADS[name][1], int(on))

    def offloads(self, device: str) -> dict[str, bool]:
        """Which offloads of a device are on."""
        return {name: bool(self._ethtool(device, get, 0)) for name, (get, _) in OFFLOADS.items()}

    def _ethtool(self, device: str, command: int, value: int) -> int:
        data = bytearray(struct.pack("II", command, value))
        pinned = (ctypes.c_char * len(data)).from_buffer(data)
        request = struct.pack("16sP", device.encode(), ctypes.addressof(pinned))
        try:
            fcntl.ioctl(self._control.fileno(), _SIOCETHTOOL, request)
        except OSError:  # the device has no such offload
            return 0
        return int(struct.unpack("II", data)[1])

    def received_bytes(self, device: str) -> int:
        """What has come in at a device since it was made, in bytes of frames."""
        return int(self.route.get_links(self.index(device))[0].get_attr("IFLA_STATS64")["rx_bytes"])

    def forget_paths(self) -> None:
        """Forget what ICMP has told of paths: their MTU, and redirects (ip-sysctl.rst, route/flush). ``LabError`` where
        the kernel leaves that to the machine's root."""
        with network_namespace(self.descriptor):
            try:
                Path("/proc/sys/net/ipv4/route/flush").write_text("1")
            except OSError as error:
                raise LabError(f"path MTUs cannot be forgotten: {error}") from None

    def flush_neighbors(self) -> None:
        """Forget every neighbor that was learned; permanent ones stay."""
        for entry in self.route.get_neighbours(family=socket.AF_INET):
            if not entry["state"] & (PERMANENT | _NO_ARP):
                self.route.neigh("del", ifindex=entry["ifindex"], dst=entry.get_attr("NDA_DST"), family=socket.AF_INET)

    def learned_neighbors(self) -> list[str]:
        """The addresses of neighbors that were learned and are usable."""
        return [address for _, address in self.learned_neighbors_by_device()]

    def learned_neighbors_by_device(self) -> list[tuple[int, str]]:
        """Interface index and address of neighbors that were learned and are usable."""
        return [
            (entry["ifindex"], str(entry.get_attr("NDA_DST")))
            for entry in self.route.get_neighbours(family=socket.AF_INET)
            if entry["state"] & ~(PERMANENT | _NO_ARP | _FAILED)
        ]

    def written_routes(self) -> list[Any]:
        """The unicast routes of all tables but the kernel's own, as pyroute2 has them, without what ICMP has told of
        paths, which the kernel keeps beside them."""
        return [
            route for route in self.route.get_routes(family=socket.AF_INET)
            if route["type"] == _UNICAST and route["table"] != _LOCAL_TABLE and not route["flags"] & _CLONED
        ]

    def permanent_neighbors(self) -> list[tuple[str, str]]:
        """Address and MAC of the neighbors that are there for ever."""
        entries = self.route.get_neighbours(family=socket.AF_INET)
        return [(entry.get_attr("NDA_DST"), entry.get_attr("NDA_LLADDR")) for entry in entries
                if entry["state"] & PERMANENT]

    def flush_fdb(self) -> None:
        """Forget every MAC that a bridge or a tunnel device has learned."""
        for index, mac, far in self._learned_fdb():
            place = {"dst": far} if far else {"flags": _NTF_MASTER}
            try:
                self.route.fdb("del", ifindex=index, lladdr=mac, **place)
            except NetlinkError as error:
                if error.code != errno.ENOENT:  # it has aged meanwhile
                    raise

    def learned_fdb(self) -> list[str]:
        """The MACs that a bridge or a tunnel device has learned."""
        return [mac for _, mac, _ in self._learned_fdb()]

    def written_fdb(self) -> list[tuple[str, str]]:
        """MAC and tunnel end of the forwarding entries that are written on tunnel devices: those that name one."""
        return [(entry.get_attr("NDA_LLADDR"), entry.get_attr("NDA_DST")) for entry in self.route.fdb("dump")
                if entry["state"] & PERMANENT and entry.get_attr("NDA_DST") is not None]

    def _learned_fdb(self) -> list[tuple[int, str, str | None]]:
        """Interface index, MAC and, where a tunnel device has it, tunnel end of each entry that nobody has written
        (``br_fdb.c`` and ``vxlan_core.c`` give those that somebody has the state permanent or noarp)."""
        return [
            (entry["ifindex"], entry.get_attr("NDA_LLADDR"), entry.get_attr("NDA_DST"))
            for entry in self.route.fdb("dump")
            if not entry["state"] & (PERMANENT | _NO_ARP)
        ]


def realise(plan: Plan, home: Namespace, folder: Path = NAMESPACE_FOLDER) -> dict[str, Namespace]:
    """Make every namespace, link, address and table of a plan; ``home`` is where the switch is, ``folder`` where the
    namespaces get their names.

    Returns the namespaces by machine name. Raises ``OSError`` or pyroute2's ``NetlinkError`` (with the object
    in its text) where the kernel refuses something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spaces = {machine.name: _namespace(folder / machine.name) for machine in plan.machines}
    for machine in plan.machines:
        spaces[machine.name].set_sysctls((*machine.sysctls.items(), *_NO_BRIDGE_FILTER))
    for port in plan.switch.ports:
        device = plan.by_name[port.machine].device(port.machine_device)
        _veth(home, spaces[port.machine], device, port.device, None, plan.switch.mtu)
    for link in plan.links:
        near = plan.by_name[link.machine_a].device(link.device_a)
        far = plan.by_name[link.machine_b].device(link.device_b)
        _veth(spaces[link.machine_a], spaces[link.machine_b], far, near.name, near.mac, near.mtu)
    for machine in plan.machines:
        _configure(machine, spaces[machine.name])
        for device in machine.devices:
            named = ((f"net.ipv4.{key.replace('*', device.name)}", value) for key, value in device.settings)
            spaces[machine.name].set_sysctls(named)
    for port in plan.switch.ports:
        home.set_sysctls((key.format(port.device), value) for key, value in _SILENT)
        home.route.link("set", index=home.index(port.device), state="up")
    offload = plan.scenario.offload == "on"
    for machine in plan.machines:
        for device in machine.devices:
            spaces[machine.name].set_offloads(device.name, OFFLOADS, offload)
    for port in plan.switch.ports:
        home.set_offloads(port.device, OFFLOADS, offload)
    return spaces


def realise_own(own: OwnPort, home: Namespace) -> None:
    """Address and neighbors of the switch's own port, whose device is there.

    The kernel there sees what comes in at every port; it is not to answer ARP in the switch's stead, nor to route.
    """
    home.set_sysctls((("net.ipv4.conf.all.arp_ignore", "1"), ("net.ipv4.ip_forward", "0")))
    index = home.index(own.device)
    home.route.link("set", index=index, state="up")
    home.route.addr("add", index=index, address=own.address, mask=own.prefix_length)
    for address, mac in own.neighbors:
        home.route.neigh("replace", ifindex=index, dst=address, lladdr=mac, state=PERMANENT)


_NO_BRIDGE_FILTER = tuple((f"net.bridge.bridge-nf-call-{tool}", "0") for tool in ("iptables", "ip6tables", "arptables"))


_SILENT = (("net.ipv6.conf.{}.disable_ipv6", "1"), ("net.ipv4.conf.{}.arp_ignore", "8"))
"""The switch's ends of links: the kernel there says nothing by them, nor answers for addresses of its own (a userspace
switch takes copies of frames, so that the kernel sees them as well)."""


def _namespace(path: Path) -> Namespace:
    descriptor = new_network_namespace()
    path.touch()
    mount(f"/proc/self/fd/{descriptor}", str(path), flags=MS_BIND)
    space = Namespace(path.name, descriptor)
    space.route.link("set", index=1, state="up")
    return space


def _veth(near: Namespace, far: Namespace, device: Device, near_name: str, near_mac: str | None, near_mtu: int) -> None:
    """A veth pair: ``device`` in ``far``, its other end called ``near_name`` in ``near``."""
    peer = {"ifname": device.name, "address": device.mac, "mtu": device.mtu, "net_ns_fd": far.descriptor}
    own = {"address": near_mac} if near_mac else {}
    near.route.link("add", ifname=near_name, kind="veth", mtu=near_mtu, peer=peer, **own)


def _configure(machine: Machine, space: Namespace) -> None:
    route = space.route
    for device in machine.devices:
        if device.kind == "bridge":
            # No spanning tree and no forwarding delay: the bridge works from the first frame on. No VLAN: where the
            # kernel knows them, each port's MAC would be in the bridge twice.
            route.link(
                "add",
                ifname=device.name,
                kind="bridge",
                address=device.mac,
                mtu=device.mtu,
                br_forward_delay=0,
                br_stp_state=0,
                br_mcast_snooping=0,
                br_vlan_default_pvid=0,
            )
        elif device.tunnel:
            _tunnel(space, device)
    for device in machine.devices:
        master = {"master": space.index(device.master)} if device.master else {}
        route.link("set", index=space.index(device.name), state="up", **master)
        if device.kind == "bridge":  # enslaving the first port would have taken its MAC
            route.link("set", index=space.index(device.name), address=device.mac, mtu=device.mtu)
    for address in machine.addresses:
        route.addr(
            "add",
            index=space.index(address.device),
            address=address.peer or address.address,
            local=address.address,
            mask=address.prefix_length,
            broadcast=None,
            flags=_NO_PREFIX_ROUTE,
        )
    for neighbor in machine.neighbors:
        space.put_neighbor("replace", neighbor)
    for entry in machine.fdb:
        space.put_fdb("append", entry)
    for item in machine.routes:
        space.put_route("add", item)
    for rule in machine.rules:
        route.rule("add", priority=rule.priority, table=rule.table, iifname=rule.iif)


def _tunnel(space: Namespace, device: Device) -> None:
    """A tunnel device: by netlink where pyroute2 has words for its kind, by ip-link(8) otherwise."""
    tunnel = device.tunnel
    assert tunnel
    if device.kind == "vxlan":
        space.route.link("add", ifname=device.name, kind="vxlan", address=device.mac, mtu=device.mtu,
                         vxlan_id=tunnel.vni, vxlan_link=space.index(tunnel.parent), vxlan_local=tunnel.local,
                         vxlan_port=tunnel.port, vxlan_learning=int(tunnel.learns))
    elif device.kind == "geneve":
        space.ip("link", "add", "name", device.name, "address", device.mac, "mtu", str(device.mtu), "type", "geneve",
                 "external", "dstport", str(tunnel.port))
    elif device.kind in ("ipip", "gre"):
        end = ("external",) if device.kind == "gre" else ("local", tunnel.local, "nopmtudisc")
        space.ip("link", "add", "name", device.name, "mtu", str(device.mtu), "type", device.kind, *end)
    elif device.kind == "tun" or not _kernel_wireguard(space, device):
        _tun(space, device)


def _kernel_wireguard(space: Namespace, device: Device) -> bool:
    """The kernel's WireGuard device; whether it has one."""
    try:
        space.route.link("add", ifname=device.name, kind="wireguard", mtu=device.mtu)
    except NetlinkError as error:
        if error.code != errno.EOPNOTSUPP:
            raise
        return False
    return True


def _tun(space: Namespace, device: Device) -> None:
    """A TUN device that stays without a program behind it (tun.rst, TUNSETPERSIST)."""
    with network_namespace(space.descriptor), open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.name.encode(), _IFF_TUN))
        fcntl.ioctl(tun, _TUNSETPERSIST, 1)
    space.route.link("set", index=space.index(device.name), mtu=device.mtu)


def route_fields(space: Namespace, route: Route) -> dict[str, Any]:
    """A route in the words of pyroute2."""
    fields: dict[str, Any] = {
        "dst": route.destination,
        "oif": space.index(route.device),
        "table": route.table,
        "proto": _BOOT_PROTOCOL,
        "scope": _GLOBAL_SCOPE if route.via else _LINK_SCOPE,
    }
    if route.via:
        fields["gateway"] = route.via
    if route.source:
        fields["prefsrc"] = route.source
    if route.onlink:
        fields["flags"] = _RTNH_F_ONLINK
    if route.congctl:
        fields["metrics"] = {"cc_algo": route.congctl}
    return fields
