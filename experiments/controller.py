#!/usr/bin/env -S python3 -B
"""How fast is the controller, and where does the rest of the time go?

    rates:         a switch that is nothing but a connection hands over packets of hosts not seen before, as fast as
                   they are taken, then one at a time. Ryu's own simple_switch_13 (its logging off) does the same, and
                   a controller that answers every packet with the same bytes, which is the framework's part
    first packet:  from node-a to node-c, cold caches: the switch has its flows from our controller beforehand; as few
                   as will do, written by hand (a MAC's port each, the rest flooded), and no controller; and
                   simple_switch_13, which has to see the packets first

Blocks in an order drawn anew; ratios are to simple_switch_13, or to static flows, of the same block.

    sudo experiments/controller.py
    sudo experiments/controller.py --blocks 20 --hosts 8000
"""

import _environment  # isort: skip  (first: it re-executes this in the environment that ./run made)

import importlib.util
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from _samples import Experiment, new_folder, parser_for, whole

from controllers.learning import PLANNED
from emu import Lab, __version__
from emu.designs import plans_for
from emu.errors import LabError, UsageError
from emu.live import usage
from emu.live.lab import choose
from emu.live.openflow import FLOW_MOD, PACKET_OUT, Switch, free_address, packet_in
from emu.live.process import wait_until
from emu.live.tree import entry, running_trees
from emu.live.vswitch import BRIDGE, CONTROLLER_ADDRESS
from emu.measure.look import use_in_figures
from emu.measure.metrics import Reading
from emu.measure.parsers import parse_single_ping
from emu.measure.progress import Progress
from emu.measure.results import ResultFolder
from emu.measure.stats import Estimate, block_ratios, median_over_blocks
from emu.measure.words import ratio_text
from emu.scenario import read

UNITS = {"packet_ins": "1/s", "flow_mods": "1/s", "response": "us", "cpu": "us", "latency": "us", "to_controller": "1"}
EXAMPLE = "simple_switch_13"
WARM, SINGLE = 500, 300
DEADLINE_S = 120.0
LAUNCH = """
import logging, sys
sys.path.insert(0, sys.argv[1])
logging.basicConfig(level="WARNING")
from controllers import framework
framework.run([sys.argv[2]], sys.argv[3], int(sys.argv[4]), lambda: None)
"""


@dataclass(frozen=True)
class Program:
    """A controller: the application's module, and the framework that it runs on. ``answers``: messages that it sends
    for a packet of a host that it has not seen before, to one that it has; ``flow_mods`` of them add flows."""

    name: str
    module: str
    sdn: str
    answers: int
    flow_mods: int

    @property
    def spec(self) -> str:
        return f"{self.name}:sdn={self.sdn}"


PROGRAMS = (
    Program("floor", "_floor", "ryu", 1, 0),
    Program(EXAMPLE, f"ryu.app.{EXAMPLE}", "ryu", 2, 1),
    Program("l2_switch", "controllers.l2_switch", "ryu", 2, 2),
    Program("floor", "_floor", "os-ken", 1, 0),
    Program("l2_switch", "controllers.l2_switch", "os-ken", 2, 2),
)
"""os-ken comes without the examples that Ryu has."""
RELATED = f"{EXAMPLE}:sdn=ryu"
ARMS = ("static", "planned", EXAMPLE)


def launch(program: Program, address: tuple[str, int]) -> list[str]:
    """The command that starts a controller."""
    return [sys.executable, "-c", LAUNCH, str(Path(__file__).parent), program.module, address[0], str(address[1])]


@contextmanager
def running(program: Program) -> Iterator[tuple[int, tuple[str, int]]]:
    """A controller by itself: its process number, and where it listens."""
    address = free_address()
    process = subprocess.Popen(launch(program, address), env={**os.environ, "KUBENET_SDN": program.sdn},
                               cwd=_environment.CHECKOUT)
    try:
        wait_until(f"{program.spec} to listen", lambda: listens(process, address), DEADLINE_S)
        yield process.pid, address
    finally:
        process.kill()
        process.wait()


def listens(process: subprocess.Popen[bytes], address: tuple[str, int]) -> bool:
    """Whether a controller takes connections yet; ``LabError`` if it has ended instead."""
    if process.poll() is not None:
        raise LabError(f"a controller ended with status {process.returncode}")
    try:
        socket.create_connection(address).close()
    except OSError:
        return False
    return True


def from_host(number: int) -> bytes:
    """A packet of a host to the one with number 0."""
    source = b"\x02\x00" + number.to_bytes(4, "big")
    frame = b"\x02\x00\x00\x00\x00\x00" + source + b"\x08\x00" + bytes(86)
    return packet_in(2 + number % 3 if number else 1, frame, PLANNED.value)


def rates(program: Program, hosts: int) -> list[Reading]:
    """Packet-ins and flow-mods a second with as many waiting as there is room for; then the time of one alone."""
    with running(program) as (pid, address), Switch(address) as switch:
        switch.wait_idle()
        number = asked(switch, program, 0, 1)
        number = asked(switch, program, number, WARM)
        before, cpu_s, started_s = switch.received.copy(), cpu_of(pid), time.monotonic()
        number = asked(switch, program, number, hosts)
        taken_s, cpu_s = time.monotonic() - started_s, cpu_of(pid) - cpu_s
        got = switch.received - before
        times = []
        for _ in range(SINGLE):
            started_s = time.monotonic()
            number = asked(switch, program, number, 1)
            times.append(time.monotonic() - started_s)
        expected = (hosts * (program.answers - program.flow_mods), hosts * program.flow_mods)
        if (got[PACKET_OUT], got[FLOW_MOD]) != expected:
            raise LabError(f"{program.spec}: {dict(got)} to {hosts} hosts, and not (packet-outs, flow-mods) {expected}")
    return [Reading("packet_ins", hosts / taken_s), Reading("cpu", 1e6 * cpu_s / hosts),
            Reading("response", 1e6 * float(np.median(times))),
            *([Reading("flow_mods", got[FLOW_MOD] / taken_s)] if program.flow_mods else [])]


def asked(switch: Switch, program: Program, number: int, count: int) -> int:
    """Hand over packets of ``count`` new hosts from ``number`` on; the next number, when all are answered."""
    kinds = (PACKET_OUT, FLOW_MOD)
    expected = sum(switch.received[kind] for kind in kinds) + count * program.answers
    switch.send(b"".join(map(from_host, range(number, number + count))))
    switch.wait_for(kinds, expected)
    return number + count


def cpu_of(pid: int) -> float:
    """CPU time of a process so far, in s."""
    return usage.take({"controller": pid}, (), 0).cpu_ns["controller"] / 1e9


class Arm:
    """A lab in which node-a pings node-c, and what its switch has its flows from: our controller (``planned``), nobody
    (``static``), or Ryu's example."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name
        self._tree = next(tree for tree in running_trees() if tree.lab_id == lab.lab_id)
        self._controller: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Have the controller of this arm, or none."""
        if self.name == "planned":
            return
        self.lab.kill_controller()
        self._within("ovs-ofctl", "-O", "OpenFlow13", "del-flows", BRIDGE)
        if self.name == "static":
            for station in self.lab.plan.control.stations:
                flow = f"priority=1,dl_dst={station.mac},actions=output:{station.port}"
                self._within("ovs-ofctl", "-O", "OpenFlow13", "add-flow", BRIDGE, flow)
            self._within("ovs-ofctl", "-O", "OpenFlow13", "add-flow", BRIDGE, "priority=0,actions=FLOOD")
        else:
            program = next(program for program in PROGRAMS if program.name == EXAMPLE)
            host, _, port = CONTROLLER_ADDRESS.partition(":")
            inside = [*entry(self._tree, "mount", "pid", "net"), *launch(program, (host, int(port)))]
            self._controller = subprocess.Popen(inside, env={**os.environ, "KUBENET_SDN": program.sdn},
                                                cwd=_environment.CHECKOUT)
            wait_until(f"{EXAMPLE} to have the switch", lambda: bool(self.lab.flows()), DEADLINE_S)

    def end(self) -> None:
        """End what was started here; the rest ends with the lab."""
        if self._controller is not None:
            self._controller.terminate()
            self._controller.wait()

    def first_packet(self, experiment: Experiment) -> list[Reading]:
        """The time of a first ping, nobody knowing anybody; and how many of its packets came to the controller."""
        names = [node.name for node in self.lab.plan.nodes]
        self.lab.run_together([(name, ["ip", "neigh", "flush", "dev", "eth0"]) for name in names])
        if self.name == EXAMPLE:
            self._within("ovs-ofctl", "-O", "OpenFlow13", "del-flows", BRIDGE)
            self._within("ovs-ofctl", "-O", "OpenFlow13", "add-flow", BRIDGE, "priority=0,actions=CONTROLLER:65535")
        self._within("ovs-appctl", "dpctl/del-flows")
        done = self.lab["node-a"].run(["ping", "-n", "-c", "1", "-W", "5", self.lab.plan.address("node-c")])
        experiment.folder.add_call(f"ping-{self.name}", {"machine": "node-a", **asdict(done)})
        return [*parse_single_ping(done.stdout, done.stderr, done.returncode), Reading("to_controller", self._handed())]

    def _handed(self) -> int:
        """Packets that the flows of the table sent to a controller."""
        return sum(int(flow.partition("n_packets=")[2].partition(",")[0]) for flow in self.lab.settled_flows()
                   if "CONTROLLER" in flow)

    def _within(self, *command: str) -> None:
        """Run a command beside the lab's switch."""
        done = self.lab["node-a"].run(command)
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {done.stderr.strip()}")


def relative(experiment: Experiment, spec: str, workload: str, metric: str, to: str) -> str:
    """Median and interval of a metric over blocks, and of its ratio to another's in the same block."""
    values = experiment.blocks(spec, workload, metric)
    if not values:
        return "-"
    estimate = median_over_blocks(np.array(list(values.values())))
    text = f"{estimate.value:,.0f}"
    reference = experiment.blocks(to, workload, metric)
    return text if spec == to or not any(reference.values()) else f"{text}, x {ratio_text(ratio(values, reference))}"


def ratio(values: Mapping[int, float], reference: Mapping[int, float]) -> Estimate:
    """The median of the blocks' ratios."""
    return median_over_blocks(block_ratios(values, reference))


def table(experiment: Experiment, programs: Sequence[Program], arms: Sequence[str]) -> Iterator[str]:
    """What came of it, a line a controller; then the first packets."""
    columns = (("packet_ins", "packet-ins/s"), ("flow_mods", "flow-mods/s"), ("response", "one alone, us"),
               ("cpu", "CPU each, us"))
    yield f"{'controller':<28}" + "".join(f"{head:>32}" for _, head in columns)
    for program in programs:
        cells = (relative(experiment, program.spec, "rates", metric, RELATED) for metric, _ in columns)
        yield f"{program.spec:<28}" + "".join(f"{cell:>32}" for cell in cells)
    yield f"{'first packet':<28}{'us':>32}{'to the controller':>32}"
    for arm in arms:
        cells = (relative(experiment, arm, "first_packet", metric, "static") for metric in ("latency", "to_controller"))
        yield f"{arm:<28}" + "".join(f"{cell:>32}" for cell in cells)


def draw(experiment: Experiment, programs: Sequence[Program], arms: Sequence[str]) -> None:
    """Packet-ins a second, and first packets: a dot a block, a line the median."""
    use_in_figures()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 2.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = [(program.spec, f"{program.name}, {program.sdn}") for program in programs]
    for ax, workload, metric, names, label in (
        (left, "rates", "packet_ins", rows, "packet-ins a second"),
        (right, "first_packet", "latency", [(arm, arm) for arm in arms], "first packet, µs"),
    ):
        for place, (spec, _) in enumerate(names):
            values = list(experiment.blocks(spec, workload, metric).values())
            ax.plot(values, [place] * len(values), "o", color="0.25", ms=3.5, alpha=0.5)
            ax.plot([np.median(values)] * 2, [place - 0.3, place + 0.3], color="0.1", lw=1.2)
        ax.set(xlim=(0, None), xlabel=label, yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5))
        ax.set_yticklabels([text for _, text in names])
    experiment.draw(figure, "controller")


def main() -> int:
    """Rates of each controller, a process of its own in each block; then first packets in three labs side by side."""
    parser = parser_for(__doc__, 10)
    parser.add_argument("--hosts", metavar="N", default="4000", help="new hosts in a block (default: %(default)s)")
    parser.add_argument("--pings", metavar="N", default="10", help="first packets in a block (default: %(default)s)")
    options = parser.parse_args()
    problems: list[str] = []
    blocks = whole("--blocks", options.blocks, 1, problems)
    hosts = whole("--hosts", options.hosts, 100, problems, 7000)
    pings = whole("--pings", options.pings, 1, problems)
    scenario, mistakes = read({"sdn": options.sdn})
    problems += mistakes
    plans = plans_for(["l2:proxy_arp=node"], scenario, problems)
    out = new_folder(options.out, "controller", problems)
    if problems:
        raise UsageError(*problems)
    choose(plans[0], ["ping"])
    there = {"ryu": importlib.util.find_spec("ryu"), "os-ken": importlib.util.find_spec("os_ken")}
    programs = [program for program in PROGRAMS if there[program.sdn]]
    arms = [arm for arm in ARMS if arm != EXAMPLE or there["ryu"]]
    progress, chance = Progress(sys.stderr), random.Random("controller")
    with ResultFolder.create(out) as folder, ExitStack() as stack:
        experiment = Experiment(folder, UNITS)
        for block in range(blocks):
            for program in chance.sample(programs, len(programs)):
                progress.stage(f"round {block + 1} of {blocks}: {program.spec}")
                experiment.keep(program.name, {"sdn": program.sdn}, "rates", block, rates(program, hosts))
        labs = [stack.enter_context(Lab(plans[0])) for _ in arms]
        folder.write_json("run.json", {
            "format": "emu-experiment/1", "experiment": "controller", "version": __version__, "argv": sys.argv,
            "blocks": blocks, "hosts": hosts, "pings": pings, "labs": [lab.facts() for lab in labs],
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        })
        prepared = [Arm(lab, name) for lab, name in zip(labs, arms, strict=True)]
        for arm in prepared:
            stack.callback(arm.end)
            arm.begin()
        for block in range(blocks):
            progress.stage(f"round {block + 1} of {blocks}: first packets")
            for _ in range(pings):
                for arm in chance.sample(prepared, len(prepared)):
                    experiment.keep(arm.name, {}, "first_packet", block, arm.first_packet(experiment))
        draw(experiment, programs, arms)
    progress.end()
    print("\n".join(table(experiment, programs, arms)))
    print(f"plot: {folder.path}/plots/controller.png")
    return 0


if __name__ == "__main__":
    _environment.run(main)
