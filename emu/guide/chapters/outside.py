"""The deck's "?!?!": a machine that is no node sends to a container of an overlay (deck, slide 34)."""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, Request, Seen, Unseen
from emu.guide.chapters.base import Picture, fact, story
from emu.guide.scene import Chapter, Medium, Slide
from emu.model import BROADCAST_MAC, SWITCH, Plan
from emu.packets import ARP_REPLY, ARP_REQUEST
from emu.walk.model import Walk


class Stranded:
    """See the module."""

    name = "outside"
    spec = "overlay"
    outside = 1

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        assert plan.endpoints is not None
        return {"outside": Request(plan.others[0].name, plan.endpoints[1], "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        probe = self.requests(plan)["outside"]
        outside, target = plan.others[0], plan.container_of[probe.dst]
        asks = {"arp.op": ARP_REQUEST, "arp.tpa": target.address, "arp.spa": outside.address}
        uplinks = tuple(f"{node.name}:eth0" for node in plan.nodes)
        ports = tuple(f"{SWITCH}:{port.device}" for port in plan.switch.ports)
        return (
            fact(
                "asks-the-segment",
                "34",
                f"{outside.name} takes {target.address} for a neighbor: it asks everybody who has it",
                Seen(probe, (f"{outside.name}:eth0",), {**asks, "dir": "out"},
                     {"eth.src": outside.mac, "eth.dst": BROADCAST_MAC}),
            ),
            fact(
                "nobody",
                "34",
                "every node hears the question, and nobody answers",
                Unseen(probe, uplinks, {"arp.op": ARP_REPLY, "arp.spa": target.address}),
                "asks-the-segment",
            ),
            fact(
                "never-sent",
                "34",
                f"the packet to {target.address} is never sent",
                Unseen(probe, ports, {"ip.dst": target.address}),
                "nobody",
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["outside"]
        return Chapter(self.name, "A machine that is no node", "?!?!", walk.plan.spec, _slides(Picture(walk)), walks)


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk = p.walk
    target = p.plan.container_of[walk.dst]
    question = p.packet("arp-request", f"who has {target.address}", walk.src)
    asked = walk.way(question)[0]
    return (
        Slide(
            "asks",
            f"?!?! {walk.src} asks the segment for {target.name}.",
            f"To it {target.address} is one more neighbor. No node has that address, none routes for strangers: nobody "
            "answers.",
            p.scene(
                Medium("switch", "L2 switch", "floods"),
                story(p, walk.chain(walk.way(question)[-1])),
                legs=p.broadcast(question),
                envelope=p.envelope(asked),
                cards=p.silent(question),
            ),
            walk,
            asked,
            "arp.tpa",
            ("asks-the-segment", "nobody", "never-sent"),
            "34",
        ),
    )


CHAPTER = Stranded()
