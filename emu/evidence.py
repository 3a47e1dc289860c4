"""What captured frames say of a claim. Pure: the frames may come from a lab that runs or from one that has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from emu.claims import Ordered, Seen, Unseen
from emu.frames import Frame

Finding = tuple[bool, str, str]
"""Whether a test holds, what was expected and what was seen."""


def judge_frames(test: Seen | Unseen | Ordered, frames: Sequence[Frame]) -> Finding:
    """Hold the frames of a test's probe, in order of time, against it. Frames at other points do no harm."""
    if isinstance(test, Seen):
        return _seen(test, frames)
    if isinstance(test, Unseen):
        return _unseen(test, frames)
    return _ordered(test, frames)


def _at(point: str, frames: Iterable[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.at == point]


def _fits(frame: Frame, where: Mapping[str, Any]) -> bool:
    return all(frame.fields.get(key) == value for key, value in where.items())


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _seen(test: Seen, frames: Sequence[Frame]) -> Finding:
    expected = _words(test.expect)
    for point in test.points:
        fitting = [frame for frame in _at(point, frames) if _fits(frame, test.where)]
        if not fitting:
            return False, expected, f"at {point} no frame with {_words(test.where)}"
        actual = {key: fitting[0].fields.get(key) for key in test.expect}
        if actual != dict(test.expect):
            wrong = {key: value for key, value in actual.items() if value != test.expect[key]}
            return False, expected, f"at {point} {_words(wrong)}"
        if test.count is not None and len(fitting) != test.count:
            return False, f"{test.count} such frame", f"at {point} {len(fitting)}"
    return True, expected, expected


def _unseen(test: Unseen, frames: Sequence[Frame]) -> Finding:
    expected = f"no frame with {_words(test.where)}"
    looked_at = 0
    for point in test.points:
        there = _at(point, frames)
        count = sum(_fits(frame, test.where) for frame in there)
        if count:
            return False, expected, f"{count} at {point}"
        looked_at += len(there)
    return True, expected, f"none in {looked_at} frame{'' if looked_at == 1 else 's'}"


def _ordered(test: Ordered, frames: Sequence[Frame]) -> Finding:
    there = _at(test.point, frames)
    expected = "; then ".join(_words(where) for where in test.wheres)
    places = [next((k for k, frame in enumerate(there) if _fits(frame, where)), None) for where in test.wheres]
    known = [place for place in places if place is not None]
    return known == places and known == sorted(known), expected, f"frames {places} of {len(there)}"
