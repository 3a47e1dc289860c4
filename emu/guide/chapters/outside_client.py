"""The third of the deck's three bridges: the overlay on the client (deck, slides 35-37)."""

from __future__ import annotations

from emu.claims import Claim, KernelState, Query, Request, Seen
from emu.guide.chapters.base import Picture, fact
from emu.guide.chapters.ways import GET, MEDIUM, SLIDES, Way, arrives
from emu.guide.scene import Card, Slide
from emu.model import INITIAL_TTL, SWITCH, Plan


def _facts(plan: Plan, probe: Request) -> tuple[Claim, ...]:
    outside, node = plan.others[0], plan.node_of[probe.dst]
    device = next(device for device in plan.by_name[outside.name].devices if device.tunnel)
    wrapped = {f"inner.{name}": value for name, value in GET.items()}
    entry = {"dst": outside.vtep_address, "lladdr": outside.vtep_mac}
    asked = ("ip", "-j", "neigh", "show", "to", outside.vtep_address, "dev", device.name)
    return (
        fact(
            "own-tunnel",
            SLIDES,
            f"{outside.name} has a tunnel of its own to {node.name}",
            Seen(probe, (f"{outside.name}:eth0",), {**wrapped, "dir": "out"},
                 {"ip.src": outside.address, "ip.dst": node.address}, count=1),
        ),
        arrives(probe, plan, outside.vtep_address, f"{outside.name}'s address in the overlay", INITIAL_TTL - 1,
                "own-tunnel"),
        fact(
            "state-everywhere",
            SLIDES,
            f"every node holds a neighbor for {outside.name}, as for a node",
            KernelState(tuple(Query(member.name, asked, (entry,)) for member in plan.nodes)),
        ),
    )


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, node = p.walk, p.plan.node_of[p.walk.dst]
    get = p.request()
    wrapped = p.at(get, f"{SWITCH}:{p.plan.port_of[walk.src].device}", "in")
    overhead = len(wrapped.frame.data) - len(walk.way(get)[0].frame.data)
    return (
        Slide(
            "own-tunnel",
            "Could: run flannel on client machines.",
            f"{walk.src} is a member of the overlay, without pods. Every node holds a neighbor more for it, as for any "
            "other node.",
            p.moving(MEDIUM, get, wrapped, cards={node.name: Card(active=(walk.dst,), overhead_bytes=overhead)}),
            walk,
            wrapped,
            "ip.src",
            ("own-tunnel", "seen-as", "state-everywhere"),
            SLIDES,
        ),
    )


CHAPTER = Way("client", "Third bridge: the overlay on the client", "3rd", _facts, _slides)
