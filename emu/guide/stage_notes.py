"""What finds its place on the stage when all lines are drawn: pills, facts, notes, waiting frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from emu.guide.geometry import UNDER_CARDS
from emu.guide.scene import Card, Scene
from emu.guide.stage_cards import card_of, process_box
from emu.guide.stage_envelopes import draw_envelope, height_of
from emu.guide.stage_places import Place, Places
from emu.guide.svg import LABEL, MONO, PILL, SMALL, TINY, Point, Rect, Sheet, Words, number, scan
from emu.model import SWITCH

WAITS = "waits"


def draw_waiting(sheet: Sheet, scene: Scene, places: Places) -> None:
    """Frames that wait: in the card where it has no bridge, else beside it, tied to it."""
    top = places.measures.top[0] if places.measures.is_wide else places.measures.top[1] + UNDER_CARDS
    for place in places.focus:
        waiting = card_of(scene, place).waiting
        if waiting is None:
            continue
        if not place.bridge:
            _waiting_inside(sheet, scene, places, place)
            continue
        box = Rect(places.packet.left, top, places.packet.right, top)
        bottom = draw_envelope(sheet, waiting, box.left, box.top, box.width, WAITS)
        sheet.take(Rect(box.left, box.top, box.right, bottom))
        if places.measures.is_wide:
            side = (place.box.right, box.left) if place.box.x < box.x else (box.right, place.box.left)
            y = number((top + bottom) / 2)
            sheet.path("packets", f"M{number(side[0])} {y}H{number(side[1])}", "leader")
        else:
            x = number(box.left + 14 if place.box.x <= box.x else box.right - 14)
            sheet.path("packets", f"M{x} {number(place.box.bottom)}V{number(box.top)}", "leader")
        top = bottom + 10


def waiting_room(scene: Scene, places: Places) -> float:
    """The height that frames waiting outside their cards need over the envelope."""
    heights = [
        height_of(card.waiting, places.packet.width, places.measures.layout) + 10
        for place in places.focus
        if (card := card_of(scene, place)).waiting and place.bridge
    ]
    return sum(heights)


def _waiting_inside(sheet: Sheet, scene: Scene, places: Places, place: Place) -> None:
    waiting = card_of(scene, place).waiting
    process = process_box(scene, places, place)
    if waiting is None:
        return
    inset, gap = (40.0, 20.0) if places.measures.is_wide else (8.0, 8.0)
    top = process.bottom + gap if process else places.measures.netns_bare + gap
    if process:
        line = f"M{number(process.x)} {number(process.bottom)}V{number(top)}"
        sheet.path("inside", line, f"go thin {waiting.realm}")
    left, right = place.box.left + inset, place.box.right - inset
    bottom = draw_envelope(sheet, waiting, left, top, right - left, WAITS)
    sheet.take(Rect(left, top, right, bottom))


def draw_notes(sheet: Sheet, scene: Scene, places: Places) -> None:
    """Pills, overheads, facts and notes of the upper row, and the pill of the switch."""
    for place in places.focus:
        card = card_of(scene, place)
        if card.overhead_bytes:
            _overhead(sheet, places, place, card.overhead_bytes)
        if card.pill:
            _pill(sheet, places, card.pill, partial(_pill_spots, places, place))
        _facts(sheet, places, place, card)
    switch = scene.cards.get(SWITCH, Card())
    if switch.pill:
        _pill(sheet, places, switch.pill, partial(_medium_spots, places))


def _zones(places: Places, place: Place) -> list[Rect]:
    """Where something about a card may stand: in its root namespace, in its free places, beside it."""
    m, box = places.measures, place.box
    left, right = box.left + m.pad, box.right - m.pad
    low = box.bottom - (8 if m.is_wide else 6)
    inside = Rect(left, (place.bridge.bottom if place.bridge else m.netns_bare) + 4, right, low)
    zones = [inside]
    between = places.between
    near, far = (between.left, max(box.right, between.x - 10))
    if place.mirrored:
        near, far = (min(box.left, between.x + 10), between.right)
    zones.append(Rect(near, between.top, min(far, between.right), between.bottom))
    if m.is_wide:
        zones.append(Rect(places.packet.left, 0, places.packet.right, places.packet.top - 4))
    return [*zones, between]


def _spots(zones: Iterable[Rect], place: Place, width: float, height: float) -> list[Point]:
    """All places in ``zones``: inside a card away from eth0 first, outside near the card first."""
    away = not place.mirrored and place.bridge is not None
    sides = ((zone, away if place.box.holds(zone) else place.mirrored) for zone in zones)
    return [spot for zone, from_right in sides for spot in scan(zone, width, height, from_right)]


def _pill(sheet: Sheet, places: Places, words: str, choices: Callable[[float, float], list[Point]]) -> None:
    """A pill, of two lines if it would be too long. ``choices``: where one of that width and height may stand."""
    is_wide = places.measures.is_wide
    lines = sheet.wrap(words, PILL, 260.0 if is_wide else 126.0)
    step = sheet.line(PILL)
    width = max(sheet.width(line, PILL) for line in lines) + (8 if is_wide else 5)
    high = (26.0 if is_wide else 22.0) + (len(lines) - 1) * step
    box = sheet.place(width, high, choices(width, high))
    sheet.rect("words", box, "pill", 13 if is_wide else 11)
    base = box.y + sheet.size(PILL) * 0.36 - (len(lines) - 1) * step / 2
    for index, line in enumerate(lines):
        sheet.text("words", box.x, base + index * step, line, PILL, anchor="middle")


def _pill_spots(places: Places, place: Place, width: float, height: float) -> list[Point]:
    zones = _zones(places, place)
    top = zones[0].top + (12 if place.bridge else 76 if places.measures.is_wide else 40)
    roomy = [spot for spot in _spots(zones[:1], place, width, height) if spot[1] >= top]
    if not place.bridge:
        roomy.insert(0, (place.box.x - width / 2, top))
    return [*roomy, *_spots(zones, place, width, height)]


def _medium_spots(places: Places, width: float, height: float) -> list[Point]:
    bar = places.medium
    return list(scan(Rect(4, bar.top - 36, bar.right - 4, bar.bottom + 40), width, height))


def _overhead(sheet: Sheet, places: Places, place: Place, count: int) -> None:
    words, style = f"+{count} B", LABEL if places.measures.is_wide else SMALL
    width, height = sheet.width(words, style), sheet.size(style) * 1.1
    device = next(iter(place.tunnels.values()), None)
    if device is None:
        return
    m = places.measures
    right, left = device.right + 6, device.left - 6 - width
    spots = [(x, y - height / 2) for y in (device.y, device.bottom + 6, device.top - 6) for x in (right, left)]
    spots = [spot for spot in spots if place.box.left + m.pad <= spot[0] <= place.box.right - m.pad / 2 - width]
    box = sheet.place(width, height, [*spots, *_spots(_zones(places, place), place, width, height)])
    sheet.text("words", box.left, box.top + sheet.size(style) * 0.85, words, style)


def _facts(sheet: Sheet, places: Places, place: Place, card: Card) -> None:
    """Facts and note of a card: in it where they fit, the rest together outside, under the node's name."""
    beyond: list[Words] = []
    for fact in card.facts:
        if not place.bridge and _on_one_line(sheet, places, place, fact):
            continue
        lines = _fact_lines(sheet, places, fact)
        if not _inside(sheet, places, place, lines):
            beyond += lines
    note: list[Words] = [(line, SMALL, "c-3") for line in sheet.wrap(card.note, SMALL, _widest(places))]
    if note and not _inside(sheet, places, place, note):
        beyond += note
    if beyond:
        lines = [(place.node.name, SMALL, "c-node strong"), *beyond]
        width, height = _extent(sheet, lines)
        outside = _zones(places, place)[1:]
        _write(sheet, sheet.place(width, height, _spots(outside, place, width, height)), lines)


def _on_one_line(sheet: Sheet, places: Places, place: Place, fact: tuple[str, str, str]) -> bool:
    """Draw a fact over the card's width, under a hairline, as low as possible; ``False`` if there is no room."""
    left, right, realm = fact
    inner, height = place.box.width - 2 * places.measures.pad, sheet.line(SMALL) + 2
    if sheet.width(left, SMALL) + sheet.width(right, MONO) + 12 > inner:
        return False
    zone = _zones(places, place)[0]
    rows = list(scan(Rect(zone.left, zone.top, zone.left + inner, zone.bottom - 22), inner, height))
    box = sheet.settle(inner, height, reversed(rows))
    if box is None:
        return False
    base = box.top + sheet.size(SMALL)
    sheet.path("words", f"M{number(box.left)} {number(box.top - 5)}H{number(box.right)}", "hair")
    sheet.text("words", box.left, base, left, SMALL, "c-2")
    sheet.text("words", box.right, base, right, MONO, _color(realm), "end")
    return True


def _fact_lines(sheet: Sheet, places: Places, fact: tuple[str, str, str]) -> list[Words]:
    left, right, realm = fact
    mono, widest = MONO if places.measures.is_wide else TINY, _widest(places)
    return [
        *((line, SMALL, "c-2") for line in sheet.wrap(left, SMALL, widest)),
        *((line, mono, _color(realm)) for line in sheet.wrap(right, mono, widest)),
    ]


def _widest(places: Places) -> float:
    """How wide lines in a card may be, beside the line to eth0."""
    return 140.0 if places.measures.is_wide else 118.0


def _color(realm: str) -> str:
    return f"c-{realm}" if realm in ("node", "pod") else "c-2"


def _extent(sheet: Sheet, lines: Sequence[Words]) -> tuple[float, float]:
    return max(sheet.width(words, style) for words, style, _ in lines), len(lines) * sheet.size(SMALL) * 1.2 + 2


def _inside(sheet: Sheet, places: Places, place: Place, lines: Sequence[Words]) -> bool:
    """Write lines in the card; ``False`` if there is no room."""
    width, height = _extent(sheet, lines)
    box = sheet.settle(width, height, _spots(_zones(places, place)[:1], place, width, height))
    if box:
        _write(sheet, box, lines)
    return box is not None


def _write(sheet: Sheet, box: Rect, lines: Sequence[Words]) -> None:
    for index, (words, style, css) in enumerate(lines):
        base = box.top + sheet.size(SMALL) * (0.9 + index * 1.2)
        sheet.text("words", box.left, base, words, style, css)
