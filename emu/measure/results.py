"""The result folder: written as the run goes, read back without root and without a lab.

``docs/measuring.md`` tells what is in it. Files appear under their final name only when they are whole, but
for ``samples.jsonl``, which grows trial by trial so that an interrupted run keeps what it has.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from emu.errors import UsageError
from emu.output import OutputFolder

RUN_FORMAT, SUMMARY_FORMAT = "emu-run/1", "emu-summary/1"
CSV_FIELDS = (
    *("design", "params", "workload", "metric", "unit", "better", "n", "samples", "median", "mean", "p90", "p99"),
    *("ci_low", "ci_high", "ratio_to_bare", "ratio_ci_low", "ratio_ci_high"),
)


@dataclass(frozen=True)
class Sample:
    """One measured value, or one failed trial (``ok`` false, ``value`` ``None``, ``error`` told).

    ``block``, ``order`` (within the block) and ``trial`` count from 0; ``t`` is seconds since the epoch, UTC.
    """

    design: str
    params: Mapping[str, str]
    workload: str
    metric: str
    unit: str
    block: int
    order: int
    trial: int
    value: float | None
    ok: bool
    error: str | None
    t: float

    @property
    def spec(self) -> str:
        """The design and its parameters in the words of the command line."""
        return spec_of(self.design, self.params)


def spec_of(design: str, params: Mapping[str, str]) -> str:
    """``l2`` and ``{"proxy_arp": "switch"}`` -> ``l2:proxy_arp=switch``."""
    return f"{design}:{','.join(f'{key}={value}' for key, value in params.items())}" if params else design


def parts_of(spec: str) -> tuple[str, dict[str, str]]:
    """A design's name and its parameters, from what ``spec_of`` makes of them."""
    design, _, params = spec.partition(":")
    return design, dict(item.split("=") for item in params.split(",") if item)


@dataclass(frozen=True)
class Stored:
    """A result folder as read back. ``torn``: the last line of the samples was cut off and has been left out."""

    path: Path
    run: Mapping[str, Any]
    samples: tuple[Sample, ...]
    torn: bool


@dataclass
class ResultFolder(OutputFolder):
    """The result folder of a run being written."""

    _samples: IO[str] | None = field(default=None, repr=False)
    _calls: int = 0

    @classmethod
    def create(cls, path: Path) -> ResultFolder:
        """Make a new folder. ``UsageError`` as from ``refuse_impossible``."""
        folder = super().create(path)
        folder.folder("raw")
        folder.add_samples(())  # a run that is ended before its first sample has none, and that can be read back
        return folder

    @classmethod
    def take_up(cls, path: Path) -> ResultFolder:
        """The folder of a run that goes on."""
        folder = cls.reopen(path)
        folder._calls = sum(1 for _ in folder.folder("raw").glob("*.json"))
        return folder

    def __enter__(self) -> ResultFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._samples is not None:
            self._samples.close()

    def keep_only(self, kept: Iterable[Sample]) -> None:
        """Have the folder hold these samples and no others; before any are added."""
        self.write("samples.jsonl", "".join(map(_line, kept)))

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Append samples; they have left the process when this returns."""
        if self._samples is None:
            path = self.path / "samples.jsonl"
            self._samples = path.open("a", encoding="utf-8")
            self.give(path)
        self._samples.writelines(map(_line, samples))
        self._samples.flush()

    def add_call(self, what: str, call: Mapping[str, Any]) -> None:
        """Keep one call of a tool in ``raw/``: its command, output, error and status."""
        self.write_json(f"raw/{self._calls:05d}-{what}.json", call)
        self._calls += 1


def _line(sample: Sample) -> str:
    return json.dumps(asdict(sample), ensure_ascii=False) + "\n"


def read_folder(path: Path) -> Stored:
    """Read a result folder; ``UsageError`` if it is none. Needs only ``run.json`` and ``samples.jsonl``."""
    try:
        run = json.loads((path / "run.json").read_text(encoding="utf-8"))
        lines = (path / "samples.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise UsageError(f"{path} is not a result folder: {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}/run.json is damaged: {error}") from None
    if not isinstance(run, dict) or run.get("format") != RUN_FORMAT:
        raise UsageError(f"{path}/run.json is not of the format {RUN_FORMAT}")
    torn = bool(lines) and not lines[-1].endswith("\n")
    return Stored(path, run, tuple(_read_samples(path, lines[:-1] if torn else lines)), torn)


def _read_samples(path: Path, lines: Sequence[str]) -> Iterable[Sample]:
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            yield Sample(**{name: row[name] for name in Sample.__dataclass_fields__})
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path}/samples.jsonl:{number}: not a sample") from None


def summary_csv(metrics: Sequence[Mapping[str, Any]]) -> str:
    """The metrics of a summary as comma-separated values, one row each; what is absent stays empty."""
    return csv_text(CSV_FIELDS, map(flat, metrics))


def flat(metric: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``summary.json`` as a row of ``CSV_FIELDS``."""
    ratio = metric.get("ratio_to_bare", {})
    return {**metric, "params": params_text(metric["params"]), "ratio_to_bare": ratio.get("value", ""),
            "ratio_ci_low": ratio.get("ci_low", ""), "ratio_ci_high": ratio.get("ci_high", "")}


def params_text(params: Mapping[str, str]) -> str:
    """A design's parameters in one field of a table."""
    return " ".join(f"{key}={value}" for key, value in params.items())


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows under ``names`` (RFC 4180, but for line feeds alone at the ends of lines); what a row lacks stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
