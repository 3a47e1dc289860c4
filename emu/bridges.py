"""The bridge machines of a running lab: which of them a flow goes by, and what its end does to what is under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from emu.designs.outside import bridge_machines
from emu.errors import LabError, UsageError
from emu.live.lab import Lab
from emu.live.process import wait_until
from emu.live.steady import Steadied
from emu.live.traffic import DISCARD_PORT

INTERVAL_MS = 10
ROUTED_S = 300.0
"""No bridge machine is taken for dead, or found alive again, so late: it detects a hang."""

_LOOK_S = 0.2
_BEFORE, _AFTER = 20, 50
"""Messages that have to arrive before anything is changed, and after it."""


@dataclass(frozen=True)
class FailOver:
    """What the end of the bridge machine by which a flow goes did to it. ``routed_s``: until its sender's kernel no
    longer sends by that machine."""

    machine: str
    routed_s: float
    flow: Steadied


class Bridges:
    """All bridge machines of a lab with ``outside=bridge``."""

    def __init__(self, lab: Lab) -> None:
        """``UsageError`` where the lab has none."""
        self.names = tuple(machine.name for machine in bridge_machines(lab.plan))
        if not self.names:
            raise UsageError(f"{lab.plan.spec} has no bridge machine: outside=bridge does")
        self._lab = lab

    def carrying(self, dst: str) -> str:
        """The one that carries what is sent to ``dst`` now; ``LabError`` if it is not exactly one."""
        number = self._lab.capture([f"{name}:eth0" for name in self.names])
        time.sleep(_LOOK_S)
        address = self._lab.plan.address(dst)
        seen = {f.machine for f in self._lab.captured(number)
                if f.direction == "in" and not f.is_encapsulated and f.fields.get("ip.dst") == address}
        if len(seen) != 1:
            raise LabError(f"what is sent to {dst} goes by {', '.join(sorted(seen)) or 'no bridge machine'}")
        return seen.pop()

    def spread(self, src: str, dst: str, flows: int) -> dict[str, int]:
        """How many of so many flows of one datagram from ``src`` to ``dst`` each of them carries."""
        number = self._lab.capture([f"{name}:eth0" for name in self.names])
        address = self._lab.plan.address(dst)
        self._lab.tree.request("send_datagrams", name=src, address=address, count=flows)
        self._lab[src].run(("ping", "-n", "-q", "-c", "1", "-W", "5", address))  # by then they have come by
        frames = [frame for frame in self._lab.captured(number) if frame.direction == "in"
                  and not frame.is_encapsulated and frame.fields.get("udp.dport") == DISCARD_PORT]
        return {name: sum(frame.machine == name for frame in frames) for name in self.names}

    def routed_by(self, client: str) -> set[str]:
        """Those that a client's kernel sends to pods by."""
        route = self._lab[client].run(("ip", "-4", "route", "show", self._lab.plan.scenario.pod_cidr)).stdout
        return {name for name in self.names if f"via {self._lab.plan.address(name)} " in route}

    def await_routes(self, client: str, names: set[str]) -> None:
        """Return when a client sends by these, and no others."""
        wait_until(f"{client} to route by {', '.join(sorted(names)) or 'nobody'}",
                   lambda: self.routed_by(client) == names, ROUTED_S)

    def end_in_transfer(self, src: str, dst: str, protocol: str, end: Callable[[str], None]) -> FailOver:
        """Have ``end`` end the bridge machine by which a flow from ``src`` to ``dst`` goes (``emu.live.steady``), in
        the midst of it; what that did. The flow goes on until ``src`` routes by the others and messages arrive again,
        unless it ends before."""
        lab, others = self._lab, set(self.names)
        number = lab.steady(src, dst, protocol, INTERVAL_MS)
        try:
            wait_until("the first messages", lambda: lab.steady_received(number) >= _BEFORE)
            machine = self.carrying(dst)
            ended_s = time.monotonic()
            end(machine)
            self.await_routes(src, others - {machine})
            routed_s = time.monotonic() - ended_s
            if others - {machine}:
                had = lab.steady_received(number)
                wait_until("the flow to go on, or to end",
                           lambda: lab.steady_is_over(number) or lab.steady_received(number) >= had + _AFTER, ROUTED_S)
        finally:
            flow = lab.steadied(number)
        return FailOver(machine, routed_s, flow)
