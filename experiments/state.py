#!/usr/bin/env -S python3 -B
"""How much state does each design take, and does it grow with nodes or with containers?

Labs of every size are brought up one after the other. Routes, rules, neighbors, FDB entries, flows and what BGP has
learned are counted by netlink and ovs-ofctl as the lab was built, and again when every pair of machines has spoken;
each count is held against the law that the design declares. Exit status 1 if one does not hold.

    sudo experiments/state.py
    sudo experiments/state.py hostgw overlay flat --nodes 2,4,8 --containers 0,4
"""

import _environment  # isort: skip  (first: it re-executes this in the environment that ./run made)

import argparse
import json
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path

from _samples import each_whole, new_folder

from emu import Lab, __version__
from emu.designs import plans_for
from emu.errors import UsageError
from emu.live.lab import choose
from emu.measure.plots import image
from emu.measure.progress import Progress
from emu.measure.state import Point, count, departures, document, rows, table, to_csv
from emu.measure.state_plot import figure
from emu.measure.words import columns
from emu.model import Plan
from emu.output import OutputFolder
from emu.scenario import read

DESIGNS = ("bare", "l2", "l2:proxy_arp=switch", "l2:proxy_arp=node", "routed", "routed:routes=bgp", "hostgw", "overlay",
           "flat")


def arguments() -> tuple[argparse.Namespace, list[Plan], Path]:
    """The command line, a plan for each lab and where results go; ``UsageError`` names all that is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("designs", nargs="*", default=DESIGNS, metavar="DESIGN", help=f"default: {' '.join(DESIGNS)}")
    parser.add_argument("--nodes", metavar="N,N", default="2,4,8,16,32,64", help="default: %(default)s")
    parser.add_argument("--containers", metavar="N,N", default="0,1,4", help="on each node (default: %(default)s)")
    parser.add_argument("--sdn", metavar="auto|ryu|os-ken", help="SDN framework")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.add_argument("--debug", action="store_true", help="a traceback for errors")
    options = parser.parse_args()
    problems: list[str] = []
    sizes = each_whole("--nodes", options.nodes.split(","), problems, least=2)
    containers = each_whole("--containers", options.containers.split(","), problems, least=0)
    plans: dict[tuple[str, int, int], Plan] = {}
    for nodes in sizes or [2]:
        for number in containers or [1]:
            scenario, mistakes = read({"nodes": str(nodes), "containers": str(number), "sdn": options.sdn})
            for plan in plans_for(options.designs, scenario, mistakes):
                some = len(plan.nodes[0].containers)  # a design without containers is measured once
                plans.setdefault((plan.spec, nodes, some), plan)
                if plan.others:
                    mistakes.append(f"{plan.spec}: laws are those of clusters without machines outside")
            problems += [mistake for mistake in mistakes if mistake not in problems]
    out = new_folder(options.out, "state", problems)
    if problems:
        raise UsageError(*problems)
    return options, list(plans.values()), out


def main() -> int:
    """Count every lab, write what was counted, and say whether the laws hold."""
    _, plans, out = arguments()
    for plan in {plan.spec: plan for plan in plans}.values():
        choose(plan)
    progress = Progress(sys.stderr)
    run = {"version": __version__, "argv": sys.argv, "kernel": platform.release(),
           "started": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    points: list[Point] = []
    folder = OutputFolder.create(out)
    for number, plan in enumerate(plans, 1):
        size = f"{plan.scenario.node_count} nodes, {plan.scenario.containers_per_node} containers on each"
        progress.step(f"lab {number} of {len(plans)}: {plan.spec}, {size}")
        with Lab(plan) as lab:
            points.append(count(lab))
        folder.write("state.json", json.dumps(document(run, points), ensure_ascii=False, separators=(",", ":")) + "\n")
    folder.write("state.csv", to_csv(points))
    drawn = figure(points)
    for kind in ("png", "pdf"):
        folder.write(f"state.{kind}", image(drawn, kind))
    progress.end()
    print("\n".join(columns(table(points))))
    against = departures(points)
    aged = sum(row.law is None for point in points for row in rows(point))
    besides = f"; {aged} counts of MACs, which may have aged, were held to none" if aged else ""
    print("\n".join(against or [f"every law holds at all of {len(points)} points{besides}"]))
    print(f"state: {folder.path}/state.json (and state.csv, state.png, state.pdf)")
    return 1 if against else 0


if __name__ == "__main__":
    _environment.run(main)
