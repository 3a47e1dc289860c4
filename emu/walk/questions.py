"""What must be asked of kernels and switch to know which table entry sent a frame on.

A ``Question`` is data; ``emu.live.explain`` asks it in the running lab, so that the answer is the kernel's own lookup
and the switch's own account of its tables, not a guess from the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.frames import Frame
from emu.model import BROADCAST_MAC, SWITCH, Plan
from emu.walk.topology import Topology

ROUTE, BRIDGE_ENTRY, TUNNEL_ENTRY, FLOW = "route", "bridge entry", "tunnel entry", "flow"


@dataclass(frozen=True)
class Question:
    """One lookup in one machine. ``words`` by ``kind``:

    - route: destination, source and incoming interface (the last two may be empty): the route and the neighbor;
    - bridge entry: bridge, MAC: the port where a bridge has it;
    - tunnel entry: device, MAC: the tunnel end behind which a tunnel device has it;
    - flow: OpenFlow port, the frame in hexadecimal: the rules of the switch that it meets.
    """

    machine: str
    kind: str
    words: tuple[str, ...]


def questions(plan: Plan, topology: Topology, frame: Frame, before: Frame | None, is_last: bool) -> list[Question]:
    """What decided that ``frame`` is seen here, coming from ``before`` (``None``: made here).

    ``is_last``: nothing follows it, so that what is to be known is why.
    """
    if frame.machine == SWITCH:
        return _of_switch(plan, frame, before, is_last)
    if frame.direction == "in":
        return []
    if frame.at in topology.master:
        return _of_bridge(topology, frame)
    if before is not None and before.direction == "out":
        return _of_tunnel(before, frame)
    fields = frame.inner
    if "ip.dst" not in fields:
        return []
    came_by = before.interface if before else ""
    return [Question(frame.machine, ROUTE, (fields["ip.dst"], fields["ip.src"], came_by))]


def _of_switch(plan: Plan, frame: Frame, before: Frame | None, is_last: bool) -> list[Question]:
    asked = before if frame.direction == "out" else frame if is_last else None
    if asked is None:
        return []
    number = next(port.number for port in plan.switch.ports if port.device == asked.interface)
    return [Question(SWITCH, FLOW, (str(number), asked.data.hex()))]


def _of_bridge(topology: Topology, frame: Frame) -> list[Question]:
    mac = frame.fields.get("eth.dst", BROADCAST_MAC)
    if mac == BROADCAST_MAC:
        return []
    return [Question(frame.machine, BRIDGE_ENTRY, (topology.master[frame.at].partition(":")[2], mac))]


def _of_tunnel(device: Frame, wire: Frame) -> list[Question]:
    """Out of a bridge by one of its ports needs no lookup of its own: ``_of_bridge`` has had it."""
    return [
        Question(wire.machine, TUNNEL_ENTRY, (device.interface, device.fields["eth.dst"])),
        Question(wire.machine, ROUTE, (wire.fields["ip.dst"], wire.fields["ip.src"], "")),
    ]
