#!/usr/bin/env -S python3 -B
"""Who should answer ARP for containers: the controller, the switch, or the node? And what does a storm of it do?

    controller:  who has? -> switch -> controller      two packets to the controller for a first ping
                 <- I have - switch <- controller
    switch:      who has? -> switch                    the answer is in a flow beforehand
                 <- I have - switch
    node:        who has? -> switch -> every node      the kernel of one node answers, all of them hear it
                 <- I have - switch <- node-c

For each number of containers on a node: the time of a first packet, cold caches; the ARP frames that machines hear for
it; the packets that the controller is handed. Then the storm: a container of another node asks for all others, over
and over, and established traffic (its neighbors known) is pinged, with and without it, and once after both ends have
forgotten whom they talk to. The three labs run side by side and take turns in an order drawn anew each round.

    sudo experiments/proxy_arp.py
    sudo experiments/proxy_arp.py --containers 1,16,64 --storm 5000
"""

import _environment  # isort: skip  (first: it re-executes this in the environment that ./run made)

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import product

from _samples import Experiment, each_whole, new_folder, parser_for, quantile, whole

from emu import Lab, __version__
from emu.designs import plans_for
from emu.errors import LabError, UsageError
from emu.live.lab import choose
from emu.measure.look import styles, use_in_figures
from emu.measure.metrics import Reading
from emu.measure.parsers import parse_ping, parse_single_ping
from emu.measure.progress import Progress
from emu.measure.results import ResultFolder
from emu.measure.words import number
from emu.packets import arp_request
from emu.scenario import read

ANSWERERS = ("controller", "switch", "node")
UNITS = {"latency": "us", "rtt": "us", "loss": "1", "arp_frames": "1", "packet_ins": "1", "packet_in_rate": "1/s"}
PINGS, INTERVAL_S = 300, 0.002
BURST_S = 0.01
STORM = f"""
import socket, sys, time
frames = [bytes.fromhex(word) for word in sys.argv[2:]]
burst = max(1, int(int(sys.argv[1]) * {BURST_S}))
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("eth0", 0))
due, number = time.monotonic(), 0
while True:
    for number in range(number, number + burst):
        sock.send(frames[number % len(frames)])
    due += {BURST_S}
    time.sleep(max(0, due - time.monotonic()))
"""
"""Sent at the rate of its first word, in bursts: whoever cannot keep up is asked no faster for it."""


def ping(experiment: Experiment, lab: Lab, *words: str) -> tuple[str, str, int]:
    """Ping between the endpoints; what it printed, and its status."""
    src, dst = lab.plan.endpoints or ("", "")
    done = lab[src].run(["ping", "-n", *words, lab.plan.address(dst)])
    experiment.folder.add_call("ping-l2", {"design": lab.plan.spec, "machine": src, **asdict(done)})
    return done.stdout, done.stderr, done.returncode


def first_packet(experiment: Experiment, lab: Lab) -> list[Reading]:
    """The time of a first packet."""
    lab.cool()
    return parse_single_ping(*ping(experiment, lab, "-c", "1", "-W", "5"))


def footprint(experiment: Experiment, lab: Lab) -> list[Reading]:
    """What a first packet takes: ARP frames heard by machines, and packets handed to the controller."""
    lab.cool()
    before = packet_ins(lab)
    capture = lab.capture([f"{machine.name}:eth0" for machine in lab.plan.machines])
    parse_single_ping(*ping(experiment, lab, "-c", "1", "-W", "5"))
    heard = [frame for frame in lab.captured(capture) if frame.direction == "in" and "arp.op" in frame.fields]
    return [Reading("arp_frames", len(heard)), Reading("packet_ins", packet_ins(lab) - before)]


def established(experiment: Experiment, lab: Lab) -> list[Reading]:
    """Round trips of traffic that has been going on, its MACs known; and packets to the controller meanwhile."""
    ping(experiment, lab, "-q", "-c", "1", "-W", "5")
    before, started_s = packet_ins(lab), time.monotonic()
    readings = parse_ping(*ping(experiment, lab, "-c", str(PINGS), "-i", str(INTERVAL_S), "-W", "1"))
    rate = (packet_ins(lab) - before) / (time.monotonic() - started_s)
    return [*readings, Reading("packet_in_rate", rate)]


def asked_anew(experiment: Experiment, lab: Lab) -> list[Reading]:
    """The time of a packet for which both ends have to ask again. (In a storm nothing else stays cold: a node that
    answers learns who asks.)"""
    src, dst = lab.plan.endpoints or ("", "")
    lab.run_together([(name, ["ip", "neigh", "flush", "dev", "eth0"]) for name in (src, dst)])
    return parse_single_ping(*ping(experiment, lab, "-c", "1", "-W", "5"))


def packet_ins(lab: Lab) -> int:
    """Packets handed to the controller so far."""
    return int(lab.controller()["counters"]["packet_in"])


@contextmanager
def storm(lab: Lab, rate_per_s: int) -> Iterator[None]:
    """A container of a node that is neither endpoint's asks for every container elsewhere, in turn."""
    busy = {lab.plan.node_of[name].name for name in lab.plan.endpoints or ()}
    node = next(node for node in lab.plan.nodes if node.name not in busy)
    asker = node.containers[0]
    others = [c for other in lab.plan.nodes if other is not node for c in other.containers]
    frames = [arp_request(asker.mac, asker.address, other.address).hex() for other in others]
    process = lab[asker.name].spawn([sys.executable, "-I", "-c", STORM, str(rate_per_s), *frames])
    try:
        yield
        if not process.alive():
            raise LabError(f"the storm ended by itself: {process.output()}")
    finally:
        process.stop()
    # Behind the last question by the same port: when this is answered, the storm is over.
    lab[asker.name].run(["ping", "-n", "-q", "-c", "1", "-W", "5", others[0].address])


def measure(experiment: Experiment, labs: Sequence[Lab], count: int, options: argparse.Namespace) -> None:
    """All there is to know of one number of containers."""
    chance = random.Random(f"proxy arp {count}")
    for block in range(options.blocks):
        for lab in chance.sample(labs, len(labs)):
            experiment.add(lab, f"first_packet:containers={count}", block, first_packet)
            experiment.add(lab, f"footprint:containers={count}", block, footprint)
            experiment.add(lab, f"quiet:containers={count}", block, established)
            with storm(lab, options.storm):
                experiment.add(lab, f"storm:containers={count}", block, established)
                experiment.add(lab, f"asked_anew:containers={count}", block, asked_anew)


def draw(experiment: Experiment, counts: Sequence[int], storm_per_s: int) -> None:
    """Four small figures side by side: each a question, against the number of containers."""
    use_in_figures()
    from matplotlib.figure import Figure

    look = styles([("l2", {"proxy_arp": answerer}) for answerer in ANSWERERS])
    panels = (
        ("first_packet", "latency", "First packet, µs", 0.5),
        ("footprint", "arp_frames", "ARP frames heard\nfor it", 0.5),
        ("footprint", "packet_ins", "Packets to the\ncontroller for it", 0.5),
        ("storm", "rtt", f"Round trip in a storm\nof {storm_per_s}/s, p99, µs", 0.99),
    )
    figure = Figure(figsize=(9.2, 2.4), layout="constrained")
    for ax, (workload, metric, label, q) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for answerer, style in zip(ANSWERERS, look.values(), strict=True):
            values = [experiment.values(f"{workload}:containers={count}", metric, proxy_arp=answerer)
                      for count in counts]
            ax.plot(counts, [quantile(v, q) for v in values], color=style.light, marker=style.marker, ms=4,
                    mfc="white" if style.is_open else style.light, ls=(0, style.dash or (1, 0)), label=answerer)
        ax.set(title=label, xlabel="containers on a node", ylim=(0, None), xticks=counts)
    figure.axes[0].legend(frameon=False, fontsize=7)
    experiment.draw(figure, "proxy-arp")


def table(experiment: Experiment, counts: Sequence[int]) -> Iterator[str]:
    """Medians, a line a number of containers and answerer; of round trips the 99th percentiles."""
    columns = (("first_packet", "latency", 0.5), ("footprint", "arp_frames", 0.5), ("footprint", "packet_ins", 0.5),
               ("quiet", "rtt", 0.99), ("storm", "rtt", 0.99), ("storm", "packet_in_rate", 0.5),
               ("asked_anew", "latency", 0.5))
    heads = ("first us", "ARP", "to ctl", "p99 us", "in storm", "to ctl/s", "anew us")
    yield f"{'containers':>10}  {'answers':<12}" + "".join(f"{head:>10}" for head in heads)
    for count, answerer in product(counts, ANSWERERS):
        found = (experiment.values(f"{name}:containers={count}", metric, proxy_arp=answerer)
                 for name, metric, _ in columns)
        told = (number(quantile(v, q)) if v else "-" for v, (_, _, q) in zip(found, columns, strict=True))
        yield f"{count:>10}  {answerer:<12}" + "".join(f"{text:>10}" for text in told)


def arguments() -> tuple[argparse.Namespace, list[int], list[str]]:
    """The command line, the numbers of containers, and all that is wrong with them."""
    parser = parser_for(__doc__, 10)
    parser.add_argument("--containers", metavar="N,N", default="1,8,32", help="on a node (default: %(default)s)")
    parser.add_argument("--nodes", metavar="N", default="4", help="3 or more (default: %(default)s)")
    parser.add_argument("--storm", metavar="N", default="2000", help="requests a second (default: %(default)s)")
    options = parser.parse_args()
    problems: list[str] = []
    for name, least in (("nodes", 3), ("blocks", 1), ("storm", int(1 / BURST_S))):
        setattr(options, name, whole(f"--{name}", getattr(options, name), least, problems))
    return options, each_whole("--containers", options.containers.split(","), problems), problems


def main() -> int:
    """Bring up three labs for each number of containers, measure in turns, draw and print."""
    options, counts, problems = arguments()
    plans = {}
    for count in counts or [1]:
        scenario, mistakes = read({"nodes": str(options.nodes), "containers": str(count), "sdn": options.sdn})
        problems += [mistake for mistake in mistakes if mistake not in problems]
        plans[count] = plans_for([f"l2:proxy_arp={answerer}" for answerer in ANSWERERS], scenario, problems)
    out = new_folder(options.out, "proxy_arp", problems)
    if problems:
        raise UsageError(*problems)
    for plan in plans[counts[-1]]:
        choose(plan, ["ping"])
    progress = Progress(sys.stderr)
    with ResultFolder.create(out) as folder:
        experiment = Experiment(folder, UNITS)
        run = {"format": "emu-experiment/1", "experiment": "proxy_arp", "version": __version__, "argv": sys.argv,
               "nodes": options.nodes, "containers": counts, "blocks": options.blocks, "storm_per_s": options.storm,
               "started": datetime.now(timezone.utc).isoformat(timespec="seconds"), "labs": []}
        for count, some in plans.items():
            with ExitStack() as stack:
                progress.stage(f"{count} containers on a node")
                labs = [stack.enter_context(Lab(plan)) for plan in some]
                run["labs"] += [{"containers": count, **lab.facts()} for lab in labs]
                folder.write_json("run.json", run)
                measure(experiment, labs, count, options)
                if errors := [error for lab in labs for error in lab.errors()]:
                    raise LabError(*errors)
        draw(experiment, counts, options.storm)
    progress.end()
    print("\n".join(table(experiment, counts)))
    print(f"plot: {folder.path}/plots/proxy-arp.png")
    return 0


if __name__ == "__main__":
    _environment.run(main)
