"""Scenario options: one table for the command line, for YAML files and for Python's keyword arguments.

Every reader collects all mistakes and raises one ``UsageError`` that names each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emu.errors import UsageError
from emu.model import Scenario


@dataclass(frozen=True)
class Option:
    """One scenario option. ``unbuilt`` lists values that the interface names and this version lacks."""

    name: str
    metavar: str
    help: str
    convert: Callable[[str], Any]
    choices: tuple[str, ...] = ()
    unbuilt: tuple[str, ...] = ()
    built: bool = True

    @property
    def field(self) -> str:
        """The name of the option in Python and in a YAML file."""
        return self.name.replace("-", "_")


def _choice(name: str, help_text: str, *choices: str, unbuilt: tuple[str, ...] = ()) -> Option:
    return Option(name, "|".join((*choices, *unbuilt)), help_text, str, choices, unbuilt)


OPTIONS = (
    Option("nodes", "N", "number of nodes (4 in the deck)", int),
    Option("containers", "M", "containers on each node (the deck: 3 on the first and third node only)", int),
    Option("outside", "K", "machines outside the cluster", int, built=False),
    Option("bw", "MBIT", "rate of every link", float, built=False),
    Option("delay", "MS", "delay of every link", float, built=False),
    Option("jitter", "MS", "variation of the delay", float, built=False),
    Option("loss", "PCT", "loss on every link", float, built=False),
    Option("mtu", "BYTES", "MTU of the underlay (1500)", int),
    Option("pod-cidr", "CIDR", "network of the pod subnets (10.0.0.0/16)", str),
    Option("node-cidr", "CIDR", "network of the nodes (192.168.0.0/16)", str),
    _choice("offload", "segmentation and checksum offloads on every interface (off)", "on", "off"),
    _choice(
        "datapath",
        "Open vSwitch datapath (auto: kernel where there is one)",
        "auto",
        "kernel",
        "netdev",
        unbuilt=("afxdp",),
    ),
    _choice("sdn", "controller framework (auto: Ryu where it is installed)", "auto", "ryu", "os-ken"),
    Option("seed", "S", "seed of everything random (1)", int),
)
BY_FIELD = {option.field: option for option in OPTIONS}


def from_mapping(values: Mapping[str, Any], where: Callable[[str], str] = lambda key: "") -> Scenario:
    """The scenario that ``values`` (option name -> value, ``None`` for not given) describe.

    ``where(key)`` is put before a complaint about ``key``, such as a line number. Raises ``UsageError``
    naming every unknown option, unreadable value and value that is not built yet. Whether the values fit each
    other is for ``emu.checks`` to say.
    """
    good: dict[str, Any] = {}
    problems = []
    for key, value in values.items():
        option = BY_FIELD.get(str(key).replace("-", "_"))
        if option is None:
            known = ", ".join(option.name for option in OPTIONS)
            problems.append(f"{where(key)}unknown scenario option '{key}'; there are: {known}")
        elif value is not None:
            converted, problem = _convert(option, value)
            if problem:
                problems.append(where(key) + problem)
            else:
                good[option.field] = converted
    if problems:
        raise UsageError(*problems)
    return Scenario(**good)


def _convert(option: Option, value: Any) -> tuple[Any, str | None]:
    if not option.built:
        return None, f"--{option.name} is not built yet"
    if isinstance(value, bool) and option.choices:  # YAML reads a bare on/off as a truth value
        value = "on" if value else "off"
    try:
        if isinstance(value, bool | list | dict) or (option.convert is int and isinstance(value, float)):
            raise ValueError
        converted = option.convert(value)
    except ValueError:
        return None, f"--{option.name} takes {option.metavar}, not '{value}'"
    if converted in option.unbuilt:
        return None, f"--{option.name} {converted} is not built yet"
    if option.choices and converted not in option.choices:
        return None, f"--{option.name} takes {option.metavar}, not '{value}'"
    return converted, None


def from_file(path: Path, overrides: Mapping[str, Any]) -> Scenario:
    """The scenario of a YAML file; ``overrides`` given on the command line win. Complaints carry line numbers."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the scenario file {path}: {error}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        return from_mapping(overrides)
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{path}: a scenario file holds 'option: value' lines")
    lines: dict[str, int] = {}
    values: dict[str, Any] = {}
    problems = []
    for key_node, value_node in root.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key.replace("-", "_") in {known.replace("-", "_") for known in values}:
            problems.append(f"{path}:{line}: '{key}' is given twice")
        lines[key] = line
        values[key] = yaml.SafeLoader("").construct_object(value_node, deep=True)
    try:
        scenario = from_mapping(values, where=lambda key: f"{path}:{lines[key]}: ")
    except UsageError as error:
        problems.extend(error.problems)
    if problems:
        raise UsageError(*problems)
    given = {key: value for key, value in overrides.items() if value is not None}
    return from_mapping(
        {**{option.field: getattr(scenario, option.field) for option in OPTIONS if option.built}, **given}
    )
