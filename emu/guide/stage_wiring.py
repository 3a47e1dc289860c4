"""The lines frames can take, for a stage whose parts have their places."""

from __future__ import annotations

from collections.abc import Mapping

from emu.guide.scene import Scene
from emu.guide.stage_places import CONTROLLER, CROWD, Crowd, Measures, Place
from emu.guide.stage_tracks import Tracks
from emu.guide.svg import Rect
from emu.model import SWITCH, Container


def wire(
    scene: Scene,
    m: Measures,
    nodes: Mapping[str, Place],
    crowd: Crowd | None,
    medium: Rect,
    lane: float,
    controller: Rect | None,
) -> Tracks:
    """All lines a frame can take, with a vertex at every capture point."""
    tracks = Tracks()
    devices = {port.machine: port.device for port in scene.plan.switch.ports}
    on_lane = []

    def uplink(name: str, eth0: str, x: float, edge: float, box: Rect) -> None:
        jack, on = f"{SWITCH}:{devices[name]}", f"lane/{name}"
        tracks.add(jack, (x, edge), Rect.around(x, edge, *m.jack))
        tracks.add(on, (x, lane))
        tracks.add(eth0, (x, box.y if box.y < edge else box.top), box)
        tracks.join(eth0, jack, on)
        on_lane.append(on)

    for name, place in nodes.items():
        edge = medium.top if place.kind == "focus" else medium.bottom
        uplink(name, f"{name}:eth0", place.port.x, edge, place.port)
        if place.bridge:
            _inside(tracks, place, place.bridge)
        else:
            _alone(tracks, place)
    if crowd:
        first = next(iter(crowd.squares))
        x = crowd.box.x if m.is_wide else m.eth0[2]
        uplink(first, CROWD, x, medium.bottom, crowd.box)
        for hidden in (*crowd.squares, *crowd.rest):
            tracks.alias(f"{SWITCH}:{devices[hidden]}", f"{SWITCH}:{devices[first]}")
            tracks.alias_machine(hidden, CROWD)
    if controller:
        above = controller.y < medium.y
        x, edge = controller.x, medium.top if above else medium.bottom
        tracks.add("lane/controller", (x, lane))
        tracks.add("edge/controller", (x, edge))
        tracks.add(CONTROLLER, (x, controller.y), controller)
        tracks.join("lane/controller", "edge/controller", CONTROLLER)
        on_lane.append("lane/controller")
    tracks.chain(on_lane)
    for node in scene.plan.underlay:
        if node.name in nodes:
            tracks.alias_machine(node.name, f"{node.name}:eth0")
            for container in node.containers:
                tracks.alias_machine(container.name, f"{node.name}:eth0")
        elif crowd:
            for container in node.containers:
                tracks.alias_machine(container.name, CROWD)
    return tracks


def _inside(tracks: Tracks, place: Place, bridge: Rect) -> None:
    """Lines within a node: containers, bridge, overlay device, eth0."""
    name, x = place.node.name, place.port.x
    uplink, on_bridge = f"{name}:eth0", f"{name}:cbr0"
    tracks.add(on_bridge, (x, bridge.y), bridge, is_bar=True)
    chained = [on_bridge]
    for slot in place.slots:
        own = [slot.container] if slot.container else _hidden(place)
        lower = f"{own[0].name}:eth0"
        veth, joint = f"{name}:veth-{own[0].name}", f"{on_bridge}/{own[0].name}"
        tracks.add(lower, (slot.box.x, slot.box.bottom), slot.box)
        tracks.add(veth, (slot.box.x, (slot.box.bottom + bridge.top) / 2))
        tracks.add(joint, (slot.box.x, bridge.y), bridge)
        tracks.join(lower, veth, joint)
        chained.append(joint)
        for container in own[1:]:
            tracks.alias(f"{container.name}:eth0", lower)
            tracks.alias(f"{name}:veth-{container.name}", veth)
    if not place.tunnels:
        tracks.join(on_bridge, uplink)
    for device, box in place.tunnels.items():
        point = f"{name}:{device}"
        if box.left < x < box.right:
            beside = box.left - 12 if place.mirrored else box.right + 12
            foot = box.bottom + 12
            neck = (bridge.bottom + box.top) / 2
            tracks.add(f"{point}/neck", (x, neck))
            tracks.add(f"{point}/shoulder", (beside, neck))
            tracks.add(f"{point}/side", (beside, foot))
            tracks.add(f"{point}/foot", (x, foot))
            tracks.join(on_bridge, *(f"{point}/{part}" for part in ("neck", "shoulder", "side", "foot")), uplink)
            tracks.add(point, (x, box.y), box, is_end=True)
            tracks.join(on_bridge, point, f"{point}/foot")
        else:
            tracks.add(f"{point}/head", (box.x, bridge.y), bridge)
            tracks.add(f"{point}/foot", (x, box.y))
            tracks.add(point, (box.x, box.y), box, is_end=True)
            tracks.join(f"{point}/head", point, f"{point}/foot", uplink)
            tracks.join(on_bridge, uplink)
            chained.append(f"{point}/head")
    tracks.chain(chained)


def _alone(tracks: Tracks, place: Place) -> None:
    """The line from a machine's overlay device to its eth0, where it has no bridge."""
    for device, box in place.tunnels.items():
        point = f"{place.node.name}:{device}"
        tracks.add(point, (box.x, box.y), box, is_end=True)
        tracks.add(f"{point}/foot", (place.port.x, box.y))
        tracks.join(point, f"{point}/foot", f"{place.node.name}:eth0")


def _hidden(place: Place) -> list[Container]:
    """The containers behind the box that only counts."""
    shown = {slot.container.name for slot in place.slots if slot.container}
    return [container for container in place.node.containers if container.name not in shown]
