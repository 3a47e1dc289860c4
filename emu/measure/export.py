"""A run in other people's formats: every sample as CSV, and flent's data files. Pure: stored run -> texts, bytes.

flent's format, version 4 (flent 2.0 and newer), is that of ``flent/resultset.py`` and of "The Data File Format" in
flent's documentation (https://flent.org/data-format.html): gzipped JSON of ``metadata``, ``version``, ``x_values``,
``results`` (series as long as ``x_values``, null where a series has no value) and ``raw_values``.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timezone
from typing import Any

from emu.measure.results import Sample, Stored, csv_text, params_text
from emu.measure.summary import Summary
from emu.measure.trust import CONTROL
from emu.measure.words import conditions

FLENT_VERSION = 4
FLENT_TESTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "ping": ("ping", {"rtt": "Ping (ms) ICMP"}),
    "first_packet": ("ping", {"latency": "Ping (ms) ICMP"}),
    "tcp_stream": ("tcp_1up_noping", {"throughput": "TCP upload"}),
    "tcp_rr": ("http", {"latency": "HTTP latency"}),
    "http": ("http", {"latency": "HTTP latency"}),
}
"""A workload -> flent's test that is most like it, and the names this test gives to our metrics: its plots then find
them. Metrics that flent has no name for keep ours."""

OTHER_TEST = "ping"
"""The test named for all other workloads: flent opens only files that name one of its tests."""

FLENT_UNITS = {"us": ("ms", 1e-3), "bit/s": ("Mbits/s", 1e-6)}
"""Our unit -> what flent's plots take it for granted to be, and by what values are multiplied."""


def samples_csv(samples: Sequence[Sample]) -> str:
    """Every sample as a row under the names of ``samples.jsonl``; parameters as in ``summary.csv``. A failed trial has
    no value, ``ok`` false and an error."""
    rows = ({**asdict(sample), "params": params_text(sample.params), "ok": str(sample.ok).lower()}
            for sample in samples)
    return csv_text([field.name for field in fields(Sample)], rows)


def flent_files(stored: Stored, summary: Summary) -> Iterator[tuple[str, bytes]]:
    """A name and the content of a ``.flent.gz`` for each workload and design, the control too, that has values."""
    for spec in (*summary.specs, CONTROL):
        for workload in stored.run["workloads"]:
            taken = [s for s in stored.samples if (s.spec, s.workload) == (spec, workload)]
            if any(sample.value is not None for sample in taken):
                name = f"{workload}-{re.sub('[^A-Za-z0-9]+', '_', spec)}.flent.gz"
                document = {**_series(stored.run, taken), "metadata": _metadata(stored.run, summary, taken, name)}
                yield name, gzip.compress(json.dumps(document, sort_keys=True).encode(), mtime=0)


def _series(run: Mapping[str, Any], taken: Sequence[Sample]) -> dict[str, Any]:
    """``x``: seconds from the run's start until a sample was written down; those of a trial were within moments."""
    good = [sample for sample in taken if sample.value is not None]
    names = list(dict.fromkeys(sample.metric for sample in good))
    started = _started(run).timestamp()
    values = [(sample.metric, _scaled(sample)) for sample in good]
    return {
        "version": FLENT_VERSION,
        "x_values": [round(sample.t - started, 6) for sample in good],
        "results": {_name(taken[0].workload, metric): [value if own == metric else None for own, value in values]
                    for metric in names},
        "raw_values": {_name(taken[0].workload, metric): [
            {"t": s.t, "val": _scaled(s), "block": s.block, "trial": s.trial} for s in good if s.metric == metric]
            for metric in names},
    }


def _metadata(run: Mapping[str, Any], summary: Summary, taken: Sequence[Sample], file: str) -> dict[str, Any]:
    """What flent asks of a file's metadata, and under ``EMU`` what it has no word for."""
    first = taken[0]
    measured = [*run["designs"], run.get("control")]
    design = next(design for design in measured if design and design["spec"] == first.spec)
    started = _started(run)
    reasons = [reason.text for reason in summary.verdict.doubts(first.spec, first.workload)]
    length_s = max(sample.t for sample in taken) - started.timestamp()
    return {
        "NAME": FLENT_TESTS.get(first.workload, (OTHER_TEST, {}))[0],
        "TITLE": f"{first.workload}, {first.spec}",
        "NOTE": " ".join([conditions(run), "Not trusted: " + "; ".join(reasons) if reasons else "Trusted."]),
        "TIME": f"{started:%Y-%m-%dT%H:%M:%S.%fZ}", "T0": f"{started:%Y-%m-%dT%H:%M:%S.%fZ}",
        "LOCAL_HOST": design["endpoints"][0], "HOST": design["endpoints"][1], "HOSTS": [design["endpoints"][1]],
        "LENGTH": length_s, "TOTAL_LENGTH": length_s, "STEP_SIZE": length_s / max(1, len(taken)),
        "IP_VERSION": 4, "KERNEL_RELEASE": run["kernel"], "DATA_FILENAME": file,
        "BATCH_NAME": None, "BATCH_TITLE": None, "BATCH_UUID": None,
        "SERIES_META": {_name(s.workload, s.metric): {"UNITS": FLENT_UNITS.get(s.unit, (s.unit, 1))[0]} for s in taken},
        "EMU": {
            "format": run["format"], "version": run["version"], "revision": run["revision"], "argv": run["argv"],
            "design": first.design, "params": dict(first.params), "workload": first.workload,
            "datapath": run["datapath"], "scenario": run["scenario"], "seed": run["seed"],
            "failed_trials": len({sample.trial for sample in taken if not sample.ok}),
            "trusted": not reasons, "reasons": reasons,
        },
    }


def _started(run: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(run["started"]).astimezone(timezone.utc)


def _name(workload: str, metric: str) -> str:
    return FLENT_TESTS.get(workload, (OTHER_TEST, {}))[1].get(metric, metric)


def _scaled(sample: Sample) -> float:
    assert sample.value is not None
    return sample.value * FLENT_UNITS.get(sample.unit, ("", 1))[1]
