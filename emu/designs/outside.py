"""A machine that is not a node: how it comes to the pods of an overlay. The deck's "?!?!" and its three bridges.

    none     outside-1 has a default route that is on-link: it asks the segment who has 10.0.3.2, and nobody answers.
    route    outside-1 routes each pod subnet to that subnet's node.
    bridge   outside-1 routes all pods to a bridge machine, which is in both networks. With several of them it spreads
             its flows over all that are alive, which BGP with BFD tells it.
    client   the overlay runs on outside-1 too: every node holds its state for one machine more.

Pods and nodes send to outside machines directly, whatever way the request came: nodes are on their link. So an answer
may return another way than the request, past the bridge machine, and strict reverse path filtering would drop it. Where
flannel masquerades (``snat=on``), what has come by a bridge machine returns by it, and the pod never sees the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emu.claims import Claim, Datagrams, KernelState, Ordered, Ping, Prints, Query, Seen, Unseen
from emu.designs import base
from emu.designs.claims import bystanders, path_claims
from emu.filters import NAT_CHAIN, NatRule
from emu.model import (
    BROADCAST_MAC,
    Address,
    Machine,
    Node,
    Plan,
    Route,
    Scenario,
)
from emu.packets import ARP_REPLY, ARP_REQUEST, ECHO_REQUEST
from emu.speakers.bird import SPEAKER

NONE, ROUTE, BRIDGE, CLIENT = "none", "route", "bridge", "client"
WAYS = (NONE, ROUTE, BRIDGE, CLIENT)
MOST_BRIDGES = 16

_DECK = "deck, slides 34-37"
_MASQUERADE = "flannel pkg/trafficmngr/iptables/iptables.go, masqRules"
_KUBE_PROXY_MARK = 0x4000
_MULTICAST = "224.0.0.0/4"
_FLOWS_A_BRIDGE = 64
"""So many flows spread by a hash leave one of k machines out with a chance of exp(-64), for any k."""

_HASH_PORTS = {"net.ipv4.fib_multipath_hash_policy": "1"}
"""Equal routes are chosen among by addresses and ports (ip-sysctl.rst), so that each connection has its own."""


def masquerades(params: Mapping[str, str]) -> bool:
    """Whether the machines that the overlay runs on masquerade."""
    return params.get("snat") == "on"


def members(plan: Plan) -> tuple[Node, ...]:
    """Every machine that the overlay runs on, and so has a pod subnet."""
    return tuple(machine for machine in plan.underlay if machine.pod_subnet)


def bridge_machines(plan: Plan) -> tuple[Node, ...]:
    """The machines between the overlay and the network it lies over."""
    return tuple(other for other in plan.others if plan.by_name[other.name].kind == "bridge")


def masquerading(scenario: Scenario, member: Node) -> tuple[NatRule, ...]:
    """flannel's rules on a machine that the overlay runs on: all that pods send out of their network, and all that
    enters it from outside, is masqueraded, but for what enters at the pod's own node."""
    cluster, own = scenario.pod_cidr, member.pod_subnet
    return (
        NatRule("return", mark=_KUBE_PROXY_MARK),
        NatRule("return", own, cluster),
        NatRule("return", cluster, own),
        NatRule("return", cluster, own, not_from=True),
        NatRule("masquerade", cluster, _MULTICAST, not_to=True),
        NatRule("masquerade", cluster, cluster, not_from=True),
    )


def masquerade_claims(plan: Plan) -> tuple[Claim, ...]:
    """The rules of every machine that the overlay runs on, where it masquerades."""
    return tuple(
        Claim(
            f"masquerade-{machine.name}",
            f"{machine.name} masquerades by flannel's rules, in their order",
            _MASQUERADE,
            Prints(machine.name, ("nft", "list", "chain", "ip", "nat", NAT_CHAIN), 0,
                   tuple(rule.words for rule in machine.nat)),
        )
        for machine in plan.machines
        if machine.nat
    )


def stranger(me: Node, nodes: Iterable[Node], bridges: tuple[Node, ...], scenario: Scenario) -> Machine:
    """An outside machine that the overlay does not run on. ``nodes``: those that it routes pod subnets to."""
    speaks = (SPEAKER.behind_bridges(me, bridges, scenario.pod_cidr),) if bridges else ()
    return Machine(
        name=me.name,
        kind="outside",
        address=me.address,
        devices=(base.uplink(me, scenario.mtu),),
        addresses=(Address(base.UPLINK, me.address, base.prefix_length(scenario.node_cidr)),),
        routes=(
            *segment_routes(me, scenario),
            *(Route(node.pod_subnet, base.UPLINK, node.address, me.address, congctl=base.CONGESTION_CONTROL)
              for node in nodes),
        ),
        sysctls={**base.NOT_FORWARDING, **_HASH_PORTS},
        processes=speaks,
    )


def segment_routes(me: Node, scenario: Scenario) -> tuple[Route, ...]:
    """The routes of an outside machine that has been told nothing: its segment, and all else on it too."""
    return tuple(
        Route(destination, base.UPLINK, source=me.address, congctl=base.CONGESTION_CONTROL)
        for destination in (scenario.node_cidr, "0.0.0.0/0")
    )


def outside_claims(plan: Plan, design: base.Design, tunnel: str) -> tuple[Claim, ...]:
    """What must be true of the first outside machine and the second endpoint, a container. ``tunnel``: the overlay's
    device."""
    if not plan.scenario.outside or plan.endpoints is None:
        return ()
    outside, pod = plan.others[0], plan.endpoints[1]
    trips = design.round_trips(plan, outside.name, pod)
    if not trips:
        return _unreachable(plan, outside, pod)
    probe = Ping(outside.name, pod)
    bridges = bridge_machines(plan)
    hops = path_claims(plan, probe, *trips[0], _DECK, prefix="outside-") if len(trips) == 1 else []
    arrives = Claim(
        "outside-source",
        f"{pod} is spoken to from {_source(plan, outside, bridges)[1]}",
        _MASQUERADE if masquerades(plan.params) else _DECK,
        _arrives(plan, probe, _source(plan, outside, bridges)[0]),
    )
    return (
        *hops,
        arrives,
        *_hidden(plan, probe, outside, pod, bridges),
        *_masquerading_claims(plan),
        *(_bridge_claims(plan, outside, pod, bridges, tunnel) if bridges else ()),
    )


def _hidden(plan: Plan, probe: Ping, outside: Node, pod: str, bridges: tuple[Node, ...]) -> tuple[Claim, ...]:
    """Where any of several bridge machines may have masqueraded."""
    if not (bridges and masquerades(plan.params)):
        return ()
    request = {"icmp.type": ECHO_REQUEST, "ip.src": outside.address}
    return (
        Claim("outside-hidden", f"{pod} never sees {outside.name}'s own address", _MASQUERADE,
              Unseen(probe, (f"{pod}:eth0",), request), ("outside-source",)),
    )


def _source(plan: Plan, outside: Node, bridges: tuple[Node, ...]) -> tuple[str | None, str]:
    """The address that pods see, if it is always the same, and whose it is."""
    if plan.params["outside"] == CLIENT:
        own = tunnel_address(plan, outside.name)
        return own, f"{outside.name}'s address in the overlay, {own}"
    if bridges and masquerades(plan.params):
        all_own = [tunnel_address(plan, bridge.name) for bridge in bridges]
        only = all_own[0] if len(all_own) == 1 else None
        return only, f"a bridge machine's address in the overlay: {_listed(all_own)}"
    return outside.address, f"{outside.name}'s own address, {outside.address}"


def tunnel_address(plan: Plan, name: str) -> str:
    """The address of a machine's overlay device, which its own packets have inside the tunnel, and those that it
    masquerades: the kernel takes that of the device they leave by."""
    machine = plan.by_name[name]
    return next(address.address for address in machine.addresses if machine.device(address.device).tunnel)


def _listed(words: Iterable[str]) -> str:
    return " or ".join(words)


def _arrives(plan: Plan, probe: Ping, source: str | None) -> Seen:
    where = {"dir": "in", "icmp.type": ECHO_REQUEST, "ip.dst": plan.address(probe.dst)}
    return Seen(probe, (f"{probe.dst}:eth0",), where, {"ip.src": source} if source else {}, count=1)


def _unreachable(plan: Plan, outside: Node, pod: str) -> tuple[Claim, ...]:
    """It asks the segment, everybody hears it, and nobody answers."""
    probe, target = Ping(outside.name, pod), plan.address(pod)
    asks = {"arp.op": ARP_REQUEST, "arp.tpa": target, "arp.spa": outside.address}
    heard = bystanders(plan)
    points = (f"{outside.name}:eth0", *heard)
    return (
        Claim(
            "outside-asks",
            f"{outside.name} asks everybody who has {target}: its default route is on-link",
            _DECK,
            Seen(probe, (points[0],), {**asks, "dir": "out"}, {"eth.src": outside.mac, "eth.dst": BROADCAST_MAC}),
        ),
        Claim(
            "outside-heard",
            "every node hears the question",
            "IEEE 802.3: broadcast",
            Seen(probe, heard, {**asks, "dir": "in"}, {"eth.src": outside.mac}),
            ("outside-asks",),
        ),
        Claim(
            "outside-unanswered",
            f"nobody answers: {target} is no address of this network",
            _DECK,
            Unseen(probe, points, {"arp.op": ARP_REPLY, "arp.spa": target}),
            ("outside-heard",),
        ),
        Claim(
            "outside-unreachable",
            f"so {outside.name} is told that there is no such host",
            "RFC 1122, section 2.3.2.2; net/ipv4/arp.c",
            Prints(outside.name, ("ping", "-n", "-c", "1", "-W", "20", target), 1,
                   (f"From {outside.address}", "Destination Host Unreachable")),
            ("outside-unanswered",),
        ),
        *_masquerading_claims(plan),
    )


def _masquerading_claims(plan: Plan) -> tuple[Claim, ...]:
    """What an outside machine sees of a pod that speaks first."""
    if plan.endpoints is None:
        return ()
    pod, outside = plan.endpoints[0], plan.others[0]
    probe, node = Ping(pod, outside.name), plan.node_of[pod]
    source = node.address if masquerades(plan.params) else plan.address(pod)
    whose = f"its node's address, {source}" if masquerades(plan.params) else f"its own address, {source}"
    where = {"dir": "in", "icmp.type": ECHO_REQUEST, "ip.dst": outside.address}
    return (
        Claim(
            "pod-source",
            f"what {pod} sends to {outside.name} arrives from {whose}",
            _MASQUERADE,
            Seen(probe, (f"{outside.name}:eth0",), where, {"ip.src": source}, count=1),
        ),
    )


def _bridge_claims(plan: Plan, outside: Node, pod: str, bridges: tuple[Node, ...], tunnel: str) -> tuple[Claim, ...]:
    """How flows go over bridge machines, and how answers return."""
    probe, flows = Ping(outside.name, pod), Datagrams(outside.name, pod, _FLOWS_A_BRIDGE * len(bridges))
    uplinks = tuple(f"{bridge.name}:eth0" for bridge in bridges)
    answer = {"dir": "in", "ip.src": plan.address(pod), "ip.dst": outside.address}
    back = (
        Claim(
            "outside-returns",
            f"the answer comes to {outside.name} from {plan.node_of[pod].name} directly, past the bridge machine",
            "a node is on the link of its clients; rp_filter is 0 (RFC 3704, section 2.4)",
            Ordered(probe, f"{outside.name}:eth0", ({**answer, "eth.src": plan.node_of[pod].mac},)),
            ("outside-source",),
        ),
        Claim(
            "outside-past",
            "no bridge machine sees the answer",
            "the same",
            Unseen(probe, tuple(f"{b.name}:{name}" for b in bridges for name in (base.UPLINK, tunnel)),
                   {"ip.src": plan.address(pod)}),
            ("outside-returns",),
        ),
    )
    return (
        *(() if masquerades(plan.params) else back),
        Claim(
            "outside-routes",
            f"{outside.name} has one route to all pods, by {_listed(b.name for b in bridges)}, learned by BGP",
            "RFC 4271; net/ipv4/fib_semantics.c: equal-cost next hops",
            KernelState((_pod_route(plan, outside, bridges),)),
        ),
        Claim(
            "outside-spreads",
            f"{flows.count} flows are spread over {'all' if len(bridges) > 1 else 'the'} bridge machines",
            "net/ipv4/route.c, fib_multipath_hash: addresses and ports",
            Seen(flows, uplinks, {"dir": "in", "ip.src": outside.address, "ip.dst": plan.address(pod)}, {}),
            ("outside-routes",),
        ),
    )


def _pod_route(plan: Plan, outside: Node, bridges: tuple[Node, ...]) -> Query:
    """The learned route, as ``ip -j`` prints one next hop and several."""
    hops = tuple({"gateway": bridge.address, "dev": base.UPLINK} for bridge in bridges)
    route = {"dst": plan.scenario.pod_cidr, "protocol": "bird"}
    one = {**route, **hops[0]} if len(hops) == 1 else {**route, "nexthops": hops}
    return Query(outside.name, ("ip", "-j", "-4", "route", "show", plan.scenario.pod_cidr), (one,))
