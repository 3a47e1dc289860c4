"""Two runs compared: what is told of a change, and when it is a regression."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emu.measure.diff import Change, compare_runs, independent_ratio, render
from emu.measure.results import read_folder
from tests.live.machine import emu
from tests.unit.measure_support import run_json, samples, store

DESIGNS = ["bare", "l2"]


def run(path: Path, factors: Mapping[tuple[str, str], float] | None = None, seed: int = 1, blocks: int = 6,
        names: Sequence[str] = DESIGNS, **changes: Any) -> Path:
    """A run whose figures are as usual, those of some (design, metric) multiplied."""
    kept = [
        replace(s, value=s.value * (factors or {}).get((s.design, s.metric), 1.0)) if s.value is not None else s
        for s in samples(names, seed=seed, blocks=blocks)
    ]
    profile = {"name": "quick", "blocks": blocks, "lengths": {"ping_packets": 20}}
    return store(path, {**run_json(names, profile=profile), **changes}, kept)


def changes_of(a: Path, b: Path) -> dict[tuple[str, str, str], Change]:
    difference = compare_runs(read_folder(a), read_folder(b))
    return {(change.spec.partition(":")[0], change.workload, change.metric): change for change in difference.changes}


def emu_diff(*words: str) -> subprocess.CompletedProcess[str]:
    return emu("diff", *words)


def test_a_run_against_itself_shows_no_change(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    difference = compare_runs(read_folder(folder), read_folder(folder))
    assert {change.change.value for change in difference.changes} == {1.0}
    assert not any(change.is_regression(0.0) for change in difference.changes)
    assert difference.warnings == ()
    text = render(difference, [])
    assert text.count("no difference shown") == len(difference.changes)


def test_a_change_is_found_in_size_and_direction_and_only_there(tmp_path: Path) -> None:
    factors = {("l2", "rtt"): 1.2, ("l2", "throughput"): 0.8, **{(name, "rate"): 1.3 for name in DESIGNS}}
    changes = changes_of(run(tmp_path / "a"), run(tmp_path / "b", factors, seed=2))
    slower, less, more = (
        changes["l2", "ping", "rtt"], changes["l2", "tcp_stream", "throughput"], changes["bare", "http", "rate"]
    )
    for change, factor in ((slower, 1.2), (less, 0.8), (more, 1.3)):
        assert change.change.value == pytest.approx(factor, rel=0.05)
        assert change.change.interval is not None
        assert change.change.interval[0] < factor * 1.05
        assert change.change.interval[1] > factor * 0.95
    assert slower.worse_by > 0
    assert less.worse_by > 0
    assert more.worse_by < 0
    assert {key for key, change in changes.items() if change.is_regression(0.1)} == {
        ("l2", "ping", "rtt"), ("l2", "tcp_stream", "throughput")
    }


def test_a_slower_machine_is_no_regression_of_a_design_but_told(tmp_path: Path) -> None:
    twice = {(design, "rtt"): 2.0 for design in DESIGNS}
    difference = compare_runs(read_folder(run(tmp_path / "a")), read_folder(run(tmp_path / "b", twice, seed=2)))
    change = next(c for c in difference.changes if c.design == "l2" and c.metric == "rtt")
    assert change.change.value == pytest.approx(2.0, rel=0.05)
    assert change.of_ratio is not None
    assert change.of_ratio.value == pytest.approx(1.0, rel=0.05)
    assert difference.regressions(0.1) == []
    (warning,) = difference.warnings
    assert warning.startswith("bare itself has changed, ping rtt: ")


def test_a_design_that_got_slower_on_a_machine_that_got_faster_is_found(tmp_path: Path) -> None:
    factors = {(design, "rtt"): 0.8 for design in DESIGNS if design != "l2"}
    difference = compare_runs(read_folder(run(tmp_path / "a")), read_folder(run(tmp_path / "b", factors, seed=2)))
    assert [(c.design, c.metric) for c in difference.regressions(0.1)] == [("l2", "rtt")]


def test_bare_is_judged_where_there_is_nothing_else(tmp_path: Path) -> None:
    a = run(tmp_path / "a", names=["bare"])
    b = run(tmp_path / "b", {("bare", "rtt"): 1.3}, names=["bare"])
    difference = compare_runs(read_folder(a), read_folder(b))
    assert [(c.design, c.metric) for c in difference.regressions(0.1)] == [("bare", "rtt")]
    assert difference.warnings[-1].startswith("no ratio to bare in both runs of bare: ")


def test_designs_without_bare_are_judged_by_absolute_figures_with_a_warning(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", names=["l2"]), run(tmp_path / "b", {("l2", "rtt"): 1.3}, names=["l2"])
    done = emu_diff(str(a), str(b), "--fail-above", "10%")
    assert done.returncode == 1
    assert "beware: no ratio to bare in both runs of l2" in done.stdout
    document = json.loads(emu_diff(str(a), str(b), "--json").stdout)
    assert {entry["judged"] for entry in document["changes"]} == {"absolute"}
    assert not any(entry["regression"] for entry in document["changes"])  # no limit was given


def test_intervals_of_two_equal_runs_leave_out_1_about_as_seldom_as_they_say() -> None:
    generator = np.random.default_rng(5)
    missed = 0
    for seed in range(400):
        a, b = np.exp(generator.normal(0, 0.05, (2, 12)))
        low, high = independent_ratio(a, b, seed).interval or (0, 0)
        missed += not low <= 1 <= high
    assert 0.01 <= missed / 400 <= 0.10


def test_too_few_blocks_have_no_interval_and_are_no_regression(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a", blocks=3), run(tmp_path / "b", {("l2", "rtt"): 2.0}, blocks=3)
    change = changes_of(a, b)["l2", "ping", "rtt"]
    assert change.change.interval is None
    assert not change.is_regression(0.05)
    assert "too few blocks" in render(compare_runs(read_folder(a), read_folder(b)), [])


def test_what_makes_figures_incomparable_is_told(tmp_path: Path) -> None:
    scenario = {"nodes": None, "containers": None, "mtu": 9000, "offload": "on", "seed": 1}
    a = run(tmp_path / "a")
    designs = run_json(DESIGNS)["designs"]
    designs[0]["facts"]["offloads"] = {"a": {"tso": True, "tx": False}}
    b = run(tmp_path / "b", designs=designs, scenario=scenario, kernel="6.12.0", datapath="kernel", cpus=4,
            root=False, tools={**run_json(DESIGNS)["tools"], "ping": "20240905"})
    warnings = "\n".join(compare_runs(read_folder(a), read_folder(b)).warnings)
    assert "kernel differs: 6.1.0 in A, 6.12.0 in B" in warnings
    assert "datapath differs: netdev in A, kernel in B" in warnings
    assert "cpus differs: 2 in A, 4 in B" in warnings
    assert "root differs: True in A, False in B" in warnings
    assert "tools: ping differs: " in warnings
    assert "scenario: mtu is 1500 in A, 9000 in B" in warnings
    assert "offloads of bare differ: none in A, tso in B" in warnings


def test_options_of_a_newer_version_are_no_difference_where_they_were_not_used(tmp_path: Path) -> None:
    older = run_json(DESIGNS)["scenario"]
    a, b, c = (run(tmp_path / name, scenario={**older, **more})
               for name, more in (("a", {}), ("b", {"bw": None, "loss": 0.0, "links": {}}), ("c", {"loss": 1.0})))
    assert not compare_runs(read_folder(a), read_folder(b)).warnings
    assert "scenario: loss is 0.0 in A, 1.0 in B" in compare_runs(read_folder(a), read_folder(c)).warnings


def test_the_command_fails_on_regressions_alone(tmp_path: Path) -> None:
    a = run(tmp_path / "a")
    worse = run(tmp_path / "b", {("l2", "rtt"): 1.2})
    better = run(tmp_path / "c", {("l2", "rtt"): 0.8})
    assert emu_diff(str(a), str(worse)).returncode == 0
    assert emu_diff(str(a), str(worse), "--fail-above", "30%").returncode == 0
    assert emu_diff(str(a), str(better), "--fail-above", "5%").returncode == 0
    failed = emu_diff(str(a), str(worse), "--fail-above", "5%")
    assert failed.returncode == 1
    assert next(line for line in failed.stdout.splitlines() if line.endswith("REGRESSION")).startswith("l2:")
    document = json.loads(emu_diff(str(a), str(worse), "--json", "--fail-above", "0.05").stdout)
    assert document["format"] == "emu-diff/1"
    assert document["regressions"] == 1
    entry = next(e for e in document["changes"] if e["design"].startswith("l2") and e["metric"] == "rtt")
    assert entry["change"]["ci_low"] > 1
    assert entry["shown"] is True
    assert entry["judged"] == "ratio"
    assert [e for e in document["changes"] if e["regression"]] == [entry]


def test_mistakes_are_told_at_once(tmp_path: Path) -> None:
    done = emu_diff(str(tmp_path), "/nowhere", "--fail-above=-3%")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
