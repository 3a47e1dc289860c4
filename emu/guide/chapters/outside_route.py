"""The first of the deck's three bridges: routes to nodes (deck, slides 35-37)."""

from __future__ import annotations

from emu.claims import Claim, Request, Seen
from emu.guide.chapters.base import Picture, fact
from emu.guide.chapters.ways import GET, MEDIUM, SLIDES, Way, arrives
from emu.guide.scene import Card, Slide
from emu.model import INITIAL_TTL, Plan


def _facts(plan: Plan, probe: Request) -> tuple[Claim, ...]:
    outside, node = plan.others[0], plan.node_of[probe.dst]
    return (
        fact(
            "to-the-node",
            SLIDES,
            f"{outside.name} sends it to the pod's own node: a route to {node.pod_subnet} by {node.address}",
            Seen(probe, (f"{outside.name}:eth0",), {**GET, "dir": "out"}, {"eth.dst": node.mac}, count=1),
        ),
        arrives(probe, plan, outside.address, f"{outside.name}'s own address", INITIAL_TTL - 1, "to-the-node"),
    )


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, node = p.walk, p.plan.node_of[p.walk.dst]
    get = p.request()
    cards = {node.name: Card(active=(walk.dst,))}
    way = walk.way(get)
    return (
        Slide(
            "routed",
            "Could: route to nodes.",
            f"The client knows each node's pods: {node.pod_subnet} is behind {node.name}. No tunnel, one router, its "
            "own address; a route more for each node.",
            p.moving(MEDIUM, get, way[0], cards=cards),
            walk,
            way[0],
            "eth.dst",
            ("to-the-node", "seen-as"),
            SLIDES,
        ),
    )


CHAPTER = Way("route", "First bridge: routes to nodes", "1st", _facts, _slides)
