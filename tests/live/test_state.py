"""The state meter on running labs: every design's law, and what it says where an entry is missing."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from emu.designs import make_plan, parse_design
from emu.live.lab import Lab
from emu.measure.state import Point, count, departures
from emu.model import Plan, Scenario
from tests.live.apart import CHECKOUT
from tests.unit.test_measure_state import SPECS

pytestmark = pytest.mark.live

SCRIPT = str(CHECKOUT / "experiments" / "state.py")


def plan_of(spec: str, nodes: int, containers: int) -> Plan:
    return make_plan(parse_design(spec), Scenario(nodes=nodes, containers=containers))


def counted(plan: Plan) -> Point:
    with Lab(plan) as lab:
        return count(lab)


def test_every_law_holds_at_two_sizes() -> None:
    plans = [plan_of(spec, nodes, containers) for spec in SPECS for nodes, containers in ((2, 1), (4, 2))]
    points = [counted(plan) for plan in plans]  # in turn: neighbors of all labs count against one limit
    assert departures(points) == []


def with_first(plan: Plan, **changed: object) -> Plan:
    """The plan with a part of its first node changed."""
    return replace(plan, machines=(replace(plan.machines[0], **changed), *plan.machines[1:]))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["routes", "neighbors", "fdb"])
def test_a_missing_entry_breaks_the_law(kind: str) -> None:
    """Without containers, nobody needs what the overlay writes: the entry is missed by the count alone."""
    sound = plan_of("overlay", 3, 0)
    fewer = with_first(sound, **{kind: getattr(sound.machines[0], kind)[:-1]})
    law = {"routes": 4}.get(kind, 2)
    where = f"{sound.spec}, 3 nodes, 0 containers on each"
    assert departures([counted(fewer)]) == [f"{where}: {kind} of a node: {law - 1} to {law}, by the law {law}"]


def test_a_route_too_many_breaks_the_law() -> None:
    sound = plan_of("hostgw", 2, 0)
    routes = sound.machines[0].routes
    more = with_first(sound, routes=(*routes, replace(routes[0], destination="198.51.100.0/24")))
    where = f"{sound.spec}, 2 nodes, 0 containers on each"
    assert departures([counted(more)]) == [f"{where}: routes of a node: 3 to 4, by the law 3"]


def test_the_script_keeps_what_it_counts_and_names_all_mistakes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [SCRIPT, "bare", "--nodes", "2", "--containers", "0", "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "every law holds at all of 1 points" in done.stdout
    assert {path.name for path in out.iterdir()} == {"state.json", "state.csv", "state.png", "state.pdf"}
    assert json.loads((out / "state.json").read_text())["designs"][0]["holds"]
    words = [SCRIPT, "bear", "--nodes", "1,x", "--containers", "-1", "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for complaint in ("--nodes 1:", "--nodes x:", "--containers -1", "no design 'bear'", "exists already"):
        assert complaint in done.stderr
    assert "Traceback" not in done.stderr
