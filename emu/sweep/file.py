"""The file of a sweep, read and judged: every mistake at once, with its line, those of single points included.

    designs: [bare, overlay]
    workloads: [tcp_stream, udp_stream]
    profile: quick
    nodes: 3                        # scenario options are the same at every point
    sweep:
      mtu: [1500, 9000]             # but for these: every combination is a point
      udp_stream.size: [64, 1400]   # a workload's parameter: at every point, one beside the other
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from emu.checks import scenario_problems
from emu.designs import DEFAULT_DESIGNS, parse_design, plans_for
from emu.errors import UsageError
from emu.measure.asked import no_profile, unmeasurable
from emu.measure.blocks import PROFILES, Profile
from emu.measure.results import spec_of
from emu.measure.workloads import DEFAULT_WORKLOADS, KINDS, Workload, not_offered, parse_workload
from emu.model import Scenario
from emu.scenario import BY_FIELD, convert, field_of, of_cluster, readable
from emu.sweep.axes import OPTION_WORDS, Axis, Sweep, Value, Variant, grid
from emu.yamlfile import InFile, read_entries

OWN_KEYS = ("designs", "workloads", "profile", "sweep")
"""The keys of a file that are no scenario options."""

MOST_POINTS = 1000
"""A sweep of more would not end, and its mistakes could not be told before it begins."""


@dataclass(frozen=True)
class _Swept:
    """An axis, where it stands, and where each of its values does, as complaints begin."""

    axis: Axis
    where: str
    lines: Mapping[Value, str]


@dataclass
class _Reader:
    """The file being read; ``problems`` gathers what is wrong with it."""

    path: Path
    own: Mapping[str, InFile]
    problems: list[str]

    def where(self, key: str) -> str:
        """How a complaint about a key begins, or about its absence."""
        return self.own[key].where if key in self.own else f"{self.path}: "

    def words(self, key: str, default: Sequence[str]) -> list[tuple[str, str]]:
        """The words of a list, each with how a complaint about it begins."""
        if key not in self.own:
            return [(word, f"{self.path}: ") for word in default]
        elements = self.own[key].elements()
        if not elements or not all(isinstance(element.value, str) for element in elements):
            self.problems.append(f"{self.where(key)}{key} takes a list of names, as in [{', '.join(default[:2])}]")
            return []
        return [(element.value, element.where) for element in elements]

    def parsed(self, parse: Callable[[str], Any], text: str, where: str) -> Any:
        """What ``parse`` makes of a text; ``None``, and its complaints, if it cannot."""
        try:
            return parse(text)
        except UsageError as error:
            self.problems += [where + problem for problem in error.problems]
            return None

    def once(self, what: str, name: str, where: str, known: Sequence[str]) -> bool:
        """Whether ``name`` is not among those ``known`` already; a problem more if it is."""
        if name in known:
            self.problems.append(f"{where}{what} '{name}' is named twice")
        return name not in known


def read_sweep(path: Path, problems: list[str]) -> Sweep | None:
    """The sweep that a file asks for; ``None`` if anything is wrong with it, which is added to ``problems``."""
    mistakes: list[str] = []
    entries = read_entries(path, "sweep file", "'key: value' lines", mistakes)
    if mistakes and not entries:  # no file, or none of this kind
        problems += mistakes
        return None
    reader = _Reader(path, {key: entries.pop(key) for key in OWN_KEYS if key in entries}, mistakes)
    constants = Scenario(**of_cluster(readable(entries, mistakes, f"; and {', '.join(OWN_KEYS)}"), mistakes))
    designs = _designs(reader)
    bases = _bases(reader)
    swept = _axes(reader, {field_of(key) for key in entries}, {base.kind for base, _, _ in bases})
    variants = _variants(reader, bases, [each.axis for each in swept])
    profile = _profile(reader)
    places = {field_of(key): value.where for key, value in entries.items()}
    mistakes += _misfits(reader, constants, swept, places, designs, [parse_workload(v.name) for v in variants])
    problems += mistakes
    if mistakes or profile is None:
        return None
    return Sweep(tuple(designs), tuple(variants), profile, constants, tuple(each.axis for each in swept))


def _designs(reader: _Reader) -> list[str]:
    """The designs with all their parameters, as plans and results call them."""
    specs: list[str] = []
    for text, where in reader.words("designs", DEFAULT_DESIGNS):
        parsed = reader.parsed(parse_design, text, where)
        if parsed and reader.once("design", spec := spec_of(parsed.name, parsed.params), where, specs):
            specs.append(spec)
    return specs


def _profile(reader: _Reader) -> Profile | None:
    name = reader.own["profile"].value if "profile" in reader.own else "standard"
    if not isinstance(name, str) or name not in PROFILES:
        reader.problems.append(reader.where("profile") + no_profile(str(name)))
        return None
    return PROFILES[name]


def _bases(reader: _Reader) -> list[tuple[Workload, str, str]]:
    """The workloads as the file names them: parsed, as written, and where."""
    found = []
    for text, where in reader.words("workloads", DEFAULT_WORKLOADS):
        parsed = reader.parsed(parse_workload, text, where)
        if parsed:
            found.append((parsed, text, where))
    return found


def _axes(reader: _Reader, constants: set[str], kinds: set[str]) -> list[_Swept]:
    """What is swept, and may be. ``constants``: scenario options that the file gives besides; ``kinds``: of its
    workloads."""
    entries = reader.own["sweep"].entries(reader.problems) if "sweep" in reader.own else None
    if not entries:
        reader.problems.append(f"{reader.where('sweep')}sweep names what is swept, each with the list of its values, as"
                               " in 'mtu: [1500, 9000]'")
    swept = []
    for key, item in (entries or {}).items():
        name = key if "." in key else field_of(key)
        complaint = _workload_axis(name, kinds) if "." in name else _option_axis(key, constants)
        if complaint:
            reader.problems.append(item.where + complaint)
        elif lines := _values(reader, name, item):
            swept.append(_Swept(Axis(name, tuple(lines)), item.where, lines))
    points = prod(len(each.lines) for each in swept if not each.axis.workload)
    if points > MOST_POINTS:
        reader.problems.append(f"{reader.where('sweep')}these are {points:,} points; at most {MOST_POINTS:,} can be")
    return swept


def _option_axis(key: str, constants: set[str]) -> str:
    """Why a scenario option cannot be swept; empty if it can."""
    name = field_of(key)
    sweepable = [BY_FIELD[field].name for field in OPTION_WORDS]
    if name not in OPTION_WORDS:
        return f"'{key}' cannot be swept; scenario options that can: {', '.join(sweepable)}; and workloads' " \
               "parameters, as in udp_stream.size"
    return f"'{key}' is swept, and given beside the sweep, too" if name in constants else ""


def _workload_axis(name: str, kinds: set[str]) -> str:
    """Why a workload's parameter cannot be swept; empty if it can."""
    kind, _, parameter = name.partition(".")
    if kind not in KINDS:
        return f"there is no workload '{kind}'; there are: {', '.join(KINDS)}"
    if parameter not in KINDS[kind].parameters:
        known = ", ".join(KINDS[kind].parameters) or "none"
        return f"workload {kind}: '{parameter}' is none of its parameters ({known})"
    return "" if kind in kinds else f"{name} is swept, but {kind} is not among the workloads"


def _values(reader: _Reader, name: str, item: InFile) -> dict[Value, str]:
    """The values of an axis that can be, each with how a complaint about it begins."""
    elements = item.elements()
    if not elements:
        reader.problems.append(f"{item.where}{name} takes a list of the values it is to have")
        return {}
    good: dict[Value, str] = {}
    for element in elements:
        value, problem = _parameter(name, element.value) if "." in name else _option(name, element.value)
        if not problem and value in good:
            problem = f"{name}: {element.value} is named twice"
        if problem:
            reader.problems.append(element.where + problem)
        else:
            good[value] = element.where
    return good


def _option(field: str, value: Any) -> tuple[Value, str | None]:
    """A value of a scenario option. What is not given (``null``) is one where that is the default."""
    option = BY_FIELD[field]
    if value is None:
        return None, None if OPTION_WORDS[field].absent else f"--{option.name} takes {option.metavar}, not null"
    return convert(option, value)


def _parameter(name: str, value: Any) -> tuple[Value, str | None]:
    """A value of a workload's parameter."""
    kind, _, parameter = name.partition(".")
    fits = isinstance(value, int) and not isinstance(value, bool) and value in KINDS[kind].parameters[parameter]
    return (value, None) if fits else (None, not_offered(kind, parameter, value))


def _variants(reader: _Reader, bases: Sequence[tuple[Workload, str, str]], axes: Sequence[Axis]) -> list[Variant]:
    """Every workload with every combination of the values of its own axes."""
    variants: list[Variant] = []
    for base, text, where in bases:
        own = [axis for axis in axes if axis.workload == base.kind]
        fixed = {item.partition("=")[0] for item in text.partition(":")[2].split(",")}
        twice = [axis for axis in own if axis.parameter in fixed]
        reader.problems += [f"{where}workload {text}: {axis.parameter} is swept" for axis in twice]
        for values in product(*(axis.values for axis in own)) if not twice else ():
            items = [*filter(None, [text.partition(":")[2]]),
                     *(f"{axis.parameter}={value}" for axis, value in zip(own, values, strict=True))]
            name = parse_workload(":".join(filter(None, [base.kind, ",".join(items)]))).name
            if reader.once("workload", name, where, [variant.name for variant in variants]):
                variants.append(Variant(name, base.name, {axis.name: v for axis, v in zip(own, values, strict=True)}))
    return variants


def _misfits(reader: _Reader, constants: Scenario, swept: Sequence[_Swept], places: Mapping[str, str],
             designs: Sequence[str], workloads: Sequence[Workload]) -> list[str]:
    """What cannot be in single points, at the line of the value it is about. What is about no value of the file is told
    once for all points that share it. ``places``: how complaints about constants begin, by field."""
    axes = {each.axis.name: each for each in swept if not each.axis.workload}
    if prod(len(each.lines) for each in axes.values()) > MOST_POINTS:
        return []
    located: list[str] = []
    others: dict[str, list[str]] = {}
    for point in grid([each.axis for each in axes.values()], constants):
        at = {**places, **{name: axes[name].lines[value] for name, value in point.values.items()}}
        problems = scenario_problems(point.scenario)
        located += [at[field] + problem for field, problem in problems if field in at]
        unplaced = [problem for field, problem in problems if field not in at]
        if not problems:
            plans = plans_for(designs, point.scenario, unplaced)
            unplaced += unmeasurable(plans, workloads)
        for problem in unplaced:
            others.setdefault(problem, []).append(point.name)
    told = [f"{reader.where('sweep')}{f'point {_some(names)}: ' if axes else ''}{problem}"
            for problem, names in others.items()]
    return [*dict.fromkeys(located), *told]


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
