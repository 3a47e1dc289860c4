"""What must be asked of kernels and switch to know which table entry sent a frame on.

A ``Question`` is data; ``emu.live.explain`` asks it in the running lab, so that the answer is the kernel's own lookup
and the switch's own account of its tables, not a guess from the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.frames import Frame
from emu.model import BROADCAST_MAC, SWITCH, Plan
from emu.packets import ARP_REPLY, ARP_REQUEST
from emu.walk.topology import Topology

ROUTE, BRIDGE_ENTRY, TUNNEL_ENTRY, FLOW = "route", "bridge entry", "tunnel entry", "flow"
REFUSAL, NO_WAY_BACK = "refusal", "no way back"
PROXY, FILTER = "proxy", "filter"


@dataclass(frozen=True)
class Question:
    """One lookup in one machine. ``words`` by ``kind``:

    - route: destination, source and incoming interface (the last two may be empty): the route and the neighbor;
    - bridge entry: bridge, MAC: the port where a bridge has it;
    - tunnel entry: device, MAC: the tunnel end behind which a tunnel device has it;
    - flow: OpenFlow port, the frame in hexadecimal: the rules of the switch that it meets;
    - refusal: destination, source and incoming interface: why the kernel refuses such a packet, or nothing;
    - no way back: as refusal: why the kernel could not answer a packet for itself, or nothing;
    - proxy: device, the address asked for, the asker's: what has the kernel answer ARP there in another's name;
    - filter: hook, what the filter is for: how often a bridge has dropped a request there.
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
        return _filters(plan, frame, before.interface, "forward") if before and frame.at in topology.bridges else []
    if frame.at in topology.master:
        return _of_bridge(topology, frame)
    if before is not None and before.direction == "out":
        return _of_tunnel(before, frame)
    fields = frame.inner
    if fields.get("arp.op") == ARP_REPLY and topology.owner_of_ip.get(fields["arp.spa"]) != frame.machine:
        return [Question(frame.machine, PROXY, (frame.interface, fields["arp.spa"], fields["arp.tpa"]))]
    if "ip.dst" not in fields:
        return _filters(plan, frame, "", "output") if frame.at in topology.bridges else []
    came_by = before.interface if before else ""
    return [Question(frame.machine, ROUTE, (fields["ip.dst"], fields["ip.src"], came_by))]


def why_last(plan: Plan, topology: Topology, frame: Frame) -> list[Question]:
    """Why nothing follows ``frame``, where a kernel can tell: it was sent to this machine, was to go out by a tunnel,
    or met a filter of a bridge."""
    fields = frame.fields
    if frame.direction == "out" and frame.at in topology.parent and "eth.dst" in fields:
        return [Question(frame.machine, TUNNEL_ENTRY, (frame.interface, fields["eth.dst"]))]
    if frame.at in topology.master and frame.direction == "in":
        return _filters(plan, frame, frame.interface, "input")
    if frame.machine == SWITCH or frame.at in topology.master or "ip.dst" not in fields:
        return []
    is_own = not frame.has_ethernet or topology.owner_of_mac.get(fields["eth.dst"]) == frame.machine
    if frame.direction == "in" and is_own:
        words = (fields["ip.dst"], fields["ip.src"], frame.interface)
        return [Question(frame.machine, kind, words) for kind in (REFUSAL, NO_WAY_BACK)]
    return []


def _filters(plan: Plan, frame: Frame, came_by: str, hook: str) -> list[Question]:
    """The filters of a bridge that an ARP request meets at a hook; ``came_by``: a port, empty if it was made here."""
    fields = frame.fields
    if fields.get("arp.op") != ARP_REQUEST:
        return []
    met = (item for item in plan.by_name[frame.machine].filters
           if item.hook == hook and item.drops(came_by, fields["arp.tpa"]))
    return [Question(frame.machine, FILTER, (hook, item.why)) for item in met]


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
    entry = [Question(wire.machine, TUNNEL_ENTRY, (device.interface, mac))
             for name, mac in device.fields.items() if name == "eth.dst"]
    return [*entry, Question(wire.machine, ROUTE, (wire.fields["ip.dst"], wire.fields["ip.src"], ""))]
