"""Scenario options: one table for the command line, for YAML files and for Python's keyword arguments.

Every mistake is collected; none hides another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emu.checks import scenario_problems
from emu.errors import UsageError
from emu.flannel import node_network, pod_network, read_kube_nodes, read_net_conf
from emu.model import Scenario, Shape
from emu.yamlfile import InFile, read_entries


@dataclass(frozen=True)
class Option:
    """One scenario option. ``unbuilt`` lists values that the interface names and this version lacks."""

    name: str
    metavar: str
    help: str
    convert: Callable[[str], Any]
    choices: tuple[str, ...] = ()
    unbuilt: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The name of the option in Python and in a YAML file."""
        return self.name.replace("-", "_")


def _choice(name: str, help_text: str, *choices: str, unbuilt: tuple[str, ...] = ()) -> Option:
    return Option(name, "|".join((*choices, *unbuilt)), help_text, str, choices, unbuilt)


def _links(value: Any) -> dict[str, dict[str, float]]:
    """Links by the name of their node, as YAML or as what YAML makes of it; ``ValueError`` if it is neither."""
    import yaml  # see emu.yamlfile

    try:
        read = yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        raise ValueError from None
    known = {field.name for field in fields(Shape)}
    if not isinstance(read, dict) or not all(isinstance(link, dict) and link.keys() <= known for link in read.values()):
        raise ValueError
    if any(isinstance(number, bool | list | dict | None) for link in read.values() for number in link.values()):
        raise ValueError
    return {str(node): {name: float(number) for name, number in link.items()} for node, link in read.items()}


def _of_file(reader: Callable[[Path], tuple[Any, list[str]]]) -> Callable[[Any], Any]:
    """What a file holds, from its name; ``UsageError`` with every mistake in it."""

    def read_file(value: Any) -> Any:
        if not isinstance(value, str | Path):
            raise ValueError
        found, problems = reader(Path(value))
        if problems:
            raise UsageError(*problems)
        return found

    return read_file


OPTIONS = (
    Option("nodes", "N", "number of nodes (4 in the deck)", int),
    Option("containers", "M", "containers on each node (the deck: 3 on the first and third node only)", int),
    Option("outside", "K", "machines outside the cluster, of overlay (0; 1 with outside=route|bridge|client)", int),
    Option("bw", "MBIT", "rate of every link between a node and the switch, each way (as fast as it goes)", float),
    Option("delay", "MS", "delay of every such link, each way (0)", float),
    Option("jitter", "MS", "how far each frame's delay is from that, up or down, at most (0)", float),
    Option("loss", "PCT", "percentage of frames lost on every such link, each way (0)", float),
    Option("links", "YAML", "links that are otherwise than the rest, as in '{node-c: {bw: 10, loss: 1}}'", _links),
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
    Option("flannel", "net-conf.json", "flannel's own configuration: pod network, subnets, overlay's back end",
           _of_file(read_net_conf)),
    Option("kube-nodes", "FILE", "the nodes of a cluster, as 'kubectl get nodes -o json' prints them",
           _of_file(read_kube_nodes)),
)


BY_FIELD = {option.field: option for option in OPTIONS}


def read(given: Mapping[str, Any], file: Path | None = None) -> tuple[Scenario, list[str]]:
    """The scenario that ``given`` (option -> value, ``None`` for not given) and a YAML file describe.

    Also returned is every mistake, those of the file with their lines: unknown options, values that cannot be read
    or are not built yet, and values that cannot be or do not fit each other. What is given wins over the file.
    """
    problems: list[str] = []
    values = read_entries(file, "scenario file", "'option: value' lines", problems) if file else {}
    good = readable(values, problems) | readable(given, problems)
    scenario = Scenario(**of_cluster(good, problems))
    named = {field_of(key): value.where for key, value in values.items() if given.get(field_of(key)) is None}
    for option, problem in scenario_problems(scenario):
        problems.append(named.get(option, "") + problem)
    return scenario, problems


def of_cluster(values: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """Values with what follows from the files of a real cluster; problems more where that is given otherwise, too."""
    flannel, nodes = values.get("flannel"), values.get("kube_nodes", ())
    followed = {**({"pod_cidr": flannel.network} if flannel else {}),
                **({"pod_cidr": pod_network(nodes)} if nodes and not flannel else {}),
                **({"node_cidr": node_network(nodes)} if nodes and "node_cidr" not in values else {})}
    if flannel and values.get("pod_cidr", flannel.network) != flannel.network:
        problems.append(f"--pod-cidr {values['pod_cidr']} is not flannel's Network, {flannel.network}")
    if nodes and "nodes" in values:
        problems.append("--nodes is given beside --kube-nodes, which says how many there are")
    if nodes and not flannel and "pod_cidr" in values:
        followed.pop("pod_cidr")
    return {**values, **followed, **({"nodes": None} if nodes else {})}


def from_mapping(values: Mapping[str, Any]) -> Scenario:
    """As ``read``, without a file; raises ``UsageError`` with all mistakes."""
    scenario, problems = read(values)
    if problems:
        raise UsageError(*problems)
    return scenario


def field_of(key: str) -> str:
    """The name of an option in Python, from how it is written."""
    return key.replace("-", "_")


def readable(values: Mapping[str, Any], problems: list[str], besides: str = "") -> dict[str, Any]:
    """The values that can be read, by field; the others' mistakes are added to ``problems``. ``besides``: what may be
    given in the same place and is no scenario option, in words."""
    good: dict[str, Any] = {}
    for key, value in values.items():
        where = value.where if isinstance(value, InFile) else ""
        plain = value.value if isinstance(value, InFile) else value
        option = BY_FIELD.get(field_of(key))
        if option is None:
            known = ", ".join(option.name for option in OPTIONS)
            problems.append(f"{where}unknown scenario option '{key}'; there are: {known}{besides}")
        elif plain is not None:
            try:
                converted, problem = convert(option, plain)
            except UsageError as error:
                problems += [where + each for each in error.problems]
                continue
            if problem:
                problems.append(where + problem)
            else:
                good[option.field] = converted
    return good


def convert(option: Option, value: Any) -> tuple[Any, str | None]:
    """A value as the scenario has it; or why it cannot be one. ``UsageError`` with all that is wrong with a file."""
    if isinstance(value, bool) and option.choices:  # YAML reads a bare on/off as a truth value
        value = "on" if value else "off"
    try:
        simple = option.convert is _links or not isinstance(value, bool | list | dict)
        if not simple or (option.convert is int and isinstance(value, float)):
            raise ValueError
        converted = option.convert(value)
    except ValueError:
        return None, f"--{option.name} takes {option.metavar}, not '{value}'"
    if converted in option.unbuilt:
        return None, f"--{option.name} {converted} is not built yet"
    if option.choices and converted not in option.choices:
        return None, f"--{option.name} takes {option.metavar}, not '{value}'"
    return converted, None
