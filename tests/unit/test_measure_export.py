"""A run as CSV and in flent's format: nothing lost, nothing made up, and flent opens it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import subprocess
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from emu.measure.export import flent_files, samples_csv
from emu.measure.results import read_folder
from emu.measure.summary import summarise
from tests.live.machine import emu
from tests.unit.measure_support import PARAMS, TRUTH, WORKLOADS, run_json, samples, store

DESIGNS = ["bare", "overlay"]
NAMES = {"bare": "bare", "overlay": "overlay_backend_vxlan"}


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    stored = read_folder(folder)
    return {name: json.loads(gzip.decompress(content)) for name, content in flent_files(stored, summarise(stored))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS))


def test_every_sample_is_a_row_with_nothing_changed(tmp_path: Path) -> None:
    odd = replace(samples(["overlay"])[0], value=None, ok=False, error='a "quoted", broken\nline')
    taken = [*samples(["overlay"], blocks=1), odd]
    rows = list(csv.DictReader(io.StringIO(samples_csv(taken))))
    assert len(rows) == len(taken)
    for row, sample in zip(rows, taken, strict=True):
        assert list(row) == list(asdict(sample))
        assert row["params"] == "backend=vxlan"
        assert (row["ok"], row["error"]) == (str(sample.ok).lower(), sample.error or "")
        assert (float(row["value"]) if row["value"] else None) == sample.value
        assert (int(row["block"]), int(row["trial"]), float(row["t"])) == (sample.block, sample.trial, sample.t)


def test_there_is_a_file_for_each_workload_and_design(folder: Path) -> None:
    assert set(documents(folder)) == {f"{w}-{NAMES[d]}.flent.gz" for w in WORKLOADS for d in DESIGNS}


def test_the_control_is_exported_under_its_name(tmp_path: Path) -> None:
    run = run_json(["bare"])
    run["control"] = {**run["designs"][0], "spec": "control", "design": "control"}
    twin = [replace(s, design="control") for s in samples(["bare"], seed=2)]
    folder = store(tmp_path / "run", run, [*samples(["bare"]), *twin])
    read = documents(folder)
    assert set(read) == {f"{w}-{name}.flent.gz" for w in WORKLOADS for name in ("bare", "control")}
    assert read["ping-control.flent.gz"]["metadata"]["EMU"]["design"] == "control"
    assert "control" in {row["design"] for row in csv.DictReader(io.StringIO(samples_csv(read_folder(folder).samples)))}


def test_files_have_what_flent_asks_of_them(folder: Path) -> None:
    """As ``ResultSet.unserialise`` and what it calls do, in flent 2.3.0's ``resultset.py``."""
    for name, document in documents(folder).items():
        assert set(document) == {"version", "metadata", "x_values", "results", "raw_values"}
        assert document["version"] == 4
        assert document["x_values"] == sorted(document["x_values"])
        for series, values in document["results"].items():
            assert len(values) == len(document["x_values"])
            raw = document["raw_values"][series]
            assert [point["val"] for point in raw] == [value for value in values if value is not None]
        metadata = document["metadata"]
        for key in ("NAME", "TITLE", "HOST", "LOCAL_HOST", "LENGTH", "TOTAL_LENGTH", "STEP_SIZE", "DATA_FILENAME"):
            assert metadata[key], key
        assert metadata["DATA_FILENAME"] == name
        assert metadata["SERIES_META"].keys() == document["results"].keys()
        begun = datetime.strptime(metadata["T0"], "%Y-%m-%dT%H:%M:%S.%fZ").timestamp()
        assert metadata["TIME"] == metadata["T0"]
        assert begun == datetime(2025, 1, 31, 9, 30).timestamp()
        first_t = min(raw[0]["t"] for raw in document["raw_values"].values())
        assert first_t - 1738315800.0 == pytest.approx(document["x_values"][0])


def test_values_are_in_the_units_that_flent_takes_for_granted(folder: Path) -> None:
    read = documents(folder)
    rtt_us, _, rate, bit_s = TRUTH["overlay"]
    found = read["ping-overlay_backend_vxlan.flent.gz"]
    assert found["metadata"]["SERIES_META"]["Ping (ms) ICMP"]["UNITS"] == "ms"
    assert found["raw_values"]["Ping (ms) ICMP"][0]["val"] == pytest.approx(rtt_us / 1000, rel=0.1)
    stream = read["tcp_stream-overlay_backend_vxlan.flent.gz"]
    assert stream["metadata"]["SERIES_META"]["TCP upload"]["UNITS"] == "Mbits/s"
    assert stream["raw_values"]["TCP upload"][0]["val"] == pytest.approx(bit_s / 1e6, rel=0.1)
    http = read["http-overlay_backend_vxlan.flent.gz"]
    assert http["metadata"]["SERIES_META"]["rate"]["UNITS"] == "1/s"
    assert http["raw_values"]["rate"][0]["val"] == pytest.approx(2 * rate, rel=0.1)


def test_failed_trials_and_doubts_go_along(tmp_path: Path) -> None:
    taken = [replace(s, value=None, ok=False, error="refused") if (s.workload, s.block) == ("http", 2) else s
             for s in samples(["bare"])]
    read = documents(store(tmp_path / "run", run_json(["bare"]), taken))
    http, ping = read["http-bare.flent.gz"]["metadata"], read["ping-bare.flent.gz"]["metadata"]
    assert http["EMU"]["failed_trials"] > 0
    assert "refused" in http["NOTE"]
    assert not http["EMU"]["trusted"]
    assert ping["EMU"] | {"trusted": True, "reasons": [], "failed_trials": 0} == ping["EMU"]
    assert None not in [point["val"] for point in read["http-bare.flent.gz"]["raw_values"]["rate"]]


def test_a_workload_without_a_value_has_no_file(tmp_path: Path) -> None:
    taken = [replace(s, value=None, ok=False, error="x") if s.workload == "http" else s for s in samples(["bare"])]
    assert "http-bare.flent.gz" not in documents(store(tmp_path / "run", run_json(["bare"]), taken))


def test_the_command_writes_into_the_folder(folder: Path) -> None:
    assert emu("export", str(folder), "--to", "csv").returncode == 0
    assert not (folder / "flent").exists()
    done = emu("export", str(folder))
    assert done.returncode == 0
    assert "10 files" in done.stdout
    assert len(list((folder / "flent").glob("*.flent.gz"))) == 10
    assert (folder / "samples.csv").read_text() == samples_csv(samples(DESIGNS))


def test_mistakes_are_told_at_once() -> None:
    done = emu("export", "/nowhere", "--to", "excel", "--to", "csv", "--to", "spss")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.skipif(shutil.which("flent") is None, reason="no flent on this machine (Debian's package: flent)")
def test_flent_opens_what_was_written(folder: Path) -> None:
    assert emu("export", str(folder), "--to", "flent").returncode == 0
    for path in (folder / "flent").iterdir():
        done = subprocess.run(["flent", "-f", "summary", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        design = next(name for name in PARAMS if f"-{NAMES.get(name, '?')}." in path.name)
        assert f"Title: '{path.name.partition('-')[0]}, {design}" in done.stdout
    ping = subprocess.run(["flent", "-f", "summary", str(folder / "flent" / "ping-bare.flent.gz")],
                          capture_output=True, text=True, check=True).stdout
    row = next(line for line in ping.splitlines() if "Ping (ms) ICMP" in line).split(":")[1].split()
    assert float(row[0]) == pytest.approx(TRUTH["bare"][0] / 1000, rel=0.1)
    assert row[-1] == "120"
