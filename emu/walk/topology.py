"""Which capture point a frame can have come from: links, bridges and tunnels of a plan. No clock is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.frames import Frame
from emu.model import SWITCH, Plan


@dataclass(frozen=True)
class Topology:
    """The neighborhood of capture points.

    ``peer``: the other end of a veth pair. ``master``: the bridge that an interface is a port of. ``parent``: the
    interface that a tunnel device sends by. ``bridges``: all bridge devices. ``owner_of_ip``, ``owner_of_mac``: the
    machine that has an address (the first of several; ``switch`` for the gateway's). ``translating``: the machines that
    masquerade.
    """

    peer: Mapping[str, str]
    master: Mapping[str, str]
    parent: Mapping[str, str]
    bridges: frozenset[str]
    owner_of_ip: Mapping[str, str]
    owner_of_mac: Mapping[str, str]
    translating: frozenset[str] = frozenset()

    def points(self) -> tuple[str, ...]:
        """Every capture point there is, machine by machine."""
        return tuple(sorted({*self.peer, *self.parent, *self.bridges}))

    def may_follow(self, before: Frame, after: Frame) -> bool:
        """Whether a packet seen as ``before`` can be seen as ``after`` next."""
        if before.direction == "out" and after.direction == "in":
            return self.peer.get(before.at) == after.at
        if before.machine != after.machine:
            return False
        if before.machine == SWITCH:
            return before.direction == "in" and after.direction == "out"
        if before.direction == "in" and after.direction == "in":
            return self.master.get(before.at) == after.at or self._through_tunnel(before, after)
        if before.direction == "out":
            return self.master.get(after.at) == before.at or self._through_tunnel(after, before)
        bridged = self.master.get(before.at) is not None and self.master.get(before.at) == self.master.get(after.at)
        return bridged or self._routed(before, after)

    def _through_tunnel(self, wire: Frame, device: Frame) -> bool:
        """Whether ``wire`` carries at a tunnel's parent what ``device`` is at the tunnel device."""
        return self.parent.get(device.at) == wire.at and wire.is_encapsulated and not device.is_encapsulated

    def _routed(self, before: Frame, after: Frame) -> bool:
        """In by an interface that is the machine's own (no bridge's port), out by another such."""
        own = before.at not in self.master and after.at not in self.master
        return own and before.is_encapsulated == after.is_encapsulated

    def rank(self, frame: Frame) -> int:
        """The order of sightings that bear the same time stamp: the kernel stamps a frame once on its way in."""
        if frame.direction == "out":
            return 3 if frame.at in self.bridges or frame.at in self.parent else 4
        return (frame.at in self.parent) + 2 * (frame.at in self.bridges)


def topology(plan: Plan) -> Topology:
    """The topology of a plan."""
    pairs = [(f"{link.machine_a}:{link.device_a}", f"{link.machine_b}:{link.device_b}") for link in plan.links]
    pairs += [(f"{SWITCH}:{port.device}", f"{port.machine}:{port.machine_device}") for port in plan.switch.ports]
    devices = [(machine, device) for machine in plan.machines for device in machine.devices]
    gateway = plan.control.gateway
    return Topology(
        peer={**dict(pairs), **{far: near for near, far in pairs}},
        master={f"{m.name}:{d.name}": f"{m.name}:{d.master}" for m, d in devices if d.master},
        parent={f"{m.name}:{d.name}": f"{m.name}:{d.tunnel.parent}" for m, d in devices if d.tunnel},
        bridges=frozenset(f"{m.name}:{d.name}" for m, d in devices if d.kind == "bridge"),
        owner_of_ip={
            **{address.address: machine.name for machine in plan.machines for address in machine.addresses},
            **({gateway.ip: SWITCH} if gateway else {}),
        },
        # A bridge may bear the MAC of its node's uplink: they are of one machine.
        owner_of_mac={
            **{device.mac: machine.name for machine, device in reversed(devices) if device.mac},
            **({gateway.mac: SWITCH} if gateway else {}),
        },
        translating=frozenset(machine.name for machine in plan.machines if machine.nat),
    )
