"""Envelopes: a frame as the stage shows it, in its place with a leader to the wire, or waiting in a node."""

from __future__ import annotations

from dataclasses import dataclass

from emu.guide.scene import Envelope, Row
from emu.guide.svg import ADDRESS, LABEL, MONO, SMALL, TINY, Layout, Rect, Sheet, number, rect


@dataclass(frozen=True)
class Spacing:
    """Distances between base lines and edges. ``headless``: from the upper edge to the first of an envelope without
    head; ``glyph`` and ``value``: x from the row's left edge, for keys no longer than ``from``."""

    head: float
    title: float
    first: float
    headless: float
    row: float
    hair: float
    foot: float
    pad: float
    glyph: float
    value: float
    inner_pad: float
    nest: float
    last: float


SPACING: dict[Layout, Spacing] = {
    "wide": Spacing(26, 18, 18, 23, 21, 10, 9, 12, 47, 58, 8, 10, 8),
    "narrow": Spacing(20, 14, 13, 17, 16, 10, 9, 9, 37, 48, 8, 7, 5),
}


def height_of(envelope: Envelope, width: float, layout: Layout) -> float:
    """The height that ``draw_envelope`` needs."""
    return draw_envelope(Sheet(layout), envelope, 0, 0, width)


def draw_envelope(
    sheet: Sheet, envelope: Envelope, left: float, top: float, width: float, waits: str = "", is_inner: bool = False
) -> float:
    """Draw an envelope and return its lower edge. ``waits``: the word beside its payload; the border is dashed."""
    gap = SPACING[sheet.layout]
    right = left + width
    mark = sheet.mark("packets")
    has_head = bool(envelope.title or envelope.side)
    x = left + (gap.inner_pad if is_inner else gap.pad)
    end = right - (gap.inner_pad if is_inner else gap.pad)
    base = top
    if has_head:
        _head(sheet, envelope, left, top, width, (x, end))
        base += gap.head
    step = gap.first if has_head else gap.headless
    column = max(0.0, *(sheet.width(row.key, SMALL) - sheet.width("from", SMALL) for row in envelope.rows), 0.0)
    for row in envelope.rows:
        base += step
        _row(sheet, row, x, base, end, column)
        step = gap.row
    for line in sheet.wrap(envelope.text, SMALL, end - x):
        base += step
        sheet.text("packets", x, base, line, SMALL, "c-2")
        step = gap.row
    if envelope.inner:
        inner_left, inner_right = left + gap.nest, right - gap.nest
        below = draw_envelope(
            sheet, envelope.inner, inner_left, base + step - gap.row + 11, inner_right - inner_left, is_inner=True
        )
        base, step = below + gap.last - gap.foot, gap.row
    if envelope.payload or waits:
        base = _payload(sheet, envelope, waits, (x, end), base, step)
    box = Rect(left, top, right, base + gap.foot + (2 if not has_head else 0))
    css = f"env {envelope.realm}{' wait' if waits else ''}"
    sheet.insert("packets", mark, rect(box, css, 5 if is_inner else 7))
    return box.bottom


def _head(
    sheet: Sheet, envelope: Envelope, left: float, top: float, width: float, sides: tuple[float, float]
) -> None:
    gap = SPACING[sheet.layout]
    a, b, t = left + 1, left + width - 1, top + 1
    low = top + gap.head
    data = f"M{number(a)} {number(low)}V{number(t + 6)}Q{number(a)} {number(t)} {number(a + 6)} {number(t)}"
    data += f"H{number(b - 6)}Q{number(b)} {number(t)} {number(b)} {number(t + 6)}V{number(low)}Z"
    sheet.path("packets", data, f"env-h {envelope.realm}")
    sheet.text("packets", sides[0], top + gap.title, envelope.title, LABEL)
    sheet.text("packets", sides[1], top + gap.title, envelope.side, SMALL, "c-2", "end")


def _row(sheet: Sheet, row: Row, x: float, base: float, end: float, column: float) -> None:
    gap = SPACING[sheet.layout]
    sheet.text("packets", x, base, row.key, SMALL, "c-3")
    value = x + gap.value + column
    css = f"c-{row.realm}" if row.realm in ("node", "pod") else ""
    if row.realm:
        radius = 4.6 if sheet.layout == "wide" else 4.0
        sheet.glyph("packets", row.realm, x + gap.glyph + column, base - radius, radius)
    styles = (ADDRESS, MONO) if sheet.layout == "wide" else (ADDRESS, TINY)
    sheet.text("packets", value, base, row.value, sheet.fitting(row.value, end - value, *styles), css)


def _payload(
    sheet: Sheet, envelope: Envelope, waits: str, sides: tuple[float, float], base: float, step: float
) -> float:
    x, end = sides
    gap = SPACING[sheet.layout]
    if envelope.title or envelope.side:
        if envelope.rows or envelope.text:
            sheet.path("packets", f"M{number(x)} {number(base + gap.hair)}H{number(end)}", "hair")
            base += gap.hair - 2
            step = gap.row
    else:
        step = step + 1
    beside = sheet.width(waits, SMALL) + 8 if waits else 0
    for index, line in enumerate(sheet.wrap(envelope.payload, LABEL, end - x - beside) or [""]):
        base += step if not index else sheet.line(LABEL)
        sheet.text("packets", x, base, line, LABEL)
    sheet.text("packets", end, base, waits, SMALL, "c-2", "end")
    return base
