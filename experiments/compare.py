#!/usr/bin/env -S python3 -B
"""What does each design cost? Four ways to connect the same containers, under five workloads.

       bare        l2             routed             overlay
     node  node  ctr    ctr     ctr     ctr      ctr        ctr
       |    |     |      |       |       |        |          |
       |    |    cbr0   cbr0    cbr0    cbr0     cbr0 )====( cbr0     ====  VXLAN
       |    |     |      |       |       |        |          |
       +-OVS+     +--OVS-+       +--OVS--+        +----OVS---+
       switch   switch, proxy    L3 gateway          switch
                    ARP

bare has no containers and is what the others are related to: each block measures every design once, in an order
drawn anew, and a ratio compares values of the same block only.

    sudo experiments/compare.py
    sudo experiments/compare.py bare overlay --profile standard --nodes 6 --containers 2
"""

import _environment

from emu.measure.words import claim, differs, questions
from emu.measure.workloads import DEFAULT_WORKLOADS


def main() -> int:
    """Measure everything and print each difference from bare that is shown."""
    folder, summary = _environment.measure(__doc__, DEFAULT_WORKLOADS)
    for question in questions(DEFAULT_WORKLOADS):
        for spec in summary.specs:
            cell = summary.cell(spec, question.workload, question.metric)
            if cell is not None and cell.ratio is not None and differs(cell.ratio):
                print(claim(cell, question, spec))
    print(f"{'trusted' if summary.verdict.trusted else 'NOT TRUSTED'}; report: {folder}/report.html")
    return 0


if __name__ == "__main__":
    _environment.run(main)
