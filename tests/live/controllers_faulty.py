"""An application that fails: a flow the switch refuses, and an exception for every frame of an experimental type.

python -m tests.live.controllers_faulty PORT     runs it beside the learning switch, whose stations age in one second
"""

from __future__ import annotations

import sys
from typing import Any

from controllers import framework, learning
from controllers.pipeline import CONTROLLER, Cookie, Flow, L2Table, Output, Owner, PacketIn, match
from controllers.switches import SwitchApp

LOCAL_EXPERIMENT = 0x88B5  # IEEE 802, for local experiments


class Faulty(SwitchApp):
    OWNER = Owner.L3_GATEWAY

    def planned(self, dpid: int) -> list[Flow]:
        cookie = Cookie(self.OWNER)
        seen = match(eth_type=LOCAL_EXPERIMENT)
        refused = match(ipv4_dst="10.0.0.1")  # without its eth_type
        return [
            Flow(L2Table.SOURCE, 1000, seen, cookie, (Output(CONTROLLER),)),
            Flow(L2Table.SOURCE, 1000, refused, cookie),
        ]

    def packet_in(self, dpid: int, packet: PacketIn, now_s: float) -> list[Any]:
        raise RuntimeError("this one always fails")


if __name__ == "__main__":
    learning.AGEING_S = 1
    framework.run(
        ["controllers.l2_switch", "tests.live.controllers_faulty"], "127.0.0.1", int(sys.argv[1]), lambda: None
    )
