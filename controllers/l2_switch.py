"""A layer-2 switch: known stations in flows beforehand, others learned. The decisions are in `controllers.learning`.

Runs under `python -m controllers l2_switch`, and under `ryu-manager controllers/l2_switch.py` where that starts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # loaded by its file name, as ryu-manager does: the package is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controllers import guarding, learning
from controllers.pipeline import Flow, Found, Kind, L2Table, Message, Owner, PacketIn, named
from controllers.switches import SwitchApp
from controllers.wire import parse_ethernet


class L2Switch(SwitchApp):
    """Any number of switches; the plan's stations are those of the plan's switch."""

    OWNER = Owner.L2_SWITCH
    DROPS = {Kind.SPOOFED: "spoofed"}

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._stations: dict[int, learning.Stations] = {}

    def _of(self, dpid: int) -> learning.Stations:
        if dpid not in self._stations:
            control = self.switches.control
            planned = {station.mac: station.port for station in control.stations} if dpid == control.dpid else {}
            self._stations[dpid] = learning.Stations(planned)
        return self._stations[dpid]

    def planned(self, dpid: int) -> list[Flow]:
        """What every switch has, and the plan's stations."""
        control = self.switches.control
        guarded = guarding.flows(control.stations) if dpid == control.dpid else []
        return learning.standing_flows() + guarded + learning.planned_flows(self._of(dpid).planned)

    def packet_in(self, dpid: int, packet: PacketIn, now_s: float) -> list[Message]:
        """An unknown sender."""
        eth = parse_ethernet(packet.frame)
        return [] if eth is None else learning.seen(self._of(dpid), eth.src, packet.in_port, now_s)

    def flow_ended(self, dpid: int, fields: dict[str, Any]) -> list[Message]:
        """A learned station has been silent, or nobody has sent to it."""
        mac = fields.get("eth_src") or fields.get("eth_dst") or ""
        return learning.ended(self._of(dpid), mac, fields.get("in_port"))

    def connected(self, dpid: int, learned: Sequence[Found], now_s: float) -> list[Message]:
        """Stations that were learned before stay known, by the flows that let them send."""
        before = {flow.fields["eth_src"]: flow.fields["in_port"] for flow in learned
                  if {"in_port", "eth_src"} <= flow.fields.keys()}
        return learning.seen_before(self._of(dpid), before, now_s)

    def known(self) -> dict[str, list[dict[str, Any]]]:
        """The tables, and all stations: those of the plan, and those that were learned."""
        planned = [
            {"name": s.name, "mac": s.mac, "port": s.port, "speaks_for": list(s.speaks_for), "from": "plan"}
            for s in self.switches.control.stations
        ]
        return {"tables": named(L2Table), "stations": planned + [{**row, "from": "traffic"} for row in self.learned()]}

    def learned(self) -> list[dict[str, Any]]:
        """Every learned station."""
        return [
            {"mac": mac, "port": station.port, "dpid": dpid}
            for dpid, stations in self._stations.items()
            for mac, station in stations.learned.items()
        ]

    def forget(self, dpid: int | None) -> None:
        """Forget the learned stations of a switch, or of all."""
        for known, stations in self._stations.items():
            if dpid in (None, known):
                stations.learned.clear()
