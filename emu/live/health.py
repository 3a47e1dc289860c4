"""Whether a running lab is still what its plan says: what a figure that was measured meanwhile depends on."""

from __future__ import annotations

from collections.abc import Mapping

from emu.live.daemons import Daemons
from emu.live.namespaces import Namespace
from emu.model import Plan

_IFF_UP = 1


def differences(plan: Plan, spaces: Mapping[str, Namespace], daemons: Daemons) -> list[str]:
    """A sentence for each device of the machines at the switch, and of the endpoints, that is gone, down or has another
    MTU than planned, and for each program that has ended. A millisecond or so for a handful of nodes."""
    looked_at = dict.fromkeys((*(node.name for node in plan.underlay), *(plan.endpoints or ())))
    return [*(text for name in looked_at for text in _devices(plan, name, spaces[name])), *daemons.ended()]


def _devices(plan: Plan, name: str, space: Namespace) -> list[str]:
    there = {link.get_attr("IFLA_IFNAME"): link for link in space.route.get_links()}
    found = []
    for device in plan.by_name[name].devices:
        link = there.get(device.name)
        if link is None:
            found.append(f"{name}: {device.name} is gone")
        elif not link["flags"] & _IFF_UP:
            found.append(f"{name}: {device.name} is down")
        elif link.get_attr("IFLA_MTU") != device.mtu:
            found.append(f"{name}: {device.name} has MTU {link.get_attr('IFLA_MTU')}, planned was {device.mtu}")
    return found
