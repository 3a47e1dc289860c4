"""Chapter 3 once more, with routes that are learned: what slides 18 and 22 of the deck have in brackets."""

from __future__ import annotations

from collections.abc import Mapping

from emu.addressing import GATEWAY_MAC
from emu.claims import Claim, Learned, Prints, Request, Seen
from emu.guide.chapters.base import REQUEST, Picture, fact
from emu.guide.chapters.routed import decided, passage
from emu.guide.scene import Card, Chapter, Medium, Slide, TableRow
from emu.model import INITIAL_TTL, Plan
from emu.speakers.bird import SPEAKER
from emu.walk.model import Walk


class LearnedRoutes:
    """See the module."""

    name = "learned"
    spec = "routed:routes=bgp"
    outside = 0

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        assert plan.endpoints is not None
        return {"routed-learned": Request(*plan.endpoints, "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        probe = self.requests(plan)["routed-learned"]
        source, target, c = plan.container_of[probe.src], plan.container_of[probe.dst], plan.node_of[probe.dst]
        sessions = tuple(text for node in plan.nodes for text in (SPEAKER.session_name(node), "Established"))
        pods = {node.pod_subnet: (node.address,) for node in plan.nodes}
        return (
            fact(
                "sessions",
                "18",
                f"a routing daemon on each of the {len(plan.nodes)} nodes speaks BGP with the gateway's",
                Prints(plan.nodes[0].name, SPEAKER.gateway_sessions(), 0, sessions),
            ),
            fact(
                "learned",
                "18",
                "every route to containers is learned, and in the gateway's flow table; nobody wrote one",
                Learned(pods),
                "sessions",
            ),
            fact(
                "learned-decision",
                "22",
                f"{c.name}, which has announced {c.pod_subnet}, gets the packet from the gateway",
                Seen(
                    probe,
                    (f"{c.name}:eth0",),
                    {"http.line": REQUEST, "ip.src": source.address, "ip.dst": target.address, "dir": "in"},
                    {"eth.src": GATEWAY_MAC, "eth.dst": c.mac, "ip.ttl": INITIAL_TTL - 2},
                    count=1,
                ),
                "learned",
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["routed-learned"]
        return Chapter(self.name, "Layer 3: learned routes", "Learned", walk.plan.spec, _slides(Picture(walk)), walks)


def _gateway(p: Picture, does: str = "", matched: str = "", *, learned: bool = True) -> Medium:
    """The gateway with the learned rows of the walk's ends, which the facts have seen to be its table."""
    ends = dict.fromkeys(p.plan.node_of[name] for name in (p.walk.src, p.walk.dst))
    if not learned:
        return Medium("gateway", "L3 gateway", does)
    rows = tuple(TableRow(node.pod_subnet, node.name, "BGP", node.pod_subnet == matched) for node in ends)
    return Medium("gateway", "L3 gateway", does, rows, more=len(p.plan.nodes) - len(rows))


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    source, target = plan.container_of[walk.src], plan.container_of[walk.dst]
    a, c = plan.node_of[source.name], plan.node_of[target.name]
    comes, leaves, _ = passage(p, p.request())
    play = {a.name: Card(active=(source.name,)), c.name: Card(active=(target.name,))}
    return (
        Slide(
            "sessions",
            "Each node tells the gateway what is behind it.",
            "A routing daemon on every node has a BGP session with the one beside the gateway, over the links that "
            "carry all else.",
            p.scene(_gateway(p, "speaks BGP", learned=False), "Nodes with BGP sessions to the gateway.", cards=play),
            walk,
            facts=("sessions",),
            deck="18",
        ),
        Slide(
            "table",
            "The gateway's table is learned, row by row.",
            "The daemon beside the gateway writes what it hears into its kernel's table; the controller follows that "
            "into the switch.",
            p.scene(_gateway(p), "The gateway with a learned route a node.", cards=play),
            walk,
            facts=("learned",),
            deck="18",
        ),
        decided(
            p,
            _gateway(p, f"TTL {p.ttl(leaves)} was {p.ttl(comes)}", c.pod_subnet),
            "decision",
            f"{c.name} announced {c.pod_subnet}: it goes there.",
            "To the packet a learned route is like a static one: two MACs new, TTL one less. When the announcement "
            "ends, so does the route.",
            "learned-decision",
        ),
    )


CHAPTER = LearnedRoutes()
