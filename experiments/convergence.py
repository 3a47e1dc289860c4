#!/usr/bin/env -S python3 -B
"""How long is a service away when a route to it changes, or who announces it fails?

    node-b  10.250.0.1 --\\                      two nodes announce one prefix by BGP; a container of node-a asks
                          gateway -- node-a     the one that its flow hashes to, at a fixed rate, while that node
    node-d  10.250.0.1 --/           ctr-1      withdraws the prefix, is stopped, is killed, or falls silent

A change that is announced leaves a path at every moment: nothing should be lost. A daemon that is killed is noticed by
its connection; a node that falls silent by BFD, where it runs, else when the hold time is over. And where the last node
withdraws, nothing is lost in silence: the gateway says that the net is unreachable.

Then the size: how long from a node's announcing so many prefixes until all of them are in the gateway's flow table? And
how long does a controller that was killed take, from its start, to be in step with a switch that has them all?

    sudo experiments/convergence.py
    sudo experiments/convergence.py --prefixes 1000,10000 --hold 3
"""

import _environment  # isort: skip  (first: it re-executes this in the environment that ./run made)

import argparse
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from ipaddress import IPv4Network

from _samples import Experiment, each_whole, new_folder, parser_for, quantile, whole

from emu import Lab, __version__
from emu.bgp import SERVICE, BgpNode, Service
from emu.designs import plans_for
from emu.errors import LabError, UsageError
from emu.live.lab import choose
from emu.live.process import wait_until
from emu.live.vswitch import BRIDGE
from emu.measure.look import use_in_figures
from emu.measure.metrics import Reading
from emu.measure.progress import Progress
from emu.measure.results import ResultFolder
from emu.scenario import read

UNITS = {"outage": "ms", "unreachable_after": "ms", "time_to_flows": "s", "time_to_resync": "s"}
PROBE_MS = 5
CALM_S, LOOK_S = 0.5, 0.05
TABLE_DEADLINE_S = 600.0
MANY = IPv4Network("172.16.0.0/12")


@dataclass(frozen=True)
class Event:
    """What happens to the node that answers, and what undoes it. ``leaves``: whether the other one announces, too."""

    name: str
    text: str
    act: Callable[[BgpNode], None]
    undo: Callable[[BgpNode], None]
    leaves: bool = True
    bfd: bool = False


WITHDRAWN: Callable[[BgpNode], None] = partial(BgpNode.announce, prefixes=())
ANNOUNCED: Callable[[BgpNode], None] = partial(BgpNode.announce, prefixes=(SERVICE,))
EVENTS = (
    Event("withdrawn", "withdraws, the other\nnode announces, too", WITHDRAWN, ANNOUNCED),
    Event("stopped", "session stopped by\nthe administrator", BgpNode.stop, BgpNode.resume),
    Event("killed", "daemon killed", BgpNode.kill, BgpNode.start),
    Event("silent, BFD", "falls silent,\nBFD runs", BgpNode.silence, BgpNode.speak, bfd=True),
    Event("silent", "falls silent,\nhold time alone", BgpNode.silence, BgpNode.speak),
    Event("withdrawn, last", "the last one withdraws", WITHDRAWN, ANNOUNCED, leaves=False),
)


def converge(event: Event, experiment: Experiment, lab: Lab) -> list[Reading]:
    """One event under a probe at a fixed rate: the longest time without an answer, or until ICMP said so."""
    service = Service(lab, ("node-b", "node-d"))
    service.announce(service.names)
    victim = service.answering("ctr-1")
    other = next(name for name in service.names if name != victim)
    if not event.leaves:
        service.announce((victim,))
    node = BgpNode(lab, victim)
    probe = service.probe("ctr-1", PROBE_MS)
    event.act(node)
    service.await_routes((other,) if event.leaves else ())
    time.sleep(CALM_S)  # so long the probe goes on beyond the change
    seen = probe.end()
    event.undo(node)
    service.await_session(victim)
    call = {"design": lab.plan.spec, "stdout": seen.output}
    experiment.folder.add_call(f"probe-{event.name.replace(', ', '-')}", call)
    return [Reading("outage" if event.leaves else "unreachable_after", seen.outage_ms)]


def fill(count: int, experiment: Experiment, lab: Lab) -> list[Reading]:
    """The time from a node's announcing ``count`` prefixes until they are in the switch, looked at every 50 ms; and the
    time a controller takes from its start until the switch has what it wants, all of it being there already."""
    Service(lab, ("node-b", "node-d")).announce(())  # what the last event left
    node = BgpNode(lab, "node-b")
    before = flow_count(lab)
    prefixes = [str(network) for _, network in zip(range(count), MANY.subnets(new_prefix=28), strict=False)]
    started_s = time.monotonic()
    node.announce(prefixes)
    while flow_count(lab) < before + count:
        if time.monotonic() - started_s > TABLE_DEADLINE_S:
            raise LabError(f"{count} routes did not come to the switch")
        time.sleep(LOOK_S)  # looking takes CPU time, too
    flows_s = time.monotonic() - started_s
    lab.kill_controller()
    started_s = time.monotonic()
    lab.start_controller()
    resync_s = time.monotonic() - started_s
    if flow_count(lab) != before + count:
        raise LabError(f"{flow_count(lab)} routes in the switch after the controller's start, not {before + count}")
    node.announce(())
    wait_until("the prefixes to be gone", lambda: flow_count(lab) == before, TABLE_DEADLINE_S)
    return [Reading("time_to_flows", flows_s), Reading("time_to_resync", resync_s)]


def flow_count(lab: Lab) -> int:
    """Flows in the gateway's table of routes."""
    said = lab["node-a"].run(["ovs-ofctl", "-O", "OpenFlow13", "dump-aggregate", BRIDGE, "table=2"]).stdout
    found = re.search(r"flow_count=(\d+)", said)
    if found is None:
        raise LabError(f"ovs-ofctl dump-aggregate said: {said!r}")
    return int(found[1])


def draw(experiment: Experiment) -> None:
    """One figure: every outage that was seen, an event a line; logarithmic beyond one interval of the probe."""
    use_in_figures()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.9), layout="constrained")
    ax = figure.subplots()
    for place, event in enumerate(EVENTS):
        metric = "outage" if event.leaves else "unreachable_after"
        values = experiment.values(event.name, metric)
        ax.plot(values, [place] * len(values), "o", color="0.25", ms=4, alpha=0.6)
    ax.set_xscale("symlog", linthresh=PROBE_MS)  # none is 0, and to be seen
    ax.set(xlim=(-1, None), xlabel=f"longest time without an answer, ms (probe every {PROBE_MS} ms)",
           yticks=range(len(EVENTS)), ylim=(len(EVENTS) - 0.5, -0.5))
    ax.set_yticklabels([event.text for event in EVENTS], fontsize=7)
    experiment.draw(figure, "convergence")


def table(experiment: Experiment, counts: Sequence[int]) -> Iterator[str]:
    """Medians and ranges, a line an event and a number of prefixes."""
    yield f"{'event':<18}{'n':>4}{'median':>10}{'least':>10}{'most':>10}   ms without an answer"
    for event in EVENTS:
        values = experiment.values(event.name, "outage" if event.leaves else "unreachable_after")
        yield (f"{event.name:<18}{len(values):>4}"
               + "".join(f"{quantile(values, q):>10.0f}" for q in (0.5, 0, 1)))
    yield f"{'prefixes':<18}{'n':>4}{'flows':>10}{'resync':>10}   s, medians"
    for count in counts:
        found = [experiment.values(f"prefixes:{count}", f"time_to_{what}") for what in ("flows", "resync")]
        yield f"{count:<18}{len(found[0]):>4}" + "".join(f"{quantile(values, 0.5):>10.2f}" for values in found)


def arguments() -> tuple[argparse.Namespace, list[int], list[str]]:
    """The command line, the numbers of prefixes, and all that is wrong with them."""
    parser = parser_for(__doc__, 5)
    parser.add_argument("--prefixes", metavar="N,N", default="1000,10000", help="(default: %(default)s)")
    parser.add_argument("--hold", metavar="S", default="9", help="BGP's hold time (default: %(default)s)")
    options = parser.parse_args()
    problems: list[str] = []
    options.blocks = whole("--blocks", options.blocks, 1, problems)
    words = [word for word in options.prefixes.split(",") if word]
    counts = each_whole("--prefixes", words, problems, 1 << (28 - MANY.prefixlen))
    return options, counts, problems


def main() -> int:
    """Two labs, with BFD and without: each event in turn, in an order drawn anew each round; then the prefixes."""
    options, counts, problems = arguments()
    scenario, mistakes = read({"sdn": options.sdn})
    problems += mistakes
    specs = [f"routed:routes=bgp,bfd={bfd},hold={options.hold}" for bfd in ("off", "on")]
    plans = plans_for(specs, scenario, problems)
    out = new_folder(options.out, "convergence", problems)
    if problems:
        raise UsageError(*dict.fromkeys(problems))  # both labs have the same ones
    choose(plans[0], ["ping"])
    progress = Progress(sys.stderr)
    with ResultFolder.create(out) as folder, Lab(plans[0]) as plain, Lab(plans[1]) as with_bfd:
        experiment = Experiment(folder, UNITS)
        folder.write_json("run.json", {
            "format": "emu-experiment/1", "experiment": "convergence", "version": __version__, "argv": sys.argv,
            "blocks": options.blocks, "hold_s": int(options.hold), "prefixes": counts, "probe_ms": PROBE_MS,
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "labs": [lab.facts() for lab in (plain, with_bfd)],
        })
        chance = random.Random("convergence")
        for block in range(options.blocks):
            for event in chance.sample(EVENTS, len(EVENTS)):
                progress.stage(f"round {block + 1} of {options.blocks}: {event.name}")
                experiment.add(with_bfd if event.bfd else plain, event.name, block, partial(converge, event))
            for count in counts:
                progress.stage(f"round {block + 1} of {options.blocks}: {count} prefixes")
                experiment.add(plain, f"prefixes:{count}", block, partial(fill, count))
        if errors := [*plain.errors(), *with_bfd.errors()]:
            raise LabError(*errors)
        draw(experiment)
    progress.end()
    print("\n".join(table(experiment, counts)))
    print(f"plot: {folder.path}/plots/convergence.png")
    return 0


if __name__ == "__main__":
    _environment.run(main)
