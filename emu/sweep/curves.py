"""What the points of a sweep say: rows of a table, and curves over each parameter. Pure, but for reading folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import log
from pathlib import Path
from typing import Any

from emu.measure.figures import Subject
from emu.measure.results import CSV_FIELDS, csv_text, flat, read_folder
from emu.measure.summary import REFERENCE, Cell, summarise
from emu.measure.surroundings import SURROUNDINGS
from emu.measure.words import COSTS, QUESTIONS, UNTRUSTED, Question, claim, differs, number
from emu.measure.workloads import parse_workload
from emu.sweep.axes import Axis, Value, Variant, axes_of, variants_of
from emu.sweep.document import read_document


@dataclass(frozen=True)
class Measured:
    """A point, its place in the order of measuring, and what its folder says: ``subject`` is ``None`` where nothing was
    measured yet."""

    folder: str
    values: Mapping[str, Value]
    order: int
    error: str | None
    subject: Subject | None


@dataclass(frozen=True)
class Results:
    """A sweep as read back: its document, and its points in the order of the grid."""

    document: Mapping[str, Any]
    axes: tuple[Axis, ...]
    variants: tuple[Variant, ...]
    points: tuple[Measured, ...]

    @cached_property
    def found(self) -> list[tuple[Measured, Subject]]:
        """The points at which something was measured."""
        return [(point, point.subject) for point in self.points if point.subject]

    @property
    def specs(self) -> list[str]:
        """The designs that were measured somewhere, in the order of the look."""
        return list(dict.fromkeys(spec for _, subject in self.found for spec in subject.summary.specs))

    @property
    def failures(self) -> list[str]:
        """A sentence on each point that failed."""
        return [f"point {point.folder}: {point.error}" for point in self.points if point.error]

    def differences(self) -> list[str]:
        """In what the points' surroundings differ, in sentences: then curves compare more than what was swept."""
        swept = {axis.name for axis in self.axes}
        told = []
        for name in SURROUNDINGS:
            values = dict.fromkeys(str(subject.run.get(name)) for _, subject in self.found)
            if name not in swept and len(values) > 1:
                told.append(f"{name} is not the same at all points: {'; '.join(values)}")
        return told


def read_results(path: Path) -> Results:
    """The sweep in a folder; ``UsageError`` if there is none, or a point's folder is damaged."""
    document = read_document(path)
    points = tuple(_read_point(path / entry["folder"], entry) for entry in document["points"])
    return Results(document, axes_of(document), variants_of(document), points)


def _read_point(path: Path, entry: Mapping[str, Any]) -> Measured:
    subject = None
    if (path / "run.json").exists():
        stored = read_folder(path)
        subject = Subject(stored.run, summarise(stored))
    return Measured(entry["folder"], entry["values"], entry["order"], entry["error"], subject)


def sweep_csv(results: Results) -> str:
    """A row for every point, design, workload and metric: where it is on each axis, and the fields of ``summary.csv``.

    The columns of workloads' axes are empty where a workload has none of them. ``trusted`` is of the row alone.
    """
    on_axes = {variant.name: variant.values for variant in results.variants}
    rows = ({**flat(cell.entry()), "point": point.folder, **point.values, **on_axes.get(cell.workload, {}),
             "trusted": str(not subject.is_doubted(cell)).lower()}
            for point, subject in results.found for cell in subject.summary.cells.values())
    return csv_text(["point", *(axis.name for axis in results.axes), *CSV_FIELDS, "trusted"], rows)


@dataclass(frozen=True)
class Spot:
    """A value on a chart's axis and what was measured there."""

    value: Value
    cell: Cell
    doubted: bool


@dataclass(frozen=True)
class Chart:
    """How the answer to a question changes along one axis, a curve a design (by spec), while the other axes are
    ``held``. ``run``: of one of its points."""

    question: Question
    axis: Axis
    held: tuple[tuple[Axis, Value], ...]
    curves: Mapping[str, Sequence[Spot]]
    run: Mapping[str, Any]

    @property
    def spots(self) -> list[tuple[str, Spot]]:
        """All spots of all designs."""
        return [(spec, spot) for spec, curve in self.curves.items() for spot in curve]

    @property
    def held_text(self) -> str:
        """Where the other axes are held, in words; empty where there are none."""
        return ", ".join(axis.told(value) for axis, value in self.held)

    @property
    def name(self) -> str:
        """The name of its files."""
        held = "".join(f"-{axis.name}-{axis.text(value)}" for axis, value in self.held)
        words = f"{self.question.workload}-{self.question.metric}-by-{self.axis.name}{held}"
        return "".join(letter if letter.isalnum() or letter in ".-_" else "_" for letter in words)


def charts(results: Results) -> list[Chart]:
    """Every question that the sweep answers, along every axis with two values or more that were measured."""
    return [chart for asked in (*QUESTIONS, *COSTS) for base in dict.fromkeys(v.base for v in results.variants)
            if base.partition(":")[0] == asked.workload for chart in _charts(results, asked, base)]


def _charts(results: Results, asked: Question, base: str) -> Iterator[Chart]:
    """The charts of one question under one workload of the file."""
    axes = [axis for axis in results.axes if axis.workload in ("", asked.workload)]
    question = asked.under(parse_workload(base))
    if asked.varied and question == asked and any(axis.workload for axis in axes):
        question = replace(question, heading=asked.varied)
    spots = _spots(results, asked, base)
    for axis in axes:
        others = [other for other in axes if other is not axis]
        for values in product(*(other.ordered for other in others)):
            held = tuple(zip(others, values, strict=True))
            yield from _chart(question, axis, held, spots)


Place = frozenset[tuple[str, Value]]
"""Values on axes by their names: where in the grid something was measured."""


def _spots(results: Results, asked: Question, base: str) -> dict[tuple[str, Place], tuple[Cell, Subject]]:
    """What was measured that answers a question under one workload of the file, by design and place."""
    found = {}
    for variant in results.variants:
        if variant.base != base or not asked.applies_to(parse_workload(variant.name)):
            continue
        for point, subject in results.found:
            place = frozenset({**point.values, **variant.values}.items())
            for spec in results.specs:
                cell = subject.summary.cell(spec, variant.name, asked.metric)
                if cell is not None:
                    found[spec, place] = (cell, subject)
    return found


def _chart(question: Question, axis: Axis, held: tuple[tuple[Axis, Value], ...],
           spots: Mapping[tuple[str, Place], tuple[Cell, Subject]]) -> Iterator[Chart]:
    curves: dict[str, list[Spot]] = {}
    runs: list[Mapping[str, Any]] = []
    fixed = {other.name: value for other, value in held}
    for spec in dict.fromkeys(spec for spec, _ in spots):
        for value in axis.ordered:
            place = frozenset({**fixed, axis.name: value}.items())
            if (spec, place) in spots:
                cell, subject = spots[spec, place]
                curves.setdefault(spec, []).append(Spot(value, cell, subject.is_doubted(cell)))
                runs.append(subject.run)
    if len({spot.value for curve in curves.values() for spot in curve}) > 1:
        yield Chart(question, axis, held, curves, runs[0])


def finding(chart: Chart, labels: Mapping[str, str]) -> str:
    """One sentence on a chart: how a ratio to bare changes along it, or the largest that is shown, or that none is.

    A change is told where the intervals at both ends of the axis have nothing in common, and only of spots that are
    to be trusted.
    """
    sound = [(spec, spot) for spec, spot in chart.spots if not spot.doubted]
    if not sound:
        return UNTRUSTED
    related = [(spec, spot) for spec, spot in sound if spot.cell.ratio is not None and spot.cell.design != REFERENCE]
    if not related:
        medians = [spot.cell.median.value * chart.question.scale for _, spot in sound]
        return f"Median {chart.question.noun}: {number(min(medians))} to {number(max(medians))} {chart.question.unit}"
    if change := _largest_change(chart):
        spec, first, last = change
        return (f"{labels[spec]}: {_ratio(first):.2f} times {REFERENCE}'s {chart.question.noun} "
                f"{chart.axis.told(first.value)}, {_ratio(last):.2f} {chart.axis.told(last.value)}")
    shown = [(spec, spot) for spec, spot in related if spot.cell.ratio and differs(spot.cell.ratio)]
    if shown:
        spec, spot = max(shown, key=lambda row: abs(log(_ratio(row[1]))))
        return f"{claim(spot.cell, chart.question, labels[spec])} {chart.axis.told(spot.value)}"
    if all(spot.cell.ratio is not None and spot.cell.ratio.interval is None for _, spot in related):
        return "Too few blocks to tell the designs apart"
    return f"No difference from {REFERENCE} is shown"


def change_shown(chart: Chart) -> float:
    """How far a ratio to bare is seen to change along a chart, as a logarithm; 0 where no change is shown."""
    change = _largest_change(chart)
    return abs(log(_ratio(change[2]) / _ratio(change[1]))) if change else 0.0


def _largest_change(chart: Chart) -> tuple[str, Spot, Spot] | None:
    """The design whose ratio changes most from one end of the axis to the other, with both spots."""
    first, last = chart.axis.ordered[0], chart.axis.ordered[-1]
    found = []
    for spec, curve in chart.curves.items():
        ends = {spot.value: spot for spot in curve if not spot.doubted and spot.cell.ratio and spot.cell.ratio.interval}
        if first in ends and last in ends and _apart(ends[first], ends[last]):
            found.append((spec, ends[first], ends[last]))
    return max(found, key=lambda row: abs(log(_ratio(row[2]) / _ratio(row[1]))), default=None)


def _apart(one: Spot, other: Spot) -> bool:
    """Whether the intervals of two spots' ratios have nothing in common."""
    intervals = [spot.cell.ratio.interval for spot in (one, other) if spot.cell.ratio and spot.cell.ratio.interval]
    return max(low for low, _ in intervals) > min(high for _, high in intervals)


def _ratio(spot: Spot) -> float:
    assert spot.cell.ratio is not None
    return spot.cell.ratio.value
