"""Chapter 2 once more, where no controller answers for containers but their own node's kernel (deck, slide 12)."""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, Request, Seen, Unseen
from emu.guide.chapters.base import Picture, fact, story
from emu.guide.scene import Card, Chapter, Medium, Slide
from emu.model import BROADCAST_MAC, Plan
from emu.packets import ARP_REPLY, ARP_REQUEST
from emu.walk.model import Walk


class AnsweredByNode:
    """See the module."""

    name = "node-answers"
    spec = "l2:proxy_arp=node"
    outside = 0

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        assert plan.endpoints is not None
        return {"l2-node": Request(*plan.endpoints, "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        probe = self.requests(plan)["l2-node"]
        source, target = plan.container_of[probe.src], plan.container_of[probe.dst]
        a, c = plan.node_of[probe.src], plan.node_of[probe.dst]
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": target.address, "arp.spa": source.address}
        answered = {"arp.op": ARP_REPLY, "arp.spa": target.address, "arp.tpa": source.address}
        others = tuple(f"{node.name}:eth0" for node in plan.nodes if node is not a)
        return (
            fact(
                "flooded",
                "11",
                f"the question for {target.address} comes to every node, and to no container",
                Seen(probe, others, {**asked, "dir": "in"}, {"eth.dst": BROADCAST_MAC, "eth.src": source.mac}),
            ),
            fact(
                "kept-from-containers",
                "12",
                f"{target.name} is not asked: its node answers for it",
                Unseen(probe, (f"{target.name}:eth0",), asked),
                "flooded",
            ),
            fact(
                "by-kernel",
                "12",
                f"{c.name}'s kernel answers, with its own MAC: I have {target.address}",
                Seen(
                    probe,
                    (f"{c.name}:eth0",),
                    {**answered, "dir": "out"},
                    {"eth.src": c.mac, "eth.dst": source.mac, "arp.sha": c.mac},
                    count=1,
                ),
                "flooded",
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["l2-node"]
        return Chapter(self.name, "Layer 2: the node answers", "Node", walk.plan.spec, _slides(Picture(walk)),
                       walks)


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    source, target = plan.container_of[walk.src], plan.container_of[walk.dst]
    a, c = plan.node_of[source.name], plan.node_of[target.name]
    question = p.packet("arp-request", f"who has {target.address}", source.name)
    reply = p.answer_to(question)
    asked, answer = walk.way(question)[0], walk.way(reply)
    waits = {a.name: Card(active=(source.name,), waiting=p.waiting())}
    blocked = {**waits, **p.silent(question), c.name: Card(active=(target.name,), blocked=(target.name, "not asked"))}
    return (
        Slide(
            "flooded",
            "No proxy in the switch: every node is asked.",
            f"An ordinary switch floods the question. Each node's bridge keeps it from the containers; only {c.name} "
            "has an answer.",
            p.scene(
                Medium("switch", "L2 switch", "floods"),
                story(p, walk.chain(walk.way(question)[-1])),
                legs=p.broadcast(question),
                envelope=p.envelope(asked),
                cards=blocked,
            ),
            walk,
            asked,
            "eth.dst",
            ("flooded", "kept-from-containers"),
            "11",
        ),
        Slide(
            "by-kernel",
            f"{c.name}'s kernel answers for {target.name}.",
            "Linux does proxy ARP by itself (proxy_arp_pvlan on cbr0). The frames are those of the deck; the price is "
            "that all nodes hear every question.",
            p.scene(
                Medium("switch", "L2 switch", "unicast"),
                story(p, answer),
                legs=p.journey(reply),
                envelope=p.envelope(answer[0]),
                cards=blocked,
            ),
            walk,
            answer[0],
            "arp.sha",
            ("by-kernel",),
            "12",
        ),
    )


CHAPTER = AnsweredByNode()
