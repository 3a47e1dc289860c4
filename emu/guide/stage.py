"""The stage: a scene as one static SVG, twice (wide and narrow). Styles are in stage.css, measures in look.json.

What stands where is decided in ``geometry``; here the parts are drawn in an order in which each finds its room:
fixed things, lines, the envelope with its leader, then words that may stand anywhere near.
"""

from __future__ import annotations

from html import escape

from emu.guide.geometry import arrange
from emu.guide.scene import Scene
from emu.guide.stage_cards import context_height, draw_node, plate_height
from emu.guide.stage_envelopes import draw_envelope, height_of
from emu.guide.stage_legs import Line, draw_labels, draw_legs, lines_of
from emu.guide.stage_medium import draw_crowd, draw_medium, table_room
from emu.guide.stage_notes import draw_notes, draw_waiting, waiting_room
from emu.guide.stage_places import Places, Room
from emu.guide.svg import Layout, Point, Rect, Sheet, number, path_through
from emu.model import SWITCH


def draw(scene: Scene, layout: Layout, ident: str, title: str) -> str:
    """A scene as an ``<svg>`` element of class ``stage`` and its layout.

    ``ident``: unique on the page, the ids within begin with it. ``KeyError`` if a leg names a point that is not on
    this stage.
    """
    sheet, places = _drawn(scene, layout, 0.0)
    if sheet.overflow:
        sheet, places = _drawn(scene, layout, sheet.overflow)
    width, height = places.measures.view[0], max(places.height, places.measures.view[1], sheet.lowest + 6)
    name = escape(ident)
    return (
        f'<svg class="stage {layout}" viewBox="-2 -2 {number(width + 4)} {number(height + 4)}" '
        f'preserveAspectRatio="xMinYMin meet" role="img" aria-labelledby="{name}-t" aria-describedby="{name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(scene.desc)}</desc>\n'
        f"{sheet.markup}\n</svg>"
    )


def _drawn(scene: Scene, layout: Layout, spare: float) -> tuple[Sheet, Places]:
    """The drawing, with ``spare`` pixels more between the upper row and the medium than its envelope needs."""
    places = _arranged(scene, layout, spare)
    sheet = Sheet(layout, places.height)
    lines = lines_of(scene, places)
    draw_medium(sheet, scene, places)
    draw_crowd(sheet, scene, places)
    for place in places.nodes.values():
        draw_node(sheet, scene, places, place)
    draw_legs(sheet, lines, places)
    _origins(sheet, scene, lines, places)
    draw_waiting(sheet, scene, places)
    _envelope(sheet, scene, places)
    draw_labels(sheet, lines, places)
    draw_notes(sheet, scene, places)
    return sheet, places


def _arranged(scene: Scene, layout: Layout, spare: float) -> Places:
    """The places, found in two rounds: how wide things are decides how high they are."""
    sheet = Sheet(layout)
    first = arrange(scene, layout, Room())
    lower = [place for place in first.nodes.values() if place.kind != "focus"]
    cards = [context_height(sheet, scene, first, place) for place in lower if place.kind == "card"]
    plates = [plate_height(sheet, scene, place) for place in lower if place.kind == "plate"]
    packet = height_of(scene.envelope, first.packet.width, layout) if scene.envelope else 0.0
    room = Room(
        packet=packet,
        card=max(cards, default=0.0),
        plate=max(plates, default=0.0),
        table=table_room(scene, sheet),
        waiting=waiting_room(scene, first),
        spare=spare,
    )
    return arrange(scene, layout, room)


def _origins(sheet: Sheet, scene: Scene, lines: list[Line], places: Places) -> None:
    """A dot where an answer is made: at the beginning of a leg that starts in a machine which answers."""
    for line in lines:
        machine = line.leg.points[0].partition(":")[0]
        node = scene.plan.node_of.get(machine)
        card = scene.cards.get(node.name if node else machine)
        if card and card.answers and line.leg.style in ("now", "pipe", "broadcast"):
            spot = line.points[0]
            port = next((place.port for place in places.focus if place.port.has(spot)), None)
            if port:  # made in the root namespace, behind the plate
                spot = (port.x, port.top - 12)
                sheet.path("legs", path_through([spot, (port.x, port.top)]), f"go {line.leg.realm}")
            sheet.circle("plates", spot, 7 if sheet.layout == "wide" else 5.5, f"origin {line.leg.realm}")
            sheet.take(Rect.around(*spot, 16, 16))


def _envelope(sheet: Sheet, scene: Scene, places: Places) -> None:
    """The envelope, tied by a thin line to a dot on the wire."""
    if scene.envelope is None:
        return
    box = places.packet
    leader = _leader(scene, places, box)
    sheet.path("packets", path_through(leader, 0), "leader")
    sheet.take_line(leader, 3)
    sheet.take(Rect.around(*leader[-1], 16, 16))
    sheet.circle("packets", leader[-1], 6 if sheet.layout == "wide" else 5, "here")
    sheet.add("packets", '<g class="tap">')
    draw_envelope(sheet, scene.envelope, box.left, box.top, box.width)
    sheet.add("packets", "</g>")
    sheet.take(box)


def _leader(scene: Scene, places: Places, box: Rect) -> list[Point]:
    """From the envelope to the place of the frame, around the cards' contents."""
    if scene.envelope_at in ("", SWITCH):
        return [(box.x, box.bottom), (box.x, places.lane)]
    x, y = _where(scene, places)
    card_bottom = places.measures.top[1]
    if y < card_bottom:
        if places.measures.is_wide:
            edge = box.left if x < box.left else box.right
            between = edge + (-8 if x < box.left else 8)
            beside = min(max(y, box.top + 13), box.bottom - 13)
            return [(edge, beside), (between, beside), (between, y), (x, y)]
        return [(box.x, box.top), (box.x, y), (x, y)]
    if box.top + 10 < y < box.bottom - 10:
        return [(box.left if x < box.x else box.right, y), (x, y)]
    start = box.x if y > places.medium.top else (box.left + 20 if x < box.x else box.right - 20)
    return [(start, box.bottom), (start, y), (x, y)]


def _where(scene: Scene, places: Places) -> Point:
    """The spot of ``envelope_at``: on the wire beside a plate or a jack, on the edge of a bridge or a device."""
    tracks = places.tracks
    vertex = tracks.vertex(scene.envelope_at)
    x, y = tracks.position[vertex]
    box = tracks.box.get(vertex)
    if box is None:
        return x, y
    owner = next((place for place in places.focus if place.box.holds(box)), None)
    if owner and vertex.endswith(":eth0") and owner.bridge:  # a container
        return x, owner.bridge.top - 4
    if owner and box.left < places.packet.x < box.right:
        return places.packet.x, box.bottom
    if owner:
        return (box.left - 3 if owner.mirrored else box.right + 3), box.y
    if vertex.startswith(f"{SWITCH}:"):
        return x, (box.top - 4 if y < places.lane else box.bottom + 4)
    if y < places.lane:
        return x, (box.bottom + places.medium.top) / 2 if places.measures.is_wide else places.packet.y
    return x, (box.top + places.medium.bottom) / 2
