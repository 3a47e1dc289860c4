"""Routes that a routing daemon has learned, and the gateway's flows for them. Pure: time is an argument.

The daemon's kernel table is what is wanted; the switch's flows are made to be that, prefix by prefix, by what has
changed. What is added comes before what goes: the flow of a prefix is replaced in one step, and those who send from it
by a port that no longer leads back to them may do so for a moment, for what they had sent is still on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from controllers.pipeline import Add, Cookie, Delete, Flow, Kind, Message, Owner
from controllers.plan import Gateway
from controllers.routing import NOT_ROUTED, elsewhere_flow, route_flow, sender_flow, spread_flow

ROUTE = Cookie(Owner.L3_GATEWAY, Kind.ROUTE)

LINGER_S = 1.0
"""How long a port that no longer leads to a prefix may send for it: longer than any packet is under way."""

Vias = tuple[str, ...]


class Rib:
    """What the gateway has learned. Its methods return what to tell the switch."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._hops = {neighbor.ip: number for number, neighbor in enumerate(gateway.neighbors, start=1)}
        self._planned = {IPv4Network(neighbor.ip) for neighbor in gateway.neighbors}
        self._planned |= {route.prefix for route in gateway.routes} | {IPv4Network(gateway.ip)}
        self._wanted: dict[IPv4Network, Vias] = {}
        self._installed: dict[IPv4Network, Vias] = {}
        self._changed: dict[IPv4Network, None] = {}  # in the order heard
        self._lingering: dict[tuple[IPv4Network, int], float] = {}  # prefix and port -> when that ends

    def heard(self, prefix: IPv4Network, vias: Iterable[str]) -> None:
        """The daemon's route for a prefix is now by these next hops; none: it is gone.

        Next hops that the plan does not know are left out, and so are prefixes that are the plan's own affair: its
        neighbors' and the gateway's addresses, its own routes, and what no router forwards to.
        """
        usable = tuple(sorted(set(vias) & self._hops.keys(), key=lambda via: self._hops[via]))
        if prefix in self._planned or any(prefix.subnet_of(network) for network in NOT_ROUTED):
            return
        if usable:
            self._wanted[prefix] = usable
        elif self._wanted.pop(prefix, None) is None:
            return
        self._changed[prefix] = None

    def heard_all(self, routes: Mapping[IPv4Network, Iterable[str]]) -> None:
        """These are all of the daemon's routes."""
        for prefix in self._wanted.keys() - routes.keys():
            self.heard(prefix, ())
        for prefix, vias in routes.items():
            self.heard(prefix, vias)

    def all_flows(self) -> list[Flow]:
        """The flows of all routes, for a switch that has just connected: what it has from before, it is told anew."""
        self._installed = dict(self._wanted)
        self._changed.clear()
        self._lingering.clear()
        return [flow for prefix, vias in self._wanted.items() for flow in self._flows(prefix, vias)]

    def changes(self, now_s: float) -> list[Message]:
        """What makes the switch's flows what is wanted, after all that was heard since."""
        messages: list[Message] = []
        for prefix in self._changed:
            old, new = self._installed.get(prefix, ()), self._wanted.get(prefix, ())
            if old == new:
                continue
            for port in self._ports(new):
                self._lingering.pop((prefix, port), None)
            messages += [Add(flow) for flow in self._flows(prefix, new)] if new else [Delete(self._route(prefix, old))]
            for port in set(self._ports(old)) - set(self._ports(new)):
                self._lingering[prefix, port] = now_s + LINGER_S
            if new:
                self._installed[prefix] = new
            else:
                del self._installed[prefix]
        self._changed.clear()
        return messages

    def tick(self, now_s: float) -> list[Message]:
        """What has lingered for long enough goes."""
        due = [key for key, end_s in self._lingering.items() if end_s <= now_s]
        messages: list[Message] = []
        for prefix, port in due:
            del self._lingering[prefix, port]
            messages.append(Delete(sender_flow(prefix, port, ROUTE)))
        still = {prefix for prefix, _ in self._lingering} | self._installed.keys()
        messages += [Delete(elsewhere_flow(prefix)) for prefix in {prefix for prefix, _ in due} - still]
        return messages

    def routes(self) -> list[dict[str, object]]:
        """What the switch has flows for."""
        return [{"prefix": str(prefix), "via": list(vias)} for prefix, vias in sorted(self._installed.items())]

    def _ports(self, vias: Vias) -> list[int]:
        return [self._gateway.neighbors[self._hops[via] - 1].port for via in vias]

    def _route(self, prefix: IPv4Network, vias: Vias) -> Flow:
        hops = [self._hops[via] for via in vias]
        return route_flow(prefix, hops[0], ROUTE) if len(hops) == 1 else spread_flow(self._gateway, prefix, hops, ROUTE)

    def _flows(self, prefix: IPv4Network, vias: Vias) -> list[Flow]:
        senders = (sender_flow(prefix, port, ROUTE) for port in self._ports(vias))
        return [*senders, elsewhere_flow(prefix), self._route(prefix, vias)]
