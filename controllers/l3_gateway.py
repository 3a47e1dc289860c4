"""An Open vSwitch made a router, the gateway between nodes with /32 addresses. Decisions: `controllers.routing`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

if not __package__:  # loaded by its file name, as ryu-manager does: the package is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controllers import routing
from controllers.pipeline import Flow, Kind, Owner, Send
from controllers.switches import SwitchApp


class L3Gateway(SwitchApp):
    """Routes on the plan's switch; without a plan there is nothing to route, and every frame is dropped."""

    OWNER = Owner.L3_GATEWAY
    DROPS = {Kind.SPOOFED: "spoofed"}

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._errors = routing.error_limit(time.monotonic())

    def planned(self, dpid: int) -> list[Flow]:
        """All of the gateway's flows."""
        control = self.switches.control
        return [] if control.gateway is None or dpid != control.dpid else routing.flows(control.gateway)

    def packet_in(self, dpid: int, in_port: int, kind: Kind, frame: bytes, now_s: float) -> list[Send]:
        """A packet to be told something about."""
        gateway = self.switches.control.gateway
        said = None if gateway is None else routing.answer(gateway, self._errors, kind, in_port, frame, now_s)
        return [] if said is None else [said]
