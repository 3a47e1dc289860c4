"""An Open vSwitch made a router, the gateway between nodes with /32 addresses. Decisions: `controllers.routing`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

if not __package__:  # loaded by its file name, as ryu-manager does: the package is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controllers import routing
from controllers.pipeline import Flow, Kind, Owner, PacketIn, Send
from controllers.switches import SwitchApp

UNFRAGMENTED = "too large, may be fragmented"


class L3Gateway(SwitchApp):
    """Routes on the plan's switch; without a plan there is nothing to route, and every frame is dropped."""

    OWNER = Owner.L3_GATEWAY
    DROPS = {Kind.SPOOFED: "spoofed"}

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._dropped = Counter({UNFRAGMENTED: 0})
        self._errors = routing.error_limit(time.monotonic())

    def planned(self, dpid: int) -> list[Flow]:
        """All of the gateway's flows."""
        control = self.switches.control
        return [] if control.gateway is None or dpid != control.dpid else routing.flows(control.gateway)

    def packet_in(self, dpid: int, packet: PacketIn, now_s: float) -> list[Send]:
        """A packet to be told something about."""
        gateway = self.switches.control.gateway
        if gateway is None:
            return []
        if packet.kind is Kind.TOO_LARGE and not routing.forbids_fragments(packet.frame):
            self._dropped[UNFRAGMENTED] += 1
            return []
        said = routing.answer(gateway, self._errors, packet, now_s)
        return [] if said is None else [said]

    def dropped(self) -> Counter[str]:
        """What is dropped here and not by the switch."""
        return self._dropped
