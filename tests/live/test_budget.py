"""Latency budgets of real packets: every part in its place, nothing missing, and what ``compare`` makes of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from emu import Lab
from emu.cli import main
from emu.designs import DEFAULT_DESIGNS, plans_for
from emu.errors import LabError, UsageError
from emu.live.lab import Completed
from emu.measure import compare as comparing
from emu.measure.asked import comparison_of
from emu.measure.blocks import PROFILES, Profile
from emu.measure.budget import FAR_STACK, UNEXPLAINED, Budget, RoundTrip
from emu.measure.budget_run import BLOCKS, measure_budget
from emu.measure.budget_view import read_budgets
from emu.measure.progress import Progress
from emu.measure.results import read_folder
from emu.measure.workloads import Lengths
from emu.model import Scenario

pytestmark = pytest.mark.alone

REPEATS = 20
OWN_PARTS = {"bare": {"switch"}, "l2": {"bridge", "routing", "switch"}, "routed": {"routing", "gateway"},
             "overlay": {"overlay device", "switch"}}


def assert_whole(lab: Lab, budget: Budget, repeats: int) -> None:
    ends = (budget.src, budget.dst)
    trip = RoundTrip(lab.path(*ends), lab.path(*ends[::-1]))
    assert tuple(leg for leg, _ in budget.hops) == trip.legs
    for spent in (*(spent for _, spent in budget.hops), *budget.segments.values()):
        assert spent.n == repeats
        assert spent.median_us > 0
        assert spent.p99_us is None  # of so few
    assert {leg.segment for leg, _ in budget.hops} | {UNEXPLAINED} == set(budget.segments)
    # Medians do not quite add up; a packet joined with another's sightings would be off by the 2 ms between pings.
    assert sum(spent.median_us for _, spent in budget.hops) < 2 * budget.round_trip.value
    assert budget.blocks == BLOCKS
    assert budget.capture_cost.interval is not None


@pytest.mark.parametrize("design", DEFAULT_DESIGNS)
def test_a_budget_of_pings(design: str) -> None:
    with Lab(design) as lab:
        assert lab.plan.endpoints
        budget = measure_budget(lab, *lab.plan.endpoints, "ping", REPEATS)
        assert_whole(lab, budget, REPEATS)
        assert set(budget.segments) >= OWN_PARTS[design] | {FAR_STACK, "wire"}


def test_a_budget_of_requests_and_what_has_none() -> None:
    with Lab("overlay") as lab:
        budget = measure_budget(lab, "ctr-1", "ctr-4", "http", REPEATS)
        assert_whole(lab, budget, REPEATS)
        lab["ctr-1"].run(["ip", "route", "add", "blackhole", "10.0.3.2/32"])
        calls: list[Completed] = []
        with pytest.raises(LabError, match="0 of 10 requests by curl were answered: curl"):
            measure_budget(lab, "ctr-1", "ctr-4", "http", 1, calls.append)
        assert [call.argv[0] for call in calls] == ["curl"]
        for request, repeats in (("arp", 1), ("ping", 0)):
            with pytest.raises(UsageError, match="a latency budget"):
                measure_budget(lab, "ctr-1", "ctr-4", request, repeats)


def test_compare_ends_with_a_budget_of_each_design_and_its_report_shows_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["compare", "bare", "overlay", "--workload", "ping", "--profile", "quick", "--out", str(out)]) == 0
    budgets = read_budgets(out)
    assert [budget.design for budget in budgets] == ["bare", "overlay"]
    assert {budget.repeats for budget in budgets} == {comparing.BUDGET_REPEATS}
    assert json.loads((out / "budget.json").read_text())["format"] == "emu-budget/1"
    assert "Where the time goes" in (out / "report.html").read_text()
    assert {"latency-budget.png", "latency-budget.pdf"} <= {path.name for path in (out / "plots").iterdir()}
    assert list((out / "raw").glob("*-budget-overlay.json"))


def test_a_budget_that_fails_is_a_warning_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Budget:
        raise LabError("the capture lost 3 frames")

    monkeypatch.setattr(comparing, "measure_budget", fails)
    lengths = Lengths(ping_packets=20, request_s=0.2, stream_s=1, first_packets=2)
    monkeypatch.setitem(PROFILES, "tiny", Profile("tiny", 1, lengths))
    asked = comparison_of(plans_for(["bare"], Scenario(), []), ["ping"], "tiny", tmp_path / "out")
    out = comparing.compare(asked, [], Progress(io.StringIO()))
    run = read_folder(out).run
    assert not run["interrupted"]
    assert "no latency budget of bare: the capture lost 3 frames" in run["warnings"]
    assert not (out / "budget.json").exists()
    assert "the capture lost 3 frames" in (out / "report.html").read_text()
