#!/usr/bin/env -S python3 -B
"""Where does a round trip spend its time?

    ctr-1 --- veth --- cbr0 --- flannel.1 --- eth0 --- switch --- eth0 --- flannel.1 --- cbr0 --- veth --- ctr-4
      |        |                    |          |       |    |       |                      |       |        |
      +- veth -+------ routing -----+ overlay -+ wire -+    + wire -+------ overlay -------+bridge-+- veth -+ far stack
                                                       switch

Pings are captured at every interface they pass, on one clock: the time between two sightings is the time spent
between them. What no capture point sees (the sender's own stack, and ping) is told as unexplained, and what capturing
costs is measured by doing without in turn.

    sudo experiments/where_time_goes.py
    sudo experiments/where_time_goes.py l2 routed --nodes 6 --containers 2
"""

import _environment

from emu.measure.budget_view import read_budgets, table


def main() -> int:
    """Ping through every design, take the budget of each, and print them side by side."""
    folder, summary = _environment.measure(__doc__, ["ping"])
    print(table(read_budgets(folder)))
    print(f"{'trusted' if summary.verdict.trusted else 'NOT TRUSTED'}; figure: {folder}/plots/latency-budget.png")
    return 0


if __name__ == "__main__":
    _environment.run(main)
