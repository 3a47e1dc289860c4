"""What a lab does when asked, from inside its tree. Every method is a request that ``emu.live.lab`` can send."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any

from emu.errors import LabError
from emu.frames import Frame
from emu.live import namespaces, usage
from emu.live.capture import Capture
from emu.live.census import Counts, written
from emu.live.controller import Controller
from emu.live.daemons import Daemons
from emu.live.fitting import entering, filter_bridges, link_ends, masquerade, shape_links, suit_userspace_datapath
from emu.live.health import Health
from emu.live.hosts import LabCLI, mininet_of
from emu.live.links import settings
from emu.live.namespaces import Namespace
from emu.live.process import run, wait_until
from emu.live.traffic import Traffic
from emu.live.usage import LabUsage
from emu.live.vswitch import CONTROLLER_ADDRESS, NOBODY, VSwitch
from emu.model import SWITCH, Plan
from emu.programs import Ready

FOLDER = Path("/run/emu")
LINK_DEADLINE_S = 2.0
"""A frame crosses a link between namespaces in microseconds; one that takes this long is lost."""
READY_S = 120.0
"""A daemon has done its work some seconds after it was started."""
PATIENCE_S = 5.0
"""How long a process may take to end when it is told, before it is killed."""
TCP_SYSCTLS = tuple(f"net.ipv4.tcp_{name}" for name in ("rmem", "wmem", "sack", "timestamps", "window_scaling"))

class Service(Traffic):
    """One lab. ``build`` comes first."""

    def __init__(self) -> None:
        self.home = Namespace(SWITCH, os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self.spaces: dict[str, Namespace] = {SWITCH: self.home}
        self.spawned: dict[int, tuple[subprocess.Popen[str], Path]] = {}
        self.captures: dict[int, Capture] = {}
        super().__init__()

    def build(self, plan: Plan, datapath: str, sdn: str, netem: bool) -> None:
        """Make a plan real: controller, Open vSwitch, namespaces, in the order that wastes no time. ``netem``: whether
        the kernel has that qdisc."""
        self.plan, self.vswitch = plan, VSwitch(datapath)
        FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.home.set_sysctls((("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1")))
        self.home.route.link("set", index=1, state="up")
        self.controller = Controller(plan, sdn, FOLDER)
        self.vswitch.start(offload=plan.scenario.offload == "on")
        self.spaces.update(namespaces.realise(plan, self.home))
        filter_bridges(plan, FOLDER)
        masquerade(plan, FOLDER)
        # A switch that finds nobody listening waits a second before it tries again.
        self.controller.wait_listening()
        self.vswitch.build(plan)
        if datapath == "netdev":
            suit_userspace_datapath(plan, self.spaces)
        shape_links(plan, netem, FOLDER)
        self.net = mininet_of(plan)
        self.daemons = self._daemons()
        self.controller.wait_ready()
        if plan.control.gateway and plan.control.gateway.announced:
            wanted = {(route.prefix, (route.via,)) for route in plan.control.gateway.announced}
            wait_until("the announced routes to be learned", lambda: wanted <= self._routes())
        self._await_processes()
        if errors := self.errors():
            raise LabError(*errors)
        self.health = Health(plan, self.spaces, self.daemons)

    def _await_processes(self) -> None:
        """Return when every machine shows what its programs are to have done."""
        for machine in self.plan.machines:
            for ready in (ready for process in machine.processes for ready in process.ready):
                wait_until(f"{machine.name} to print '{ready.lines[-1].strip()}' for {' '.join(ready.argv)}",
                           partial(self._shows, machine.name, ready), READY_S)

    def _shows(self, name: str, ready: Ready) -> bool:
        self.daemons.assert_running()
        printed = self.run(name, ready.argv, READY_S)[1]
        return all(line in printed for line in ready.lines)

    def _daemons(self) -> Daemons:
        """The plan's programs, those beside the switch first: the others turn to them."""
        daemons = Daemons(FOLDER)
        if own := self.plan.switch.own:
            namespaces.realise_own(own, self.home)
            for process in own.processes:
                daemons.start(SWITCH, process, ())
        for machine in self.plan.machines:
            for process in machine.processes:
                daemons.start(machine.name, process, entering(machine.name))
        return daemons

    def _routes(self) -> set[tuple[str, tuple[str, ...]]]:
        self.daemons.assert_running()
        return {(route["prefix"], tuple(route["via"])) for route in self.controller.ask("known")["routes"]}

    def _run_in(self, machine: str, *argv: str) -> str:
        return run((*entering(machine), *argv))

    # The controller

    def kill_controller(self) -> None:
        """End the controller by SIGKILL."""
        self.controller.kill()

    def start_controller(self) -> None:
        """Start the controller anew; returns when the switch is as it should be."""
        self.controller.restart()
        self.controller.wait_listening()
        self.controller.wait_ready()

    def connect_controller(self, connected: bool) -> None:
        """Connect switch and controller, or part them; returns when they are."""
        self.vswitch.connect(CONTROLLER_ADDRESS if connected else NOBODY)
        if connected:
            self.controller.wait_ready()
        else:
            self.controller.wait_parted()

    def controller_status(self) -> dict[str, Any]:
        """What the controller says of itself."""
        return self.controller.ask("status")

    def rib(self) -> str:
        """The kernel's table beside the switch, as ``ip -j`` prints it: what BIRD has written there."""
        return run(("ip", "-j", "-4", "route", "show", "proto", "bird"))

    def drops(self) -> dict[str, int]:
        """What was dropped so far, by what for, with every packet that has been through the switch."""
        self.vswitch.settle_counters()
        drops: dict[str, int] = self.controller.ask("drops")["drops"]
        return drops

    def errors(self) -> list[str]:
        """Exceptions of the controller, OpenFlow errors and errors of the switch, ever; programs beside the switch that
        have ended (nodes' may be killed and started again: ``emu.bgp``)."""
        return [*self.controller.errors(), *self.vswitch.errors(), *self.daemons.ended(SWITCH)]

    # Commands

    def run(self, name: str, argv: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
        """Status, output and error of a command in a machine."""
        process = self._popen(name, argv, subprocess.PIPE, subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._end(process)
            raise LabError(f"{name}: {' '.join(argv)} did not end within {timeout_s:g} s") from None
        return process.returncode, out, err

    def run_together(
        self, commands: Sequence[tuple[str, Sequence[str]]], timeout_s: float
    ) -> list[tuple[int, str, str]]:
        """``run`` for several commands (machine, words), started at once; returns when all have ended."""
        with ThreadPoolExecutor(len(commands)) as pool:
            return list(pool.map(lambda command: self.run(command[0], command[1], timeout_s), commands))

    def spawn(self, name: str, argv: Sequence[str]) -> int:
        """Start a command that stays; its process number inside the lab."""
        output = FOLDER / f"output-{next(self._numbers)}.log"
        with open(output, "w") as file:  # a process that stays must never block on a pipe nobody reads
            process = self._popen(name, argv, file, subprocess.STDOUT)
        self.spawned[process.pid] = (process, output)
        return process.pid

    def _popen(self, name: str, argv: Sequence[str], stdout: int | IO[str], stderr: int) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = self.net[name].popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        return process

    def alive(self, pid: int) -> bool:
        """Whether a process that was spawned still runs."""
        return self.spawned[pid][0].poll() is None

    def output(self, pid: int) -> str:
        """What a process that was spawned has printed so far."""
        return self.spawned[pid][1].read_text(errors="replace")

    def stop(self, pid: int) -> None:
        """End a process that was spawned, and its children."""
        self._end(self.spawned[pid][0])

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=PATIENCE_S)
                return

    def listening(self, name: str, port: int, protocol: str) -> bool:
        """Whether something in a machine is bound to a port, from the kernel's socket tables."""
        argv = ["ss", "-Hln", "-t" if protocol == "tcp" else "-u", f"sport = :{port}"]
        return bool(self.run(name, argv, 30)[1].strip())

    def write(self, path: str, text: str) -> None:
        """A file of the lab's own /run or /tmp."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    # Caches

    def cool(self) -> None:
        """Forget all that traffic has taught kernels, the controller and the datapath; assert that it is so, but for
        those that a routing daemon speaks to, who may be known again at once."""
        names = self._warm_machines()
        for name in names:
            self.spaces[name].flush_neighbors()
            self.spaces[name].flush_fdb()
            if self.plan.control.gateway and self.plan.control.gateway.egress_mtus:  # nobody else tells of a path's MTU
                self.spaces[name].forget_paths()
        learned = self.controller.ask("forget")["learned"]
        self.vswitch.forget_flows()
        warm = {name: known for name in names if (known := self._learned_neighbors(name))}
        macs = {name: known for name in names if (known := self.spaces[name].learned_fdb())}
        if learned or warm or macs:
            raise LabError(f"not cold: controller {learned}, neighbors {warm}, MACs {macs}")

    def _learned_neighbors(self, name: str) -> list[str]:
        spoken_to = {peer for process in self.plan.by_name[name].processes for peer in process.peers}
        return [address for address in self.spaces[name].learned_neighbors() if address not in spoken_to]

    def _warm_machines(self) -> list[str]:
        nodes = [node.name for node in self.plan.underlay]
        return [*nodes, *(name for name in self.plan.endpoints or () if name not in nodes)]

    # Looking

    def capture(self, points: Sequence[str], pause_s: float) -> int:
        """Start a capture at ``points`` that pauses between reading; its number."""
        number = next(self._numbers)
        spaces = {name: space.descriptor for name, space in self.spaces.items()}
        self.captures[number] = Capture(spaces, points, pause_s)
        return number

    def settle(self, number: int, peers: Mapping[str, str]) -> None:
        """Wait for frames that are on a link, while a capture runs; not for those that are lost."""
        capture = self.captures[number]
        with contextlib.suppress(LabError):
            wait_until("frames on links to arrive", lambda: capture.is_settled(peers), LINK_DEADLINE_S)

    def captured(self, number: int) -> list[Frame]:
        """End a capture; its frames in order of time."""
        return self.captures.pop(number).stop()

    def differences(self) -> list[str]:
        """What is no longer as it was built."""
        return self.health.differences()

    def census(self) -> dict[str, Counts]:
        """What was put into each machine, and where the switch is, by kind (``emu.laws``)."""
        return {name: written(space) for name, space in self.spaces.items()}

    def facts(self, path: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """What this lab runs on and how its endpoints, and the devices on the ``path`` between them (machine and
        device), are set, as the kernel tells it."""
        endpoints = self.plan.endpoints or ()
        uplinks = [node.name for node in self.plan.underlay]
        return {
            "ovs_version": self.vswitch.version(),
            "datapath": self.vswitch.datapath,
            "sdn": self.controller_status()["framework"],
            "congestion_control": {name: self._congestion_control(name) for name in endpoints},
            "mtu": {name: self._mtu(name) for name in endpoints},
            "underlay_mtu": sorted({self._mtu(name) for name in uplinks}),
            "links": {f"{name}:{device}": self._link_end(name, device) for name, device, _ in link_ends(self.plan)},
            "offloads": {name: self.spaces[name].offloads("eth0") for name in endpoints},
            "path_offloads": {f"{machine}:{device}": self.spaces[machine].offloads(device) for machine, device in path},
            "sysctls": {
                name: {key: self.spaces[name].sysctl(key) for key in (*self.plan.by_name[name].sysctls, *TCP_SYSCTLS)}
                for name in endpoints
            },
        }

    def usage(self) -> LabUsage:
        """CPU time, memory and bytes sent so far. Between two of these, no other request's commands should end: they
        would count as the client's."""
        processes = {"switch": self.vswitch.pid, "controller": self.controller.pid}
        servers = [pid for pid, (process, _) in self.spawned.items() if process.poll() is None]
        sent_bytes = sum(self.spaces[node.name].sent_bytes("eth0") for node in self.plan.underlay)
        return usage.take(processes, servers, sent_bytes, self.daemons.pids)

    def _link_end(self, name: str, device: str) -> list[str]:
        """Qdiscs and egress filters of a device, as tc prints them."""
        return settings(self._run_in(name, "tc", *words) for words in (("qdisc", "show", "dev", device),
                                                                       ("filter", "show", "dev", device, "egress")))

    def _mtu(self, name: str) -> int:
        space = self.spaces[name]
        return int(space.route.get_links(space.index("eth0"))[0].get_attr("IFLA_MTU"))

    def _congestion_control(self, name: str) -> list[str]:
        routes = json.loads(self._run_in(name, "ip", "-j", "-4", "route", "show"))
        pinned = (route for route in routes if route.get("protocol") != "bird")  # a daemon cannot: clients do
        return sorted({m.get("congestion", "unset") for r in pinned for m in r.get("metrics", [{}])})

    def flows(self) -> list[str]:
        """The switch's flow table."""
        return self.vswitch.flows()

    def settled_flows(self) -> list[str]:
        """The switch's flow table, once its counters are up to date."""
        self.vswitch.settle_counters()
        return self.vswitch.flows()

    def trace_flow(self, port: int, frame_hex: str) -> str:
        """What the switch would do with a frame, rule by rule, without doing it."""
        return self.vswitch.trace(port, frame_hex)

    def cli(self) -> None:
        """Mininet's CLI on the terminal this process was started from; Ctrl-C ends the command that runs in it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            LabCLI(self.net)
        finally:
            signal.signal(signal.SIGINT, before)
