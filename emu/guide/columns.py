"""The columns of the ladder: which capture points of a walk stand where, from the source to the destination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emu.designs import all_designs
from emu.guide.ways import groups
from emu.model import SWITCH
from emu.walk.model import Packet, Step, Walk


@dataclass(frozen=True)
class Row:
    """What is drawn in one line: a step, or silent branches of a broadcast that are drawn as one.

    ``point`` names its column: a capture point, or ``others:48 interfaces in`` (``switch:...``) for several.
    """

    packet: Packet
    steps: tuple[Step, ...]
    point: str

    @property
    def step(self) -> Step:
        """The first of its steps."""
        return self.steps[0]


@dataclass(frozen=True)
class Group:
    """Neighboring columns of one machine: their capture points."""

    machine: str
    points: tuple[str, ...]


def rows(walk: Walk) -> list[Row]:
    """All steps of a walk in order of time, each in its row."""
    found = [
        Row(packet, steps, steps[0].point if len(steps) == 1 else _several(steps))
        for packet in walk.packets
        for steps in groups(walk.steps_of(packet))
    ]
    return sorted(found, key=lambda row: row.step.index)


def _several(steps: Sequence[Step]) -> str:
    machine = SWITCH if steps[0].frame.machine == SWITCH else "others"
    return f"{machine}:{len(steps)} interfaces {steps[0].frame.direction}"


def columns(walk: Walk, seen: Sequence[Row]) -> tuple[list[Group], list[Group]]:
    """The columns of the declared way from source to destination and back, and those of bystanders that saw something.

    Of the way all capture points are there, so that one sees how far a lost packet did not get.
    """
    way = _way(walk)
    order = [SWITCH, *(machine.name for machine in walk.plan.machines)]
    places = {name: place for place, name in enumerate(order)}
    first = {row.point: row.step.index if len(row.steps) > 1 else 0 for row in reversed(seen)}
    extra = sorted(
        first.keys() - {*way},
        key=lambda point: (places.get(point.partition(":")[0], len(order)), first[point], point),
    )
    return _grouped(way), _grouped(extra)


def _way(walk: Walk) -> list[str]:
    """The declared way there, with the points that only the way back has put in behind their neighbors."""
    design = all_designs()[walk.plan.design]
    there, back = (design.path(walk.plan, *ends) for ends in ((walk.src, walk.dst), (walk.dst, walk.src)))
    way = list(dict.fromkeys(hop.point for hop in there))
    place = 0
    for point in dict.fromkeys(hop.point for hop in reversed(back)):
        if point not in way:
            way.insert(place, point)
        place = way.index(point) + 1
    return way


def _grouped(points: Iterable[str]) -> list[Group]:
    found: list[Group] = []
    for point in points:
        machine = point.partition(":")[0]
        if found and found[-1].machine == machine:
            found[-1] = Group(machine, (*found[-1].points, point))
        else:
            found.append(Group(machine, (point,)))
    return found
