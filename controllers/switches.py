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
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from controllers import status
from controllers.encoding import barrier, message
from controllers.framework import (
    CONFIG,
    DEAD,
    HANDSHAKE,
    MAIN,
    NAME,
    OPENFLOW_13,
    Answer,
    App,
    guarded,
    hub,
    ofp_event,
    one_at_a_time,
    set_ev_cls,
)
from controllers.pipeline import (
    EPOCH_BITS,
    Add,
    Cookie,
    Count,
    DeleteAll,
    Flow,
    Found,
    Kind,
    Message,
    Owner,
    PacketIn,
    Read,
    Resubmit,
    Send,
)
from controllers.plan import Control, parse

# How long a switch may take to answer: to confirm that all learned flows are gone, or to count packets.
ANSWER_DEADLINE_S = 10.0
# Errors beyond this many are counted, not kept: a fault in every packet must not fill the memory.
ERRORS_KEPT = 1000
XID_MAX = 0xFFFFFFFF
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
        self.counters = {"packet_in": 0, "arp_answer": 0, "packet_out": 0, "flow_mod": 0}
        self.errors: list[str] = []
        self.errors_dropped = 0
        self._applications: dict[Owner, SwitchApp] = {}
        self._datapaths: dict[int, Any] = {}
        self._synchronised: set[int] = set()
        self.deciding = hub.Semaphore(1)
        self._xid = 0  # of the last message; what frameworks say themselves has others, and no answer that we wait for
        self._found: dict[int, list[Found]] = {}  # what a switch told of its flows when it connected
        self._epochs: dict[int, int] = {}  # drawn at random for each connection: its flows bear it, older ones another
        self._told: dict[tuple[int, int], list[Found]] = {}  # (dpid, xid) -> what an answer holds so far
        # (dpid, xid) -> what happens when the answer is there, or, with None, when there will be none
        self._questions: dict[tuple[int, int], Callable[[Any], None]] = {}

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
        made = []
        for item in messages:
            self.counters["packet_out" if isinstance(item, Send | Resubmit) else "flow_mod"] += 1
            made.append(message(item, self._epochs[dpid], self._next_xid()))
        if made:
            datapath.send(b"".join(made))

    def _next_xid(self) -> int:
        self._xid = self._xid + 1 & XID_MAX
        return self._xid

    def repeat(self, period_s: float, dpid: int, decide: Callable[[float], Iterable[Message]]) -> None:
        """From now on send a switch, whenever a period is over and it is connected, what `decide(now_s)` returns."""
        hub.spawn(self._repeat, period_s, dpid, decide)

    def _repeat(self, period_s: float, dpid: int, decide: Callable[[float], Iterable[Message]]) -> None:
        while True:
            hub.sleep(period_s)
            self.decide(dpid, decide)

    @guarded
    @one_at_a_time
    def decide(self, dpid: int, decide: Callable[[float], Iterable[Message]]) -> None:
        """Send a switch, if it is connected, what `decide(now_s)` returns."""
        if dpid in self._datapaths:
            self.send(dpid, decide(time.monotonic()))

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

    def known(self) -> dict[str, Any]:
        """What applications go by: routes, next hops, stations, bindings."""
        return {name: rows for application in self._applications.values() for name, rows in application.known().items()}

    def drops(self) -> dict[str, Any]:
        """How many packets were dropped for each reason that an application counts, over all switches."""
        told: Counter[str] = Counter()
        waiting = []
        for application in self._applications.values():
            told.update(application.dropped())
            for kind, reason in application.DROPS.items():
                told[reason] += 0
                question = Count(application.OWNER, kind)
                waiting += [(dpid, reason, self._asked(dpid, question)) for dpid in list(self._datapaths)]
        for dpid, reason, answer in waiting:
            counted = answer.wait(ANSWER_DEADLINE_S)
            if counted is None:
                self.failed("drops", f"switch {dpid} has gone, or not answered for {ANSWER_DEADLINE_S:.0f} s")
            else:
                told[reason] += counted.body.packet_count
        return {"drops": dict(told)}

    def forget(self) -> dict[str, Any]:
        """Remove all that was learned, from memory and from every switch; the status once the switches have done so."""
        for dpid, done in self._forget_now().items():
            if done.wait(ANSWER_DEADLINE_S) is None:
                self.failed("forget", f"switch {dpid} has not confirmed for {ANSWER_DEADLINE_S:.0f} s")
        return self.status()

    @one_at_a_time
    def _forget_now(self) -> dict[int, Answer]:
        """What switches will answer when all that was learned is gone; not even what they told of it is kept."""
        for application in self._applications.values():
            application.forget(None)
        for found in self._found.values():
            found[:] = [flow for flow in found if flow.cookie.kind is not Kind.LEARNED]
        waiting = {}
        for dpid in list(self._datapaths):
            self.send(dpid, self._learned_flows())
            waiting[dpid] = self._asked(dpid, None)
        return waiting

    def _learned_flows(self) -> list[Message]:
        return [DeleteAll(owner, Kind.LEARNED) for owner in self._applications]

    def _asked(self, dpid: int, question: Message | None) -> Answer:
        """The answer to a question, or, without one, to a barrier, which comes when the switch has done all that was
        sent to it."""
        answer = Answer()
        self._ask(dpid, question, answer.take)
        return answer

    def _ask(self, dpid: int, question: Message | None, then: Callable[[Any], None]) -> None:
        if dpid not in self._datapaths:  # it went while somebody else was asked
            then(None)
            return
        xid = self._next_xid()
        self._questions[dpid, xid] = then
        request = barrier(xid) if question is None else message(question, self._epochs[dpid], xid)
        self._datapaths[dpid].send(request)

    def _connected(self, dpid: int, datapath: Any) -> None:
        """Have the switch tell what earlier connections left there, and add what is planned.

        What is the same is replaced flow by flow, and nothing is deleted before all that is wanted is there, so that
        established traffic goes on.
        """
        self._gone(dpid)
        self._datapaths[dpid] = datapath
        self._epochs[dpid] = random.getrandbits(EPOCH_BITS)
        for application in self._applications.values():
            application.forget(dpid)
        found = self._found[dpid] = []
        for owner in self._applications:  # first, so that what is read does not hold what is added now
            self._ask(dpid, Read(owner), lambda told: found.extend(told or ()))
        for application in self._applications.values():
            self.send(dpid, [Add(flow) for flow in application.planned(dpid)])
        self._ask(dpid, None, functools.partial(self._take_over, dpid, found))

    def _take_over(self, dpid: int, found: Sequence[Found], reply: Any) -> None:
        """The switch has told its flows and has what is planned: let applications go on from what was learned."""
        if reply is None:
            return
        for owner, application in self._applications.items():
            learned = [flow for flow in found if flow.cookie == Cookie(owner, Kind.LEARNED)]
            self.send(dpid, application.connected(dpid, learned, time.monotonic()))
        self._ask(dpid, None, functools.partial(self._clean_up, dpid, found))

    def _clean_up(self, dpid: int, found: Sequence[Found], reply: Any) -> None:
        """All that is wanted is in the switch: flows of earlier connections can go, and those of applications that ran
        here before and do not run now."""
        if reply is None:
            return
        epochs = {(flow.cookie.owner, flow.epoch) for flow in found if flow.epoch != self._epochs[dpid]}
        self.send(dpid, [DeleteAll(owner, epoch=epoch) for owner, epoch in sorted(epochs)])
        self.send(dpid, [DeleteAll(owner) for owner in Owner if owner not in self._applications])
        self._ask(dpid, None, functools.partial(self._synchronised_if, dpid))

    def _synchronised_if(self, dpid: int, reply: Any) -> None:
        if reply is not None:
            self._synchronised.add(dpid)

    def _gone(self, dpid: int) -> None:
        self._datapaths.pop(dpid, None)
        self._synchronised.discard(dpid)
        for key in [key for key in self._questions if key[0] == dpid]:
            self._told.pop(key, None)
            self._questions.pop(key)(None)

    # Events of the framework.

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN, DEAD])
    @guarded
    @one_at_a_time
    def state_changed(self, event: Any) -> None:
        """A switch has connected, or its connection has ended."""
        datapath = event.datapath
        if event.state == MAIN:
            self._connected(datapath.id, datapath)
        elif (
            datapath.id in self._datapaths and self._datapaths[datapath.id] is datapath
        ):  # and not one that a newer connection has replaced
            self._gone(datapath.id)

    @set_ev_cls([ofp_event.EventOFPBarrierReply, ofp_event.EventOFPAggregateStatsReply], MAIN)
    @guarded
    @one_at_a_time
    def answered(self, event: Any) -> None:
        """A switch answers: it has done all that was sent before a barrier, or it has counted."""
        key = self._question(event.msg)
        if key is not None:
            self._questions.pop(key)(event.msg)

    def _question(self, reply: Any) -> tuple[int, int] | None:
        """The question that a message answers; None where nobody waits for it, or an older connection answers."""
        dpid = reply.datapath.id
        known = dpid in self._datapaths and self._datapaths[dpid] is reply.datapath
        return (dpid, reply.xid) if known and (dpid, reply.xid) in self._questions else None

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN)
    @guarded
    @one_at_a_time
    def flows_told(self, event: Any) -> None:
        """A switch tells flows of ours, in as many messages as it likes."""
        reply = event.msg
        key = self._question(reply)
        if key is None:
            return
        told = self._told.setdefault(key, [])
        told += [flow for flow in map(Found.read, reply.body) if flow is not None]
        if not reply.flags & reply.datapath.ofproto.OFPMPF_REPLY_MORE:
            self._questions.pop(key)(self._told.pop(key))

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN)
    @guarded
    @one_at_a_time
    def packet_in(self, event: Any) -> None:
        """A switch hands over a frame: the application whose flow did that decides."""
        self.counters["packet_in"] += 1
        packet = event.msg
        cookie = Cookie.read(packet.cookie)
        application = self._applications.get(cookie.owner) if cookie is not None else None
        if cookie is None or application is None:
            return
        self.counters["arp_answer"] += cookie.kind is Kind.ARP_ANSWER
        dpid = packet.datapath.id
        fields = packet.match
        told = PacketIn(fields["in_port"], cookie.kind, bytes(packet.data), fields.get("metadata", 0))
        self.send(dpid, application.packet_in(dpid, told, time.monotonic()))

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN)
    @guarded
    @one_at_a_time
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


class SwitchApp(App):
    """What an application of ours is to `Switches`. Its methods decide, and return what is to be sent."""

    OFP_VERSIONS = [OPENFLOW_13]
    _CONTEXTS = {"switches": Switches}
    OWNER: Owner
    DROPS: Mapping[Kind, str] = {}
    """The kinds of its flows that drop what is worth counting, and what for."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.switches: Switches = keywords["switches"]
        self.switches.register(self)

    def planned(self, dpid: int) -> list[Flow]:
        """The flows a switch gets as soon as it connects."""
        raise NotImplementedError

    def connected(self, dpid: int, learned: Sequence[Found], now_s: float) -> Sequence[Message]:
        """What else to tell a switch that has connected and has its planned flows. ``learned``: flows of this
        application that were learned before; those that are not sent anew will be deleted."""
        return ()

    def packet_in(self, dpid: int, packet: PacketIn, now_s: float) -> Sequence[Message]:
        """What to answer to a frame that a flow of this application handed over."""
        raise NotImplementedError

    def flow_ended(self, dpid: int, fields: dict[str, Any]) -> Sequence[Message]:
        """What to do now that a flow of this application, with this match, has timed out."""
        return ()

    def learned(self) -> list[dict[str, Any]]:
        """The stations that were learned, as the status socket tells them."""
        return []

    def known(self) -> Mapping[str, list[dict[str, Any]]]:
        """What the application goes by, as the status socket tells it: rows by the name of their kind."""
        return {}

    def dropped(self) -> Mapping[str, int]:
        """What the application itself has dropped, by what for."""
        return {}

    def forget(self, dpid: int | None) -> None:
        """Forget what was learned from a switch, or from all; its flows are being deleted."""
