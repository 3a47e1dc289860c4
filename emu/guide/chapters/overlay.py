"""Chapter 4, overlays: a packet inside a packet (deck, slides 24-33)."""

from __future__ import annotations

from collections.abc import Mapping

from emu.claims import Claim, KernelState, Query, Request, Seen, Unseen
from emu.guide.chapters.base import REQUEST, Picture, count, fact
from emu.guide.scene import Card, Chapter, Medium, Slide
from emu.guide.ways import microseconds
from emu.model import INITIAL_TTL, SWITCH, Device, Node, Plan
from emu.walk.model import Step, Walk


class Overlay:
    """See the module."""

    name = "overlay"
    spec = "overlay"
    outside = 0

    def requests(self, plan: Plan) -> Mapping[str, Request]:
        assert plan.endpoints is not None
        return {"overlay": Request(*plan.endpoints, "http")}

    def facts(self, plan: Plan) -> tuple[Claim, ...]:
        probe = self.requests(plan)["overlay"]
        source, target = plan.container_of[probe.src], plan.container_of[probe.dst]
        a, c = plan.node_of[probe.src], plan.node_of[probe.dst]
        device = _tunnel(plan, a)
        assert device.tunnel is not None
        get = {"http.line": REQUEST, "ip.src": source.address, "ip.dst": target.address}
        wrapped = {f"inner.{key}": value for key, value in get.items()}
        ends = {"ip.src": source.address, "ip.dst": target.address}
        outer = {
            "ip.src": a.address,
            "ip.dst": c.address,
            "udp.dport": device.tunnel.port,
            "vxlan.vni": device.tunnel.vni,
        }
        ports = tuple(f"{SWITCH}:{port.device}" for port in plan.switch.ports)
        inside = tuple(
            Query(a.name, ("ip", "-j", "-4", "address", "show", "dev", name), ({"addr_info": [{"local": address}]},))
            for name, address in (("eth0", a.address), ("cbr0", a.bridge_address), (device.name, a.vtep_address))
        )
        return (
            fact(
                "device",
                "25",
                f"in {a.name}: eth0 {a.address}, cbr0 {a.bridge_address}, and a device of the overlay, "
                f"{device.name} {a.vtep_address} (the deck's flannel0 10.0.1.254 is flannel's older udp back end)",
                KernelState(inside),
            ),
            fact(
                "asks",
                "26",
                f"{source.name} sends GET / from {source.address} to {target.address}",
                Seen(probe, (f"{source.name}:eth0",), {**get, "dir": "out"}, {"ip.ttl": INITIAL_TTL}, count=1),
            ),
            fact(
                "to-bridge", "27", "cbr0 takes it", Seen(probe, (f"{a.name}:cbr0",), {**get, "dir": "in"}, ends), "asks"
            ),
            fact(
                "to-device",
                "28",
                f"{a.name} routes it to {device.name}: TTL {INITIAL_TTL - 1}",
                Seen(probe, (f"{a.name}:{device.name}",), {**get, "dir": "out"}, {"ip.ttl": INITIAL_TTL - 1}),
                "to-bridge",
            ),
            fact(
                "wraps",
                "29",
                f"it leaves by eth0 inside another packet, from {a.address} to {c.address}",
                Seen(
                    probe,
                    (f"{a.name}:eth0",),
                    {**wrapped, "dir": "out"},
                    {**outer, "inner.ip.ttl": INITIAL_TTL - 1},
                    count=1,
                ),
                "to-device",
            ),
            fact(
                "underlay",
                "30",
                f"no port of the switch sees {source.address} outside of a tunnel",
                Unseen(probe, ports, {"ip.src": source.address}),
            ),
            fact(
                "arrives",
                "31",
                f"{c.name} gets both, unchanged",
                Seen(probe, (f"{c.name}:eth0",), {**wrapped, "dir": "in"}, outer, count=1),
                "wraps",
            ),
            fact(
                "unwraps",
                "32",
                f"{device.name} in {c.name} takes the outer one off",
                Seen(probe, (f"{c.name}:{device.name}",), {**get, "dir": "in"}, ends, count=1),
                "arrives",
            ),
            fact(
                "delivered",
                "33",
                f"{target.name} gets what {source.name} sent, TTL {INITIAL_TTL - 2}",
                Seen(
                    probe,
                    (f"{target.name}:eth0",),
                    {**get, "dir": "in"},
                    {**ends, "eth.dst": target.mac, "ip.ttl": INITIAL_TTL - 2},
                    count=1,
                ),
                "unwraps",
            ),
        )

    def chapter(self, walks: Mapping[str, Walk]) -> Chapter:
        walk = walks["overlay"]
        return Chapter(self.name, "Overlays", "Overlay", walk.plan.spec, _slides(Picture(walk)), walks)


def _tunnel(plan: Plan, node: Node) -> Device:
    return next(device for device in plan.by_name[node.name].devices if device.tunnel)


def _slides(p: Picture) -> tuple[Slide, ...]:
    walk, plan = p.walk, p.plan
    source, target = plan.container_of[walk.src], plan.container_of[walk.dst]
    a, c = plan.node_of[source.name], plan.node_of[target.name]
    device = _tunnel(plan, a)
    get, ok = p.request(), p.response()

    def at(machine: str, interface: str, direction: str) -> Step:
        return p.at(get, f"{machine}:{interface}", direction)

    bridge, leaves = at(a.name, "cbr0", "in"), at(a.name, device.name, "out")
    wrapped, arrived = at(a.name, "eth0", "out"), at(c.name, "eth0", "in")
    on_wire, bare, page = at(SWITCH, plan.port_of[a.name].device, "in"), at(c.name, device.name, "in"), walk.way(get)
    routed = at(c.name, "cbr0", "out")
    overhead = len(wrapped.frame.data) - len(leaves.frame.data)
    cards = {a.name: Card(active=(source.name,), overhead_bytes=overhead), c.name: Card(active=(target.name,))}
    switch = Medium("switch", "L2 switch", "sees ■ only")
    mtu = plan.by_name[source.name].device("eth0").mtu
    return (
        Slide(
            "when",
            "When should I use an overlay?",
            "The deck: “When nothing else works, or when you have specific reasons to want it.” What it does, hop by "
            "hop, and what it costs:",
            p.scene(
                switch,
                f"{source.name} in {a.name}, {target.name} in {c.name}, a switch that knows nodes only.",
                cards={a.name: Card(active=(source.name,)), c.name: Card(active=(target.name,))},
            ),
            walk,
            deck="24",
        ),
        Slide(
            "device",
            f"Every node has one device more: {device.name}.",
            "It stands in both worlds: an address of the pod network (●), and a tunnel end with the node's own "
            "address (■).",
            p.scene(
                switch,
                f"{a.name} with cbr0, its containers and {device.name}.",
                inside=True,
                cards={a.name: Card(active=tuple(x.name for x in a.containers))},
                highlighted=(f"{a.name}:{device.name}",),
            ),
            walk,
            facts=("device",),
            deck="25",
        ),
        Slide(
            "to-bridge",
            f"{source.name} sends to its default gateway, on cbr0.",
            f"{source.name} knows nothing of tunnels: a packet from {source.address} to {target.address}, in a frame "
            "for its node.",
            p.moving(
                switch,
                get,
                bridge,
                last=bridge,
                inside=a.name,
                cards={a.name: Card(active=(source.name,))},
            ),
            walk,
            bridge,
            "ip.dst",
            ("asks", "to-bridge"),
            "26-27",
        ),
        Slide(
            "to-device",
            f"{a.name} routes it to {device.name}.",
            f"One route for each other node's containers: {c.pod_subnet} by {device.name}. TTL "
            f"{p.ttl(bridge)}, then {p.ttl(leaves)}; +"
            f"{microseconds(leaves.t_us - bridge.t_us)}.",
            p.moving(
                switch,
                get,
                leaves,
                first=bridge,
                last=leaves,
                inside=a.name,
                cards={a.name: Card(active=(source.name,))},
            ),
            walk,
            leaves,
            "ip.ttl",
            ("to-device",),
            "28",
        ),
        Slide(
            "wraps",
            f"{device.name} puts the packet inside another packet.",
            f"The outer one goes from node to node (■); the container addresses (●) ride inside, unchanged. The price "
            f"is {overhead} bytes.",
            p.moving(
                switch,
                get,
                wrapped,
                first=leaves,
                last=on_wire,
                cards=cards,
            ),
            walk,
            wrapped,
            "ip.dst",
            ("wraps",),
            "29",
        ),
        Slide(
            "underlay",
            "The switch carries it, and sees nodes only.",
            f"Nothing on the way must know a container. So that {overhead} more bytes fit on the wire, the containers' "
            f"MTU is {mtu}.",
            p.moving(
                switch,
                get,
                arrived,
                first=on_wire,
                last=arrived,
                cards=cards,
            ),
            walk,
            arrived,
            "ip.src",
            ("underlay", "arrives"),
            "30-31",
        ),
        Slide(
            "unwraps",
            f"{c.name} takes the outer packet off.",
            f"UDP port {arrived.frame.fields['udp.dport']} is the tunnel's. What comes out of {device.name} is what "
            f"went in at {a.name}: {'the same' if bare.frame.data == leaves.frame.data else 'not the same'} bytes.",
            p.moving(
                switch,
                get,
                bare,
                first=arrived,
                last=bare,
                cards=cards,
            ),
            walk,
            bare,
            "ip.src",
            ("unwraps",),
            "31-32",
        ),
        Slide(
            "delivered",
            f"{target.name} sees {source.name}, and no tunnel.",
            f"{c.name} routes it to cbr0: TTL {p.ttl(page[-1])} after {count(p.routers(get))} routers. "
            f"{microseconds(page[-1].t_us - page[0].t_us)} from container to container.",
            p.moving(switch, get, routed, first=bare, cards=cards),
            walk,
            page[-1],
            "ip.ttl",
            ("delivered",),
            "33",
        ),
        Slide(
            "page",
            "The page has a tunnel of its own.",
            f"The outer packet goes from {c.address} to {a.address} now. All in all "
            f"{microseconds(walk.way(ok)[-1].t_us - page[0].t_us)} since the request left.",
            p.moving(
                switch,
                ok,
                p.at(ok, f"{a.name}:eth0", "in"),
                cards=cards,
            ),
            walk,
            p.at(ok, f"{a.name}:eth0", "in"),
            "ip.dst",
            (),
            "33",
        ),
    )


CHAPTER = Overlay()
