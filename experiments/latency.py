#!/usr/bin/env -S python3 -B
"""How long does a packet take, there and back, and how much longer does the first one?

    ping:          echo ----->|                    every 2 ms: caches are warm, most times are alike
                   <----- echo|                    and the tail tells of queues and interrupts

    first_packet:  who has? ->|-> controller?      neighbors, datapath flows and what the controller learned are
                   <- I have -|                    emptied before: ARP, a flow miss and perhaps the controller
                   echo ----->|                    come on top
                   <----- echo|

A mean would hide both the tail and the first packet, so this prints medians and tails of each design; the
distributions are in the result folder's plots.

    sudo experiments/latency.py bare l2 overlay
"""

import _environment
import numpy as np

from emu.measure.words import number


def main() -> int:
    """Ping through every design, warm and cold, and print the quantiles."""
    folder, summary = _environment.measure(__doc__, ["ping", "first_packet"])
    print(f"{'design':<36}{'median':>9}{'p90':>9}{'p99':>9}{'first':>9}   us")
    for spec in summary.specs:
        warm, cold = summary.cell(spec, "ping", "rtt"), summary.cell(spec, "first_packet", "latency")
        tails = np.quantile(warm.values, [0.9, 0.99]) if warm else []
        times = [*([warm.median.value] if warm else []), *tails, *([cold.median.value] if cold else [])]
        print(f"{spec:<36}" + "".join(f"{number(time_us):>9}" for time_us in times))
    print(f"{'trusted' if summary.verdict.trusted else 'NOT TRUSTED'}; plots: {folder}/plots")
    return 0


if __name__ == "__main__":
    _environment.run(main)
