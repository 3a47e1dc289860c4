"""An Open vSwitch made a router, the gateway between nodes with /32 addresses. Decisions: `controllers.routing`,
`controllers.resolving` and, for routes that are learned, `controllers.rib`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # loaded by its file name, as ryu-manager does: the package is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controllers import resolving, routing
from controllers.framework import guarded, hub
from controllers.pipeline import Flow, Found, GatewayTable, Kind, Message, Owner, PacketIn, named
from controllers.plan import Gateway
from controllers.resolving import Resolver
from controllers.rib import Rib
from controllers.switches import SwitchApp

if TYPE_CHECKING:
    from controllers.following import Follower

UNFRAGMENTED = "too large, may be fragmented"
TICK_S = 0.25
RETRY_S = 1.0


class L3Gateway(SwitchApp):
    """Routes on the plan's switch; without a plan there is nothing to route, and every frame is dropped."""

    OWNER = Owner.L3_GATEWAY
    DROPS = {Kind.SPOOFED: "spoofed"}

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        control = self.switches.control
        self._gateway = control.gateway
        self._unfragmented = 0
        self._errors = routing.error_limit(time.monotonic())
        self._resolver = None if control.gateway is None else Resolver(control.gateway)
        self._rib = None if control.gateway is None or control.gateway.speaker is None else Rib(control.gateway)
        self._follower: Follower | None = None
        is_ticking = self._rib is not None or (self._resolver is not None and self._resolver.is_needed)
        if is_ticking and control.dpid is not None:
            self.switches.repeat(TICK_S, control.dpid, self._tick)

    def _is_mine(self, dpid: int) -> bool:
        return dpid == self.switches.control.dpid

    def planned(self, dpid: int) -> list[Flow]:
        """All of the gateway's flows but those of next hops that are asked for."""
        if self._gateway is None or not self._is_mine(dpid):
            return []
        learned = [] if self._rib is None else self._learned_flows(self._rib, dpid)
        return [*routing.flows(self._gateway), *resolving.standing_flows(self._gateway), *learned]

    def _learned_flows(self, rib: Rib, dpid: int) -> list[Flow]:
        if self._follower is None:
            # Only where routes are learned: its library takes longer to load than all of ours.
            from controllers.following import Follower, changes

            follower = Follower(changes())  # before the table is read: nothing is missed in between
            follower.begin(rib)
            self._follower = follower
            hub.spawn(self._follow, follower, rib, dpid)
        return rib.all_flows()

    def _follow(self, follower: Follower, rib: Rib, dpid: int) -> None:
        """Follow for ever: after an error, which is noted, from the whole table on."""
        self._until_error(follower.follow, rib, dpid)
        while True:
            hub.sleep(RETRY_S)
            self._until_error(follower.follow_anew, rib, dpid)

    @guarded
    def _until_error(self, follow: Callable[[Rib, Callable[[], None]], None], rib: Rib, dpid: int) -> None:
        follow(rib, lambda: self.switches.decide(dpid, rib.changes))

    def connected(self, dpid: int, learned: Sequence[Found], now_s: float) -> list[Message]:
        """Ask for next hops; those that were known before stay so until they are silent."""
        if self._resolver is None or not self._is_mine(dpid):
            return []
        known = {flow.fields.get("metadata"): flow.written.get("eth_dst") for flow in learned}
        return self._resolver.start(now_s, known)

    def packet_in(self, dpid: int, packet: PacketIn, now_s: float) -> list[Message]:
        """A packet to be told something about, or held; or the answer of a next hop."""
        if self._gateway is None or self._resolver is None:
            return []
        if packet.kind is Kind.UNRESOLVED:
            return self._resolver.packet(packet, now_s)
        if packet.kind is Kind.ARP_ANSWER:
            return self._resolver.answered(packet, now_s)
        if packet.kind is Kind.TOO_LARGE and not routing.forbids_fragments(packet.frame):
            self._unfragmented += 1
            return []
        return self._told(self._gateway, [packet], now_s)

    def _tick(self, now_s: float) -> list[Message]:
        if self._gateway is None or self._resolver is None:
            return []
        messages, given_up = self._resolver.tick(now_s)
        lingering = [] if self._rib is None else self._rib.tick(now_s)
        return messages + lingering + self._told(self._gateway, given_up, now_s)

    def _told(self, gateway: Gateway, packets: Iterable[PacketIn], now_s: float) -> list[Message]:
        said = (routing.answer(gateway, self._errors, packet, now_s) for packet in packets)
        return [answer for answer in said if answer is not None]

    def dropped(self) -> dict[str, int]:
        """What is dropped here and not by the switch."""
        resolving_dropped = {} if self._resolver is None else self._resolver.dropped
        return {UNFRAGMENTED: self._unfragmented, **resolving_dropped}

    def failed(self, where: str, error: object) -> None:
        """Note an error."""
        self.switches.failed(where, error)

    def known(self) -> dict[str, list[dict[str, Any]]]:
        """The routes that are in the switch, from the plan and learned, and the next hops."""
        if self._gateway is None:
            return {}
        planned = [{"prefix": str(route.prefix), "via": [route.via], "from": "plan"} for route in self._gateway.routes]
        learned = [] if self._rib is None else [{**route, "from": "bgp"} for route in self._rib.routes()]
        hops = [{"ip": hop.ip, "mac": hop.mac, "port": hop.port, "state": "planned"}
                for hop in self._gateway.neighbors if hop.mac is not None]
        return {"tables": named(GatewayTable), "routes": planned + learned, "next_hops": hops + self.learned()}

    def learned(self) -> list[dict[str, Any]]:
        """Every next hop that has answered."""
        return [] if self._resolver is None else self._resolver.learned()

    def forget(self, dpid: int | None) -> None:
        """Forget the next hops that have answered."""
        if self._resolver is not None and (dpid is None or self._is_mine(dpid)):
            self._resolver.forget()
