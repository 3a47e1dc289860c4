"""The switches and what applications share: connections, planned flows, packet-ins by owner, counters, errors, the
status socket.

`Switches` is itself an application of the framework. The framework makes one and hands it to every application that
names it in `_CONTEXTS`, as `SwitchApp` does. It is told what to do by environment variables, so that it starts in the
same way under the launcher (`python -m controllers`, which sets them) and under the framework's own manager:

- KUBENET_PLAN: the plan's file; without it nothing is known beforehand;
- KUBENET_STATUS: the path of the status socket; without it there is none.
"""

from __future__ import annotations

import functools
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controllers import status
from controllers.framework import (
    CONFIG,
    DEAD,
    HANDSHAKE,
    MAIN,
    NAME,
    OPENFLOW_13,
    App,
    guarded,
    hub,
    ofp_event,
    set_ev_cls,
)
from controllers.pipeline import (
    EPOCH_BITS,
    Add,
    Cookie,
    DeleteAll,
    Flow,
    Found,
    Kind,
    Message,
    Owner,
    Read,
    Send,
    message,
)
from controllers.plan import Control, parse

# Errors beyond this many are counted, not kept: a fault in every packet must not fill the memory.
ERRORS_KEPT = 1000
# How long a switch may take to confirm with a barrier that all learned flows are gone.
FORGET_DEADLINE_S = 10.0
# Both time-outs of a flow (OpenFlow 1.3.5, A.4.3).
_TIMED_OUT = (0, 1)


def read_plan(path: str) -> Control:
    """The controllers' part of a plan file. Raises OSError, ValueError (no JSON) or PlanError."""
    return parse(json.loads(Path(path).read_text(encoding="utf-8")))


class Switches(App):
    """All connected switches."""

    OFP_VERSIONS = [OPENFLOW_13]

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        plan = os.environ.get("KUBENET_PLAN")
        self.control = read_plan(plan) if plan else Control()
        self.counters = {"packet_in": 0, "packet_out": 0, "flow_mod": 0}
        self.errors: list[str] = []
        self.errors_dropped = 0
        self._applications: dict[Owner, SwitchApp] = {}
        self._datapaths: dict[int, Any] = {}
        self._synchronised: set[int] = set()
        self._epochs: dict[int, int] = {}  # drawn at random for each connection: flows bear it, older ones another
        self._reading: dict[int, _Reading] = {}
        self._barriers: dict[tuple[int, int], Callable[[bool], None]] = {}  # (dpid, xid) -> what happens then

    def start(self) -> Any:
        """Called by the framework before it listens for switches."""
        path = os.environ.get("KUBENET_STATUS")
        if path:
            hub.spawn(status.server(path, self).serve_forever)
        return super().start()

    def register(self, application: SwitchApp) -> None:
        """From now on the application's flows are installed, and its packet-ins handed to it."""
        self._applications[application.OWNER] = application

    def send(self, dpid: int, messages: Iterable[Message]) -> None:
        """Send messages to a switch, in order; to a switch that is gone they are lost, as on a broken connection."""
        datapath = self._datapaths.get(dpid)
        if datapath is None:
            return
        for item in messages:
            if not isinstance(item, Read):
                self.counters["packet_out" if isinstance(item, Send) else "flow_mod"] += 1
            datapath.send_msg(message(datapath, item, self._epochs[dpid]))

    def failed(self, where: str, error: object) -> None:
        """Note an error; nothing stops."""
        text = f"{where}: {type(error).__name__}: {error}" if isinstance(error, Exception) else f"{where}: {error}"
        self.logger.error(text, exc_info=error if isinstance(error, Exception) else None)
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(text)
        else:
            self.errors_dropped += 1

    # What the status socket offers.

    def status(self) -> dict[str, Any]:
        """The state of the controller, as the status socket tells it."""
        wanted = set(self._datapaths) if self.control.dpid is None else {self.control.dpid}
        dropped = [f"and {self.errors_dropped} more"] if self.errors_dropped else []
        return {
            "framework": NAME,
            "ready": bool(wanted) and wanted <= self._synchronised,
            "connected": sorted(self._datapaths),
            "errors": self.errors + dropped,
            "counters": dict(self.counters),
            "learned": [station for application in self._applications.values() for station in application.learned()],
        }

    def forget(self) -> dict[str, Any]:
        """Remove all that was learned, from memory and from every switch; the status once the switches have done so."""
        for application in self._applications.values():
            application.forget(None)
        waiting = {}
        for dpid in list(self._datapaths):
            self.send(dpid, self._learned_flows())
            waiting[dpid] = hub.Event()
            self._barrier(dpid, functools.partial(_wake, waiting[dpid]))
        for dpid, done in waiting.items():
            if not done.wait(FORGET_DEADLINE_S):
                self.failed("forget", f"switch {dpid} has not confirmed for {FORGET_DEADLINE_S:.0f} s")
        return self.status()

    def _learned_flows(self) -> list[Message]:
        return [DeleteAll(owner, Kind.LEARNED) for owner in self._applications]

    def _barrier(self, dpid: int, then: Callable[[bool], None]) -> None:
        """Have `then(True)` called when the switch has done all that was sent to it, or `then(False)` if it goes."""
        datapath = self._datapaths[dpid]
        request = datapath.ofproto_parser.OFPBarrierRequest(datapath)
        self._barriers[dpid, datapath.set_xid(request)] = then
        datapath.send_msg(request)

    def _synchronised_if(self, dpid: int, done: bool) -> None:
        if done:
            self._synchronised.add(dpid)

    def _connected(self, dpid: int, datapath: Any) -> None:
        """Have the switch tell what earlier connections left there, and add what is planned.

        What is the same is replaced flow by flow, and nothing is deleted before all that is wanted is there, so that
        established traffic goes on. ``_told`` does the rest.
        """
        self._gone(dpid)
        self._datapaths[dpid] = datapath
        self._epochs[dpid] = random.getrandbits(EPOCH_BITS)
        for application in self._applications.values():
            application.forget(dpid)
        owners = list(self._applications)
        self._reading[dpid] = _Reading(len(owners))
        # First, so that what is read does not hold what is added now.
        self.send(dpid, [Read(owner) for owner in owners])
        for application in self._applications.values():
            self.send(dpid, [Add(flow) for flow in application.planned(dpid)])

    def _told(self, dpid: int, found: Sequence[Found]) -> None:
        """Take over what was learned earlier, and remove what is stale: flows of other epochs than this connection's,
        and those of applications that ran here before and do not run now."""
        for owner, application in self._applications.items():
            learned = [dict(f.fields) for f in found if f.cookie == Cookie(owner, Kind.LEARNED)]
            self.send(dpid, application.adopt(dpid, learned, time.monotonic()))
        self._barrier(dpid, functools.partial(self._complete_if, dpid, found))

    def _complete_if(self, dpid: int, found: Sequence[Found], done: bool) -> None:
        """Whether all that is wanted is in the switch: what is not wanted can go."""
        if not done:
            return
        epochs = {(flow.cookie.owner, flow.epoch) for flow in found if flow.epoch != self._epochs[dpid]}
        self.send(dpid, [DeleteAll(owner, epoch=epoch) for owner, epoch in sorted(epochs)])
        self.send(dpid, [DeleteAll(owner) for owner in Owner if owner not in self._applications])
        self._barrier(dpid, functools.partial(self._synchronised_if, dpid))

    def _gone(self, dpid: int) -> None:
        self._datapaths.pop(dpid, None)
        self._reading.pop(dpid, None)
        self._synchronised.discard(dpid)
        for key in [key for key in self._barriers if key[0] == dpid]:
            self._barriers.pop(key)(False)

    # Events of the framework.

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN, DEAD])
    @guarded
    def state_changed(self, event: Any) -> None:
        """A switch has connected, or its connection has ended."""
        datapath = event.datapath
        if event.state == MAIN:
            self._connected(datapath.id, datapath)
        elif (
            datapath.id in self._datapaths and self._datapaths[datapath.id] is datapath
        ):  # and not one that a newer connection has replaced
            self._gone(datapath.id)

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN)
    @guarded
    def barrier_replied(self, event: Any) -> None:
        """A switch has done all that was sent before a barrier."""
        then = self._barriers.pop((event.msg.datapath.id, event.msg.xid), None)
        if then is not None:
            then(True)

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN)
    @guarded
    def flows_told(self, event: Any) -> None:
        """Flows of ours that a switch has, in as many messages as it likes."""
        reply, datapath = event.msg, event.msg.datapath
        dpid = datapath.id
        reading = self._reading.get(dpid)
        if reading is None or self._datapaths[dpid] is not datapath:
            return
        told = (Found.read(flow.cookie, dict(flow.match.items())) for flow in reply.body)
        reading.found += [flow for flow in told if flow is not None]
        if not reply.flags & datapath.ofproto.OFPMPF_REPLY_MORE:
            reading.owners_left -= 1
        if not reading.owners_left:
            del self._reading[dpid]
            self._told(dpid, reading.found)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    @guarded
    def packet_in(self, event: Any) -> None:
        """A switch hands over a frame: the application whose flow did that decides."""
        self.counters["packet_in"] += 1
        packet = event.msg
        cookie = Cookie.read(packet.cookie)
        application = self._applications.get(cookie.owner) if cookie is not None else None
        if cookie is None or application is None:
            return
        dpid = packet.datapath.id
        in_port = packet.match["in_port"]
        self.send(dpid, application.packet_in(dpid, in_port, cookie.kind, bytes(packet.data), time.monotonic()))

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN)
    @guarded
    def flow_removed(self, event: Any) -> None:
        """A flow is gone; its application hears of it when it timed out, and not when it was deleted."""
        removed = event.msg
        cookie = Cookie.read(removed.cookie)
        application = self._applications.get(cookie.owner) if cookie is not None else None
        if application is not None and removed.reason in _TIMED_OUT:
            dpid = removed.datapath.id
            self.send(dpid, application.flow_ended(dpid, dict(removed.match.items())))

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [HANDSHAKE, CONFIG, MAIN])
    @guarded
    def error_message(self, event: Any) -> None:
        """A switch refuses what it was told."""
        error = event.msg
        code = getattr(error, "code", None)  # an experimenter's error has none
        self.failed(
            f"switch {error.datapath.id}", f"OpenFlow error type {error.type} code {code}: {bytes(error.data).hex()}"
        )


@dataclass
class _Reading:
    """What a switch has told of its flows so far, and of how many owners it has not told all."""

    owners_left: int
    found: list[Found] = field(default_factory=list)


def _wake(event: Any, _done: bool) -> None:
    event.set()


class SwitchApp(App):
    """What an application of ours is to `Switches`. Its methods decide, and return what is to be sent."""

    OFP_VERSIONS = [OPENFLOW_13]
    _CONTEXTS = {"switches": Switches}
    OWNER: Owner

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.switches: Switches = keywords["switches"]
        self.switches.register(self)

    def planned(self, dpid: int) -> list[Flow]:
        """The flows a switch gets as soon as it connects."""
        raise NotImplementedError

    def packet_in(self, dpid: int, in_port: int, kind: Kind, frame: bytes, now_s: float) -> Sequence[Message]:
        """What to answer to a frame that a flow of this application and kind handed over."""
        raise NotImplementedError

    def flow_ended(self, dpid: int, fields: dict[str, Any]) -> Sequence[Message]:
        """What to do now that a flow of this application, with this match, has timed out."""
        return ()

    def adopt(self, dpid: int, learned: Sequence[dict[str, Any]], now_s: float) -> Sequence[Message]:
        """What to send so that flows of this application that were learned before this connection stay: their matches
        are given. Those that are not sent anew will be deleted."""
        return ()

    def learned(self) -> list[dict[str, Any]]:
        """The stations that were learned, as the status socket tells them."""
        return []

    def forget(self, dpid: int | None) -> None:
        """Forget what was learned from a switch, or from all; its flows are being deleted."""
