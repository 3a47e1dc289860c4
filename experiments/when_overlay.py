#!/usr/bin/env -S python3 -B
"""When should I use an overlay? The question that ends the deck, answered in figures of one run.

    pod --- pod        every design between pods: bare, l2, hostgw, routed, every overlay back end, flat
    outside --- pod    by routes to nodes, by a bridge machine (masquerading or not), by the overlay on the client
    and then           who reaches whom, taken for whom; how large a packet may be; what each machine holds; what
                       becomes of flows when one of two bridge machines falls silent

One report: cost, packet size, state, reach, fail-over, and a decision guide whose every sentence points at a number of
that very run.

    sudo experiments/when_overlay.py
    sudo experiments/when_overlay.py --profile quick --nodes 8 --containers 2
"""

import _environment  # isort: skip  (first: it re-executes this in the environment that ./run made)

import sys

from emu.cli import main

if __name__ == "__main__":
    _environment.run(lambda: main(["when-overlay", *sys.argv[1:]]))
