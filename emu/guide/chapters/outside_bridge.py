"""The second of the deck's three bridges: a machine in both networks (deck, slides 35-37)."""

from __future__ import annotations

from emu.claims import Claim, Request, Seen, Unseen
from emu.guide.chapters.base import Picture, fact
from emu.guide.chapters.ways import GET, MEDIUM, SLIDES, Way, arrives
from emu.guide.scene import Card, Slide
from emu.model import INITIAL_TTL, SWITCH, Plan


def _facts(plan: Plan, probe: Request) -> tuple[Claim, ...]:
    outside, bridge, node = plan.others[0], plan.others[1], plan.node_of[probe.dst]
    wrapped = {f"inner.{name}": value for name, value in GET.items()}
    answer = {"ip.src": plan.address(probe.dst), "ip.dst": outside.address}
    of_bridge = tuple(f"{bridge.name}:{device.name}" for device in plan.by_name[bridge.name].devices)
    return (
        fact(
            "to-the-bridge",
            SLIDES,
            f"{outside.name} sends it to {bridge.name}: one route to all pods",
            Seen(probe, (f"{outside.name}:eth0",), {**GET, "dir": "out"}, {"eth.dst": bridge.mac}, count=1),
        ),
        fact(
            "into-the-tunnel",
            SLIDES,
            f"{bridge.name} sends it on in the tunnel, from {bridge.address} to {node.address}",
            Seen(probe, (f"{bridge.name}:eth0",), {**wrapped, "dir": "out"},
                 {"ip.src": bridge.address, "ip.dst": node.address, "inner.ip.ttl": INITIAL_TTL - 1}, count=1),
            "to-the-bridge",
        ),
        arrives(probe, plan, outside.address, f"{outside.name}'s own address", INITIAL_TTL - 2, "into-the-tunnel"),
        fact(
            "past-the-bridge",
            SLIDES,
            f"the answer comes from {node.name} directly: {bridge.name} never sees it",
            Unseen(probe, of_bridge, answer),
            "seen-as",
        ),
    )


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    bridge, node = plan.others[1], plan.node_of[walk.dst]
    get, ok = p.request(), p.response()
    cards = {node.name: Card(active=(walk.dst,))}
    taken = p.at(get, f"{bridge.name}:eth0", "in")
    wrapped = p.at(get, f"{SWITCH}:{plan.port_of[bridge.name].device}", "in")
    return (
        Slide(
            "to-the-bridge",
            "Could: route to 1 or more bridge machines.",
            f"{bridge.name} is in both networks: on the segment, and a member of the overlay. One route leads to all "
            "pods.",
            p.moving(MEDIUM, get, taken, last=taken, cards=cards),
            walk,
            taken,
            "eth.dst",
            ("to-the-bridge",),
            SLIDES,
        ),
        Slide(
            "into-the-tunnel",
            f"{bridge.name} puts it into the tunnel.".capitalize(),
            f"To {node.name} it is a packet from one more member. {walk.dst} sees {walk.src}'s own address: nothing "
            "was masqueraded.",
            p.moving(MEDIUM, get, wrapped, first=p.at(get, f"{bridge.name}:eth0", "in"), cards=cards),
            walk,
            wrapped,
            "inner.ip.src",
            ("into-the-tunnel", "seen-as"),
            SLIDES,
        ),
        Slide(
            "past-the-bridge",
            "The answer goes another way.",
            f"{walk.src} is on {node.name}'s own link: no tunnel, no bridge machine. A node with strict reverse "
            "path filtering would have dropped the request.",
            p.moving(MEDIUM, ok, walk.way(ok)[-1], cards=cards),
            walk,
            walk.way(ok)[-1],
            "eth.src",
            ("past-the-bridge",),
            SLIDES,
        ),
    )


CHAPTER = Way("bridge", "Second bridge: a bridge machine", "2nd", _facts, _slides)
