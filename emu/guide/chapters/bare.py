"""Chapter 1, layer 2: one segment, and ARP between nodes (deck, slides 2-7)."""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, KernelState, Query, Request, Seen, Unseen
from emu.guide.chapters.base import REQUEST, Picture, count, fact, story
from emu.guide.scene import Card, Chapter, Medium, Slide
from emu.guide.ways import microseconds
from emu.model import BROADCAST_MAC, INITIAL_TTL, Plan
from emu.packets import ARP_REPLY, ARP_REQUEST
from emu.walk.model import Walk


class Bare:
    """See the module."""

    name = "layer2"
    spec = "bare"
    outside = 0

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        assert plan.endpoints is not None  # nodes are the endpoints here
        return {"bare": Request(*plan.endpoints, "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        probe = self.requests(plan)["bare"]
        a, c = plan.node_of[probe.src], plan.node_of[probe.dst]
        others = tuple(f"{node.name}:eth0" for node in plan.nodes if node not in (a, c))
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": c.address, "arp.spa": a.address}
        answered = {"arp.op": ARP_REPLY, "arp.spa": c.address, "arp.tpa": a.address}
        get = {"http.line": REQUEST, "ip.src": a.address, "ip.dst": c.address}
        length = int(plan.scenario.node_cidr.rpartition("/")[2])
        addresses = tuple(
            Query(
                node.name,
                ("ip", "-j", "address", "show", "dev", "eth0"),
                ({"address": node.mac, "addr_info": [{"local": node.address, "prefixlen": length}]},),
            )
            for node in plan.nodes
        )
        return (
            fact(
                "segment",
                "3",
                f"every node has its address, /{length} on one segment, and its MAC (the deck's with "
                "the group bit cleared and the local bit set: Linux refuses the deck's own)",
                KernelState(addresses),
            ),
            fact(
                "asks",
                "5",
                f"{a.name} asks everybody, from its own MAC: who has {c.address}?",
                Seen(
                    probe,
                    (f"{a.name}:eth0",),
                    {**asked, "dir": "out"},
                    {"eth.dst": BROADCAST_MAC, "eth.src": a.mac},
                    count=1,
                ),
            ),
            fact(
                "heard",
                "5",
                "every other node hears the question",
                Seen(probe, (*others, f"{c.name}:eth0"), {**asked, "dir": "in"}, {"eth.dst": BROADCAST_MAC}, count=1),
                "asks",
            ),
            fact(
                "answers",
                "6",
                f"{c.name} answers {a.name} from its own MAC: I have {c.address}",
                Seen(
                    probe,
                    (f"{a.name}:eth0",),
                    {**answered, "dir": "in"},
                    {"eth.src": c.mac, "eth.dst": a.mac, "arp.sha": c.mac},
                    count=1,
                ),
                "heard",
            ),
            *(
                (
                    fact(
                        "unicast-answer",
                        "6",
                        "no other node sees the answer",
                        Unseen(probe, others, answered),
                        "answers",
                    ),
                )
                if others
                else ()
            ),
            fact(
                "get",
                "4 and 7",
                f"GET / goes from {a.address} to {c.address} by way of {c.name}'s MAC, TTL {INITIAL_TTL}",
                Seen(
                    probe,
                    (f"{c.name}:eth0",),
                    {**get, "dir": "in"},
                    {"eth.src": a.mac, "eth.dst": c.mac, "ip.ttl": INITIAL_TTL},
                    count=1,
                ),
                "answers",
            ),
            *(
                (fact("alone", "7", "no other node sees the request", Unseen(probe, others, get), "get"),)
                if others
                else ()
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["bare"]
        return Chapter(self.name, "Layer 2: Ethernet", "Layer 2", walk.plan.spec, _slides(Picture(walk)), walks)


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    a, c = walk.src, walk.dst
    address = plan.address(c)
    question = p.packet("arp-request", "who has", a)
    reply, syn, get, ok = p.answer_to(question), p.first_of_connection(), p.request(), p.response()
    asked, sent = walk.way(question)[0], walk.way(syn)[0]
    waited = microseconds(sent.t_us - asked.t_us)
    answer, page = walk.way(reply), walk.way(get)
    curl, server = Card(process=f"curl http://{address}/"), Card(process="nginx :80")
    unknown = Card(process=curl.process, waiting=p.waiting(), facts=(("ARP cache", f"{address} → ?", "node"),))
    told = answer[-1].frame.fields["arp.sha"]
    learned = (("ARP cache", f"{address} → …{told[-5:]}", p.realms.of_mac(told)[0]),)
    both = {a: Card(process=curl.process, facts=learned), c: server}
    return (
        Slide(
            "segment",
            f"{count(len(plan.nodes)).capitalize()} nodes share one Ethernet segment.",
            f"All addresses are in {plan.scenario.node_cidr}: every other node is on-link, and no router stands "
            "between them.",
            p.scene(
                Medium("switch", "L2 switch"),
                f"{len(plan.nodes)} nodes on one L2 switch.",
                cards={a: Card(), c: Card()},
            ),
            walk,
            facts=("segment",),
            deck="3",
        ),
        Slide(
            "wait",
            f"{a} wants a page, and has to wait.",
            f"IP knows where to: {address}. Ethernet does not: which MAC is that? The first packet, TCP's SYN, waits "
            f"{waited}.",
            p.scene(
                Medium("switch", "L2 switch"),
                f"In {a} a request to {address} waits for a MAC address.",
                cards={a: unknown, c: server},
            ),
            walk,
            sent,
            "ip.dst",
            deck="4",
        ),
        Slide(
            "question",
            f"Who is {address}? {a} asks everybody.",
            "The ARP request goes to the broadcast address: the switch copies it out of every other port. Who is not "
            "meant keeps silent.",
            p.scene(
                Medium("switch", "L2 switch", "floods"),
                story(p, walk.steps_of(question)),
                legs=p.broadcast(question),
                envelope=p.envelope(asked),
                cards={a: unknown, c: Card(process="nginx :80", pill="that is me"), **p.silent(question)},
            ),
            walk,
            asked,
            "eth.dst",
            ("asks", "heard"),
            "5",
        ),
        Slide(
            "answer",
            f"{c} answers, and {a} alone hears it.",
            f"The ARP reply goes to {a}'s MAC, whose port the switch knows. {a} writes {c}'s MAC down, and need not "
            "ask again soon.",
            p.moving(
                Medium("switch", "L2 switch", "unicast"),
                reply,
                answer[0],
                cards={
                    a: Card(process=curl.process, facts=learned),
                    c: Card(process="nginx :80", pill="I have it", answers=True),
                },
            ),
            walk,
            answer[0],
            "arp.sha",
            ("answers", "unicast-answer"),
            "6",
        ),
        Slide(
            "request",
            f"Now the request goes straight to {c}'s MAC.",
            f"After TCP's handshake, GET /. No router has touched it: the TTL arrives as it was sent, "
            f"{p.ttl(page[-1])}. The other nodes see nothing.",
            p.moving(
                Medium("switch", "L2 switch", "unicast"),
                get,
                page[0],
                via=True,
                cards=both,
            ),
            walk,
            page[-1],
            "eth.dst",
            ("get", "alone"),
            "7",
        ),
        Slide(
            "page",
            f"{c} sends the page back the same way.",
            f"200 OK, {microseconds(walk.way(ok)[0].t_us - page[-1].t_us)} after the request came in: that is nginx, "
            "not the network.",
            p.moving(
                Medium("switch", "L2 switch", "unicast"),
                ok,
                walk.way(ok)[0],
                via=True,
                cards=both,
            ),
            walk,
            walk.way(ok)[-1],
            "eth.src",
            (),
            "7",
        ),
    )


CHAPTER = Bare()
