"""Encapsulation: the deck's fourth picture.

    ctr-1 - cbr0 - flannel.1 = eth0 === L2 === eth0 = flannel.1 - cbr0 - ctr-4
                   a packet for a container rides inside a packet for its node

The underlay sees only nodes. State per node grows with the number of nodes, by what the back end declares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from emu.addressing import others_of
from emu.backends import all_backends, backend_of
from emu.backends.base import Backend
from emu.claims import Claim, KernelState, Ping, Unseen
from emu.control import Control, Station
from emu.designs import base
from emu.designs.claims import arp_claims, common_claims, mtu_claim, path_claims, switch_points
from emu.designs.outside import (
    BRIDGE,
    CLIENT,
    MOST_BRIDGES,
    NONE,
    ROUTE,
    WAYS,
    bridge_machines,
    masquerade_claims,
    masquerades,
    masquerading,
    members,
    outside_claims,
    segment_routes,
    stranger,
    tunnel_address,
)
from emu.errors import UsageError
from emu.laws import FLOWS, LEARNED_FDB, LEARNED_NEIGHBORS, ROUTES, Growth, StateLaw
from emu.model import Address, Container, Hop, Machine, Node, Plan, Route, Scenario
from emu.speakers.bird import SPEAKER

_DECK = "deck, slides 25-33"


class Overlay:
    """See the module."""

    name = "overlay"
    summary = "pods' packets inside packets between nodes (flannel's VXLAN)"
    has_containers = True
    has_outside = True
    parameters: Mapping[str, base.Parameter] = {
        "backend": base.Parameter(tuple(all_backends())),
        "outside": base.Parameter(WAYS),
        "bridges": base.Parameter(("1",), numbers=(1, MOST_BRIDGES), optional=True, only_with=("outside", BRIDGE)),
        "snat": base.Parameter(("off", "on"), optional=True),
    }

    def plan(self, scenario: Scenario, params: Mapping[str, str]) -> Plan:
        backend, way = backend_of(params["backend"], scenario), params["outside"]
        if way != NONE and (scenario.kube_nodes or not backend.tunnels):
            what = "--kube-nodes" if scenario.kube_nodes else "DirectRouting"
            raise UsageError(f"overlay: outside={way} does not go with {what}")
        if backend.only_own and way == BRIDGE and not masquerades(params):
            raise UsageError(f"overlay: outside=bridge with backend={backend.name} takes snat=on: a peer's packets are"
                             " taken only from its own addresses, not from those of its clients")
        if way != NONE and not scenario.outside:
            scenario = replace(scenario, outside=1)
        nodes = base.nodes_for(scenario)
        outside, bridges = others_of(scenario, int(params.get("bridges", way == BRIDGE)), have_leases=way == CLIENT)
        joined = (*nodes, *(outside if way == CLIENT else ()), *bridges)
        machines: list[Machine] = []
        for node in nodes:
            machines.append(self._node(node, joined, backend, scenario))
            machines.extend(base.container_machines(node, scenario.mtu - backend.overhead_bytes, None))
        for bridge in bridges:
            announces = (SPEAKER.on_bridge(bridge, outside, scenario.pod_cidr, backend.device_name),)
            machine = self._joined(bridge, joined, backend, scenario)
            programs = (*machine.processes, *announces)
            machines.append(replace(machine, kind="bridge", sysctls=base.FORWARDING, processes=programs))
        for me in outside:
            machines.append(self._joined(me, joined, backend, scenario) if way == CLIENT
                            else stranger(me, nodes if way == ROUTE else (), bridges, scenario))
        if masquerades(params):
            rules = {member.name: masquerading(scenario, member) for member in joined}
            machines = [replace(machine, nat=rules.get(machine.name, ())) for machine in machines]
        others = (*outside, *bridges)
        stations = tuple(Station(n.name, n.mac, n.number) for n in (*nodes, *others))
        control = Control(("l2_switch",), 1, stations)
        return base.assemble(self, scenario, params, nodes, machines, control, others=others)

    def _node(self, node: Node, joined: tuple[Node, ...], backend: Backend, scenario: Scenario) -> Machine:
        mtu, others = scenario.mtu - backend.overhead_bytes, [other for other in joined if other is not node]
        peers = [backend.peer(node, other) for other in others]
        machine = base.node_with_pods(
            node,
            devices=(
                *base.pod_bridge(node, node.bridge_mac, mtu),
                base.uplink(node, scenario.mtu),
                *backend.devices(node, mtu),
            ),
            addresses=(
                Address(base.UPLINK, node.address, base.prefix_length(scenario.node_cidr)),
                *backend.addresses(node, scenario),
            ),
            routes=(
                Route(scenario.node_cidr, base.UPLINK, source=node.address, congctl=base.CONGESTION_CONTROL),
                *backend.routes(node, scenario),
                *(route for peer in peers for route in peer.routes),
            ),
            processes=backend.processes(node, others, scenario, mtu),
        )
        return replace(
            machine,
            neighbors=tuple(neighbor for peer in peers for neighbor in peer.neighbors),
            fdb=tuple(entry for peer in peers for entry in peer.fdb),
        )

    def _joined(self, me: Node, joined: tuple[Node, ...], backend: Backend, scenario: Scenario) -> Machine:
        """A machine without pods that the overlay runs on: a client."""
        mtu, others = scenario.mtu - backend.overhead_bytes, [other for other in joined if other is not me]
        peers = [backend.peer(me, other) for other in others]
        to_pods = (*backend.routes(me, scenario), *(route for peer in peers for route in peer.routes))
        return Machine(
            name=me.name,
            kind="outside",
            address=me.address,
            devices=(base.uplink(me, scenario.mtu), *backend.devices(me, mtu)),
            addresses=(Address(base.UPLINK, me.address, base.prefix_length(scenario.node_cidr)),
                       *backend.addresses(me, scenario)),
            routes=(*segment_routes(me, scenario),
                    *(replace(route, congctl=base.CONGESTION_CONTROL) for route in to_pods)),
            neighbors=tuple(neighbor for peer in peers for neighbor in peer.neighbors),
            fdb=tuple(entry for peer in peers for entry in peer.fdb),
            sysctls=base.NOT_FORWARDING,
            processes=backend.processes(me, others, scenario, mtu),
        )

    def path(self, plan: Plan, src: str, dst: str) -> tuple[Hop, ...]:
        return next((path for path, _ in _ways(plan, src, dst)), ())

    def round_trips(self, plan: Plan, src: str, dst: str) -> tuple[base.RoundTrip, ...]:
        ways = _ways(plan, src, dst)
        return tuple((there, back) for there, bridge in ways if (back := _answer(plan, src, dst, bridge)))

    def law(self, params: Mapping[str, str]) -> StateLaw:
        peers = all_backends()[params["backend"]].law
        node = {
            **peers,
            ROUTES: Growth(2) + peers.get(ROUTES, Growth()),
            LEARNED_NEIGHBORS: Growth(other_nodes=1, own_containers=1),
            LEARNED_FDB: Growth(own_containers=1),
        }
        return StateLaw(node, base.CONTAINER_STATE, {FLOWS: base.SEGMENT_FLOWS})

    def claims(self, plan: Plan) -> tuple[Claim, ...]:
        backend = backend_of(plan.params["backend"], plan.scenario)
        mtu = plan.scenario.mtu - backend.overhead_bytes
        state = Claim(
            "tunnel-state",
            f"{backend.device_name}, its address, neighbors, FDB entries and routes are as {backend.name} has them, and"
            " there are no more",
            backend.source,
            KernelState(
                tuple(
                    query
                    for member in members(plan)
                    for query in backend.state(member, [o for o in members(plan) if o is not member], plan.scenario)
                )
            ),
        )
        if plan.endpoints is None:
            return (state, *common_claims(plan, mtu, ("tunnel-state",)))
        src, dst = plan.endpoints
        a, b = plan.node_of[src], plan.node_of[dst]
        probe, point = Ping(src, dst), f"{a.name}:eth0"
        journey = path_claims(
            plan, probe, self.path(plan, src, dst), self.path(plan, dst, src), _DECK, ("tunnel-state", "arp-reply")
        )
        delivered = (journey[-1].id,)
        overhead = f"{backend.overhead_bytes} bytes of {backend.name}"
        return (
            state,
            mtu_claim(plan, mtu, (base.BRIDGE, backend.device_name), overhead),
            *arp_claims(
                probe,
                point,
                (a.mac, a.address),
                b.address,
                b.mac,
                "RFC 826: the underlay knows nodes",
                f"{b.name} answers for itself",
                ("tunnel-state",),
            ),
            *journey,
            *_underlay_claims(plan, probe),
            *masquerade_claims(plan),
            *outside_claims(plan, self, backend.device_name),
            *common_claims(plan, mtu, delivered),
        )


def _underlay_claims(plan: Plan, probe: Ping) -> tuple[Claim, ...]:
    """What the switch does not see of the endpoints: of packets that are routed to their node as they are, the MACs."""
    source, target = plan.container_of[probe.src], plan.container_of[probe.dst]
    unseen = [(probe.src, "MAC", "eth.src", source.mac)]
    if _tunnels(plan):
        unseen += [(probe.src, "address", "ip.src", source.address),
                   (probe.dst, "address-as-destination", "ip.dst", target.address)]
    return tuple(
        Claim(
            f"underlay-{what}",
            f"no port of the switch sees {name}'s {what} outside of a tunnel",
            _DECK,
            Unseen(probe, switch_points(plan), {field: value}),
        )
        for name, what, field, value in unseen
    )


def _ways(plan: Plan, src: str, dst: str, is_answer: bool = False) -> Iterator[tuple[tuple[Hop, ...], Node | None]]:
    """Every way from one machine to another, and the bridge machine that it goes by, if any. An answer comes from the
    address that was asked, and is not masqueraded."""
    a, b = plan.node_of[src], plan.node_of[dst]
    source, target = plan.container_of.get(src), plan.container_of.get(dst)
    if a is b:
        yield base.local_path(plan, src, dst, a.bridge_mac), None
        return
    path, masqueraded = _started(a, source, b.mac), masquerades(plan.params) and not is_answer
    if not target:  # a machine's own address needs no tunnel
        path.ip_src = a.address if source and masqueraded else ""
        yield tuple(path.over_switch(plan, a, b).hops), None
    elif a in members(plan):
        if not source and not is_answer and _tunnels(plan):
            path.ip_src = tunnel_address(plan, a.name)
        yield tuple(_handed_over(_tunnelled(path, plan, a, b), b, target).hops), None
    elif plan.params["outside"] == ROUTE:
        yield tuple(_handed_over(path.over_switch(plan, a, b), b, target).hops), None
    else:
        for bridge in bridge_machines(plan):
            path = base.Path(a.mac, bridge.mac).over_switch(plan, a, bridge).routed("", "")
            path.ip_src = tunnel_address(plan, bridge.name) if masqueraded else ""
            yield tuple(_handed_over(_tunnelled(path, plan, bridge, b), b, target).hops), bridge


def _answer(plan: Plan, src: str, dst: str, bridge: Node | None) -> tuple[Hop, ...]:
    """The way of the answer to what ``src`` has sent to ``dst`` by ``bridge``; nothing where there is none."""
    a, b = plan.node_of[src], plan.node_of[dst]
    source, target = plan.container_of.get(src), plan.container_of.get(dst)
    # Who speaks to the pod from an address in the overlay, if anybody does.
    spoke = bridge if masquerades(plan.params) else None
    if target and not source and a is not b and a in members(plan) and _tunnels(plan):
        spoke = a
    if spoke and target:
        path = _tunnelled(_started(b, target, "", tunnel_address(plan, spoke.name)), plan, b, spoke)
        if spoke is a:
            return tuple(path.hops)
        path.routed(spoke.mac, a.mac).ip_dst = ""  # who had it masqueraded knows whose it is
        return tuple(path.over_switch(plan, spoke, a).hops)
    if a is not b and source and not target and masquerades(plan.params):  # to the node's address
        path = base.Path(b.mac, a.mac, ip_dst=a.address).over_switch(plan, b, a)
        path.ip_dst = ""
        return tuple(_handed_over(path, a, source).hops)
    return next((path for path, _ in _ways(plan, dst, src, is_answer=True)), ())


def _tunnels(plan: Plan) -> bool:
    return backend_of(plan.params["backend"], plan.scenario).tunnels


def _started(a: Node, source: Container | None, next_mac: str, ip_dst: str = "") -> base.Path:
    """A path that begins on ``a``, in one of its containers or not, up to where it is to leave that machine."""
    path = base.Path(a.mac, next_mac, ip_dst=ip_dst)
    if source:
        path.eth_src, path.eth_dst = source.mac, a.bridge_mac
        path.leaves(source).crosses(a.name, base.BRIDGE, "in").routed(a.mac, next_mac)
    return path


def _tunnelled(path: base.Path, plan: Plan, a: Node, b: Node) -> base.Path:
    """From one machine that the overlay runs on to another, up to where it has come out of the tunnel."""
    backend = backend_of(plan.params["backend"], plan.scenario)
    if not backend.tunnels:
        path.eth_src, path.eth_dst = a.mac, b.mac
        return path.over_switch(plan, a, b)
    path.eth_src, path.eth_dst = backend.inner_macs(a, b)
    path.crosses(a.name, backend.device_name, "out")
    path.outer, path.sealed = backend.outer(a, b), backend.sealed
    path.over_switch(plan, a, b)
    path.outer, path.sealed = None, False
    return path.crosses(b.name, backend.device_name, "in")


def _handed_over(path: base.Path, b: Node, target: Container) -> base.Path:
    """To a container of the node that it has come to."""
    return path.routed(b.bridge_mac, target.mac).crosses(b.name, base.BRIDGE, "out").enters(target)


DESIGN: base.Design = Overlay()
