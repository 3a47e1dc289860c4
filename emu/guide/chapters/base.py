"""What the chapters share: pictures made of a walk's steps, and facts of the deck as claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

from emu.claims import Claim, Request, Test
from emu.errors import EmuError
from emu.guide.realms import Realms
from emu.guide.scene import Card, Chapter, Envelope, Leg, Medium, Row, Scene, TableRow
from emu.guide.ways import ending, has_failed, microseconds
from emu.model import SWITCH, Plan
from emu.walk.model import ANSWERED, DROPPED, Packet, Step, Walk
from emu.walk.words import tunnel_name

CONTAINERS_HEARING = 8
"""Up to so many containers that hear a broadcast a line leads to each."""

REQUEST = "GET / HTTP/1.1"
"""The first line of the request that the deck's slides show as ``GET /``."""


def count(number: int) -> str:
    """A small number as a word."""
    return ("no", "one", "two", "three", "four", "five", "six")[number] if 0 <= number <= 6 else str(number)


class ChapterMaker(Protocol):
    """One system of the deck. ``spec`` names its design; ``outside``: machines outside the cluster that its scenario
    has at least; everything here is pure."""

    name: str
    spec: str
    outside: int

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        """The requests to be traced in one lab, in this order; each by the name of its capture file."""
        ...

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        """What the deck says of this system, one claim a sentence, about those requests or about the lab."""
        ...

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        """The slides, drawn from the walks of the requests."""
        ...


def fact(name: str, slide: str, text: str, test: Test, *needs: str) -> Claim:
    """A fact of the deck. ``slide``: where the deck states it."""
    return Claim(name, text, f"deck, slide {slide}", test, needs)


class Picture:
    """Parts of scenes, made of the steps of one walk."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.plan = walk, walk.plan
        self.realms = Realms(walk.plan)

    # Finding

    def packet(self, kind: str, starts: str = "", src: str = "", dst: str = "") -> Packet:
        """The first packet of a kind, by the beginning of its title and its ends. ``EmuError`` if there is none."""
        for packet in self.walk.packets:
            fits = packet.kind == kind and packet.title.startswith(starts)
            if fits and src in ("", packet.src) and dst in ("", packet.dst):
                return packet
        raise EmuError(f"the walk of {self.plan.spec} shows no {kind} '{starts}' from {src or 'anybody'}")

    def request(self) -> Packet:
        """The packet that carries ``GET /``."""
        return self.packet("tcp", "GET /", self.walk.src)

    def response(self) -> Packet:
        """The packet that carries the answer to ``GET /``."""
        return self.packet("tcp", "200", self.walk.dst)

    def first_of_connection(self) -> Packet:
        """The packet that opens the connection, and so the one that had to wait for ARP."""
        return self.packet("tcp", "SYN", self.walk.src)

    def answer_to(self, packet: Packet) -> Packet:
        """The packet that answers another; ``EmuError`` if none does."""
        found = next((other for other in self.walk.packets if other.answers == packet.number), None)
        if found is None:
            raise EmuError(f"in the walk of {self.plan.spec} nobody answers '{packet.title}'")
        return found

    def at(self, packet: Packet, point: str, direction: str) -> Step:
        """Where a packet passes a capture point on its way; ``EmuError`` if it does not."""
        for step in self.walk.way(packet):
            if (step.point, step.frame.direction) == (point, direction):
                return step
        raise EmuError(f"in the walk of {self.plan.spec} '{packet.title}' is not seen at {point} {direction}")

    @property
    def switch(self) -> str:
        """What a reader calls the thing between the nodes."""
        return "the gateway" if self.plan.control.gateway else "the switch"

    def speaker(self, packet: Packet) -> str:
        """Who made a packet, and in whose name where that is another's."""
        who = self.switch if packet.src == SWITCH else packet.src or "somebody"
        sender = self.walk.step(packet.steps[0]).frame.inner.get("arp.sha", "")
        named = self.realms.of_mac(sender)[1].partition(":")[0]
        return f"{who} for {named}" if packet.src == SWITCH and named not in ("", "gateway") else who

    # Drawing

    def realm(self, step: Step) -> str:
        """Whose the source in the outermost header of a frame is."""
        fields = step.frame.fields
        source = fields.get("ip.src") or fields.get("arp.sha") or fields["eth.src"]
        return self.realms.of(str(source))[0]

    def ttl(self, step: Step) -> int:
        """The TTL of the innermost packet."""
        return int(step.frame.inner["ip.ttl"])

    def routers(self, packet: Packet) -> int:
        """How many routers have handled a packet, as its TTL tells."""
        way = self.walk.way(packet)
        return self.ttl(way[0]) - self.ttl(way[-1])

    def journey(
        self, packet: Packet, first: Step | None = None, last: Step | None = None, inside: str = ""
    ) -> tuple[Leg, ...]:
        """The way of a packet: what lies before ``first`` as past, up to ``last`` as now, the rest as ahead.

        Without ``first`` it begins where the packet was made; without ``last`` it ends where it was wanted. The time
        of the part that is now stands at its end. ``inside``: only as far as it is inside this node.
        """
        way = [step for step in self.walk.way(packet) if not inside or self._is_inside(step, inside)]
        begin, end = (first or way[0]).index, (last or way[-1]).index
        legs: list[tuple[str, bool, list[Step]]] = []
        for before, after in pairwise(way):
            phase = "past" if after.index <= begin else "now" if after.index <= end else "ahead"
            wrapped = before.frame.is_encapsulated or after.frame.is_encapsulated
            if legs and legs[-1][:2] == (phase, wrapped):
                legs[-1][2].append(after)
            else:
                legs.append((phase, wrapped, [before, after]))
        # Further pieces of one stretch (into a tunnel and out of it) share its end and its time.
        ends = {id(steps) for phase, _, steps in legs if phase == "now" and steps[-1].index == end}
        return tuple(self._leg(phase, wrapped, steps, id(steps) in ends, begin) for phase, wrapped, steps in legs)

    def _is_inside(self, step: Step, node: str) -> bool:
        owner = self.plan.node_of.get(step.frame.machine)
        return owner is not None and owner.name == node

    def _leg(self, phase: str, wrapped: bool, steps: list[Step], tells_time: bool, begin: int) -> Leg:
        style = {"now": "pipe", "past": "pipe-past"}.get(phase, phase) if wrapped else phase
        source = next((step for step in steps if step.frame.is_encapsulated), steps[0])
        took = steps[-1].t_us - self.walk.step(begin).t_us
        # A frame that is handed up inside a machine keeps its stamp: that is no time measured.
        label = f"+{microseconds(took)}" if tells_time and took > 0 else ""
        if has_failed(self.plan, steps[-1]):
            return Leg(_points(steps), style, self.realm(source), ends="dropped", reason=ending(steps[-1:]))
        return Leg(_points(steps), style, self.realm(source), label)

    def broadcast(self, packet: Packet) -> tuple[Leg, ...]:
        """A leg for everybody who hears a packet, each with its time since the packet was made. Of many containers only
        the one that answers."""
        steps = self.walk.steps_of(packet)
        followed = {step.previous for step in steps}
        shown = {self.plan.node_of[end].name for end in (self.walk.src, self.walk.dst)}
        heard = [step for step in steps if step.index not in followed and step.frame.direction == "in"]
        inside = [step for step in heard if step.frame.machine in self.plan.container_of]
        few = len(inside) <= CONTAINERS_HEARING
        heard = [
            step
            for step in heard
            if step not in inside
            or (self.plan.node_of[step.frame.machine].name in shown and (few or step.fate == ANSWERED))
        ]
        made = steps[0]
        timed = [step for step in heard if step not in inside or step.fate == ANSWERED]
        chains = [
            (self.walk.chain(step), f"+{microseconds(step.t_us - made.t_us)}" if step in timed else "")
            for step in heard
        ]
        return tuple(Leg(_points(chain), "broadcast", self.realm(made), label) for chain, label in chains)

    # Envelopes

    def row(self, key: str, address: str) -> Row:
        """An address with its realm; the broadcast address as everybody."""
        realm, _ = self.realms.of(address)
        return Row(key, "everybody" if realm == "all" else address, realm)

    def envelope(self, step: Step, via: bool = False) -> Envelope:
        """A frame as the deck shows one. ``via``: with the MAC it goes to."""
        frame, fields = step.frame, step.frame.inner
        if "arp.op" in fields:
            return self._arp(step)
        if frame.is_sealed:
            return self._on_the_wire(step, Envelope(self.realm(step), payload="sealed"))
        rows = [self.row("to", fields["ip.dst"]), self.row("from", fields["ip.src"])]
        if via:
            rows.insert(1, self.row("via", fields["eth.dst"]))
        source = self.realms.of_ip(fields["ip.src"])[0]
        said = self.walk.packet(step.packet).title
        inner = Envelope(source, rows=tuple(rows), payload=said)
        return self._on_the_wire(step, inner) if frame.is_encapsulated else inner

    def _on_the_wire(self, step: Step, inner: Envelope) -> Envelope:
        """A packet inside what the underlay sees."""
        frame, outer = step.frame, step.frame.fields
        return Envelope(
            self.realm(step),
            title="on the wire",
            side=f"{len(frame.data)} bytes",
            rows=(self.row("to", outer["ip.dst"]), self.row("from", outer["ip.src"])),
            text=_in_what(outer),
            inner=inner,
        )

    def _arp(self, step: Step) -> Envelope:
        fields = step.frame.inner
        asks = self.walk.packet(step.packet).kind == "arp-request"
        is_proxy = not asks and self.realms.of_ip(fields["arp.spa"])[1] != self.realms.of_mac(fields["arp.sha"])[1]
        return Envelope(
            self.realms.of_mac(fields["eth.src"])[0],
            title="ARP request" if asks else "ARP reply",
            side="proxy" if is_proxy and not asks else "",
            rows=(self.row("to", fields["eth.dst"]), self.row("from", fields["eth.src"])),
            payload=f"who has {fields['arp.tpa']}?" if asks else f"I have {fields['arp.spa']}",
        )

    def silent(self, packet: Packet) -> dict[str, Card]:
        """A card for every node but the walk's ends that heard a packet and dropped it."""
        ends = (self.walk.src, self.walk.dst)
        heard = (step for step in self.walk.steps_of(packet) if step.fate == DROPPED)
        nodes = {step.frame.machine for step in heard} & {node.name for node in self.plan.underlay}
        return {name: Card(note="not me: silent") for name in sorted(nodes - {*ends})}

    def hears(self, packet: Packet, machine: str) -> bool:
        """Whether a packet came to a machine."""
        return any(step.frame.machine == machine for step in self.walk.steps_of(packet))

    def waiting(self) -> Envelope:
        """What waits for ARP: the first packet of the connection, addressed, and not yet on any wire."""
        first = self.first_of_connection()
        fields = self.walk.way(first)[0].frame.inner
        return Envelope(
            self.realms.of_ip(fields["ip.src"])[0],
            rows=(self.row("to", fields["ip.dst"]), self.row("from", fields["ip.src"])),
            payload=f"{first.title}, for {self.request().title}",
        )

    # Whole scenes

    def scene(self, medium: Medium, desc: str, **parts: Any) -> Scene:
        """A scene between the walk's two ends, in whose nodes they are in play."""
        cards: dict[str, Card] = dict(parts.pop("cards", {}))
        return Scene(self.plan, self.walk.src, self.walk.dst, medium, desc, cards=cards, **parts)

    def moving(
        self,
        medium: Medium,
        packet: Packet,
        shown: Step,
        first: Step | None = None,
        last: Step | None = None,
        via: bool = False,
        inside: str = "",
        cards: Mapping[str, Card] | None = None,
    ) -> Scene:
        """A packet on its way, drawn as ``journey`` says, and the frame of the step ``shown`` beside it."""
        way = self.walk.chain(last) if last else self.walk.way(packet)
        legs = self.journey(packet, first, last, inside)
        return self.scene(
            medium,
            story(self, way),
            legs=legs,
            envelope=self.envelope(shown, via),
            envelope_at=place(legs, shown),
            inside=bool(inside),
            cards=cards or {},
        )

    def table(self, matched: str = "") -> tuple[TableRow, ...]:
        """The gateway's table: the rows that concern the walk's ends, the matched one marked."""
        gateway = self.plan.control.gateway
        assert gateway is not None
        concerned = {self.plan.node_of[name].address for name in (self.walk.src, self.walk.dst)}
        name = {node.address: node.name for node in self.plan.underlay}
        return tuple(
            TableRow(route.prefix, name[route.via], "static", route.prefix == matched)
            for route in gateway.routes
            if route.via in concerned
        )


def place(legs: Sequence[Leg], step: Step) -> str:
    """Where the leader of a frame's envelope ends: in the middle between the nodes if the frame crosses there now, else
    where it was seen."""
    crosses = any(
        sum(point.startswith(f"{SWITCH}:") for point in leg.points) > 1
        for leg in legs
        if leg.style in ("now", "broadcast", "pipe")
    )
    return "" if crosses else step.point


def _points(steps: Iterable[Step]) -> tuple[str, ...]:
    """The capture points of steps; a device that a frame enters and leaves is one point."""
    points = [step.point for step in steps]
    return tuple(point for number, point in enumerate(points) if number == 0 or points[number - 1] != point)


def story(picture: Picture, steps: Sequence[Step]) -> str:
    """Steps in words, for who cannot see the picture."""
    packet = picture.walk.packet(steps[0].packet)
    who = picture.speaker(packet)
    to = packet.dst or "everybody"
    words = [f"{who[0].upper()}{who[1:]} sends '{packet.title}' to {to}."]
    for before, step in pairwise(steps):
        if step.note:
            words.append(f"At {step.point}: {step.note}.")
        if step.frame.machine != before.frame.machine:
            after = microseconds(step.t_us - steps[0].t_us)
            where = picture.switch if step.frame.machine == SWITCH else step.frame.machine
            words.append(f"It comes to {where} {after} after it was sent.")
    return " ".join(words)


def _in_what(outer: Mapping[str, Any]) -> str:
    """What a packet travels in, as an envelope says it: ``UDP 8472 · VXLAN 1``."""
    name = tunnel_name(outer).replace("VNI ", "")
    return f"UDP {outer['udp.dport']} \N{MIDDLE DOT} {name}" if "udp.dport" in outer else name
