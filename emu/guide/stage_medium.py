"""The bar between the nodes, the gateway's table in it, the controller beside it, and the crowd below."""

from __future__ import annotations

from html import escape

from emu.guide.scene import Card, Scene, TableRow
from emu.guide.stage_places import CONTROLLER, Place, Places
from emu.guide.svg import BOLD_MONO, LABEL, MONO, SMALL, Rect, Sheet, number
from emu.model import SWITCH

ROW = {"wide": 19.0, "narrow": 16.0}
PER_COLUMN = 3
BESIDE_LANE = 102.0
"""How wide words in the wide bar may be, left and right of the lane; it holds no more than two lines."""


def table_room(scene: Scene, sheet: Sheet) -> float:
    """What the gateway's table adds to the height of the bar on the narrow stage."""
    return (len(scene.medium.rows) + bool(scene.medium.more)) * ROW[sheet.layout]


def draw_medium(sheet: Sheet, scene: Scene, places: Places) -> None:
    """The bar, its jacks, its words and its table, and the wires that no leg uses."""
    bar = places.medium
    card = scene.cards.get(SWITCH, Card())
    css = "medium answers" if card.answers else "medium"
    sheet.rect("medium", bar, f"{css} on" if SWITCH in scene.highlighted else css, 8)
    for name, place in places.nodes.items():
        _jack(sheet, scene, places, name, place)
    if places.crowd:
        x = places.tracks.position["crowd"][0]
        sheet.rect("medium", Rect.around(x, bar.bottom, *places.measures.jack), "jack", 2)
        sheet.path("medium", f"M{number(x)} {number(bar.bottom)}V{number(places.crowd.box.top)}", "wire")
    if places.measures.is_wide:
        _wide_words(sheet, scene, places)
    else:
        _narrow_words(sheet, scene, places)
    if places.controller:
        _controller(sheet, scene, places, places.controller)


def _jack(sheet: Sheet, scene: Scene, places: Places, name: str, place: Place) -> None:
    device = scene.plan.port_of[name].device
    x, bar = place.port.x, places.medium
    edge = bar.top if place.kind == "focus" else bar.bottom
    on = f"{SWITCH}:{device}" in scene.highlighted
    sheet.rect("medium", Rect.around(x, edge, *places.measures.jack), "jack on" if on else "jack", 2)
    end = place.port.bottom if place.kind == "focus" else place.port.top
    sheet.path("medium", f"M{number(x)} {number(edge)}V{number(end)}", "wire")


def _wide_words(sheet: Sheet, scene: Scene, places: Places) -> None:
    bar, medium = places.medium, scene.medium
    left = bar.left + places.measures.pad
    if medium.kind == "gateway":
        base = bar.top + 46
        right = sheet.text("medium", left, base, medium.name, LABEL).right
        for line in sheet.wrap(medium.does, SMALL, 130):
            base += sheet.line(SMALL)
            right = max(right, sheet.text("medium", left, base, line, SMALL, "c-2").right)
        _table(sheet, scene, places, max(right + 20, 132.0), bar.top + 42)
        return
    for x, words, style, css, anchor in (
        (left, medium.name, LABEL, "", "start"),
        (bar.right - places.measures.pad, medium.does, SMALL, "c-2", "end"),
    ):
        lines = sheet.wrap(words, style, BESIDE_LANE)
        for index, line in enumerate(lines):
            base = bar.y + 5 + (index - (len(lines) - 1) / 2) * 16
            sheet.text("medium", x, base, line, style, css, anchor)


def _narrow_words(sheet: Sheet, scene: Scene, places: Places) -> None:
    """Under the lane, between the lower jacks; over it where lines go down all along the bar."""
    bar, medium = places.medium, scene.medium
    if places.lane - bar.top > bar.bottom - places.lane:
        sheet.text("medium", 44, bar.top + 15, medium.name, LABEL)
        sheet.text("medium", 314, bar.top + 15, medium.does, SMALL, "c-2", "end")
        return
    base = places.lane + 20
    sheet.pair("medium", bar.x, base, (medium.name, LABEL, ""), (medium.does, SMALL, "c-2"))
    _table(sheet, scene, places, 48, base + 20)


def _table(sheet: Sheet, scene: Scene, places: Places, left: float, base: float) -> None:
    """The gateway's rows; the one that matched has a yellow ground and a line to the port it leads to."""
    rows, more = scene.medium.rows, scene.medium.more
    step = ROW[sheet.layout]
    per_column = PER_COLUMN if places.measures.is_wide else max(1, len(rows))
    prefix_w = max((sheet.width(row.prefix, MONO) for row in rows), default=0) + 12
    hop_w = max((sheet.width(f"via {row.next_hop}", SMALL) for row in rows), default=0) + 12
    column_w = prefix_w + hop_w + max((sheet.width(row.origin, SMALL) for row in rows), default=0) + 20
    for index, row in enumerate(rows):
        column, line = divmod(index, per_column)
        x, y = left + column * column_w, base + line * step
        box = Rect(x - 6, y - step + 5, x + column_w - 14, y + 5)
        if row.matched:
            sheet.rect("medium", box, "match", 3)
            _join(sheet, scene, places, row, box)
        sheet.text("medium", x, y, row.prefix, BOLD_MONO if row.matched else MONO, "m" if row.matched else "c-2")
        sheet.text("medium", x + prefix_w, y, f"via {row.next_hop}", SMALL, "m" if row.matched else "c-2")
        sheet.text("medium", x + prefix_w + hop_w, y, row.origin, SMALL, "m" if row.matched else "c-3")
    if more:
        column, line = divmod(len(rows), per_column if places.measures.is_wide else per_column + 1)
        x, y = left + column * column_w, base + line * step
        sheet.text("medium", x, y, f"and {more} more", SMALL, "c-3")


def _join(sheet: Sheet, scene: Scene, places: Places, row: TableRow, box: Rect) -> None:
    """The short line from a matched row to its out-port."""
    place = places.nodes.get(row.next_hop)
    if place is None:
        return
    x, is_upper = place.port.x, place.kind == "focus"
    end = places.lane if is_upper else places.medium.bottom
    start_x = box.right if x > box.right else box.left if x < box.left else x
    if start_x == x:
        start_y = box.top if is_upper else box.bottom
        sheet.path("medium", f"M{number(x)} {number(start_y)}V{number(end)}", "join")
        return
    sheet.path("medium", f"M{number(start_x)} {number(box.y)}H{number(x)}V{number(end)}", "join")


def _controller(sheet: Sheet, scene: Scene, places: Places, box: Rect) -> None:
    card = scene.cards.get(CONTROLLER, Card())
    css = "ctl answers" if card.answers else "ctl"
    sheet.rect("plates", box, f"{css} on" if CONTROLLER in scene.highlighted else css, box.height / 2)
    sheet.take(box)
    sheet.text("plates", box.x, box.y + 4.6, "controller", SMALL, "strong", "middle")
    edge = places.medium.top if box.y < places.medium.top else places.medium.bottom
    end = box.bottom if box.y < places.medium.top else box.top
    sheet.path("medium", f"M{number(box.x)} {number(edge)}V{number(end)}", "wire ctl-wire")


def draw_crowd(sheet: Sheet, scene: Scene, places: Places) -> None:
    """Nodes as squares: outlined if they heard, filled if they answered, crossed if the frame was lost."""
    crowd = places.crowd
    if crowd is None:
        return
    sheet.rect("cards", crowd.box, "card crowd", 8)
    sheet.take(crowd.box)
    total = len(crowd.squares) + len(crowd.rest)
    x, base = crowd.box.left + places.measures.pad, crowd.box.top + 18
    left = sheet.text("cards", x, base, f"{total} other nodes", SMALL, "strong").right + 12
    if crowd.rest:
        words = f"and {len(crowd.rest)} more"
        notes = {scene.cards.get(name, Card()).note for name in crowd.rest}
        if len(notes) == 1 and "" not in notes:
            words = f"{words}: {notes.pop()}"
        sheet.text("cards", crowd.box.right - places.measures.pad, base, words, SMALL, "c-3", "end")
    else:
        _common_note(sheet, scene, list(crowd.squares), left, base)
    ends = {leg.points[-1].partition(":")[0]: leg for leg in scene.legs if leg.style == "broadcast"}
    for name, box in crowd.squares.items():
        card, leg = scene.cards.get(name, Card()), ends.get(name)
        state = "answered" if card.answers else ("lost" if leg.ends == "dropped" else "heard") if leg else ""
        title = ", ".join(words for words in (name, leg.label if leg else "", card.note) if words)
        _square(sheet, box, state, title)


def _common_note(sheet: Sheet, scene: Scene, names: list[str], left: float, base: float) -> None:
    notes = {scene.cards.get(name, Card()).note for name in names}
    if len(notes) == 1:
        sheet.text("cards", left, base, notes.pop(), SMALL, "c-3")


def _square(sheet: Sheet, box: Rect, state: str, title: str) -> None:
    a, b, c, d = (number(value) for value in (box.left + 3, box.top + 3, box.right - 3, box.bottom - 3))
    cross = f'<path d="M{a} {b}L{c} {d}M{a} {d}L{c} {b}" class="sq-x"/>' if state == "lost" else ""
    inner = box.grown(-1)
    sheet.add(
        "inside",
        f'<g><title>{escape(title)}</title><rect x="{number(inner.left)}" y="{number(inner.top)}" '
        f'width="{number(inner.width)}" height="{number(inner.height)}" rx="2" class="sq {state}"/>{cross}</g>',
    )
