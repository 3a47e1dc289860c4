"""Where the values of a swept parameter stand on a figure's axis, from 0 (left) to 1. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from emu.sweep.axes import Axis, Value

DECADE = 10.0
"""From so many times the lowest value on, an axis is logarithmic: else the low values would stand on one spot."""

EDGE, APART = 0.06, 0.28
"""Room at both ends, and between the scale and a value that has no place on it."""


@dataclass(frozen=True)
class Scale:
    """``places``: value -> position. ``joined``: neighbours between which a line says something; there is none to a
    value that stands apart, or between names. ``breaks``: positions where the scale is broken."""

    places: Mapping[Value, float]
    joined: frozenset[tuple[Value, Value]]
    breaks: Sequence[float]
    is_log: bool


def scale_of(axis: Axis) -> Scale:
    """Quantities stand to scale, linear or, where they span a decade, logarithmic. 0, which no logarithmic scale has,
    then stands apart at the left; so does, at the right, an option that is not given. Names stand side by side."""
    values = axis.ordered
    numbers = [value for value in values if isinstance(value, int | float)]
    if not axis.is_numeric or not numbers:
        step = (1 - 2 * EDGE) / max(1, len(values) - 1)
        middle = 0.5 if len(values) == 1 else EDGE
        return Scale({value: middle + step * i for i, value in enumerate(values)}, frozenset(), (), False)
    positive = [number for number in numbers if number > 0]
    is_log = len(positive) > 1 and max(positive) >= DECADE * min(positive)
    to_scale = positive if is_log else numbers
    at_left, at_right = len(to_scale) < len(numbers), None in values
    low, high = EDGE + APART * at_left, 1 - EDGE - APART * at_right
    places: dict[Value, float] = {0: EDGE} if at_left else {}
    places.update(zip(to_scale, _spread([log(n) if is_log else n for n in to_scale], low, high), strict=True))
    breaks = [EDGE + APART / 2] if at_left else []
    if at_right:
        places[None] = 1 - EDGE
        breaks.append(1 - EDGE - APART / 2)
    return Scale(places, frozenset(pairwise(to_scale)), breaks, is_log)


def _spread(numbers: Sequence[float], low: float, high: float) -> list[float]:
    """Numbers as positions from ``low`` to ``high``; one alone stands between."""
    first, last = min(numbers), max(numbers)
    if first == last:
        return [(low + high) / 2] * len(numbers)
    return [low + (number - first) / (last - first) * (high - low) for number in numbers]


def thinned(scale: Scale, widths: Mapping[Value, float], axis_width: float) -> list[Value]:
    """The values whose texts, of ``widths``, can stand side by side under an axis of ``axis_width``: those at both
    ends, then from the left whatever has room."""
    extents = {value: (place * axis_width - widths[value] / 2, place * axis_width + widths[value] / 2)
               for value, place in scale.places.items()}
    values = sorted(extents, key=lambda value: scale.places[value])
    kept: list[Value] = []
    for value in dict.fromkeys([values[0], values[-1], *values]):
        low, high = extents[value]
        if all(high <= extents[other][0] or low >= extents[other][1] for other in kept):
            kept.append(value)
    return kept
