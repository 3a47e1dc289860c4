"""What is swept: parameters with their values, how they are called, and the grid that they make. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from emu.measure.blocks import Profile
from emu.model import Scenario

Value = int | float | str | None
"""A value of a parameter; ``None`` for a scenario option that is not given."""


@dataclass(frozen=True)
class Words:
    """How a parameter is called: ``noun`` within a sentence, ``unit`` beside its values, ``told`` with a value in the
    place of ``{}`` and a plural's s in that of ``{s}``; ``absent`` and ``without``: by itself and within a sentence,
    where it is not given (``None``)."""

    noun: str
    unit: str
    told: str
    absent: str = ""
    without: str = ""


OPTION_WORDS: Mapping[str, Words] = {
    "nodes": Words("number of nodes", "", "with {} nodes", "deck", "with the deck's nodes"),
    "containers": Words("containers on a node", "", "with {} container{s} a node", "deck",
                        "with the deck's containers"),
    "bw": Words("rate of the links", "Mbit/s", "with links of {} Mbit/s", "unshaped", "with links unshaped"),
    "delay": Words("delay of a link each way", "ms", "at {} ms delay"),
    "jitter": Words("jitter of a link each way", "ms", "at {} ms jitter"),
    "loss": Words("loss of a link each way", "%", "at {} % loss"),
    "mtu": Words("MTU", "B", "at MTU {}"),
    "pod_cidr": Words("network of the pods", "", "with pods in {}"),
    "node_cidr": Words("network of the nodes", "", "with nodes in {}"),
    "offload": Words("offloads", "", "with offloads {}"),
    "datapath": Words("datapath", "", "on the {} datapath"),
    "sdn": Words("controller framework", "", "with {}"),
    "seed": Words("seed", "", "with seed {}"),
}
"""Scenario options that can be swept, by field."""

NBSP = "\N{NO-BREAK SPACE}"

PARAMETER_WORDS: Mapping[str, Words] = {
    "size": Words("payload", "B", "with {} B of payload"),
    "flows": Words("number of flows", "", "with {} flow{s}"),
    "senders": Words("number of senders", "", "with {} senders"),
    "per_second": Words("messages a second", "", "with {} messages a second"),
}
"""Parameters of workloads."""


@dataclass(frozen=True)
class Axis:
    """A parameter and the values it takes, as the file has them: a scenario option, by its field, or a workload's
    parameter as in ``udp_stream.size``."""

    name: str
    values: tuple[Value, ...]

    @property
    def workload(self) -> str:
        """The workload whose parameter it is; empty for a scenario option."""
        return self.name.rpartition(".")[0]

    @property
    def parameter(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def words(self) -> Words:
        return (PARAMETER_WORDS if self.workload else OPTION_WORDS)[self.parameter]

    @property
    def is_numeric(self) -> bool:
        """Whether its values are quantities, rather than names."""
        return self.name != "seed" and not any(isinstance(value, str) for value in self.values)

    @property
    def ordered(self) -> tuple[Value, ...]:
        """Its values from the lowest on, as they are drawn: names as listed, ``None`` after all others."""
        if not self.is_numeric:
            return self.values
        return tuple(sorted(self.values, key=lambda value: (value is None, value)))

    @property
    def noun(self) -> str:
        """What it is called within a sentence, by whose parameter it is."""
        return f"{self.words.noun} of {self.workload}" if self.workload else self.words.noun

    @property
    def label(self) -> str:
        """What an axis of a figure is called."""
        words = self.words
        noun = words.noun[0].upper() + words.noun[1:]
        return f"{noun}, {words.unit}" if words.unit else noun

    def text(self, value: Value) -> str:
        """A value by itself, as in ``1500``, ``0.5``, ``unshaped``."""
        return self.words.absent if value is None else value_text(value)

    def told(self, value: Value) -> str:
        """A value within a sentence, as in ``at MTU 1500``, which no line ends within."""
        if value is None:
            return self.words.without
        words = self.words.told.replace(" {}", f"{NBSP}{{}}").replace("{} ", f"{{}}{NBSP}")
        return words.format(value_text(value), s="" if value == 1 else "s")


def value_text(value: Value) -> str:
    """A value as a file has it; a whole number without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True)
class Variant:
    """A workload that is measured at every point: ``base``, as the file names it, with the ``values`` it has on its own
    axes (axis -> value)."""

    name: str
    base: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Point:
    """A scenario of the grid: its name, which is that of its folder, its ``values`` (axis -> value), and its place in
    the order in which points are measured, from 0."""

    name: str
    values: Mapping[str, Value]
    scenario: Scenario
    order: int


@dataclass(frozen=True)
class Sweep:
    """All that a file asks for. ``scenario`` is what all points have in common; ``axes`` are in the order of the file,
    ``points`` in that of the grid."""

    designs: tuple[str, ...]
    variants: tuple[Variant, ...]
    profile: Profile
    scenario: Scenario
    axes: tuple[Axis, ...]

    @property
    def workloads(self) -> list[str]:
        return [variant.name for variant in self.variants]

    @cached_property
    def points(self) -> list[Point]:
        return grid(self.axes, self.scenario)

    def asked(self) -> dict[str, Any]:
        """What is asked for, as ``sweep.json`` has it."""
        return {
            "designs": list(self.designs),
            "workloads": [asdict(variant) for variant in self.variants],
            "profile": asdict(self.profile),
            "scenario": self.scenario.document(),
            "sweep": {axis.name: list(axis.values) for axis in self.axes},
        }


def axes_of(asked: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes of a stored sweep."""
    return tuple(Axis(name, tuple(values)) for name, values in asked["sweep"].items())


def variants_of(asked: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The workloads of a stored sweep."""
    return tuple(Variant(**entry) for entry in asked["workloads"])


ONLY_POINT = "point"
"""What the point is called of a sweep over workloads' parameters alone."""


def grid(axes: Sequence[Axis], scenario: Scenario) -> list[Point]:
    """Every combination of the axes that are scenario options, with ``scenario`` for all else. The order in which they
    are to be measured is drawn from its seed, so that a machine that drifts does not look like a parameter's effect."""
    own = [axis for axis in axes if not axis.workload]
    combinations: list[dict[str, Any]] = [{axis.name: value for axis, value in zip(own, values, strict=True)}
                                          for values in product(*(axis.values for axis in own))]
    orders = random.Random(f"points {scenario.seed}").sample(range(len(combinations)), len(combinations))
    return [Point(point_name(values), values, replace(scenario, **values), order)
            for values, order in zip(combinations, orders, strict=True)]


def point_name(values: Mapping[str, Value]) -> str:
    """The name of a point, which is a folder's too, as in ``mtu=1500,bw=10``."""
    words = {name: OPTION_WORDS[name].absent if value is None else value_text(value) for name, value in values.items()}
    return ",".join(f"{name}={re.sub('[^A-Za-z0-9._-]', '_', word)}" for name, word in words.items()) or ONLY_POINT
