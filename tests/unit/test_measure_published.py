"""Held against the literature: what is published, where a run stands beside it, and why elsewhere; all from the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emu.measure.budget import Spent
from emu.measure.metrics import METRICS
from emu.measure.published import held, incomparable, order, studies_of, why
from emu.measure.results import read_folder
from emu.measure.summary import Summary, summarise
from emu.measure.workloads import WORKLOADS
from tests.unit.measure_support import page_of, run_json, samples, store

DESIGNS = ["bare", "l2", "routed", "overlay"]
OVERLAY = "overlay:backend=vxlan"


def summary_of(tmp_path: Path, factors: Mapping[tuple[str, str], float] | None = None,
               **changes: Any) -> tuple[dict[str, Any], Summary]:
    """A run, the figures of some (design, metric) multiplied."""
    run = run_json(DESIGNS, **changes)
    taken = [replace(s, value=(s.value or 0) * (factors or {}).get((s.design, s.metric), 1)) for s in samples(DESIGNS)]
    return run, summarise(read_folder(store(tmp_path / "run", run, taken)))


def test_every_row_names_a_source_a_workload_and_a_range() -> None:
    known = json.loads(files("emu.measure").joinpath("published.json").read_text(encoding="utf-8"))
    for row in known["studies"]:
        assert row["source"] in known["sources"]
        assert row["workload"] in WORKLOADS
        assert row["metric"] in {*METRICS, "cpu_per_byte"}
        assert 0 < row["low"] <= row["high"]
    assert {row["source"] for row in known["studies"]} == set(known["sources"])
    assert all(source["url"].startswith("https://") for source in known["sources"].values())


def test_on_the_kernel_datapath_each_ratio_is_told_to_lie_below_within_or_above(tmp_path: Path) -> None:
    """The made-up overlay carries half of bare's bytes and two thirds of its requests."""
    run, summary = summary_of(tmp_path, datapath="kernel")
    stands = {(row.spec.partition(":")[0], row.quantity): row.stand for row in held(run, summary)}
    assert stands["overlay", "One TCP stream"] == "within what is published"
    assert stands["overlay", "Requests, one connection"] == "above what is published"
    assert stands["routed", "One TCP stream"] == "above what is published"
    slow = summary_of(tmp_path / "slow", {("overlay", "throughput"): 0.1}, datapath="kernel")
    row = next(row for row in held(*slow) if (row.spec, row.quantity) == (OVERLAY, "One TCP stream"))
    assert row.stand == "below what is published"
    assert "0.18\N{EN DASH}0.20 (Suo et al., INFOCOM 2018: kernel overlays)" in [str(study) for study in row.studies]


@pytest.mark.parametrize(("changes", "stand"), [
    ({"datapath": "netdev"}, "not comparable: userspace switch"),
    ({"datapath": "kernel", "interrupted": True}, "ours is not to be trusted"),
])
def test_what_cannot_be_compared_says_so(tmp_path: Path, changes: dict[str, Any], stand: str) -> None:
    assert {row.stand for row in held(*summary_of(tmp_path, **changes))} == {stand}


def test_super_packets_are_not_comparable_either() -> None:
    assert incomparable(run_json(["bare"], datapath="kernel")) == ""
    assert "super-packets" in incomparable(run_json(["bare"], datapath="kernel", scenario={"offload": "on"}))
    shaped = {"offload": "off", "bw": 100.0}
    assert "shaped links" in incomparable(run_json(["bare"], datapath="kernel", scenario=shaped))


def test_the_order_is_contradicted_by_intervals_alone(tmp_path: Path) -> None:
    _, summary = summary_of(tmp_path)
    assert [told.partition(":")[0] for told in order(summary)] == ["Requests, one connection", "One TCP stream"]
    assert order(summary)[1] == "One TCP stream: the order bare ≥ l2 ≥ routed ≥ overlay is contradicted by no interval."
    _, other = summary_of(tmp_path / "other", {("overlay", "throughput"): 2})
    assert order(other)[1].endswith("is contradicted: overlay above l2, overlay above routed.")
    _, doubted = summary_of(tmp_path / "doubted", interrupted=True)
    assert order(doubted) == []


def test_the_reasons_are_those_of_the_run(tmp_path: Path) -> None:
    run, summary = summary_of(tmp_path)
    told = " ".join(why(run, summary))
    assert "Userspace switch" in told
    assert "4 nodes, the switch and the tools share 2 CPUs" in told
    assert "No super-packets: at most 1,4" in told
    assert "bare's 1.2" in told
    larger = {(design, "packet_size"): 20 for design in DESIGNS}
    run, summary = summary_of(tmp_path / "kernel", larger, datapath="kernel", cpus=None,
                              scenario={"offload": "on", "mtu": 1500, "bw": 100})
    told = " ".join(why(run, summary))
    assert "Userspace switch" not in told
    assert "Super-packets: up to 28," in told
    assert "a wire carries 1,514" in told
    assert "unshaped" not in told


def test_the_switch_s_share_is_the_budget_s(tmp_path: Path) -> None:
    budget: Any = SimpleNamespace(spec="bare", segments={"switch": Spent(10.0, 12.0, 100)},
                                  round_trip=SimpleNamespace(value=40.0))
    assert "here: 25%" in why(*summary_of(tmp_path), [budget])[0]


def test_backends_are_not_mixed_up(tmp_path: Path) -> None:
    _, summary = summary_of(tmp_path)
    cell = summary.cells[OVERLAY, "tcp_stream", "throughput"]
    assert len(studies_of(cell)) == 3
    assert [s.system for s in studies_of(replace(cell, params={"backend": "wireguard"}))] == ["WireGuard"]
    assert studies_of(replace(cell, params={"backend": "geneve"})) == ()


def test_the_report_has_the_section_where_there_is_something_to_hold(tmp_path: Path) -> None:
    summary_of(tmp_path)
    page = page_of(tmp_path / "run")
    assert "Held against the literature" in page
    assert "Zhuo et al. (Slim), NSDI 2019: Weave, VXLAN" in page
    alone = page_of(store(tmp_path / "alone", run_json(["bare"]), samples(["bare"])))
    assert "Held against the literature" not in alone
