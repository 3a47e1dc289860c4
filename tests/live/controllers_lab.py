"""Runs in a namespace tree of its own one scenario of the controllers on a real Open vSwitch, and prints what was seen.

    unshare --net --mount --pid --fork --kill-child --mount-proc python -m tests.live.controllers_lab SCENARIO SDN

The scenarios speak raw frames over veth pairs whose other end is a port of the switch, so that nothing but the
controller answers; where a kernel has to be convinced, Mininet's hosts ask. Silence is seen without waiting: a sentinel
follows on the same path, and what arrived before what comes of it is what there was.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.live.mounts import private_mounts

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
STATUS = "/run/lab/controller.sock"
PLAN = "/run/lab/plan.json"
DATABASE = "/run/openvswitch/conf.db"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def run(*argv: str) -> str:
    """The output of a command that has to succeed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=DEADLINE_S).stdout


def wait_until(what: str, predicate: Callable[[], Any]) -> Any:
    """The first true value of `predicate`, which is asked until the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)
    return value


def prepare() -> None:
    """Private mounts, loopback, and an Open vSwitch of this tree's own; all of it ends with the tree."""
    private_mounts()
    run("ip", "link", "set", "lo", "up")
    for folder in ("/run/openvswitch", "/run/lab"):
        Path(folder).mkdir()
    os.environ.update(OVS_RUNDIR="/run/openvswitch", OVS_LOGDIR="/run/openvswitch", OVS_DBDIR="/run/openvswitch")
    run("ovsdb-tool", "create", DATABASE, SCHEMA)
    start_database()
    run("ovs-vsctl", "--no-wait", "init")
    start_vswitchd()


def start_database() -> None:
    """Start Open vSwitch's database, for the first time or again."""
    _start("ovsdb-server", "--remote=punix:/run/openvswitch/db.sock", DATABASE)
    wait_until("ovsdb-server", lambda: not subprocess.run(["ovs-vsctl", "--no-wait", "show"], stdout=subprocess.DEVNULL,
                                                          stderr=subprocess.DEVNULL, check=False).returncode)


def start_vswitchd() -> None:
    """Start Open vSwitch's daemon, for the first time or again."""
    _start("ovs-vswitchd")
    run("ovs-vsctl", "init")


def _start(*argv: str) -> None:
    options = ["--log-file=/run/openvswitch/log", "--pidfile"]
    subprocess.Popen([*argv, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Port:
    """One end of a veth pair whose other end is a port of the switch: sends and receives whole frames."""

    def __init__(self, number: int) -> None:
        self.number = number
        run("ip", "link", "add", f"sw{number}", "type", "veth", "peer", "name", f"test{number}")
        for name in (f"sw{number}", f"test{number}"):
            run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
            run("ip", "link", "set", name, "up", "arp", "off")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((f"test{number}", 0))

    def send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def receive(self) -> Iterator[bytes]:
        """What has arrived from the switch by now."""
        while select.select([self.socket], [], [], 0)[0]:
            frame, origin = self.socket.recvfrom(65536)
            if origin[2] != socket.PACKET_OUTGOING:
                yield frame


def make_switch(ports: int, dpid: int = 1) -> list[Port]:
    """A switch and its ports 1, 2, ..."""
    made = [Port(number) for number in range(1, ports + 1)]
    wanted = [
        "--",
        "set",
        "bridge",
        "s",
        "datapath_type=netdev",
        "fail_mode=secure",
        f"other-config:datapath-id={dpid:016x}",
    ]
    run("ovs-vsctl", "add-br", "s", *wanted)
    for port in made:
        name = f"sw{port.number}"
        run("ovs-vsctl", "add-port", "s", name, "--", "set", "interface", name, f"ofport_request={port.number}")
    return made


@dataclass(frozen=True)
class Sentinel:
    """A frame to be sent last, what tells all that comes of it from other frames, and the ports where that arrives."""

    frame: bytes
    text: bytes
    ends: frozenset[int]


def exchange(
    ports: list[Port], frames: list[tuple[int, bytes]], sentinels: dict[int, Sentinel]
) -> dict[int, list[str]]:
    """Send frames (by port number), and gather in hexadecimal what arrives where, until all of it has arrived.

    A switch keeps the order of what comes in by one port. So each port that sends sends its sentinel last, and what
    comes of that is waited for, and not handed back.
    """
    by_number = {port.number: port for port in ports}
    seen: dict[int, list[str]] = {port.number: [] for port in ports}
    used = {number: sentinels[number] for number, _ in frames}
    for number, frame in [*frames, *((number, sentinel.frame) for number, sentinel in used.items())]:
        by_number[number].send(frame)
    awaited = {(number, end) for number, sentinel in used.items() for end in sentinel.ends}

    def finished() -> bool:
        for port in ports:
            for frame in port.receive():
                of = {(number, port.number) for number, sentinel in used.items() if sentinel.text in frame}
                awaited.difference_update(of)
                if not of:
                    seen[port.number].append(frame.hex())
        return not awaited

    wait_until("what was sent last to arrive", finished)
    return seen


def ask(operation: str) -> dict[str, Any]:
    """One request to the controller's status socket."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(DEADLINE_S)
        asking.connect(STATUS)
        asking.sendall(json.dumps({"op": operation}).encode() + b"\n")
        with asking.makefile() as answers:
            return dict(json.loads(answers.readline()))


class Controller:
    """`python -m controllers` as a process of its own."""

    def __init__(self, sdn: str, *apps: str, control: dict[str, Any] | None = None) -> None:
        argv = [sys.executable, "-m", "controllers", "--sdn", sdn, "--status", STATUS, *apps]
        if control is not None:
            Path(PLAN).write_text(json.dumps({"control": control}), encoding="utf-8")
            argv += ["--plan", PLAN]
        self.process = subprocess.Popen(argv, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline().strip()

    def ask(self, operation: str) -> dict[str, Any]:
        """One request to its status socket."""
        return ask(operation)

    def wait_ready(self) -> None:
        """Until all planned flows are in the switch."""
        wait_until("the controller to be ready", lambda: self.ask("status")["ready"])

    def end(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


@contextlib.contextmanager
def mininet(**topology: Any) -> Iterator[Any]:
    """Stock Mininet with stock switches, and the controller that listens on this tree's loopback."""
    from mininet.net import Mininet
    from mininet.node import OVSSwitch, RemoteController

    Mininet.inited = True  # or it raises limits of the whole machine
    net = Mininet(switch=OVSSwitch, controller=None, autoSetMacs=True, autoStaticArp=False, **topology)
    net.addController("c0", RemoteController, ip="127.0.0.1", port=6653)
    for switch in net.switches:
        switch.datapath = "user"
    net.start()
    try:
        yield net
    finally:
        net.stop()


def flow_dump(bridge: str) -> list[str]:
    """The flows of a switch, without their counters."""
    return run("ovs-ofctl", "-O", "OpenFlow13", "--no-stats", "dump-flows", bridge).splitlines()


def main(scenario: str, sdn: str) -> None:
    from tests.live import controllers_next_hops, controllers_scenarios

    prepare()
    module = controllers_next_hops if scenario == "next_hops" else controllers_scenarios
    print(json.dumps(getattr(module, scenario)(sdn)))


if __name__ == "__main__":
    main(*sys.argv[1:])
