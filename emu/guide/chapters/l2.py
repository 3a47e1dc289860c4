"""Chapter 2, containers on layer 2: their node's MAC is told for them (deck, slides 8-13)."""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, KernelState, Query, Request, Seen, Unseen
from emu.guide.chapters.base import REQUEST, Picture, fact, story
from emu.guide.scene import Card, Chapter, Leg, Medium, Slide
from emu.guide.ways import microseconds
from emu.model import BROADCAST_MAC, INITIAL_TTL, SWITCH, Plan
from emu.packets import ARP_REPLY, ARP_REQUEST
from emu.walk.model import Walk


class L2:
    """See the module."""

    name = "containers"
    spec = "l2"
    outside = 0

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        assert plan.endpoints is not None
        return {"l2": Request(*plan.endpoints, "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        probe = self.requests(plan)["l2"]
        source, target = plan.container_of[probe.src], plan.container_of[probe.dst]
        a, c = plan.node_of[probe.src], plan.node_of[probe.dst]
        asked = {"arp.op": ARP_REQUEST, "arp.tpa": target.address, "arp.spa": source.address}
        answered = {"arp.op": ARP_REPLY, "arp.spa": target.address, "arp.tpa": source.address}
        get = {"http.line": REQUEST, "ip.src": source.address, "ip.dst": target.address}
        uplink = f"{a.name}:eth0"
        inside = (
            Query(
                a.name,
                ("ip", "-j", "-4", "address", "show", "dev", "cbr0"),
                ({"addr_info": [{"local": a.address}, {"local": a.bridge_address}]},),
            ),
            *(
                Query(
                    container.name,
                    ("ip", "-j", "-4", "address", "show", "dev", "eth0"),
                    ({"addr_info": [{"local": container.address}]},),
                )
                for container in a.containers
            ),
        )
        macs = tuple(
            Query(container.name, ("ip", "-j", "link", "show", "dev", "eth0"), ({"address": container.mac},))
            for container in (source, target)
        )
        unasked = tuple(f"{node.name}:eth0" for node in plan.nodes if node is not a)
        return (
            fact(
                "inside",
                "8",
                f"in {a.name}: {a.address}, cbr0 {a.bridge_address} and its containers' addresses (both "
                "of the node's stand on cbr0 here, whose port eth0 is)",
                KernelState(inside),
            ),
            fact(
                "macs",
                "9",
                f"{source.name} is {source.address} with {source.mac}, {target.name} (the deck's cluster "
                f"view calls it ctr-2) is {target.address} with {target.mac}",
                KernelState(macs),
            ),
            fact(
                "own-mac",
                "11",
                f"{source.name} asks everybody, from its own MAC: who has {target.address}?",
                Seen(
                    probe,
                    (uplink,),
                    {**asked, "dir": "out"},
                    {"eth.dst": BROADCAST_MAC, "eth.src": source.mac, "arp.sha": source.mac},
                    count=1,
                ),
            ),
            fact(
                "proxy",
                "12",
                f"the answer to {source.name} gives {c.name}'s MAC: I have {target.address}",
                Seen(
                    probe,
                    (uplink,),
                    {**answered, "dir": "in"},
                    {"eth.src": c.mac, "eth.dst": source.mac, "arp.sha": c.mac},
                    count=1,
                ),
                "own-mac",
            ),
            fact(
                "not-asked",
                "12",
                f"{target.name} itself is not asked by {source.name}: its node answers for it",
                Unseen(probe, (*unasked, f"{target.name}:eth0"), asked),
                "proxy",
            ),
            fact(
                "via",
                "10 and 13",
                f"GET / goes from {source.address} to {target.address} by way of {c.name}'s MAC, "
                f"from {source.name}'s own",
                Seen(
                    probe,
                    (f"{c.name}:eth0",),
                    {**get, "dir": "in"},
                    {"eth.src": source.mac, "eth.dst": c.mac, "ip.ttl": INITIAL_TTL},
                    count=1,
                ),
                "proxy",
            ),
            fact(
                "routed-once",
                "13",
                f"{c.name} routes it to {target.name}: it arrives with TTL {INITIAL_TTL - 1}",
                Seen(
                    probe,
                    (f"{target.name}:eth0",),
                    {**get, "dir": "in"},
                    {"eth.src": c.mac, "eth.dst": target.mac, "ip.ttl": INITIAL_TTL - 1},
                    count=1,
                ),
                "via",
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["l2"]
        title = "Containers on layer 2"
        return Chapter(self.name, title, "Containers on L2", walk.plan.spec, _slides(Picture(walk)), walks)


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    source, target = plan.container_of[walk.src], plan.container_of[walk.dst]
    a, c = plan.node_of[source.name], plan.node_of[target.name]
    port = f"{SWITCH}:{plan.port_of[a.name].device}"
    question = p.packet("arp-request", f"who has {target.address}", source.name)
    reply, syn, get, ok = p.answer_to(question), p.first_of_connection(), p.request(), p.response()
    asked, sent, answer, page = walk.way(question)[0], walk.way(syn)[0], walk.way(reply), walk.way(get)
    to_switch = p.at(question, port, "in")
    asks = microseconds(answer[0].t_us - to_switch.t_us)
    play = {a.name: Card(active=(source.name,)), c.name: Card(active=(target.name,))}
    waits = {**play, a.name: Card(active=(source.name,), waiting=p.waiting())}
    at_node = p.at(get, f"{c.name}:eth0", "in")
    routed = next(step for step in page if step.point == f"{c.name}:cbr0" and step.frame.direction == "out")
    kept_out = None if p.hears(question, target.name) else (target.name, "not asked")
    blocked = {**waits, c.name: Card(active=(target.name,), blocked=kept_out)}
    return (
        Slide(
            "inside",
            f"Inside {a.name}: a bridge, and containers on it.",
            "Every container is a network namespace of its own, tied to cbr0 by a veth pair. eth0 is a port of cbr0, "
            "too.",
            p.scene(
                Medium("switch", "L2 switch"),
                f"{a.name} with its root namespace, bridge and containers.",
                inside=True,
                cards={a.name: Card(active=tuple(x.name for x in a.containers))},
            ),
            walk,
            facts=("inside",),
            deck="8",
        ),
        Slide(
            "segment",
            "Containers stand on the nodes' own segment.",
            f"{source.name} and {target.name} have MACs of their own. To Ethernet they look like further machines.",
            p.scene(
                Medium("switch", "L2 switch"), f"{source.name} in {a.name}, {target.name} in {c.name}.", cards=play
            ),
            walk,
            facts=("macs",),
            deck="9",
        ),
        Slide(
            "wait",
            f"{source.name} wants a page, and has to wait.",
            f"{target.address} is on-link for {source.name}, as the whole pod network is. So it asks for the MAC "
            f"itself; TCP's SYN waits {microseconds(sent.t_us - asked.t_us)}.",
            p.scene(Medium("switch", "L2 switch"), f"In {source.name} a request waits for a MAC address.", cards=waits),
            walk,
            sent,
            "ip.dst",
            deck="10",
        ),
        Slide(
            "question",
            f"{source.name} asks in its own name.",
            "A broadcast from the container's own MAC (●) leaves the node. The switch knows the target, so it asks "
            "the controller and floods nothing.",
            p.scene(
                Medium("switch", "L2 switch", "asks the controller", controller=True),
                story(p, walk.chain(to_switch)),
                legs=(*p.broadcast(question), Leg((port, "controller"), "control", "pod")),
                envelope=p.envelope(asked),
                cards=blocked,
            ),
            walk,
            to_switch,
            "eth.src",
            ("own-mac", "not-asked"),
            "11",
        ),
        Slide(
            "proxy-reply",
            f"The answer for {target.name} is {c.name}'s MAC.",
            f"This is proxy ARP: a node's MAC (■) for a container's address (●). {target.name} was never asked. The "
            f"controller took {asks}.",
            p.scene(
                Medium("switch", "L2 switch", "the controller answers", controller=True),
                story(p, answer),
                legs=(Leg(("controller", port), "control", "node"), *p.journey(reply)),
                envelope=p.envelope(answer[0]),
                cards=blocked,
            ),
            walk,
            answer[0],
            "arp.sha",
            ("proxy",),
            "12",
        ),
        Slide(
            "request",
            f"The frame is for {c.name}, the packet for {target.name}.",
            f"On the wire a container's MAC (●) sends to a node's MAC (■), and the IP header says {target.address}. "
            "To the switch that is ordinary.",
            p.moving(
                Medium("switch", "L2 switch", "unicast"),
                get,
                at_node,
                last=at_node,
                via=True,
                cards=play,
            ),
            walk,
            at_node,
            "eth.dst",
            ("via",),
            "13",
        ),
        Slide(
            "delivery",
            f"{c.name} routes it to {target.name}: TTL {p.ttl(at_node)}, then {p.ttl(routed)}.",
            f"The frame was for {c.name}'s MAC, the packet is not for {c.name}: so it routes, over cbr0, with both "
            "MACs new.",
            p.moving(
                Medium("switch", "L2 switch"),
                get,
                routed,
                first=at_node,
                via=True,
                cards={**play, c.name: Card(active=(target.name,), answers=True, pill="root netns routes")},
            ),
            walk,
            routed,
            "ip.ttl",
            ("routed-once",),
            "13",
        ),
        Slide(
            "page",
            f"The page comes back by {a.name}'s MAC.",
            f"The mirror image: {target.name} has asked for {source.address} and was told {a.name}'s MAC. The last "
            f"hop is routed again: TTL {p.ttl(walk.way(ok)[-1])}.",
            p.moving(
                Medium("switch", "L2 switch", "unicast"),
                ok,
                walk.way(ok)[0],
                via=True,
                cards=play,
            ),
            walk,
            walk.way(ok)[-1],
            "ip.ttl",
            (),
            "13",
        ),
    )


CHAPTER = L2()
