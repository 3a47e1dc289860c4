"""The scenarios `controllers_lab.py` runs, one function each: what is sent, and what was seen. They judge nothing."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.live.controllers_lab import (
    REPOSITORY,
    STATUS,
    Controller,
    Sentinel,
    ask,
    exchange,
    flow_dump,
    make_switch,
    mininet,
    run,
    wait_until,
)

GATEWAY_MAC = "12:22:33:44:55:fe"
MACS = {1: "12:22:33:44:55:01", 2: "02:23:45:67:89:02", 3: "12:22:33:44:55:03"}
OTHER_MAC = "02:00:00:00:00:22"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def ethernet(dst: str, src: str, eth_type: int, payload: bytes) -> bytes:
    return bytes.fromhex((dst + src).replace(":", "")) + struct.pack("!H", eth_type) + payload


def arp_request(src: str, spa: str, tpa: str, dst: str = BROADCAST) -> bytes:
    fixed = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    sender = bytes.fromhex(src.replace(":", "")) + IPv4Address(spa).packed
    return ethernet(dst, src, 0x0806, fixed + sender + bytes(6) + IPv4Address(tpa).packed)


def arp_reply(src: str, spa: str, dst: str, tpa: str) -> bytes:
    fixed = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    ends = ((src, spa), (dst, tpa))
    body = b"".join(bytes.fromhex(mac.replace(":", "")) + IPv4Address(address).packed for mac, address in ends)
    return ethernet(dst, src, 0x0806, fixed + body)


def internet_checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def ipv4(src: str, dst: str, proto: int, payload: bytes, ttl: int = 64, dont_fragment: bool = False) -> bytes:
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 7, dont_fragment << 14, ttl, proto)
    ends = IPv4Address(src).packed + IPv4Address(dst).packed
    return head + internet_checksum(head + bytes(2) + ends) + ends + payload


def ping(src: str, dst: str, data: bytes = b"kubenet!") -> bytes:
    message = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + data + bytes(len(data) % 2)
    return ipv4(src, dst, 1, message[:2] + internet_checksum(message) + message[4:])


def udp(src: str, dst: str, ttl: int = 64) -> bytes:
    return ipv4(src, dst, 17, struct.pack("!HHHH", 40000, 33434, 16, 0) + b"kubenet!", ttl)


def hello(dst: str, src: str) -> bytes:
    return ethernet(dst, src, 0x88B6, f"{src} to {dst}".encode())


def connect(bridge: str = "s", port: int = 6653) -> None:
    run("ovs-vsctl", "set-controller", bridge, f"tcp:127.0.0.1:{port}")


def tree(sdn: str) -> dict[str, Any]:
    """Three switches, four hosts, nothing known beforehand."""
    from mininet.topolib import TreeTopo

    controller = Controller(sdn, "l2_switch")
    with mininet(topo=TreeTopo(depth=2, fanout=2)) as net:
        for node in net.hosts:
            node.pexec("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        wait_until("three switches", lambda: len(controller.ask("status")["connected"]) == 3)
        controller.wait_ready()
        lost = net.pingAll()
        before = controller.ask("status")
        after = controller.ask("forget")
        flows_after = [flow for switch in net.switches for flow in flow_dump(switch.name)]
        lost_again = net.pingAll()
        status = controller.ask("status")
    return {
        "said": controller.said,
        "lost_percent": [lost, lost_again],
        "learned": before["learned"],
        "learned_after_forget": after["learned"],
        "flows_after_forget": flows_after,
        "errors": status["errors"],
        "exit_status": controller.end(),
        "status_socket_left": Path(STATUS).exists(),
    }


def mark(number: int) -> bytes:
    return b"sentinel" + bytes((number,))


def shout(number: int, src: str, ports: int) -> Sentinel:
    """A sentinel that is flooded."""
    others = frozenset(range(1, ports + 1)) - {number}
    return Sentinel(ethernet(BROADCAST, src, 0x88B6, mark(number)), mark(number), others)


def planned_switch(sdn: str) -> dict[str, Any]:
    """Stations of the plan behind ports 1, 2 and 3, nobody planned behind 4 and 5."""
    stations = [{"name": f"node-{port}", "mac": mac, "port": port} for port, mac in MACS.items()]
    controller = Controller(sdn, control={"apps": ["l2_switch"], "dpid": 1, "stations": stations})
    ports = make_switch(5)
    connect()
    controller.wait_ready()
    stranger = "02:00:00:00:00:77"
    sentinels = {port: shout(port, MACS.get(port, stranger), 5) for port in range(1, 6)}

    def see(*sent: tuple[int, bytes]) -> dict[int, list[str]]:
        return exchange(ports, list(sent), sentinels)

    seen: dict[str, Any] = {
        "unicast": see((1, hello(MACS[2], MACS[1]))),
        "broadcast": see((2, hello(BROADCAST, MACS[2]))),
    }
    seen["invalid"] = see((3, hello(MACS[2], "01:00:5e:00:00:01")), (1, hello("01:80:c2:00:00:00", MACS[1])))
    seen["spoofed"] = see((3, hello(MACS[2], MACS[1])))
    seen["after spoof"] = see((2, hello(MACS[1], MACS[2])))
    seen["planned"] = controller.ask("status")
    for name, port in (("stranger", 4), ("moved", 5)):
        seen[name] = see((port, hello(MACS[1], stranger)))
        place = [{"mac": stranger, "port": port, "dpid": 1}]
        wait_until(f"{name} to be learned", lambda place=place: controller.ask("status")["learned"] == place)
        wait_until("its flows", lambda port=port: any(f"actions=output:{port}" in flow for flow in flow_dump("s")))
        seen[f"{name} reached"] = see((1, hello(stranger, MACS[1])))
    seen["flows"] = flow_dump("s")
    seen["forgotten"] = controller.ask("forget")
    seen["flows forgotten"] = flow_dump("s")
    controller.end()
    return seen


def proxy_arp(sdn: str) -> dict[str, Any]:
    """Proxy ARP beside the switch: containers 10.0.1.2 behind port 1 and 10.0.3.2 behind port 3."""
    containers = {1: "aa:bb:cc:dd:e1:01", 3: "aa:bb:cc:dd:e3:02"}
    stations = [{"name": f"node-{port}", "mac": mac, "port": port} for port, mac in MACS.items()]
    stations += [{"name": f"ctr-{port}", "mac": mac, "port": port} for port, mac in containers.items()]
    bindings = [{"ip": f"10.0.{port}.2", "mac": MACS[port], "port": port} for port in containers]
    proxy = {"networks": ["10.0.0.0/16"], "bindings": bindings}
    control = {"apps": ["l2_switch", "proxy_arp"], "dpid": 1, "stations": stations, "proxy_arp": proxy}
    controller = Controller(sdn, control=control)
    ports = make_switch(3)
    connect()
    controller.wait_ready()
    asker = containers[1]
    # Questions too, by askers of their own: what was asked before them has been through the controller by then.
    sentinels = {
        port: Sentinel(arp_request(MACS[port], spa, "10.0.3.2"), IPv4Address(spa).packed, frozenset({port}))
        for port, spa in ((1, "10.255.255.1"), (2, "10.255.255.2"))
    }
    questions = {
        "known target": (1, arp_request(asker, "10.0.1.2", "10.0.3.2")),
        "known target, unicast": (1, arp_request(asker, "10.0.1.2", "10.0.3.2", dst=MACS[3])),
        "asked by a node": (2, arp_request(MACS[2], "192.168.1.2", "10.0.3.2")),
        "unknown target": (1, arp_request(asker, "10.0.1.2", "10.0.3.9")),
        "own side": (1, arp_request(asker, "10.0.1.9", "10.0.1.2")),
        "gratuitous": (1, arp_request(asker, "10.0.1.2", "10.0.1.2")),
        "gratuitous, elsewhere": (2, arp_request(MACS[2], "10.0.3.2", "10.0.3.2")),
        "probe": (1, arp_request(asker, "0.0.0.0", "10.0.3.2")),
        "outside the networks": (2, arp_request(MACS[2], "192.168.1.2", "192.168.1.3")),
    }
    seen: dict[str, Any] = {}
    for name, question in questions.items():
        before = controller.ask("status")["counters"]["packet_in"]
        frames = exchange(ports, [question], sentinels)
        seen[name] = {**frames, "packet_ins": controller.ask("status")["counters"]["packet_in"] - before - 1}
    seen["status"] = controller.ask("status")
    controller.end()
    return seen


def gateway_control() -> dict[str, Any]:
    neighbors = [{"ip": f"192.168.1.{port}", "mac": MACS[port], "port": port} for port in MACS]
    prefixes = {"192.168.1.1/32": 1, "192.168.1.2/32": 2, "192.168.1.3/32": 3, "10.0.0.0/16": 2, "10.0.3.0/24": 3}
    routes = [{"prefix": prefix, "via": f"192.168.1.{port}"} for prefix, port in prefixes.items()]
    gateway = {"ip": "192.168.0.1", "mac": GATEWAY_MAC, "ports": [1, 2, 3], "neighbors": neighbors, "routes": routes}
    gateway["egress_mtus"] = [{"port": 2, "mtu": 1000}]
    return {"apps": ["l3_gateway"], "dpid": 1, "gateway": gateway}


def gateway(sdn: str) -> dict[str, Any]:
    """Raw frames to the gateway; port 4 is not one of its ports."""
    controller = Controller(sdn, control=gateway_control())
    ports = make_switch(4)
    connect()
    controller.wait_ready()
    own, other, itself = "192.168.1.1", "192.168.1.2", "192.168.0.1"

    def to_gateway(packet: bytes, port: int = 1) -> tuple[int, bytes]:
        return port, ethernet(GATEWAY_MAC, MACS[port], 0x0800, packet)

    # Answered by the controller, like most of what may be answered: what came before it has been handled then.
    sentinels = {
        port: Sentinel(
            to_gateway(ping(f"192.168.1.{port}", itself, mark(port)), port)[1], mark(port), frozenset({port})
        )
        for port in MACS
    }

    def see(*sent: tuple[int, bytes]) -> dict[int, list[str]]:
        return exchange(ports, list(sent), sentinels)

    def dropped_at_entry() -> int:
        entry = [
            flow
            for flow in run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "s", "table=0").splitlines()
            if "priority=0 " in flow
        ]
        return int(entry[0].partition("n_packets=")[2].partition(",")[0])

    destinations = ("10.0.3.2", "10.0.2.2", "192.168.1.3", "192.168.1.1")
    seen: dict[str, Any] = {"forwarded": see(*(to_gateway(udp(own, dst)) for dst in destinations))}
    seen["arp"] = see(*((port, arp_request(MACS[port], f"192.168.1.{port}", itself)) for port in MACS))
    seen["unicast arp"] = see((1, arp_request(MACS[1], own, itself, dst=GATEWAY_MAC)))
    seen["quiet"] = controller.ask("status")["counters"]
    seen["arp for another"] = see((1, arp_request(MACS[1], own, other)))
    seen["ping"] = see(to_gateway(ping(own, itself)))
    seen["udp to it"] = see(to_gateway(udp(own, itself)))
    before = dropped_at_entry()
    foreign = [
        (1, ethernet(MACS[2], MACS[1], 0x0800, udp(own, other))),
        (1, ethernet(BROADCAST, MACS[1], 0x0800, udp(own, other))),
        (1, hello(GATEWAY_MAC, MACS[1])),
    ]
    ports[3].send(ethernet(GATEWAY_MAC, MACS[1], 0x0800, udp(own, other)))
    ports[3].send(arp_request(MACS[1], own, itself))
    wait_until("the frames by port 4 to be counted", lambda: dropped_at_entry() == before + 2)
    seen["not for it"] = see(*foreign, to_gateway(udp(own, "224.0.0.5")))
    forged = ("192.168.1.3", "10.0.3.2", "172.16.0.1", itself, "127.0.0.1")
    quiet = controller.ask("status")["counters"]["packet_in"]
    seen["spoofed"] = see(*(to_gateway(udp(src, dst)) for src in forged for dst in ("192.168.1.2", itself)))
    seen["spoofed packet-ins"] = controller.ask("status")["counters"]["packet_in"] - quiet
    wait_until("as many to be counted", lambda: controller.ask("drops")["drops"]["spoofed"] >= 2 * len(forged))
    seen["spoofed drops"] = controller.ask("drops")
    for name, size, dont_fragment in (("fits", 1000, True), ("too large", 1001, True), ("cannot be cut", 1001, False)):
        seen[name] = see(to_gateway(ipv4(own, "10.0.2.2", 17, bytes(size - 20), dont_fragment=dont_fragment)))
    seen["expired"] = see(to_gateway(udp(own, "10.0.3.2", ttl=1)))
    seen["last hop"] = see(to_gateway(udp(own, "10.0.3.2", ttl=2)))
    seen["no route"] = see(to_gateway(udp(own, "172.16.0.1")))
    quoted = b"\0\0\0\0" + udp(own, other)[:28]
    about_error = b"\3\1" + internet_checksum(b"\3\1\0\0" + quoted) + quoted
    seen["error about an error"] = see(to_gateway(ipv4(own, "172.16.0.1", 1, about_error)))
    started_s = time.monotonic()
    # In portions that the switch's own queue of packet-ins has room for, besides the sentinel.
    seen["storm"] = [see(*[to_gateway(udp(own, "172.16.0.1"))] * 40)[1] for _ in range(8)]
    seen["drops"] = controller.ask("drops")
    seen["storm_s"] = time.monotonic() - started_s
    seen["status"] = controller.ask("status")
    controller.end()
    return seen


def mininet_gateway(sdn: str) -> dict[str, Any]:
    """Kernels behind the gateway: h1, h2, h3 with /32 addresses, as nodes have them."""
    from mininet.topo import SingleSwitchTopo

    controller = Controller(sdn, control=gateway_control())
    with mininet(topo=SingleSwitchTopo(k=3)) as net:
        for port, node in enumerate(net.hosts, start=1):
            node.cmd("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
            node.cmd(f"ip addr flush dev {node.defaultIntf()}; ip link set {node.defaultIntf()} address {MACS[port]}")
            node.cmd(f"ip addr add 192.168.1.{port}/32 dev {node.defaultIntf()}")
            node.cmd(f"ip route add 192.168.0.1 dev {node.defaultIntf()}; ip route add default via 192.168.0.1")
        controller.wait_ready()
        asked = {
            "gateway": "192.168.0.1",
            "node": "192.168.1.3",
            "expired": "-t 1 192.168.1.3",
            "unroutable": "172.16.0.1",
            "large": "-s 1400 192.168.0.1",
        }
        seen: dict[str, Any] = {
            name: net.hosts[0].cmd(f"ping -n -c 1 -W 20 {arguments}") for name, arguments in asked.items()
        }
        seen["status"] = controller.ask("status")
    controller.end()
    return seen


def faulty(sdn: str) -> dict[str, Any]:
    """Beside the learning switch an application that raises and sends nonsense; stations age in a second."""
    environment = {**os.environ, "KUBENET_SDN": sdn, "KUBENET_STATUS": STATUS}
    argv = [sys.executable, "-m", "tests.live.controllers_faulty", "6653"]
    process = subprocess.Popen(argv, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL)
    ports = make_switch(2)
    wait_until("the status socket", Path(STATUS).is_socket)
    connect()
    wait_until("the switch", lambda: ask("status")["ready"])
    for number in range(1, 4):
        ports[0].send(ethernet(BROADCAST, MACS[1], 0x88B5, b"fail"))
        wait_until("its failure", lambda number=number: str(ask("status")["errors"]).count("RuntimeError") == number)
    exchange(ports, [(1, hello(MACS[2], MACS[1]))], {1: shout(1, MACS[1], 2)})
    seen: dict[str, Any] = {"learned": wait_until("the station to be learned", lambda: ask("status")["learned"])}
    wait_until("the station to age", lambda: not ask("status")["learned"])
    seen["flows"] = flow_dump("s")
    seen["errors"] = ask("status")["errors"]
    seen["alive"] = process.poll() is None
    process.terminate()
    return seen


def manager(sdn: str) -> dict[str, Any]:
    """`ryu-manager controllers/l2_switch.py`; what Ryu 4.34 misses in newer versions of eventlet is put there first."""
    from mininet.topolib import TreeTopo

    start = "import eventlet.wsgi as w; w.ALREADY_HANDLED = None; from ryu.cmd.manager import main; main()"
    argv = [sys.executable, "-W", "ignore", "-c", start, str(REPOSITORY / "controllers" / "l2_switch.py")]
    environment = {**os.environ, "KUBENET_STATUS": STATUS}
    process = subprocess.Popen(argv, cwd="/", env=environment, stderr=subprocess.DEVNULL)
    wait_until("the manager to listen", lambda: ":6653" in run("ss", "-ltnH"))
    with mininet(topo=TreeTopo(depth=2, fanout=2)) as net:
        wait_until("three switches", lambda: len(ask("status")["connected"]) == 3 and ask("status")["ready"])
        lost = net.pingAll()
        status = ask("status")
    local = {line.split()[3] for line in run("ss", "-ltnH").splitlines()}
    process.terminate()
    return {**status, "lost_percent": lost, "listening": sorted({address.rpartition(":")[0] for address in local})}
