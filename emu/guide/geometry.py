"""Where everything on the stage stands: machines, devices and capture points, for a scene and a layout.

Places of the deck's four are those of the look (``stage`` in look.json); the lower row holds two cards, eight plates,
or a box of squares, by the number of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from emu.guide.scene import Scene
from emu.guide.stage_places import Crowd, Measures, Place, Places, Room, Slot, measures
from emu.guide.stage_wiring import wire
from emu.guide.svg import Layout, Rect
from emu.model import Container, Device, Node

MOST_CARDS, MOST_PLATES, MOST_SQUARES = 2, 8, 200
SQUARE, SQUARE_PITCH = 14.0, 16.0
GAP = 8.0
LONGEST_SMALL_NAME = 6
"""Letters that a small container's box holds."""
UNDER_CARDS = 30.0
"""Kept free under the upper row of the narrow stage, for plates and heads with their times."""
UNDER_GATEWAY = 44.0
BESIDE_CONTROLLER = 620.0
"""Where the lower row of the wide stage ends if the controller stands right of it."""
TABLE_LANE, LOW_LANE = 14.0, 26.0
"""From the bar's upper edge to the lane: over a table, and under the words where lines go down all along the bar."""


def tunnels_of(scene: Scene, node: Node) -> tuple[Device, ...]:
    """The overlay devices of a node."""
    return tuple(device for device in scene.plan.by_name[node.name].devices if device.tunnel)


def has_bridge(scene: Scene, node: Node) -> bool:
    """Whether a node has a bridge for containers."""
    return any(device.kind == "bridge" for device in scene.plan.by_name[node.name].devices)


def focus_nodes(scene: Scene) -> tuple[Node, ...]:
    """The nodes of source and destination; one if they share it, or if the destination is none of the plan's."""
    node_of = scene.plan.node_of
    source = node_of[scene.source]
    target = node_of.get(scene.destination)
    return (source,) if scene.inside or target is None or target is source else (source, target)


def others(scene: Scene) -> tuple[Node, ...]:
    """The nodes of the lower row."""
    if scene.inside:
        return ()
    upper = focus_nodes(scene)
    return tuple(node for node in scene.plan.underlay if node not in upper)


def in_play(scene: Scene, node: Node) -> tuple[str, ...]:
    """Containers of a node to be drawn, the most important first: source and destination, then active ones."""
    card = scene.cards.get(node.name)
    named = (scene.source, scene.destination, *(card.active if card else ()), *scene.highlighted)
    own = {container.name: container for container in node.containers}
    if scene.inside:
        named = (*named, *own)
    return tuple(dict.fromkeys(name for name in named if name in own))


def arrange(scene: Scene, layout: Layout, room: Room) -> Places:
    """Give every part of a scene its place."""
    m = measures(layout, scene.inside)
    upper, lower = focus_nodes(scene), others(scene)
    is_alone = len(upper) == 1 and (scene.inside or scene.destination in scene.plan.node_of)
    under = 20.0 + (72 if scene.medium.controller else 0)
    medium, lane = _medium(scene, m, room, under, MOST_CARDS < len(lower) <= MOST_PLATES)
    floor = medium.bottom + (UNDER_GATEWAY if scene.medium.kind == "gateway" else m.bottom[0] - m.medium[1])
    width = _card_width(scene, m, is_alone)
    nodes = {node.name: _focus(scene, m, node, index, width) for index, node in enumerate(upper)}
    crowd = None
    if len(lower) <= MOST_CARDS:
        nodes |= {node.name: _card(m, node, index, floor, room.card) for index, node in enumerate(lower)}
    elif len(lower) <= MOST_PLATES:
        nodes |= _plates(m, lower, floor, room.plate, scene.medium.controller)
    else:
        crowd = _crowd(scene, m, lower, floor)
    controller = _controller(m, medium, len(lower)) if scene.medium.controller else None
    boxes = [place.box for place in nodes.values()] + [box for box in (crowd and crowd.box, controller) if box]
    left, right = m.packet_shared if is_alone else m.packet
    bottom = m.top[1] if m.is_wide else medium.top - under
    return Places(
        measures=m,
        nodes=nodes,
        crowd=crowd,
        medium=medium,
        lane=lane,
        controller=controller,
        packet=Rect(left, bottom - room.packet, right, bottom),
        tracks=wire(scene, m, nodes, crowd, medium, lane, controller),
        height=max(medium.bottom + 4, *(box.bottom for box in boxes)),
    )


def _medium(scene: Scene, m: Measures, room: Room, under: float, has_plates: bool) -> tuple[Rect, float]:
    """The bar and the height of the lane in it. ``under``: the room between the envelope and the bar (narrow)."""
    needed = UNDER_CARDS + room.waiting + room.packet + under
    drop = room.spare + (0.0 if m.is_wide else max(0.0, m.top[1] + needed - m.medium[0]))
    is_gateway = scene.medium.kind == "gateway"
    up, down = m.gateway if is_gateway else (0.0, 0.0)
    table = 0.0 if m.is_wide else room.table
    bar = Rect(0, m.medium[0] + drop - up, m.view[0], m.medium[1] + drop + down + table)
    if has_plates and not m.is_wide:
        return bar, bar.top + LOW_LANE
    return bar, bar.top + (TABLE_LANE if is_gateway else m.lane - m.medium[0])


def _card_width(scene: Scene, m: Measures, is_alone: bool) -> float:
    if scene.inside and scene.envelope is None:
        return m.view[0]
    return m.shared_w if is_alone else m.card_w


def _focus(scene: Scene, m: Measures, node: Node, index: int, width: float) -> Place:
    left = index * (m.view[0] - width)
    box = Rect(left, m.top[0], left + width, m.top[1])
    eth0 = m.eth0[index]
    port = Rect.around(eth0, m.top[1], *m.plate)
    inner = Rect(left + m.pad, m.containers[0], left + width - m.pad, m.containers[1])
    beside = left + m.card_w / 2 if not index else left + width - m.card_w / 2
    center = eth0 if m.is_wide else beside
    tunnels = {
        device.name: Rect(center - m.device_w / 2, m.device[0], center + m.device_w / 2, m.device[1])
        for device in tunnels_of(scene, node)
    }
    if not has_bridge(scene, node):
        return Place(node, "focus", box, port, bool(index), tunnels=tunnels)
    bridge = Rect(inner.left, m.bridge[0], inner.right, m.bridge[1])
    return Place(node, "focus", box, port, bool(index), _slots(scene, m, node, inner), bridge, tunnels)


def _slots(scene: Scene, m: Measures, node: Node, row: Rect) -> tuple[Slot, ...]:
    """The row of containers: those in play in full from the left, as many as fit, the rest small at the right."""
    play = in_play(scene, node)
    by_name = {container.name: container for container in node.containers}
    rest_w = m.small_w + GAP
    most_full = max(1, int((row.width - (0 if len(by_name) <= len(play) else rest_w) + GAP) // (m.container_w + GAP)))
    full = [by_name[name] for name in play[:most_full]]
    waiting = [by_name[name] for name in play[most_full:]]
    small = waiting + [container for container in node.containers if container.name not in play]
    slots = []
    for index, container in enumerate(full):
        left = row.left + index * (m.container_w + GAP)
        slots.append(Slot(Rect(left, row.top, left + m.container_w, row.bottom), container, True))
    card = scene.cards.get(node.name)
    taken = len(full) or (1 if card and card.process else 0)
    most = int((row.width - taken * (m.container_w + GAP) + GAP) // rest_w)
    named_most = m.named if all(len(container.name) <= LONGEST_SMALL_NAME for container in small) else 0
    fit_all = named_most > 0 and len(small) <= min(named_most + 1, most)
    by_their_name = small if fit_all else small[: max(0, min(named_most, most - 1))]
    beyond = len(small) - len(by_their_name)
    boxes: list[tuple[Container | None, int]] = [(container, 1) for container in by_their_name]
    if beyond:
        boxes.append((None, beyond))
    for index, (named, count) in enumerate(boxes):
        right = row.right - (len(boxes) - 1 - index) * rest_w
        slots.append(Slot(Rect(right - m.small_w, row.top, right, row.bottom), named, False, count))
    return tuple(slots)


def _card(m: Measures, node: Node, index: int, floor: float, height: float) -> Place:
    left = index * (m.view[0] - m.card_w)
    box = Rect(left, floor, left + m.card_w, floor + max(height, m.bottom[1] - m.bottom[0]))
    return Place(node, "card", box, Rect.around(m.eth0[2 + index], floor, *m.plate))


def _plates(m: Measures, nodes: Sequence[Node], floor: float, height: float, controller: bool) -> dict[str, Place]:
    """One row on the wide stage; on the narrow one, two rows, the second in the gaps of the first."""
    if m.is_wide:
        left, right = 110.0, BESIDE_CONTROLLER if controller else 714.0  # clear of the words at both ends of the bar
        pitch = (right - left + GAP) / len(nodes)
        spots = [(left + index * pitch, floor) for index in range(len(nodes))]
        width = pitch - GAP
    else:
        first = min(4, len(nodes))
        pitch, width = 79.5, 68.0  # four and a half pitches fill the width
        spots = [(index * pitch, floor) for index in range(first)]
        spots += [(pitch / 2 + index * pitch, floor + height + 26) for index in range(len(nodes) - first)]
    return {
        node.name: Place(node, "plate", box := Rect(x, y, x + width, y + height), box)
        for node, (x, y) in zip(nodes, spots, strict=True)
    }


def _crowd(scene: Scene, m: Measures, nodes: Sequence[Node], floor: float) -> Crowd:
    """Squares for those that differ (they answered, or lost the frame) and for others, as many as there is room."""
    lost = {leg.points[-1].partition(":")[0] for leg in scene.legs if leg.ends == "dropped"}
    different = lost | {name for name, card in scene.cards.items() if card.answers}
    by_interest = sorted((node.name for node in nodes), key=lambda name: name not in different)
    shown = set(by_interest[:MOST_SQUARES])
    right = BESIDE_CONTROLLER if m.is_wide and scene.medium.controller else m.view[0]
    columns = int((right - 2 * m.pad + SQUARE_PITCH - SQUARE) // SQUARE_PITCH)
    top = floor + 26
    squares = {}
    for index, name in enumerate(node.name for node in nodes if node.name in shown):
        row, column = divmod(index, columns)
        x, y = m.pad + column * SQUARE_PITCH, top + row * SQUARE_PITCH
        squares[name] = Rect(x, y, x + SQUARE, y + SQUARE)
    lowest = max(square.bottom for square in squares.values())
    rest = tuple(node.name for node in nodes if node.name not in shown)
    return Crowd(Rect(0, floor, right, lowest + 8), squares, rest)


def _controller(m: Measures, medium: Rect, others_count: int) -> Rect:
    """Under the bar between the two cards of the lower row, or right of plates and squares; narrow: over the bar."""
    if not m.is_wide:
        return Rect(48, medium.top - 84, 140, medium.top - 58)
    x = m.view[0] / 2 if others_count <= MOST_CARDS else BESIDE_CONTROLLER + 80
    return Rect.around(x, medium.bottom + 92, 128, 32)
