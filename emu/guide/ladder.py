"""walk.svg: a whole walk on one sheet, as a ladder of capture points (a space-time diagram).

Columns are capture points in the order of the way, time goes down: in order, not to scale. Every step has a row, with
its time at the left. A packet that only repeats what an earlier one did has narrower rows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emu.frames import Frame
from emu.guide.columns import Group, Row, columns, rows
from emu.guide.ladder_legend import legend
from emu.guide.ladder_svg import Pencil, width
from emu.guide.realms import NODE, POD, Realms
from emu.guide.svg import Point
from emu.guide.ways import complaints, ending, has_failed, microseconds, parties, printable, repeats, size
from emu.model import BROADCAST_MAC
from emu.walk.model import ANSWERED, DELIVERED, DROPPED, LOST, Packet, Step, Walk

MARGIN, TIMES, TOP, HEAD = 28.0, 140.0, 92.0, 56.0
"""Around the sheet; of the two columns of times, of the headline, and of the columns' heads; in pixels."""
FIRST, NEXT, NARROW = 30.0, 16.0, 7.0
"""From row to row: to the first of a packet, within a packet, and within one that brings no news."""
APART = 14.0
"""The least distance of two times, one below the other."""
BADGE = 9.0
NEAR = 2
"""Columns that a slanting line may go over; to what is farther off, lines run straight across."""
TITLE = 20
"""Letters in a line of a packet's title."""


def draw(walk: Walk) -> str:
    """The walk as a stand-alone SVG document: light, or dark where the viewer prefers that."""
    seen = rows(walk)
    return _Ladder(walk, seen, _place(walk, seen)).draw()


@dataclass(frozen=True)
class _Sheet:
    """Where everything stands: x of every column and edges of the heads, y of every row (by a step's index)."""

    x: Mapping[str, float]
    heads: Sequence[tuple[Group, float, float]]
    left: float
    """Titles of packets that start on the left half of the way end here; those of the right half begin ``right``."""
    right: float
    width: float
    y: Mapping[int, float]
    bottom: float


def _place(walk: Walk, seen: Sequence[Row]) -> _Sheet:
    way, bystanders = columns(walk, seen)
    longest = max((width(line, "title") for packet in walk.packets for line in _title(packet)), default=0)
    gutter = longest + BADGE + 16
    left = MARGIN + TIMES + gutter
    x: dict[str, float] = {}
    heads: list[tuple[Group, float, float]] = []
    end = _stand(way, left, x, heads)
    right = end
    end = _stand(bystanders, end + gutter, x, heads)
    endings = (width(ending(row.steps), "bad") for row in seen if row.step.fate in (DROPPED, LOST))
    reasons = max(endings, default=0)
    y, bottom = _heights(walk, seen)
    return _Sheet(x, heads, left, right, max(end + reasons, 860) + MARGIN, y, bottom)


def _title(packet: Packet) -> list[str]:
    """In two lines at most: the room that a packet's first row has."""
    return textwrap.wrap(printable(packet.title), TITLE, max_lines=2, placeholder="…") or [""]


def _stand(
    groups: Sequence[Group], start: float, x: dict[str, float], heads: list[tuple[Group, float, float]]
) -> float:
    """Give every column of ``groups`` its x, from ``start`` on; where the last one ends."""
    for group in groups:
        wide = max(
            *(width(point.partition(":")[2], "column") + 12 for point in group.points),
            (width(group.machine, "machine") + 38) / len(group.points),
        )
        for number, point in enumerate(group.points):
            x[point] = start + (number + 0.5) * wide
        heads.append((group, start + 3, start + wide * len(group.points) - 3))
        start += wide * len(group.points)
    return start


def _heights(walk: Walk, seen: Sequence[Row]) -> tuple[dict[int, float], float]:
    old = repeats(walk)
    y, found = TOP + HEAD, {}
    for row in seen:
        number = row.packet.number
        if row.step.index == row.packet.steps[0]:
            y += FIRST
        elif number in old and row.steps[-1].index != row.packet.steps[-1]:
            y += NARROW
        else:
            y += NEXT
        found.update({step.index: y for step in row.steps})
    return found, y + FIRST


class _Ladder:
    def __init__(self, walk: Walk, seen: Sequence[Row], sheet: _Sheet) -> None:
        self.walk, self.seen, self.sheet = walk, seen, sheet
        self.pencil = Pencil()
        self.realms = Realms(walk.plan)
        self.old = repeats(walk)
        self.at: dict[int, Point] = {
            step.index: (sheet.x[row.point], sheet.y[step.index]) for row in seen for step in row.steps
        }
        self.followed = {step.previous for step in walk.steps}
        self.answered = {packet.answers for packet in walk.packets}
        self.order = list(sheet.x.values())

    def draw(self) -> str:
        self._headline()
        self._heads(TOP, self.sheet.bottom)
        last = 0.0
        for row in self.seen:
            y = self.sheet.y[row.step.index]
            if y - last >= APART:
                self._times(row.step, y)
                last = y
            self._leg(row)
            self._sign(row)
            if row.step.index == row.packet.steps[0]:
                self._title(row)
        height = self._foot(self.sheet.bottom + HEAD + 16)
        walk = self.walk
        return self.pencil.document(
            self.sheet.width, height, f"{walk.request} from {walk.src} to {walk.dst}, {walk.plan.spec}", self._told()
        )

    def _told(self) -> str:
        """The walk in words, for who cannot see it."""
        told = []
        for packet in self.walk.packets:
            src, dst = parties(packet)
            end = self.walk.step(packet.steps[-1])
            told.append(f"{packet.number}: {src} to {dst}, {printable(packet.title)}, {len(packet.steps)} steps, "
                        f"{end.fate} at {end.point} after {microseconds(end.t_us)}.")
        return " ".join([*told, *complaints(self.walk)])

    def _headline(self) -> None:
        walk, text = self.walk, self.pencil.text
        text(MARGIN, 36, f"{walk.request} from {walk.src} to {walk.dst}", "headline")
        text(MARGIN, 62, f"{walk.plan.spec}   {size(walk)}", "sub")
        text(MARGIN + 62, TOP + HEAD - 12, "t, µs", "time", "end")
        text(MARGIN + TIMES - 14, TOP + HEAD - 12, "took", "time", "end")

    def _heads(self, top: float, bottom: float) -> None:
        """Machines and capture points above and below, and a thin line for each point."""
        if aside := [left for _, left, _ in self.sheet.heads if left > self.sheet.right]:
            self.pencil.text(aside[0], top - 14, "bystanders", "legend")
        for group, left, right in self.sheet.heads:
            machine = self.walk.plan.by_name.get(group.machine)
            realm = self.realms.of_ip(machine.address)[0] if machine else ""
            kind = realm if realm in (NODE, POD) else "ink"
            for y in (top, bottom + 20):
                self.pencil.rect("ground", left, y, right - left, 26, f"box-{kind}")
                label = width(group.machine, "machine") + (16 if realm else 0)
                start = (left + right - label) / 2
                self.pencil.glyph((start + 5, y + 13), realm)
                self.pencil.text(start + (16 if realm else 0), y + 13, group.machine, "machine")
            for point in group.points:
                x = self.sheet.x[point]
                self.pencil.line("lines", [(x, top + 50), (x, bottom)], "life")
                for y in (top + 40, bottom + 9):
                    self.pencil.text(x, y, point.partition(":")[2], "column", "middle")

    def _times(self, step: Step, y: float) -> None:
        self.pencil.text(MARGIN + 62, y, f"{step.t_us:.1f}", "time", "end")
        if step.took_us is not None:
            self.pencil.text(MARGIN + TIMES - 14, y, f"+{step.took_us:.1f}", "time", "end")

    def _leg(self, row: Row) -> None:
        """From where the packet was before: down at that point, then over to this one."""
        step = row.step
        if step.previous is None:
            return
        before = self.walk.step(step.previous)
        frame = before.frame if before.frame.is_encapsulated else step.frame
        realm, is_broadcast = self._realm(frame.fields), step.frame.inner.get("eth.dst") == BROADCAST_MAC
        stays, *goes = self._way(self.at[before.index], self.at[step.index])
        if not is_broadcast and len(goes) > 1:
            self.pencil.line("legs", [stays, goes[0]], f"wait s-{self._realm(before.frame.fields)}")
            stays, *goes = goes
        points = [stays, *goes]
        if frame.is_encapsulated:
            self.pencil.pipe(points, realm, self._realm(frame.inner))
        else:
            self.pencil.line("legs", points, f"leg s-{realm}{' flood' if is_broadcast else ''}")
        if step.index not in self.followed and step.fate not in (DROPPED, LOST):
            self.pencil.head(points[-1], points[-2], f"f-{realm}", 5 if self._is_answered(step) else 0)

    def _way(self, start: Point, end: Point) -> list[Point]:
        """Down at the old column, then over to the new one: slanting if that is near."""
        if abs(self.order.index(start[0]) - self.order.index(end[0])) > NEAR:
            return [start, (start[0], end[1]), end]
        if end[1] - start[1] <= NEXT:
            return [start, end]
        return [start, (start[0], end[1] - NEXT), end]

    def _realm(self, fields: Mapping[str, object]) -> str:
        """Whose packet it is: by its source's IP address, of an ARP frame by its MAC; ``ink`` where nobody's."""
        source = fields.get("ip.src", fields.get("eth.src", ""))
        realm, _ = self.realms.of(str(source))
        return realm if realm in (NODE, POD) else "ink"

    def _sign(self, row: Row) -> None:
        """What became of the packet here: a dot, a ring where it changed, a cross, and words where there are any."""
        step, (x, y) = row.step, self.at[row.step.index]
        realm = self._realm(step.frame.fields)
        if step.fate in (DROPPED, LOST):
            self._ending(row, (x, y))
        elif self._is_answered(step):
            self.pencil.circle((x, y), 5, "f-ink")
        elif step.changed:
            self.pencil.circle((x, y), 4.5, "ring")
            if row.packet.number not in self.old:
                self._tag(step, (x, y))
        elif step.index in self.followed and step.previous is not None:
            self.pencil.circle((x, y), 3, f"f-{realm}")

    def _is_answered(self, step: Step) -> bool:
        arrived = step.index not in self.followed and step.fate == DELIVERED
        return step.fate == ANSWERED or (arrived and step.packet in self.answered)

    def _ending(self, row: Row, at: Point) -> None:
        """A cross, or a small ring for a bystander's silence, and the reason on the side where no line comes from."""
        failed = has_failed(self.walk.plan, row.step)
        comes_from = self.at.get(row.step.previous or 0, at)[0]
        away = -14 if comes_from > at[0] else 14
        if failed:
            self.pencil.cross(at)
        else:
            self.pencil.circle(at, 3.5, "quiet")
        side = "end" if away < 0 else "start"
        self.pencil.text(at[0] + away, at[1], ending(row.steps), "bad" if failed else "why", side)

    def _tag(self, step: Step, at: Point) -> None:
        """What changed, beside the ring, where the line does not run."""
        before = self.walk.step(step.previous or step.index)
        comes_from, src = self.at[before.index][0], self.at[self.walk.packet(step.packet).steps[0]][0]
        goes_right = at[0] > (comes_from if comes_from != at[0] else src)
        words = _news(before.frame, step.frame)
        self.pencil.text(at[0] + (9 if goes_right else -9), at[1] - 8, words, "tag", "start" if goes_right else "end")

    def _title(self, row: Row) -> None:
        """The packet's number where it starts; its title on the nearer side of the way."""
        x, y = self.at[row.step.index]
        realm = self._realm(row.step.frame.fields)
        at_left = x - self.sheet.left < self.sheet.right - x
        side = self.sheet.left - 8 if at_left else self.sheet.right + 8
        lines = _title(row.packet)
        for number, line in enumerate(lines):
            base = y + 15 * (number - (len(lines) - 1) / 2)
            self.pencil.text(side, base, line, "title", "end" if at_left else "start", f"c-{realm}")
        edge = side + max(width(line, "title") for line in lines) if x > self.sheet.right else side
        self.pencil.line("lines", [(edge, y), (x, y)], "leader")
        self.pencil.circle((x, y), BADGE, f"f-{realm}")
        self.pencil.text(x, y, str(row.packet.number), "badge", "middle")

    def _foot(self, y: float) -> float:
        """What the signs mean, and how the walk ended; the height of the sheet."""
        right = self.sheet.width - MARGIN
        y = legend(self.pencil, MARGIN, right, y) + 32
        complained = complaints(self.walk)
        for line in complained or ["as declared"]:
            for part in textwrap.wrap(line, int((right - MARGIN) / width("n", "bad"))):
                self.pencil.text(MARGIN, y, part, "bad" if complained else "legend")
                y += 20
        return y + 8


def _news(before: Frame, after: Frame) -> str:
    """The change in a word: ``TTL 63`` or ``+50 B``."""
    grown = len(after.data) - len(before.data)
    if grown:
        return f"{grown:+d} B"
    return f"TTL {after.inner['ip.ttl']}" if before.inner.get("ip.ttl") != after.inner.get("ip.ttl") else "rewritten"
