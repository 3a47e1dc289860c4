"""The controllers by themselves, on a real Open vSwitch, under both frameworks, each scenario in a tree of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controllers.routing import ERRORS_BURST, ERRORS_PER_S
from tests.live.controllers_scenarios import (
    BROADCAST,
    GATEWAY_MAC,
    MACS,
    OTHER_MAC,
    arp_request,
    ethernet,
    hello,
    internet_checksum,
    udp,
)

REPOSITORY = Path(__file__).resolve().parents[2]
INSIDE = ["-m", "tests.live.controllers_lab"]
TREE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
MODULES = {"ryu": "ryu", "os-ken": "os_ken"}


@pytest.fixture(params=list(MODULES))
def sdn(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f"{name} is not installed for this Python")
    return name


def play(scenario: str, sdn: str) -> dict[str, Any]:
    """What was seen in a scenario."""
    for tool in ("ovs-vswitchd", "unshare", "mnexec"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):  # which the userspace datapath's bridge port is made of
        pytest.skip("/dev/net/tun is not open to this user")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = [*TREE, *user, sys.executable, *INSIDE, scenario, sdn]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def at(seen: dict[str, Any], *ports: int) -> list[bytes]:
    """The frames that arrived at these ports."""
    return [bytes.fromhex(frame) for port in ports for frame in seen[str(port)]]


def nothing(seen: dict[str, Any]) -> bool:
    return not any(frames for port, frames in seen.items() if port.isdigit())


def test_unplanned_switches_learn_a_tree_and_forget_on_demand(sdn: str) -> None:
    seen = play("tree", sdn)
    assert seen["lost_percent"] == [0, 0]
    assert seen["errors"] == []
    hosts = {(station["dpid"], station["mac"]): station["port"] for station in seen["learned"]}
    assert all((dpid, f"00:00:00:00:00:0{host}") in hosts for dpid in (1, 2, 3) for host in (1, 2, 3, 4))
    assert seen["learned_after_forget"] == []
    assert not [flow for flow in seen["flows_after_forget"] if "dl_src=00:00:00:00:00:0" in flow and "in_port" in flow]
    assert "listening on 127.0.0.1:6653" in seen["said"]
    assert sdn in seen["said"]
    assert seen["exit_status"] == 0
    assert not seen["status_socket_left"]


def test_planned_stations_never_visit_the_controller(sdn: str) -> None:
    seen = play("planned_switch", sdn)
    question = hello(MACS[2], MACS[1])
    assert at(seen["unicast"], 2) == [question]
    assert at(seen["unicast"], 1, 3, 4, 5) == []
    assert at(seen["broadcast"], 1, 3, 4, 5) == [hello(BROADCAST, MACS[2])] * 4
    assert nothing(seen["invalid"])
    assert nothing(seen["spoofed"])
    assert at(seen["after spoof"], 1) == [hello(MACS[1], MACS[2])]
    assert seen["planned"]["counters"]["packet_in"] == 0
    assert seen["planned"]["learned"] == []
    # Then strangers: forwarded at once, learned, followed when they move, forgotten on demand.
    stranger = "02:00:00:00:00:77"
    for name, port in (("stranger", 4), ("moved", 5)):
        assert at(seen[name], 1) == [hello(MACS[1], stranger)]
        assert at(seen[f"{name} reached"], port) == [hello(stranger, MACS[1])]
        assert at(seen[f"{name} reached"], *({2, 3, 4, 5} - {port})) == []
    assert [flow for flow in seen["flows"] if stranger in flow and ("in_port=4" in flow or "output:4" in flow)] == []
    assert seen["forgotten"]["learned"] == []
    assert seen["forgotten"]["ready"]
    assert seen["forgotten"]["errors"] == []
    assert [flow for flow in seen["flows"] if stranger not in flow] == seen["flows forgotten"]


def test_proxy_arp_answers_for_what_the_plan_knows_and_nothing_else(sdn: str) -> None:
    seen = play("proxy_arp", sdn)
    fixed = bytes.fromhex("08060001080006040002")
    node_c, container, node_b = (bytes.fromhex(mac.replace(":", "")) for mac in (MACS[3], "aabbccdde101", MACS[2]))
    answer = node_c + fixed + node_c + bytes((10, 0, 3, 2))
    for name in ("known target", "known target, unicast"):
        assert at(seen[name], 1) == [container + answer + container + bytes((10, 0, 1, 2))]
        assert at(seen[name], 2, 3) == []
    assert at(seen["asked by a node"], 2) == [node_b + answer + node_b + bytes((192, 168, 1, 2))]
    assert at(seen["asked by a node"], 1, 3) == []
    packet_ins = {"unknown target": 0, "own side": 0, "gratuitous": 0, "gratuitous, elsewhere": 0, "probe": 0}
    for name, times in packet_ins.items():
        assert nothing(seen[name]), name
        assert seen[name]["packet_ins"] == times, name
    outside = at(seen["outside the networks"], 1, 3)
    assert len(outside) == 2
    assert outside[0][-4:] == bytes((192, 168, 1, 3))
    assert seen["outside the networks"]["packet_ins"] == 0
    assert seen["status"]["errors"] == []
    assert seen["status"]["learned"] == []


def mac(frame: bytes) -> tuple[str, str]:
    return frame[:6].hex(":"), frame[6:12].hex(":")


def icmp(frame: bytes) -> tuple[int, int]:
    """Type and code of an ICMP message from the gateway, both its checksums verified."""
    assert internet_checksum(frame[14:34]) == internet_checksum(frame[34:]) == b"\0\0"
    assert frame[23] == 1
    assert frame[26:30] == bytes((192, 168, 0, 1))
    return frame[34], frame[35]


def test_gateway_routes_and_answers_as_a_router(sdn: str) -> None:
    seen = play("gateway", sdn)
    # The longest prefix wins; both MACs are rewritten, the TTL is one less, also back by the port a packet came from.
    for port, destinations in {1: ["192.168.1.1"], 2: ["10.0.2.2"], 3: ["10.0.3.2", "192.168.1.3"]}.items():
        frames = at(seen["forwarded"], port)
        assert [frame[14:] for frame in frames] == [udp("192.168.1.1", address, ttl=63) for address in destinations]
        assert all(mac(frame) == (MACS[port], GATEWAY_MAC) for frame in frames)
    for port in MACS:
        (reply,) = at(seen["arp"], port)
        owner, asker = (bytes.fromhex(text.replace(":", "")) for text in (GATEWAY_MAC, MACS[port]))
        body = owner + bytes((192, 168, 0, 1)) + asker + bytes((192, 168, 1, port))
        assert reply == asker + owner + bytes.fromhex("08060001080006040002") + body
    assert at(seen["unicast arp"], 1) == at(seen["arp"], 1)
    # Only the sentinels (one for each port that sends, each time) went to the controller up to here.
    assert seen["quiet"]["packet_in"] == 1 + 3 + 1
    assert nothing(seen["arp for another"])
    assert nothing(seen["not for it"])
    assert nothing(seen["spoofed"])
    none = {"too large, may be fragmented": 0, "no room while resolving": 0, "next hop silent": 0}
    assert seen["spoofed drops"] == {"drops": {**none, "spoofed": 10}}
    # Only what goes out by port 2 has to fit 1000 bytes.
    assert [len(frame) for frame in at(seen["fits"], 2)] == [14 + 1000]
    assert at(seen["fits"], 1, 3, 4) == []
    (error,) = at(seen["too large"], 1)
    assert icmp(error) == (3, 4)
    assert int.from_bytes(error[38:42], "big") == 1000
    assert at(seen["too large"], 2, 3, 4) == []
    assert nothing(seen["cannot be cut"])
    assert seen["drops"] == {"drops": {**none, "spoofed": 10, "too large, may be fragmented": 1}}
    assert seen["spoofed packet-ins"] == 1, "the sentinel's"
    (reply,) = at(seen["ping"], 1)
    assert icmp(reply) == (0, 0)
    assert mac(reply) == (MACS[1], GATEWAY_MAC)
    for name, told, about in (
        ("udp to it", (3, 3), udp("192.168.1.1", "192.168.0.1")),
        ("expired", (11, 0), udp("192.168.1.1", "10.0.3.2", ttl=1)),
        ("no route", (3, 0), udp("192.168.1.1", "172.16.0.1")),
    ):
        (error,) = at(seen[name], 1)
        assert icmp(error) == told
        assert error[30:34] == bytes((192, 168, 1, 1))
        assert error[42:] == about
        assert at(seen[name], 2, 3, 4) == []
    assert [frame[14:] for frame in at(seen["last hop"], 3)] == [udp("192.168.1.1", "10.0.3.2", ttl=1)]
    assert at(seen["last hop"], 1) == []
    assert nothing(seen["error about an error"])
    told_in_storm = sum(len(portion) for portion in seen["storm"])
    assert ERRORS_BURST / 2 < told_in_storm <= ERRORS_BURST + ERRORS_PER_S * seen["storm_s"] + 1
    assert seen["status"]["errors"] == []


def test_next_hops_are_asked_for_held_for_polled_and_given_up(sdn: str) -> None:
    seen = play("next_hops", sdn)
    frames = {name: bytes.fromhex(frame) for name, frame in seen.items() if isinstance(frame, str)}
    asked = arp_request(GATEWAY_MAC, "192.168.0.1", "192.168.1.2")
    assert frames["at once"] == asked
    packet = udp("192.168.1.1", "10.0.9.9", ttl=63)
    to_far = ethernet(MACS[2], GATEWAY_MAC, 0x0800, packet)
    assert [bytes.fromhex(frame) for frame in seen["held"]] == [to_far] * 2
    assert frames["known"] == to_far
    assert seen["packet-ins"][0] == seen["packet-ins"][1], "what is known never visits the controller"
    (learned,) = seen["learned"]
    assert (learned["ip"], learned["mac"], learned["port"]) == ("192.168.1.2", MACS[2], 2)
    assert frames["polled"] == arp_request(GATEWAY_MAC, "192.168.0.1", "192.168.1.2", dst=MACS[2])
    assert frames["moved"] == ethernet(OTHER_MAC, GATEWAY_MAC, 0x0800, packet)
    assert icmp(frames["unreachable"]) == (3, 1)
    assert frames["unreachable"][42:] == udp("192.168.1.1", "10.0.3.2")
    assert {bytes.fromhex(frame) for frame in seen["asked in vain"]} == {
        arp_request(GATEWAY_MAC, "192.168.0.1", "192.168.1.3")
    }
    assert len(seen["asked in vain"]) == 6, "three when the switch came, three for the packet"
    assert seen["drops"]["next hop silent"] == 1
    assert seen["errors"] == []


def test_kernels_believe_the_gateway(sdn: str) -> None:
    seen = play("mininet_gateway", sdn)
    assert "ttl=64" in seen["gateway"]
    assert "ttl=63" in seen["node"]
    assert "From 192.168.0.1 icmp_seq=1 Time to live exceeded" in seen["expired"]
    assert "From 192.168.0.1 icmp_seq=1 Destination Net Unreachable" in seen["unroutable"]
    assert "1408 bytes from 192.168.0.1" in seen["large"]
    assert seen["status"]["errors"] == []


def test_a_failing_application_stops_nothing_and_learned_stations_age(sdn: str) -> None:
    seen = play("faulty", sdn)
    assert seen["alive"]
    assert sum("RuntimeError: this one always fails" in error for error in seen["errors"]) == 3
    assert sum("OpenFlow error" in error for error in seen["errors"]) == 1
    assert seen["learned"] == [{"mac": MACS[1], "port": 1, "dpid": 1}]
    assert not [flow for flow in seen["flows"] if MACS[1] in flow]


@pytest.mark.parametrize("sdn", ["ryu"], indirect=True)  # os-ken has no manager
def test_runs_under_ryus_own_manager(sdn: str) -> None:
    seen = play("manager", sdn)
    assert seen["lost_percent"] == 0
    assert seen["errors"] == []
    assert seen["listening"] == ["127.0.0.1"]
