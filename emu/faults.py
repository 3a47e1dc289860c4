"""Facts to get wrong on purpose, for teaching: each is one change of a sound plan. Pure.

The claims a broken lab is judged by are made from the sound plan, so that every fault has one that catches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from emu.control import Binding, GatewayRoute
from emu.errors import UsageError
from emu.model import Machine, Neighbor, Node, Plan, Route, host_route

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Roles:
    """Who plays what: the plan's endpoints ``src`` and ``dst``, the nodes ``near`` and ``far`` they stand on (or
    are), and ``other``, a node that has nothing to do with them."""

    src: str
    dst: str
    near: Node
    far: Node
    other: Node


def roles(plan: Plan) -> Roles:
    """The roles in a plan; ``UsageError`` where it has nobody for one of them."""
    if plan.endpoints is None:
        raise UsageError(f"{plan.spec}: breaking takes containers on two nodes")
    src, dst = plan.endpoints
    near, far = plan.node_of[src], plan.node_of[dst]
    other = next((node for node in plan.nodes if node not in (near, far)), None)
    if other is None:
        raise UsageError(f"{plan.spec}: breaking takes three nodes, one of which is to be uninvolved")
    return Roles(src, dst, near, far, other)


def _endpoints(cast: Roles) -> tuple[str, str]:
    return cast.src, cast.dst


def _reverse(cast: Roles) -> tuple[str, str]:
    """What a sender has learned of the path would hide the fault from a claim about the same sender."""
    return cast.dst, cast.src


def _container_to_node(cast: Roles) -> tuple[str, str]:
    return cast.src, cast.far.name


@dataclass(frozen=True)
class Fault:
    """One wrong fact. ``wrong``: what it is, with roles of ``Roles`` in braces (``router``: who routes packets to
    other nodes' containers, ``answerer``: who answers by proxy ARP). ``caught_by``: the designs it can be built in,
    where need be with the parameters they must have, and the ids of the claims that fail there.
    ``request`` (of ``emu.live.tracing``) between the machines ``ends`` shows it."""

    name: str
    wrong: str
    change: Callable[[Plan, Roles], Plan]
    caught_by: Mapping[str, tuple[str, ...]]
    ends: Callable[[Roles], tuple[str, str]] = _endpoints
    request: str = "ping"

    def sentence(self, plan: Plan) -> str:
        """What is wrong, in the plan's own names. ``UsageError`` as ``roles``."""
        cast = roles(plan)
        names = {"dst": cast.dst, "near": cast.near.name, "far": cast.far.name, "other": cast.other.name}
        router = "the gateway" if plan.control.gateway else cast.near.name
        answerer = plan.control.proxy_arp.by if plan.control.proxy_arp else cast.far.name
        return self.wrong.format(**names, router=router, answerer=f"the {answerer}")

    def catchers(self, plan: Plan) -> tuple[str, ...]:
        """The ids of the claims that fail in such a plan; empty if it cannot be built there."""
        return next((ids for design, ids in self.caught_by.items() if _is(plan, design)), ())

    def probe(self, plan: Plan) -> tuple[str, str]:
        """The two machines between which ``request`` shows it. ``UsageError`` as ``roles``."""
        return self.ends(roles(plan))

    def apply(self, plan: Plan) -> Plan:
        """The plan with this fact wrong. ``UsageError`` as ``roles``."""
        return self.change(plan, roles(plan))


def _is(plan: Plan, design: str) -> bool:
    """Whether a plan is of ``design``, and has the parameters that it names, if any."""
    name, _, params = design.partition(":")
    wanted = dict(item.split("=") for item in params.split(",") if item)
    return plan.design == name and wanted.items() <= dict(plan.params).items()


def fault_for(plan: Plan, name: str) -> Fault:
    """The fault ``name`` of a plan's design; ``UsageError`` names those that it offers."""
    offered = {fault.name: fault for fault in FAULTS if fault.catchers(plan)}
    if name not in offered:
        raise UsageError(f"{plan.spec} has no fact '{name}' to break; it has: {', '.join(offered)}")
    return offered[name]


def _with_machine(plan: Plan, name: str, change: Callable[[Machine], Machine]) -> Plan:
    return replace(plan, machines=tuple(change(m) if m.name == name else m for m in plan.machines))


def _with_sysctl(plan: Plan, name: str, key: str, value: str) -> Plan:
    return _with_machine(plan, name, lambda machine: replace(machine, sysctls={**machine.sysctls, key: value}))


def _edited(entries: Iterable[Entry], is_meant: Callable[[Entry], bool],
            change: Callable[[Entry], Entry] | None = None) -> tuple[Entry, ...]:
    """The entries of a table with those that are meant changed, or left out if there is no ``change``."""
    return tuple(
        change(entry) if change and is_meant(entry) else entry for entry in entries if change or not is_meant(entry)
    )


def _with_binding(plan: Plan, address: str, change: Callable[[Binding], Binding] | None = None) -> Plan:
    """Proxy ARP tells something else of ``address``, or knows nothing of it."""
    proxy = plan.control.proxy_arp
    assert proxy is not None  # this design has it
    bindings = _edited(proxy.bindings, lambda binding: binding.ip == address, change)
    return replace(plan, control=replace(plan.control, proxy_arp=replace(proxy, bindings=bindings)))


def _with_gateway_route(plan: Plan, prefix: str,
                        change: Callable[[GatewayRoute], GatewayRoute] | None = None) -> Plan:
    """The gateway has another route to ``prefix``, or none."""
    gateway = plan.control.gateway
    assert gateway is not None  # this design has one
    routes = _edited(gateway.routes, lambda route: route.prefix == prefix, change)
    return replace(plan, control=replace(plan.control, gateway=replace(gateway, routes=routes)))


def _deaf(plan: Plan, cast: Roles) -> Plan:
    return _with_sysctl(plan, cast.far.name, "net.ipv4.conf.all.arp_ignore", "8")


def _prefix_length(plan: Plan, cast: Roles) -> Plan:
    def narrow(machine: Machine) -> Machine:
        addresses = tuple(replace(address, prefix_length=32) for address in machine.addresses)
        routes = tuple(replace(route, destination=host_route(cast.far.address)) for route in machine.routes)
        return replace(machine, addresses=addresses, routes=routes)

    return _with_machine(plan, cast.far.name, narrow)


def _duplicate_mac(plan: Plan, cast: Roles) -> Plan:
    def cloned(machine: Machine) -> Machine:
        return replace(machine, devices=tuple(replace(device, mac=cast.other.mac) for device in machine.devices))

    return _with_machine(plan, cast.far.name, cloned)


def _proxy_mac(plan: Plan, cast: Roles) -> Plan:
    return _with_binding(plan, plan.address(cast.dst), lambda binding: replace(binding, mac=cast.other.mac))


def _proxy_arp_off(plan: Plan, cast: Roles) -> Plan:
    return _with_binding(plan, plan.address(cast.dst))


def _proxy_arp_pvlan(plan: Plan, cast: Roles) -> Plan:
    def silent(machine: Machine) -> Machine:
        return replace(machine, devices=tuple(replace(device, settings=()) for device in machine.devices))

    return _with_machine(plan, cast.far.name, silent)


def _bridge_filter(plan: Plan, cast: Roles) -> Plan:
    def open_to_the_segment(machine: Machine) -> Machine:
        filters = _edited(machine.filters, lambda item: item.hook == "forward" and bool(item.came_by))
        return replace(machine, filters=filters)

    return _with_machine(plan, cast.far.name, open_to_the_segment)


def _no_forwarding(plan: Plan, cast: Roles) -> Plan:
    return _with_sysctl(plan, cast.far.name, "net.ipv4.ip_forward", "0")


def _missing_route(plan: Plan, cast: Roles) -> Plan:
    return _with_route_to_pods(plan, cast, None)


def _wrong_next_hop(plan: Plan, cast: Roles) -> Plan:
    return _with_route_to_pods(plan, cast, cast.other.address)


def _with_route_to_pods(plan: Plan, cast: Roles, via: str | None) -> Plan:
    """Whoever routes to ``far``'s containers sends by ``via`` instead, or has no route."""
    if plan.control.gateway:
        change = (lambda route: replace(route, via=via)) if via else None
        return _with_gateway_route(plan, cast.far.pod_subnet, change)

    def routed(machine: Machine) -> Machine:
        def of_far(route: Route) -> bool:
            return route.destination == cast.far.pod_subnet

        change = (lambda route: replace(route, via=via)) if via else None
        return replace(machine, routes=_edited(machine.routes, of_far, change))

    return _with_machine(plan, cast.near.name, routed)


def _missing_fdb(plan: Plan, cast: Roles) -> Plan:
    def without(machine: Machine) -> Machine:
        return replace(machine, fdb=_edited(machine.fdb, lambda entry: entry.destination == cast.far.address))

    return _with_machine(plan, cast.near.name, without)


def _wrong_neighbor(plan: Plan, cast: Roles) -> Plan:
    def of_far(neighbor: Neighbor) -> bool:
        return neighbor.address == cast.far.vtep_address

    def confused(machine: Machine) -> Machine:
        neighbors = _edited(machine.neighbors, of_far, lambda known: replace(known, mac=cast.other.vtep_mac))
        return replace(machine, neighbors=neighbors)

    return _with_machine(plan, cast.near.name, confused)


def _mtu(plan: Plan, cast: Roles) -> Plan:
    """The pods' side has the underlay's MTU, as wherever nobody sets another; the tunnel devices keep their own."""

    def raised(machine: Machine) -> Machine:
        devices = tuple(
            device if device.tunnel else replace(device, mtu=plan.scenario.mtu) for device in machine.devices
        )
        return replace(machine, devices=devices)

    return replace(plan, machines=tuple(raised(machine) for machine in plan.machines))


def _rp_filter(plan: Plan, cast: Roles) -> Plan:
    for node in plan.nodes:
        plan = _with_sysctl(plan, node.name, "net.ipv4.conf.all.rp_filter", "1")
    return plan


_VXLAN = "overlay:backend=vxlan"
_ANSWERED_AT_SWITCH = ("l2:proxy_arp=controller", "l2:proxy_arp=switch")

FAULTS: tuple[Fault, ...] = (
    Fault("deaf", "{far} answers no ARP request (arp_ignore is 8)", _deaf, {"bare": ("arp-reply", "arp-heard")}),
    Fault(
        "prefix-length",
        "{far} has its address with /32: no other node is on its link, and it has no gateway",
        _prefix_length,
        {"bare": ("reply-1",)},
    ),
    Fault(
        "duplicate-mac",
        "{far} is a clone of {other} and has that node's MAC",
        _duplicate_mac,
        {"bare": ("arp-reply", "arp-heard")},
    ),
    Fault(
        "proxy-mac",
        "{answerer} answers for {dst} with {other}'s MAC",
        _proxy_mac,
        dict.fromkeys(_ANSWERED_AT_SWITCH, ("arp-reply",)),
    ),
    Fault(
        "proxy-arp-off",
        "{answerer} has no binding for {dst}",
        _proxy_arp_off,
        dict.fromkeys(_ANSWERED_AT_SWITCH, ("arp-reply",)),
    ),
    Fault(
        "proxy-arp-pvlan",
        "{far} does not answer for its containers (proxy_arp_pvlan is 0)",
        _proxy_arp_pvlan,
        {"l2:proxy_arp=node": ("arp-reply", "arp-heard")},
    ),
    Fault(
        "bridge-filter",
        "{far}'s bridge passes ARP requests on from the segment to its containers",
        _bridge_filter,
        {"l2:proxy_arp=node": ("arp-reply", "arp-unheard")},
    ),
    Fault(
        "no-forwarding",
        "{far} does not forward (ip_forward is 0)",
        _no_forwarding,
        {"l2": ("request-8",), "routed": ("request-8",), "overlay": ("request-10",), "hostgw": ("request-8",)},
    ),
    Fault(
        "missing-route",
        "{router} has no route to {far}'s pod subnet",
        _missing_route,
        {"routed": ("request-6",), _VXLAN: ("tunnel-state",), "hostgw": ("node-routes",)},
    ),
    Fault(
        "wrong-next-hop",
        "{router} sends packets for {far}'s pod subnet to {other}",
        _wrong_next_hop,
        {"routed": ("request-6",), "hostgw": ("node-routes",)},
    ),
    Fault(
        "missing-fdb",
        "{near} has no FDB entry that leads to {far}",
        _missing_fdb,
        {_VXLAN: ("tunnel-state",)},
    ),
    Fault(
        "missing-default",
        "{near} has no default FDB entry for {far}: no copy of what is for everybody gets there",
        _missing_fdb,
        {"flat": ("tunnel-state",)},
    ),
    Fault(
        "wrong-neighbor",
        "{near}'s neighbor entry for {far}'s flannel.1 has the MAC of {other}'s",
        _wrong_neighbor,
        {_VXLAN: ("tunnel-state",)},
    ),
    Fault(
        "mtu",
        "containers and bridges have the underlay's MTU, with no room left for the tunnel's headers",
        _mtu,
        {_VXLAN: ("mtu-devices", "mtu-limit")},
        ends=_reverse,
        request="full-ping",
    ),
    Fault(
        "rp-filter",
        "nodes filter by reverse path, strictly (rp_filter is 1)",
        _rp_filter,
        {_VXLAN: ("reach",)},
        ends=_container_to_node,
    ),
)
"""Every fact that can be got wrong, from the simple to the subtle."""
