"""The gateway of a plan, whose next hops age in a second and are given up after 1.5 s.

python -m tests.live.controllers_hasty PORT
"""

from __future__ import annotations

import sys

from controllers import framework, resolving

if __name__ == "__main__":
    resolving.REACHABLE_S, resolving.RETRANSMIT_S = 1.0, 0.5
    framework.run(["controllers.l3_gateway"], "127.0.0.1", int(sys.argv[1]), lambda: None)
