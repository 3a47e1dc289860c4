"""Legs: the lines a packet draws, with their heads, crosses, pipes and measured times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emu.guide.scene import Leg, Scene
from emu.guide.stage_places import CROWD, Places
from emu.guide.svg import LATENCY, SMALL, Point, Rect, Sheet, head_at, number, path_through, scan, toward
from emu.look import tokens
from emu.model import SWITCH

CROSS = 14.0
CSS = {"now": "go", "broadcast": "bc", "past": "past", "ahead": "ahead", "control": "go control"}
HEADS = {"now": "now", "broadcast": "now", "past": "past", "control": "past", "pipe": "pipe", "pipe-past": "past"}


@dataclass(frozen=True)
class Line:
    """A leg with its way on the stage: ``vertices`` of the tracks and the ``points`` of the line, end to end."""

    leg: Leg
    vertices: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def tip(self) -> Point:
        return self.points[-1]


def lines_of(scene: Scene, places: Places) -> list[Line]:
    """All legs laid out; those that would show nothing (both ends behind one box) are left out."""
    routes = [places.tracks.route(leg.points) for leg in scene.legs]
    arrivals = {route[-1]: route[-2] for route in routes if len(route) > 1}
    routes = [_from_bar(route, arrivals, places) for route in routes]
    lines = [_lay(leg, route, places) for leg, route in zip(scene.legs, routes, strict=True)]
    return [line for line in lines if len(line.points) > 1]


def _from_bar(route: list[str], arrivals: Mapping[str, str], places: Places) -> list[str]:
    """A route that begins in a bar, begun where another ends there: the packet crosses the bar from port to port."""
    before = arrivals.get(route[0], "")
    if not places.tracks.is_bar(route[0]) or places.tracks.box.get(before) != places.tracks.box[route[0]]:
        return route
    return places.tracks.route([before, *route[1:]])


def _lay(leg: Leg, vertices: list[str], places: Places) -> Line:
    tracks = places.tracks
    if leg.ends != "arrives" and vertices[-1].startswith(f"{SWITCH}:") and len(vertices) > 1:
        vertices.append(next(name for name in tracks.neighbours(vertices[-1]) if name.startswith("lane/")))
    points = [tracks.position[name] for name in vertices]
    points = _corners(points)
    if len(points) < 2:
        return Line(leg, tuple(vertices), ())
    if vertices[0] in tracks.box and not tracks.is_in_bar(vertices[0]):
        points = _clipped(points[::-1], tracks.box[vertices[0]])[::-1]
    if vertices[-1] in tracks.box:
        points = _clipped(points, tracks.box[vertices[-1]])
        if leg.ends == "dropped":
            points[-1] = toward(points[-1], points[-2], CROSS * 0.75)
    return Line(leg, tuple(vertices), tuple(points))


def _corners(points: Sequence[Point]) -> list[Point]:
    """Without points that do not matter: repeats, and those in the middle of a straight line."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and _in_row(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return kept


def _in_row(a: Point, b: Point, c: Point) -> bool:
    return (a[0] == b[0] == c[0]) or (a[1] == b[1] == c[1])


def _clipped(points: Sequence[Point], box: Rect) -> list[Point]:
    """The line up to where it enters ``box``, in which it ends."""
    inside = len(points) - 1
    while inside > 1 and box.has(points[inside - 1]):
        inside -= 1
    x, y = points[inside - 1]
    end_x = points[inside][0]
    if x == end_x:
        tip = (x, box.top if y < box.top else box.bottom if y > box.bottom else y)
    else:
        tip = (box.left if x < box.left else box.right if x > box.right else x, y)
    return [*points[:inside], tip]


def draw_legs(sheet: Sheet, lines: Sequence[Line], places: Places) -> None:
    """Draw all lines and heads; nothing that is placed later touches them."""
    drawn: set[tuple[str, str]] = set()
    is_in_crowd = False
    for line in sorted(lines, key=_reach, reverse=True):
        if line.leg.style == "broadcast":
            to_crowd = line.vertices[-1] == CROWD
            _draw_new_part(sheet, line, drawn, places, with_head=not (to_crowd and is_in_crowd))
            is_in_crowd = is_in_crowd or to_crowd
        elif line.leg.style.startswith("pipe"):
            _draw_pipe(sheet, line)
        else:
            _draw_line(sheet, line, line.points)
        if line.leg.ends == "dropped" and line.vertices[-1] != CROWD:
            _draw_cross(sheet, line.tip)
        sheet.take_line(line.points, 8 if line.leg.style.startswith("pipe") else 4)


def _reach(line: Line) -> float:
    """How far a broadcast's leg goes along the medium: the farthest is the trunk that the others leave."""
    return abs(line.tip[0] - line.points[0][0]) if line.leg.style == "broadcast" else 0.0


def _draw_new_part(
    sheet: Sheet, line: Line, drawn: set[tuple[str, str]], places: Places, with_head: bool
) -> None:
    """The part of a broadcast's leg that no other leg has drawn: dashes over dashes would close up."""
    first = 0
    edges = list(zip(line.vertices, line.vertices[1:], strict=False))
    while first < len(edges) and edges[first] in drawn:
        first += 1
    drawn.update(edges)
    if not with_head or first == len(edges):
        return
    if not first:
        _draw_line(sheet, line, line.points)
        return
    start = places.tracks.position[line.vertices[first]]
    rest = [places.tracks.position[name] for name in line.vertices[first:-1]]
    _draw_line(sheet, line, _corners([start, *rest, line.tip]))


def _head_size(sheet: Sheet, line: Line) -> tuple[float, float]:
    length, half = tokens()["arrow"][sheet.layout][HEADS[line.leg.style]]
    return float(length), float(half)


def _has_head(line: Line) -> bool:
    return line.leg.ends == "arrives" and line.leg.style != "ahead"


def _draw_line(sheet: Sheet, line: Line, points: Sequence[Point]) -> None:
    body = list(points)
    if _has_head(line):
        length, half = _head_size(sheet, line)
        body[-1] = toward(points[-1], points[-2], length - 1)
        sheet.path("legs", path_through(body), f"{CSS[line.leg.style]} {line.leg.realm}")
        sheet.path("legs", head_at(points[-1], points[-2], length, half), f"head {line.leg.realm}")
        _take_head(sheet, points[-1], points[-2], length, half)
    else:
        sheet.path("legs", path_through(body), f"{CSS[line.leg.style]} {line.leg.realm}")


def _draw_pipe(sheet: Sheet, line: Line) -> None:
    done = " done" if line.leg.style == "pipe-past" else ""
    points = list(line.points)
    length, half = _head_size(sheet, line)
    if _has_head(line):
        points[-1] = toward(line.tip, line.points[-2], length - 1)
    data = path_through(points)
    sheet.path("legs", data, f"pipe-o {line.leg.realm}{done}")
    sheet.path("legs", data, f"pipe-g{done}")
    sheet.path("legs", data, f"pipe-i{done}")
    if _has_head(line):
        sheet.path("legs", head_at(line.tip, line.points[-2], length, half), f"head {line.leg.realm}")
        _take_head(sheet, line.tip, line.points[-2], length, half)


def _take_head(sheet: Sheet, tip: Point, before: Point, length: float, half: float) -> None:
    back = toward(tip, before, length)
    x0, x1 = sorted((tip[0], back[0]))
    y0, y1 = sorted((tip[1], back[1]))
    across = (half, 0.0) if tip[0] == back[0] else (0.0, half)
    sheet.take(Rect(x0 - across[0], y0 - across[1], x1 + across[0], y1 + across[1]))


def _draw_cross(sheet: Sheet, center: Point) -> None:
    x, y, r = center[0], center[1], CROSS / 2
    a, b, c, d = number(x - r), number(y - r), number(x + r), number(y + r)
    sheet.path("words", f"M{a} {b}L{c} {d}M{a} {d}L{c} {b}", "cross")
    sheet.take(Rect.around(x, y, CROSS, CROSS).grown(2))


def draw_labels(sheet: Sheet, lines: Sequence[Line], places: Places) -> None:
    """Measured times beside their heads, and the reasons of drops beside their crosses."""
    to_crowd = [line for line in lines if line.vertices[-1] == CROWD and line.leg.style == "broadcast"]
    for line in lines:
        if line in to_crowd and line is not to_crowd[0]:
            continue
        label = heard([member.leg for member in to_crowd]) if line in to_crowd else line.leg.label
        in_plate = any(place.kind == "plate" and place.port.has(line.tip) for place in places.nodes.values())
        if label and not (in_plate and line.leg.style == "broadcast"):
            _label(sheet, label, line, places)
        if line.leg.reason:
            _reason(sheet, line, places)


def heard(legs: Sequence[Leg]) -> str:
    """Many arrivals of a broadcast in a few words: how many, and from when to when."""
    times = sorted((float(found[0]), leg.label) for leg in legs if (found := re.search(r"[\d.]+", leg.label)))
    words = f"{sum(leg.ends != 'dropped' for leg in legs)} heard"
    if not times:
        return words
    if times[0][0] == times[-1][0]:
        return f"{words}, {times[0][1]}"
    first = times[0][1].rpartition(" ")[0] or times[0][1]
    return f"{words}, {first} to {times[-1][1]}"


def _label(sheet: Sheet, label: str, line: Line, places: Places) -> None:
    width, height = sheet.width(label, LATENCY) + 4, sheet.size(LATENCY) + 2
    near = _beside(line, width, height, places)
    box = sheet.place(width, height, [*near, *_elsewhere(width, height, places)])
    sheet.text("words", box.left + 2, box.top + sheet.size(LATENCY) * 0.88, label, LATENCY, _ground(box, places))


def _beside(line: Line, width: float, height: float, places: Places) -> list[Point]:
    """Places for a label beside the end of a line, the best first: near the head, right before left."""
    tip, before = line.points[-1], line.points[-2]
    length = abs(tip[0] - before[0]) + abs(tip[1] - before[1])
    view = Rect(0, 0, places.measures.view[0], places.height)
    spots = []
    near = (20, 16, 12, 10, 24) if places.measures.is_wide else (8, 10, 12, 16, 20, 24)
    for back in (*near, 28, 32, 40, 48, 60, 80, 100):
        if back > length + 24:
            break
        x, y = toward(tip, before, min(back, length))
        for away in (14, 10, 20):
            if tip[0] == before[0]:
                spots += [(x + away, y - height / 2), (x - away - width, y - height / 2)]
            else:
                spots += [(x - width / 2, y - away - height), (x - width / 2, y + away)]
    return [spot for spot in spots if view.holds(Rect(spot[0], spot[1], spot[0] + width, spot[1] + height))]


def _elsewhere(width: float, height: float, places: Places) -> list[Point]:
    """Places for what has no room beside its line: over the medium, in it."""
    zones = (places.between, places.medium.grown(-4))
    return [spot for zone in zones for spot in scan(zone, width, height, from_right=True)]


def _ground(box: Rect, places: Places) -> str:
    """The class for a halo of the colour that is under ``box``."""
    if places.medium.overlaps(box):
        return "bar"
    return "in" if any(place.bridge and place.box.overlaps(box) for place in places.focus) else ""


def _reason(sheet: Sheet, line: Line, places: Places) -> None:
    """The words beside a cross: on one line if there is room, else on more."""
    view = Rect(0, 0, places.measures.view[0], places.height)
    step = sheet.size(SMALL) * 1.25
    for widest in (view.width, 150.0, 110.0):
        words = sheet.wrap(line.leg.reason, SMALL, widest)
        width, height = max(sheet.width(part, SMALL) for part in words) + 4, step * len(words) + 2
        near = _around(line.tip, width, height)
        near = [spot for spot in near if view.holds(Rect(spot[0], spot[1], spot[0] + width, spot[1] + height))]
        box = sheet.settle(width, height, near)
        if box:
            break
    else:
        box = sheet.place(width, height, _elsewhere(width, height, places))
    for index, part in enumerate(words):
        base = box.top + sheet.size(SMALL) * 0.85 + index * step
        sheet.text("words", box.left + 2, base, part, SMALL, "c-fail")


def _around(center: Point, width: float, height: float) -> list[Point]:
    """Places around a cross: right, left, under and over it."""
    x, y = center
    up_and_down, along = (0, -8, 8, -16, 16, -24, 24), (0, 20, -20, 50, -50)
    return [
        *((x + 14, y - height / 2 + d) for d in up_and_down),
        *((x - 14 - width, y - height / 2 + d) for d in up_and_down),
        *((x - width / 2 + d, y + 12) for d in along),
        *((x - width / 2 + d, y - 12 - height) for d in along),
    ]
