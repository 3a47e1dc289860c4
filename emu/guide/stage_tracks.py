"""The lines frames can take on the stage, as a small graph with a vertex at every capture point."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise
from math import inf

from emu.guide.svg import Point, Rect


class Tracks:
    """Vertices with a position and, where something is drawn there, its box; edges are straight lines."""

    def __init__(self) -> None:
        self.position: dict[str, Point] = {}
        self.box: dict[str, Rect] = {}
        self._next: dict[str, list[str]] = {}
        self._ends: set[str] = set()
        self._bars: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._machines: dict[str, str] = {}

    def add(
        self, name: str, position: Point, box: Rect | None = None, is_end: bool = False, is_bar: bool = False
    ) -> None:
        """A vertex. ``is_end``: lines lead to it, never through it, unless the frame was seen there. ``is_bar``: it is
        crossed anywhere, so that a line through it need not touch ``position``."""
        self.position[name] = position
        self._next.setdefault(name, [])
        if box:
            self.box[name] = box
        if is_end:
            self._ends.add(name)
        if is_bar:
            self._bars.add(name)

    def join(self, *names: str) -> None:
        """Edges from each to the next."""
        for a, b in pairwise(names):
            self._next[a].append(b)
            self._next[b].append(a)

    def chain(self, names: Sequence[str]) -> None:
        """Edges along a horizontal line that all of ``names`` are on."""
        self.join(*sorted(names, key=lambda name: self.position[name][0]))

    def alias(self, point: str, vertex: str) -> None:
        """``point`` is not drawn itself: it is at ``vertex``."""
        self._aliases[point] = vertex

    def alias_machine(self, machine: str, vertex: str) -> None:
        """All capture points of ``machine`` that are not drawn are at ``vertex``."""
        self._machines[machine] = vertex

    def neighbours(self, vertex: str) -> Sequence[str]:
        """The vertices one edge away."""
        return self._next[vertex]

    def is_bar(self, vertex: str) -> bool:
        """Whether a vertex is a bar, which lines begin in, not at."""
        return vertex in self._bars

    def is_in_bar(self, vertex: str) -> bool:
        """Whether a vertex is a bar or a spot in one."""
        return any(self.box.get(vertex) == self.box[bar] for bar in self._bars)

    def vertex(self, point: str) -> str:
        """The vertex where a capture point is; ``KeyError`` if it is not on this stage."""
        if point in self.position:
            return point
        return self._aliases.get(point) or self._machines[point.partition(":")[0]]

    def route(self, points: Sequence[str]) -> list[str]:
        """The vertices on the way through capture points, without repeats; ``KeyError`` for one not on this stage."""
        stops = [self.vertex(point) for point in points]
        stops = [*stops[:1], *(stop for stop in stops[1:-1] if stop not in self._bars), *stops[1:][-1:]]
        way = stops[:1]
        for stop in stops[1:]:
            way += self._between(way[-1], stop)
        return way

    def _between(self, start: str, stop: str) -> list[str]:
        """The shortest way, in pixels, without ``start`` (Dijkstra 1959)."""
        length, came_from = {start: 0.0}, {start: start}
        queue = [(0.0, start)]
        while queue:
            so_far, here = heappop(queue)
            if here == stop:
                break
            if so_far > length[here] or (here != start and here in self._ends):
                continue
            for there in self._next[here]:
                far = so_far + self._distance(here, there)
                if far < length.get(there, inf):
                    length[there], came_from[there] = far, here
                    heappush(queue, (far, there))
        way = []
        here = stop
        while here != start:
            way.append(here)
            here = came_from[here]
        return way[::-1]

    def _distance(self, a: str, b: str) -> float:
        (x0, y0), (x1, y1) = self.position[a], self.position[b]
        return abs(x0 - x1) + abs(y0 - y1)
