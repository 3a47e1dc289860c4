"""``Lab``: a design, running. The stable Python interface, and what every verb is built on.

from emu import Lab
with Lab("overlay:backend=vxlan", nodes=4, containers=3) as lab:
    print(lab["ctr-1"].run(["ping", "-c1", "10.0.3.2"]).stdout)
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from emu.designs import parse_design, plans_for
from emu.designs.base import RoundTrip
from emu.errors import LabError, MissingError, UsageError
from emu.frames import Frame
from emu.live import preflight
from emu.live.buffers import SYSCTLS, large_buffers
from emu.live.capture import NO_PERMISSION
from emu.live.census import Counts
from emu.live.flood import Flooded
from emu.live.linux import CAP_NET_RAW, has_capability
from emu.live.process import wait_until
from emu.live.steady import Steadied
from emu.live.sweep import Miss, Pair
from emu.live.tree import Tree
from emu.live.usage import LabUsage
from emu.model import Hop, Plan
from emu.routes import Routes, in_flow_table, in_kernel
from emu.scenario import read

DEFAULT_TIMEOUT_S = 120.0
LAB_TOOLS = ("unshare", "nsenter", "mnexec", "ip", "ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl",
             "ovs-ofctl", "ovs-appctl")  # fmt: skip
"""Commands without which no lab comes up."""

_SILENCE = ("pref", "1", "handle", "1")
"""The filter's place, before all others; it is there once or not at all."""

_DROP = "1,6 0 0 2"
"""Classic BPF: TC_ACT_SHOT for every packet (include/uapi/linux/pkt_cls.h)."""

_STOCK_ARP_LIMIT = 1024
"""Linux's default ``gc_thresh3`` (``net/ipv4/arp.c``), where the real one cannot be read."""


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class Process:
    """A command that stays until it is stopped or its lab ends."""

    def __init__(self, tree: Tree, pid: int) -> None:
        self._tree = tree
        self.pid = pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return bool(self._tree.request("alive", pid=self.pid))

    def output(self) -> str:
        """What it has printed so far, errors included."""
        return str(self._tree.request("output", pid=self.pid))

    def stop(self) -> None:
        """End it and its children."""
        self._tree.request("stop", pid=self.pid)


class LabMachine:
    """A node or container of a running lab."""

    def __init__(self, tree: Tree, name: str) -> None:
        self._tree = tree
        self.name = name

    def run(self, argv: Sequence[str], timeout_s: float = DEFAULT_TIMEOUT_S) -> Completed:
        """Run a command here. A status other than 0 is no error; running out of time is a ``LabError``."""
        return Completed(tuple(argv), *self._tree.request("run", name=self.name, argv=list(argv), timeout_s=timeout_s))

    def spawn(self, argv: Sequence[str]) -> Process:
        """Start a command that stays, such as a server."""
        return Process(self._tree, self._tree.request("spawn", name=self.name, argv=list(argv)))

    def must(self, argv: Sequence[str]) -> str:
        """Run a command that has to succeed: what it printed; ``LabError`` with what it complains of."""
        done = self.run(argv)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise LabError(f"{self.name}: {argv[0]} ended with status {done.returncode}: {said}")
        return done.stdout

    def silence(self) -> None:
        """Lose every frame to and from here, as if it had lost its power. Its link stays up: nobody is told.
        ``LabError`` if it is silent already."""
        self.must(("tc", "qdisc", "replace", "dev", "eth0", "clsact"))  # loss may be a filter of it, which stays
        for way in ("ingress", "egress"):
            self.must(("tc", "filter", "add", "dev", "eth0", way, *_SILENCE, "bpf", "da", "bytecode", _DROP))

    def speak(self) -> None:
        """End what ``silence`` began."""
        for way in ("ingress", "egress"):
            self.must(("tc", "filter", "del", "dev", "eth0", way, *_SILENCE[:2]))

    def wait_listening(self, port: int, protocol: str = "tcp") -> None:
        """Return when something here is bound to a port; ``LabError`` if nothing is within 30 s."""
        question = {"name": self.name, "port": port, "protocol": protocol}
        wait_until(
            f"{self.name} to listen on {protocol} port {port}",
            lambda: bool(self._tree.request("listening", **question)),
        )


class Lab:
    """A lab of one design. It runs inside ``with``; leaving that ends everything in it."""

    def __init__(self, design: str | Plan, *, on_terminal: bool = False, **scenario: Any) -> None:
        """``design``: as on the command line, or a plan. ``scenario``: the options, as keyword arguments.

        Raises ``UsageError`` naming every mistake. Nothing is started yet.
        """
        self.plan = design if isinstance(design, Plan) else _plan(design, scenario)
        if isinstance(design, Plan) and scenario:
            raise UsageError(f"a plan has its scenario already: {', '.join(scenario)} cannot be given beside it")
        self._on_terminal = on_terminal
        self._stack = ExitStack()
        self._starting: Tree | None = None
        self._running: Tree | None = None

    def __enter__(self) -> Lab:
        datapath, sdn = choose(self.plan)
        with ExitStack() as stack:
            stack.enter_context(large_buffers())
            tree = self._starting = Tree(self.plan.spec, self._on_terminal)
            stack.callback(tree.end)
            tree.request("build", plan=self.plan, datapath=datapath, sdn=sdn, netem="netem" in this_machine().qdiscs)
            self._running = tree
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = None
        self._stack.close()

    def abort(self) -> None:
        """End the lab at once, from any thread, even while it comes up: whatever waits for it gets a ``LabError``."""
        if self._starting:
            self._starting.signal()

    @property
    def tree(self) -> Tree:
        """The lab's namespace tree; ``LabError`` if the lab is not running."""
        if self._running is None:
            raise LabError("this lab is not running: use it in a with statement")
        return self._running

    @property
    def lab_id(self) -> str:
        """What ``emu labs`` calls this lab."""
        return self.tree.lab_id

    def __getitem__(self, name: str) -> LabMachine:
        """A machine by its name; ``KeyError`` if there is none."""
        if name not in self.plan.by_name:
            raise KeyError(name)
        return LabMachine(self.tree, name)

    def run_together(
        self, commands: Sequence[tuple[str, Sequence[str]]], timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> list[Completed]:
        """Run commands (the name of a machine, words) at the same time; returns when all have ended, in their order.
        One that runs out of time is a ``LabError``."""
        words = [(name, list(argv)) for name, argv in commands]
        answers = self.tree.request("run_together", commands=words, timeout_s=timeout_s)
        return [Completed(tuple(argv), *answer) for (_, argv), answer in zip(words, answers, strict=True)]

    def write(self, path: str, text: str) -> None:
        """Put a file on the lab's own /run or /tmp."""
        if Path(path).parts[:2] not in (("/", "run"), ("/", "tmp")):
            raise ValueError(f"{path} is not on the lab's own /run or /tmp")
        self.tree.request("write", path=path, text=text)

    def cool(self) -> None:
        """Have neighbors and path MTUs of endpoints and nodes, the datapath's cache and what the controller learned
        forgotten.

        ``LabError`` if something of it is still there afterwards.
        """
        self.tree.request("cool")

    def capture(self, points: Sequence[str], pause_s: float = 0) -> int:
        """Start capturing at ``machine:interface`` points, ready when this returns; a number for ``captured``.

        ``pause_s``: frames are left with the kernel so long before the next are read; nothing then takes the CPU from
        those who pass them on, but the kernel must have room for them. ``UsageError`` with every point that is none.
        """
        return int(self.tree.request("capture", points=list(points), pause_s=pause_s))

    def captured(self, number: int) -> list[Frame]:
        """End a capture: its frames, in order of time. ``LabError`` if it is not whole: frames were lost, or an
        interface went away."""
        frames: list[Frame] = self.tree.request("captured", number=number)
        return frames

    def path(self, src: str, dst: str) -> tuple[Hop, ...]:
        """The way from one machine to another that the design declares."""
        return parse_design(self.plan.design).design.path(self.plan, src, dst)

    def round_trips(self, src: str, dst: str) -> tuple[RoundTrip, ...]:
        """The ways there and back that the design declares; nothing where it says that there is none."""
        return parse_design(self.plan.design).design.round_trips(self.plan, src, dst)

    def sweep(self) -> tuple[int, list[Miss]]:
        """Ping every ordered pair of machines: how many, and those without the answer, and its TTL, that the plan
        declares, or with one where it declares no way."""
        pairs = self._pairs()
        misses: list[Miss] = self.tree.request("sweep", pairs=pairs, most_neighbors=arp_limit())
        return len(pairs), misses

    def _pairs(self) -> list[Pair]:
        names = [machine.name for machine in self.plan.machines]
        round_trips = parse_design(self.plan.design).design.round_trips
        ways = ((a, b, round_trips(self.plan, a, b)) for a in names for b in names if a != b)
        return [(a, b, self.plan.address(b), trips[0][1][-1].ttl if trips else None) for a, b, trips in ways]

    def census(self) -> dict[str, Counts]:
        """How many entries of each kind (``emu.laws``) were put into each machine, and where the switch is."""
        counts: dict[str, Counts] = self.tree.request("census")
        return counts

    def exchange(self) -> tuple[list[Miss], dict[str, Counts]]:
        """``sweep``; and how many entries of each learned kind each machine has had of it."""
        done: tuple[list[Miss], dict[str, Counts]] = self.tree.request(
            "exchange", pairs=self._pairs(), most_neighbors=arp_limit())
        return done

    def flood(self, src: str, dst: str, payload_bytes: int, offered_bps: float, duration_s: float) -> Flooded:
        """Send UDP from one machine to another, at ``offered_bps`` of payload or as fast as goes, and count what
        comes in at its ``eth0`` for ``duration_s``, after a short warm-up."""
        flooded: Flooded = self.tree.request("flood", src=src, dst=dst, payload_bytes=payload_bytes,
                                             offered_bps=offered_bps, duration_s=duration_s)
        return flooded

    def steady(self, src: str, dst: str, protocol: str, interval_ms: float) -> int:
        """Begin to send messages from one machine to another at a fixed rate, by ``udp`` or ``tcp``; a number for
        ``steadied``. ``LabError`` where there is no connection."""
        return int(self.tree.request("steady", src=src, dst=dst, protocol=protocol, interval_ms=interval_ms))

    def steady_received(self, number: int) -> int:
        """How many of its messages have arrived so far."""
        return int(self.tree.request("steady_received", number=number))

    def steady_is_over(self, number: int) -> bool:
        """Whether something has ended it early."""
        return bool(self.tree.request("steady_is_over", number=number))

    def steadied(self, number: int) -> Steadied:
        """End it when what is under way has arrived; what became of it."""
        flow: Steadied = self.tree.request("steadied", number=number)
        return flow

    def controller(self) -> dict[str, Any]:
        """What the controller says of itself: framework, counters, errors, what it learned."""
        status: dict[str, Any] = self.tree.request("controller_status")
        return status

    def rib(self) -> Routes:
        """What the routing daemon beside the gateway has in its kernel's table: next hops by prefix."""
        return in_kernel(self.tree.request("rib"))

    def routes(self) -> Routes:
        """What the gateway's flow table has: next hops by prefix; nothing where there is no gateway."""
        gateway = self.plan.control.gateway
        return in_flow_table(self.flows(), gateway) if gateway else {}

    def drops(self) -> dict[str, int]:
        """How many packets the controller and its switch have dropped so far, by what for (``docs/controllers.md``)."""
        drops: dict[str, int] = self.tree.request("drops")
        return drops

    def kill_controller(self) -> None:
        """End the controller by SIGKILL, as a crash would. The switch keeps its flows."""
        self.tree.request("kill_controller")

    def start_controller(self) -> None:
        """Start a controller that was killed; returns when the switch has what is planned, and nothing stale."""
        self.tree.request("start_controller")

    def connect_controller(self, connected: bool) -> None:
        """Have the switch lose its connection to the controller, or get it back; returns when that is so."""
        self.tree.request("connect_controller", connected=connected)

    def differences(self) -> list[str]:
        """What is no longer as it was when the lab was ready, a sentence each: devices, routes, written neighbors, FDB
        entries, filters, programs (``emu.live.health``)."""
        return list(self.tree.request("differences"))

    def errors(self) -> list[str]:
        """Exceptions of the controller and OpenFlow errors so far."""
        return list(self.tree.request("errors"))

    def flows(self) -> list[str]:
        """The switch's flow table with its counters, a line a flow."""
        return list(self.tree.request("flows"))

    def settled_flows(self) -> list[str]:
        """As ``flows``, once the counters hold every packet so far."""
        return list(self.tree.request("settled_flows"))

    def trace_flow(self, port: int, frame_hex: str) -> str:
        """What ``ofproto/trace`` says of a frame (in hexadecimal) that comes in at an OpenFlow port."""
        return str(self.tree.request("trace_flow", port=port, frame_hex=frame_hex))

    def settle(self, number: int, peers: Mapping[str, str]) -> None:
        """Return when a running capture has seen every frame that left one end of a link come in at the other; soon,
        too, if one never does: it is lost. ``peers``: for each end of a link the other."""
        self.tree.request("settle", number=number, peers=dict(peers))

    def usage(self) -> LabUsage:
        """CPU time by part, memory and bytes on the underlay so far; two snapshots tell what lies between."""
        taken: LabUsage = self.tree.request("usage")
        return taken

    def facts(self) -> dict[str, Any]:
        """What the lab runs on, and offloads, MTU, sysctls and congestion control of its endpoints."""
        hops = self.path(*self.plan.endpoints) if self.plan.endpoints else ()
        path = sorted({(hop.machine, hop.interface) for hop in hops})
        return {
            **self.tree.request("facts", path=path),
            "design": self.plan.spec,
            "kernel": platform.release(),
            "root": os.geteuid() == 0,
            "socket_buffers": {name: int(path.read_text()) for name, path in SYSCTLS.items() if path.exists()},
        }


def _plan(design: str, options: Mapping[str, Any]) -> Plan:
    scenario, problems = read(options)
    plans = plans_for([design], scenario, problems)
    if problems:
        raise UsageError(*problems)
    return plans[0]


@cache
def this_machine() -> preflight.Machine:
    """What this machine offers, looked at once."""
    return preflight.examine()


def choose(plan: Plan, tools: Iterable[str] = ()) -> tuple[str, str]:
    """The datapath and the SDN framework for a plan on this machine; ``MissingError`` names all that lacks.

    ``tools``: commands that are wanted besides those every lab needs.
    """
    machine = this_machine()
    datapath, sdn = plan.scenario.datapath, plan.scenario.sdn
    tunnels = {device.kind for m in plan.machines for device in m.devices} & {*preflight.TUNNELS}
    own = plan.switch.own.processes if plan.switch.own else ()
    programs = (*own, *(process for machine in plan.machines for process in machine.processes))
    daemons = {word for process in programs for word in process.needs or process.argv[:1]}
    problems = preflight.missing_for(machine, datapath, sdn, (*LAB_TOOLS, *tools, *sorted(daemons)), sorted(tunnels),
                                     [port.shape for port in plan.switch.ports],
                                     filters=any(machine.filters for machine in plan.machines),
                                     masquerades=any(machine.nat for machine in plan.machines))
    if os.geteuid() == 0 and not has_capability(CAP_NET_RAW):  # without root, a lab has its own
        problems.append(NO_PERMISSION)
    if problems:
        raise MissingError(*problems)
    chosen = machine.datapaths[0] if datapath == "auto" else datapath
    gateway = plan.control.gateway
    if gateway and gateway.egress_mtus and plan.scenario.offload == "on" and chosen == "netdev":
        raise MissingError(f"{plan.spec} with --offload on: {machine.finding(preflight.SIZES).sentence()}")
    return chosen, machine.sdn[0] if sdn == "auto" else sdn


def arp_limit() -> int:
    """The machine's limit of ARP entries over all namespaces."""
    try:
        return int(Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text())
    except OSError:
        return _STOCK_ARP_LIMIT
