"""Chapter 3, layer 3: nodes and containers behind a gateway (deck, slides 14-23)."""

from __future__ import annotations

from collections.abc import Mapping

from emu.addressing import GATEWAY_MAC, gateway_address
from emu.claims import Claim, KernelState, Query, Request, Seen, Unseen
from emu.designs.base import endpoints
from emu.guide.chapters.base import REQUEST, Picture, count, fact
from emu.guide.scene import Card, Chapter, Medium, Slide
from emu.guide.ways import microseconds
from emu.model import INITIAL_TTL, SWITCH, Plan, host_route
from emu.walk.model import Packet, Step, Walk


class Routed:
    """See the module."""

    name = "layer3"
    spec = "routed"
    outside = 0

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        nodes = endpoints(plan.nodes, of_nodes=True)
        assert plan.endpoints is not None
        assert nodes is not None
        return {"routed-nodes": Request(*nodes, "http"), "routed": Request(*plan.endpoints, "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        requests = self.requests(plan)
        nodes, probe = requests["routed-nodes"], requests["routed"]
        a, c = plan.node_of[probe.src], plan.node_of[probe.dst]
        source, target = plan.container_of[probe.src], plan.container_of[probe.dst]
        gateway = gateway_address(plan.scenario.node_cidr)
        others = tuple(f"{node.name}:eth0" for node in plan.nodes if node not in (a, c))
        leaves, arrives = f"{a.name}:eth0", f"{c.name}:eth0"
        get = {"http.line": REQUEST, "ip.src": a.address, "ip.dst": c.address}
        pod_get = {"http.line": REQUEST, "ip.src": source.address, "ip.dst": target.address}
        alone = tuple(
            Query(
                node.name,
                ("ip", "-j", "-4", "address", "show", "dev", "eth0"),
                ({"addr_info": [{"local": node.address, "prefixlen": 32}]},),
            )
            for node in plan.nodes
        )
        return (
            fact(
                "alone-on-link",
                "15",
                "every node has a /32 address: nobody is on-link but the gateway",
                KernelState(alone),
            ),
            fact(
                "to-gateway",
                "16",
                f"what {a.name} sends to {c.address} goes to the gateway's MAC ({gateway})",
                Seen(nodes, (leaves,), {**get, "dir": "out"}, {"eth.dst": GATEWAY_MAC, "eth.src": a.mac}, count=1),
            ),
            fact(
                "from-gateway",
                "17",
                f"{c.name} gets it from the gateway's MAC, still from {a.address}",
                Seen(nodes, (arrives,), {**get, "dir": "in"}, {"eth.src": GATEWAY_MAC, "eth.dst": c.mac}, count=1),
                "to-gateway",
            ),
            fact(
                "decision",
                "18",
                f"the gateway has decided by its table, as a router: TTL {INITIAL_TTL - 1}",
                Seen(nodes, (arrives,), {**get, "dir": "in"}, {"ip.ttl": INITIAL_TTL - 1}),
                "from-gateway",
            ),
            fact(
                "no-layer-2",
                "15",
                f"no other node ever sees a frame of {a.name}'s",
                Unseen(nodes, (*others, arrives), {"eth.src": a.mac}),
            ),
            fact(
                "pods-behind",
                "19",
                f"behind {a.name} is {a.pod_subnet}, behind {c.name} {c.pod_subnet}",
                KernelState(
                    tuple(
                        Query(
                            node.name, ("ip", "-j", "-4", "route", "show", "dev", "cbr0"), ({"dst": node.pod_subnet},)
                        )
                        for node in (a, c)
                    )
                ),
            ),
            fact(
                "pod-to-gateway",
                "20 and 21",
                f"GET / from {source.address} to {target.address} leaves {a.name} for "
                "the gateway, its addresses unchanged",
                Seen(
                    probe,
                    (leaves,),
                    {**pod_get, "dir": "out"},
                    {"eth.src": a.mac, "eth.dst": GATEWAY_MAC, "ip.ttl": INITIAL_TTL - 1},
                    count=1,
                ),
            ),
            fact(
                "pod-decision",
                "22",
                f"the gateway sends it to {c.name}, which is next hop of {c.pod_subnet}",
                Seen(
                    probe,
                    (arrives,),
                    {**pod_get, "dir": "in"},
                    {"eth.src": GATEWAY_MAC, "eth.dst": c.mac, "ip.ttl": INITIAL_TTL - 2},
                    count=1,
                ),
                "pod-to-gateway",
            ),
            fact(
                "pod-delivered",
                "23",
                f"it comes to {target.name}: three routers, TTL {INITIAL_TTL - 3}",
                Seen(
                    probe,
                    (f"{target.name}:eth0",),
                    {**pod_get, "dir": "in"},
                    {"eth.dst": target.mac, "ip.ttl": INITIAL_TTL - 3},
                    count=1,
                ),
                "pod-decision",
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["routed"]
        slides = (*_nodes(Picture(walks["routed-nodes"])), *_containers(Picture(walk)))
        return Chapter(self.name, "Layer 3: IP", "Layer 3", walk.plan.spec, slides, walks)


def _gateway(p: Picture, does: str = "", matched: str = "") -> Medium:
    rows = p.table(matched)
    assert p.plan.control.gateway is not None
    return Medium("gateway", "L3 gateway", does, rows, more=len(p.plan.control.gateway.routes) - len(rows))


def passage(p: Picture, packet: Packet) -> tuple[Step, Step, Step]:
    """Where a packet comes in to the gateway, where it leaves it, and where it comes to the destination's node."""
    near, far = (f"{SWITCH}:{p.plan.port_of[p.plan.node_of[name].name].device}" for name in (packet.src, packet.dst))
    at_node = p.at(packet, f"{p.plan.node_of[packet.dst].name}:eth0", "in")
    return p.at(packet, near, "in"), p.at(packet, far, "out"), at_node


def decided(p: Picture, gateway: Medium, name: str, claim: str, caption: str, shows: str) -> Slide:
    """The slide on what the gateway does with a container's request; ``shows``: the fact."""
    get = p.request()
    comes, leaves, at_node = passage(p, get)
    play = {p.plan.node_of[end].name: Card(active=(end,)) for end in (p.walk.src, p.walk.dst)}
    scene = p.moving(gateway, get, at_node, first=comes, last=at_node, via=True, cards=play)
    return Slide(name, claim, caption, scene, p.walk, leaves, "eth.dst", (shows,), "22")


def _nodes(p: Picture) -> tuple[Slide, ...]:
    walk, a, c = p.walk, p.walk.src, p.walk.dst
    address = p.plan.address(c)
    get, ok = p.request(), p.response()
    comes, leaves, at_node = passage(p, get)
    cards = {a: Card(process=f"curl http://{address}/"), c: Card(process="nginx :80")}
    return (
        Slide(
            "gateway",
            "No segment between nodes: a gateway.",
            "Every node has a /32 and one way out. Nobody can be asked by broadcast; the gateway must know who is "
            "where.",
            p.scene(
                _gateway(p), "Nodes with /32 addresses on the ports of an L3 gateway.", cards={a: Card(), c: Card()}
            ),
            walk,
            facts=("alone-on-link",),
            deck="15",
        ),
        Slide(
            "to-gateway",
            f"{a} hands everything to the gateway.",
            f"The packet is for {address}, the frame for the gateway's MAC. {a} needs no more to know, however many "
            "nodes there are.",
            p.moving(
                _gateway(p),
                get,
                comes,
                last=comes,
                via=True,
                cards=cards,
            ),
            walk,
            comes,
            "eth.dst",
            ("to-gateway",),
            "16-17",
        ),
        Slide(
            "decision",
            f"The gateway's table decides: by {c}.",
            "Longest prefix, next hop, both MACs new, TTL one less: a router, made of OpenFlow rules. The routes are "
            "static here; they could be learned.",
            p.moving(
                _gateway(p, f"TTL {p.ttl(leaves)} was {p.ttl(comes)}", host_route(address)),
                get,
                at_node,
                first=comes,
                via=True,
                cards=cards,
            ),
            walk,
            leaves,
            "ip.ttl",
            ("from-gateway", "decision", "no-layer-2"),
            "18",
        ),
        Slide(
            "page",
            f"{c} answers the same way: by the gateway.",
            f"The way back has a router on it, too: TTL {p.ttl(walk.way(ok)[-1])} at {a}.",
            p.moving(_gateway(p, matched=host_route(p.plan.address(a))), ok, walk.way(ok)[-1], via=True, cards=cards),
            walk,
            walk.way(ok)[-1],
            "ip.ttl",
            (),
            "18",
        ),
    )


def _containers(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    source, target = plan.container_of[walk.src], plan.container_of[walk.dst]
    a, c = plan.node_of[source.name], plan.node_of[target.name]
    get, ok = p.request(), p.response()
    comes, leaves, at_node = passage(p, get)
    page = walk.way(get)
    out, at_cbr0 = p.at(get, f"{a.name}:eth0", "out"), p.at(get, f"{c.name}:cbr0", "out")
    play = {a.name: Card(active=(source.name,)), c.name: Card(active=(target.name,))}
    back = microseconds(walk.way(ok)[-1].t_us - page[0].t_us)
    return (
        Slide(
            "pod-subnets",
            "Containers stand behind their nodes.",
            f"{a.pod_subnet} is behind {a.name}, {c.pod_subnet} behind {c.name}. Their addresses never meet on one "
            "segment.",
            p.scene(
                _gateway(p), f"{source.name} in {a.name}, {target.name} in {c.name}, a gateway between.", cards=play
            ),
            walk,
            facts=("pods-behind",),
            deck="19",
        ),
        Slide(
            "pod-to-gateway",
            f"{a.name} is {source.name}'s first router.",
            f"{source.name} sends to its default gateway, {a.bridge_address} on cbr0. {a.name} routes it to the next: "
            f"TTL {p.ttl(out)}.",
            p.moving(
                _gateway(p),
                get,
                comes,
                last=comes,
                via=True,
                cards=play,
            ),
            walk,
            out,
            "ip.ttl",
            ("pod-to-gateway",),
            "20-21",
        ),
        decided(
            p,
            _gateway(p, f"TTL {p.ttl(leaves)} was {p.ttl(comes)}", c.pod_subnet),
            "pod-decision",
            f"The gateway knows {c.pod_subnet} behind {c.name}.",
            "One route a node covers all its containers. This one is static; it could be learned by BGP.",
            "pod-decision",
        ),
        Slide(
            "pod-delivered",
            f"{target.name} gets it: {count(p.routers(get))} routers, TTL {p.ttl(page[-1])}.",
            f"{a.name}, the gateway, {c.name}. The addresses are those {source.name} wrote: nobody translates, nothing "
            "is wrapped.",
            p.moving(
                _gateway(p),
                get,
                at_cbr0,
                first=at_node,
                via=True,
                cards={**play, c.name: Card(active=(target.name,), pill="root netns routes")},
            ),
            walk,
            page[-1],
            "ip.ttl",
            ("pod-delivered",),
            "23",
        ),
        Slide(
            "pod-page",
            "The page takes the mirror of that way.",
            f"The gateway's route for {a.pod_subnet} brings it back, {back} after the request left.",
            p.moving(
                _gateway(p, matched=a.pod_subnet),
                ok,
                walk.way(ok)[-1],
                via=True,
                cards=play,
            ),
            walk,
            walk.way(ok)[-1],
            "ip.ttl",
            (),
            "23",
        ),
    )


CHAPTER = Routed()
