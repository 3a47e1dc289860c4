"""The result folder: refused, written, read back; and what a summary and a verdict make of it."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from emu.errors import UsageError
from emu.measure.results import ResultFolder, read_folder
from emu.measure.summary import summarise
from emu.output import refuse_impossible
from tests.unit.measure_support import PARAMS, TRUTH, WORKLOADS, run_json, samples, store

DESIGNS = ["bare", "l2", "routed", "overlay"]


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    taken = samples(DESIGNS, blocks=2)
    failed = replace(taken[0], value=None, ok=False, error="no answer")
    stored = read_folder(store(tmp_path / "run", run_json(DESIGNS), [*taken, failed]))
    assert stored.samples == (*taken, failed)
    assert not stored.torn


def test_samples_are_on_disk_as_soon_as_they_are_added(tmp_path: Path) -> None:
    taken = samples(["bare"], blocks=2)
    with ResultFolder.create(tmp_path / "run") as folder:
        for count, sample in enumerate(taken[:5], start=1):
            folder.add_samples([sample])
            assert len((tmp_path / "run" / "samples.jsonl").read_text().splitlines()) == count


def test_a_sample_line_has_exactly_the_fields_of_the_interface(tmp_path: Path) -> None:
    path = store(tmp_path / "run", run_json(["l2"]), samples(["l2"], blocks=1))
    line = json.loads((path / "samples.jsonl").read_text().splitlines()[0])
    assert list(line) == ["design", "params", "workload", "metric", "unit", "block", "order", "trial", "value", "ok",
                          "error", "t"]


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    path = store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS))
    text = (path / "samples.jsonl").read_text()
    (path / "samples.jsonl").write_text(text[:-20])
    stored = read_folder(path)
    assert stored.torn
    assert len(stored.samples) == len(text.splitlines()) - 1
    assert any("cut off" in note for note in summarise(stored).verdict.notes)


@pytest.mark.parametrize("damage", ["{}\n", "not json\n", '{"design": "l2"}\n'])
def test_a_damaged_line_elsewhere_is_refused_with_its_number(tmp_path: Path, damage: str) -> None:
    path = store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS))
    lines = (path / "samples.jsonl").read_text().splitlines(keepends=True)
    (path / "samples.jsonl").write_text("".join([*lines[:3], damage, *lines[3:]]))
    with pytest.raises(UsageError, match=r"samples.jsonl:4: not a sample"):
        read_folder(path)


def test_what_is_no_result_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a result folder"):
        read_folder(tmp_path)
    (tmp_path / "samples.jsonl").touch()
    (tmp_path / "run.json").write_text('{"format": "something/9"}')
    with pytest.raises(UsageError, match="not of the format emu-run/1"):
        read_folder(tmp_path)


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("run", "link"):
        with pytest.raises(UsageError, match="exists already"):
            ResultFolder.create(tmp_path / name)
        with pytest.raises(UsageError, match="exists already"):
            refuse_impossible(tmp_path / name)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("place", "because"),
    [("/proc/nowhere/run", "in /proc: "), ("file/run", "in {tmp}/file: Not a directory"),
     ("file/deeper/run", "in {tmp}/file: Not a directory"), ("dangling/run", "in {tmp}/dangling: No such file")],
)
def test_where_no_folder_can_be_made_is_told_beforehand(tmp_path: Path, place: str, because: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError) as refused:
        refuse_impossible(tmp_path / place)
    (problem,) = refused.value.problems
    assert f"{tmp_path / place}: {because.format(tmp=tmp_path)}" in problem
    assert "--out" in problem


def test_trying_where_a_folder_is_to_stand_leaves_nothing(tmp_path: Path) -> None:
    refuse_impossible(tmp_path / "results" / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ResultFolder.create(tmp_path / "run")
    folder.write("summary.csv", "old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        folder.write("summary.csv", "new and longer")
    assert (tmp_path / "run" / "summary.csv").read_text() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_belongs_to_the_owner_of_where_it_stands(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 2345)
    path = store(tmp_path / "results" / "run", run_json(["bare"]), samples(["bare"], blocks=1))
    with ResultFolder.reopen(path) as folder:
        folder.folder("plots")
        folder.write("plots/x.png", b"x")
        folder.add_call("ping", {"argv": ["ping"]})
    everything = [tmp_path / "results", *(tmp_path / "results").rglob("*")]
    assert len(everything) == 8
    assert {(p.stat().st_uid, p.stat().st_gid) for p in everything} == {(1234, 2345)}


def test_the_summary_finds_the_truth_it_was_given(tmp_path: Path) -> None:
    summary = summarise(read_folder(store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS))))
    assert summary.verdict.trusted
    for spec, name in zip(summary.specs, DESIGNS, strict=True):
        cell = summary.cell(spec, "tcp_stream", "throughput")
        assert cell is not None
        assert cell.ratio is not None
        assert cell.median.value == pytest.approx(TRUTH[name][3], rel=0.03)
        assert cell.ratio.value == pytest.approx(TRUTH[name][3] / TRUTH["bare"][3], rel=0.04)
        assert cell.ratio.interval is not None
        assert cell.ratio.interval[0] <= cell.ratio.value <= cell.ratio.interval[1]


def test_designs_keep_their_order_whatever_the_order_of_the_command(tmp_path: Path) -> None:
    turned = ["overlay", "routed", "bare", "l2"]
    summary = summarise(read_folder(store(tmp_path / "run", run_json(turned), samples(turned))))
    assert [spec.partition(":")[0] for spec in summary.specs] == DESIGNS


def test_summary_entries_are_as_the_interface_says(tmp_path: Path) -> None:
    document = summarise(read_folder(store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS)))).document()
    assert document["format"] == "emu-summary/1"
    by_metric = {(e["design"], e["workload"], e["metric"]): e for e in document["metrics"]}
    entry = by_metric["overlay", "ping", "rtt"]
    assert set(entry) == {"design", "params", "workload", "metric", "unit", "better", "n", "samples", "median", "mean",
                          "p90", "p99", "ci_low", "ci_high", "ratio_to_bare"}
    assert (entry["params"], entry["unit"], entry["better"]) == (PARAMS["overlay"], "us", "lower")
    assert (entry["n"], entry["samples"]) == (6, 120)
    assert set(entry["ratio_to_bare"]) == {"value", "ci_low", "ci_high"}
    assert "ratio_to_bare" not in by_metric["overlay", "tcp_stream", "retransmits"]
    assert set(document["verdict"]) >= {"trusted", "reasons"}
    json.dumps(document, allow_nan=False)


def test_no_intervals_below_six_blocks_and_no_ratios_without_bare(tmp_path: Path) -> None:
    few = summarise(read_folder(store(tmp_path / "few", run_json(DESIGNS), samples(DESIGNS, blocks=5)))).document()
    assert all("ci_low" not in entry for entry in few["metrics"])
    assert {frozenset(e["ratio_to_bare"]) for e in few["metrics"] if "ratio_to_bare" in e} == {frozenset({"value"})}
    assert not few["verdict"]["trusted"]
    others = summarise(read_folder(store(tmp_path / "others", run_json(["l2"]), samples(["l2"])))).document()
    assert all("ratio_to_bare" not in entry for entry in others["metrics"])


def test_the_csv_says_what_the_json_says(tmp_path: Path) -> None:
    from emu.measure.results import summary_csv

    workload = "udp_rr:size=512,per_second=1000"  # a comma in a field
    taken = [*samples(DESIGNS), *(replace(s, workload=workload) for s in samples(DESIGNS) if s.metric == "latency")]
    run = run_json(DESIGNS, [*WORKLOADS, workload])
    document = summarise(read_folder(store(tmp_path / "run", run, taken))).document()
    rows = list(csv.DictReader(summary_csv(document["metrics"]).splitlines()))
    assert len(rows) == len(document["metrics"])
    for row, entry in zip(rows, document["metrics"], strict=True):
        assert row["workload"] == entry["workload"]
        assert float(row["median"]) == entry["median"]
        ratio = entry.get("ratio_to_bare", {}).get("value", math.nan)
        assert float(row["ratio_to_bare"] or math.nan) == pytest.approx(ratio, nan_ok=True)
