"""``docs/claims.md``: its commands are real, its ranges hold for the committed run, and what it names exists."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from emu.cli import parser
from emu.designs import DEFAULT_DESIGNS, parse_design, plans_for
from emu.errors import UsageError
from emu.faults import fault_for
from emu.measure.asked import comparison_of
from emu.measure.results import read_folder
from emu.measure.summary import REFERENCE as REFERENCE_DESIGN
from emu.measure.summary import summarise
from emu.measure.words import number, ratio_text
from emu.measure.workloads import WORKLOADS
from emu.model import Plan
from emu.scenario import OPTIONS, read
from tests.live.machine import CHECKOUT, emu

DOCUMENT = CHECKOUT / "docs" / "claims.md"
REFERENCE = CHECKOUT / "results" / "reference"
RANGE = re.compile(r"(\d+\.\d\d) to (\d+\.\d\d)")


def tables(text: str) -> list[list[dict[str, str]]]:
    """Every table of a Markdown text, as rows by the names of their columns."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        head, _, *body = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()]
        found.append([dict(zip(head, cells, strict=True)) for cells in body])
    return found


BEHAVIOUR, FIGURES = tables(DOCUMENT.read_text(encoding="utf-8"))
COMMANDS = sorted({row["command"].strip("`") for row in (*BEHAVIOUR, *FIGURES)})


def mistakes_in(command: str) -> list[str]:
    """What the command line, or the checkout, would say against ``command`` before it begins."""
    program, *words = shlex.split(command.removeprefix("sudo "))
    if program != "./run":
        return [f"{program} is not ./run"]
    try:
        arguments, unknown = parser().parse_known_args(words)
    except UsageError as error:
        return list(error.problems)
    problems = [f"{arguments.verb} knows no '{word}'" for word in unknown]
    plans: tuple[Plan, ...] = ()
    if "scenario" in arguments:
        scenario, mistakes = read({o.field: getattr(arguments, o.field) for o in OPTIONS}, arguments.scenario)
        names = [arguments.design] if "design" in arguments else arguments.designs or list(DEFAULT_DESIGNS)
        problems += mistakes
        plans = plans_for(names, scenario, problems)
    if arguments.verb == "compare":
        try:
            comparison_of(plans, arguments.workloads or list(WORKLOADS), arguments.profile, arguments.out)
        except UsageError as error:
            problems += error.problems
    if arguments.verb == "trace":
        problems += [f"no machine '{name}'" for name in (arguments.src, arguments.dst) if plans[0].find(name) is None]
    if arguments.verb == "check" and arguments.fact:
        try:
            fault_for(plans[0], arguments.fact)
        except UsageError as error:
            problems += error.problems
    folders = [Path(value) for name, value in vars(arguments).items() if name.startswith("folder")]
    return problems + [f"there is no {folder}" for folder in folders if not (CHECKOUT / folder).is_dir()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_real(command: str) -> None:
    assert mistakes_in(command) == []


@pytest.mark.parametrize("command", ["./run chekc", "./run check l3", "./run check l2 --break rp-filter", "make check",
                                     "./run trace l2 ctr-1 ctr-99", "./run compare --workload pong --out results/mine",
                                     "./run report results/nowhere", "./run diff results/reference", "./run check -x"])
def test_a_command_that_is_not_real_would_be_noticed(command: str) -> None:
    assert mistakes_in(command)


def by_name(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metrics of a summary as ``docs/claims.md`` names them."""
    return {f"{entry['design']} {entry['workload']} {entry['metric']}": entry for entry in summary["metrics"]}


def entries() -> dict[str, dict[str, Any]]:
    return by_name(json.loads((REFERENCE / "summary.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("row", FIGURES, ids=lambda row: row["where to look"].strip("`"))
def test_the_committed_run_lies_within_the_expected_range(row: dict[str, str]) -> None:
    """Value and interval: a range that the reference itself could leave is none to hand to a reviewer."""
    ratio = entries()[row["where to look"].strip("`")]["ratio_to_bare"]
    low, high = map(float, RANGE.fullmatch(row["userspace switch"]).groups())  # type: ignore[union-attr]
    assert low < ratio["ci_low"] <= ratio["value"] <= ratio["ci_high"] < high
    assert (low < 1 < high) is False, "a range on both sides of 1 says nothing"
    if row["kernel switch"] != "-":
        assert RANGE.fullmatch(row["kernel switch"])


def test_the_committed_run_is_the_one_the_ranges_are_for() -> None:
    run = json.loads((REFERENCE / "run.json").read_text(encoding="utf-8"))
    assert (run["datapath"], run["scenario"]["offload"], run["scenario"]["mtu"]) == ("netdev", "off", 1500)
    assert json.loads((REFERENCE / "summary.json").read_text(encoding="utf-8"))["verdict"]["trusted"]


def test_the_committed_summary_is_what_its_samples_give() -> None:
    """What B9 says, short of writing into the checkout."""
    made = by_name(summarise(read_folder(REFERENCE)).document())
    assert made.keys() == entries().keys()
    for name, kept in entries().items():
        assert made[name].keys() == kept.keys()
        for key in ("n", "samples", "median", "ci_low", "ci_high"):
            assert made[name][key] == pytest.approx(kept[key], rel=1e-9), f"{name}, {key}"
        if "ratio_to_bare" in kept:
            assert made[name]["ratio_to_bare"] == pytest.approx(kept["ratio_to_bare"], rel=1e-9), name


def test_what_the_behaviours_name_is_there() -> None:
    plans = plans_for(list(DEFAULT_DESIGNS), read({}, None)[0], [])

    def ids(plan: Plan) -> set[str]:
        return {claim.id for claim in parse_design(plan.design).design.claims(plan)}

    for row in BEHAVIOUR:
        words = shlex.split(row["command"].strip("`").removeprefix("sudo "))[1:]
        named = {word for word in re.findall(r"`([\w-]+)`", row["where to look"]) if "-" in word and "." not in word}
        if words[0] == "check" and len(words) > 1:
            assert named <= ids(plans_for([words[1]], read({}, None)[0], [])[0]), row["claim"]
    count = sum(len(ids(plan)) for plan in plans)
    assert f"{count} claims: {count} hold, 0 fail, 0 not judged" in BEHAVIOUR[0]["where to look"]
    overlay = next(plan for plan in plans if plan.design == "overlay")
    assert fault_for(overlay, "missing-fdb").catchers(overlay) == ("tunnel-state",)


def test_a_run_against_itself_is_told_as_b10_says() -> None:
    (row,) = (row for row in BEHAVIOUR if row["claim"].startswith("B10"))
    words = shlex.split(row["command"].strip("`"))[1:]
    done = emu(*(str(CHECKOUT / word) if word.startswith("results/") else word for word in words))
    assert done.returncode == int(row["status"])
    lines = [line for line in done.stdout.splitlines()[1:] if line and not line.startswith("beware")]
    assert lines
    assert all(line.endswith("no difference shown") for line in lines)


README_COLUMNS = {
    "round trip, µs": ("ping", "rtt", 1.0),
    "requests, one connection, 1/s": ("tcp_rr", "rate", 1.0),
    "one TCP stream, Gbit/s": ("tcp_stream", "throughput", 1e-9),
    "HTTP, eight connections, 1/s": ("http", "rate", 1.0),
    "first packet, cold caches, µs": ("first_packet", "latency", 1.0),
}


def test_the_figures_of_the_readme_are_those_of_the_committed_run() -> None:
    summary = summarise(read_folder(REFERENCE))
    cells = {(cell.design, cell.workload, cell.metric): cell for cell in summary.cells.values()}
    rows = next(table for table in tables((CHECKOUT / "README.md").read_text(encoding="utf-8")) if len(table[0]) == 6)
    assert [row[""] for row in rows] == list(DEFAULT_DESIGNS)
    for row in rows:
        for heading, (workload, metric, scale) in README_COLUMNS.items():
            cell = cells[row[""], workload, metric]
            told = number(cell.median.value * scale)
            if cell.ratio and cell.design != REFERENCE_DESIGN:
                told += f", \N{MULTIPLICATION SIGN} {ratio_text(cell.ratio)}"
            assert row[heading] == told, (row[""], heading)
    assert summary.verdict.trusted
