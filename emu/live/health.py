"""Whether a running lab is still as it was built: what a figure that was measured meanwhile depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emu.live.daemons import Daemons
from emu.live.fitting import entering
from emu.live.namespaces import Namespace
from emu.live.process import run
from emu.model import Plan

_IFF_UP = 1
_CHANGES = "IFLA_CARRIER_CHANGES"
_MAIN_TABLE = 254
_STATELESS = ("nft", "--stateless", "list", "ruleset")
Written = Mapping[str, object]
"""What is written in a machine, in words, and what it says."""


class Health:
    """Made when a lab is ready, and asked afterwards: some milliseconds a machine. It looks at the machines at the
    switch, and at the endpoints."""

    def __init__(self, plan: Plan, spaces: Mapping[str, Namespace], daemons: Daemons) -> None:
        self._plan, self._spaces, self._daemons = plan, spaces, daemons
        names = dict.fromkeys((*(node.name for node in plan.underlay), *(plan.endpoints or ())))
        self._written = {name: self._read(name) for name in names}
        self._carriers = {name: {link.get_attr("IFLA_IFNAME"): link.get_attr(_CHANGES)
                                 for link in spaces[name].route.get_links()} for name in names}

    def differences(self) -> list[str]:
        """A sentence for each device that is gone or down, has been down, or has another MTU than planned; for each
        route, written neighbor, FDB entry, and set of filters that is not what it was; for each program of any machine
        that has ended."""
        found = [f"{name}: {text}" for name in self._written for text in (*self._devices(name), *self._changes(name))]
        return [*found, *self._daemons.ended()]

    def _devices(self, name: str) -> Iterator[str]:
        there = {link.get_attr("IFLA_IFNAME"): link for link in self._spaces[name].route.get_links()}
        for device in self._plan.by_name[name].devices:
            link = there.get(device.name)
            if link is None:
                yield f"{device.name} is gone"
            elif not link["flags"] & _IFF_UP:
                yield f"{device.name} is down"
            elif link.get_attr("IFLA_MTU") != device.mtu:
                yield f"{device.name} has MTU {link.get_attr('IFLA_MTU')}, planned was {device.mtu}"
            elif link.get_attr(_CHANGES) != self._carriers[name][device.name]:
                yield f"{device.name} has been down"

    def _changes(self, name: str) -> Iterator[str]:
        before, now = self._written[name], self._read(name)
        for what, value in before.items():
            if what not in now:
                yield f"{what} is gone"
            elif now[what] != value:
                yield f"{what} has changed"
        yield from (f"{what} is new" for what in now if what not in before)

    def _read(self, name: str) -> Written:
        space, machine = self._spaces[name], self._plan.by_name[name]
        written: dict[str, object] = dict(map(_route, space.written_routes()))
        written |= {f"neighbor {address}": mac for address, mac in space.permanent_neighbors()}
        written |= {f"FDB entry {mac} behind {far}": None for mac, far in space.written_fdb()}
        if machine.nat or machine.filters:
            written["what nft lists"] = run((*entering(name), *_STATELESS))
        return written


def _route(route: Any) -> tuple[str, object]:
    """Where a route leads, with its table and metric where they are not the usual ones, and its next hops."""
    hops = [(hop["oif"], hop.get_attr("RTA_GATEWAY")) for hop in route.get_attr("RTA_MULTIPATH") or ()]
    table, metric = route.get_attr("RTA_TABLE"), route.get_attr("RTA_PRIORITY")
    apart = f"{'' if table == _MAIN_TABLE else f' in table {table}'}{f' of metric {metric}' if metric else ''}"
    return (f"route to {route.get_attr('RTA_DST') or '0.0.0.0'}/{route['dst_len']}{apart}",
            (route.get_attr("RTA_OIF"), route.get_attr("RTA_GATEWAY"), sorted(hops, key=str)))
