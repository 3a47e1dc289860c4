"""What experiments that measure themselves share: their words, and their samples, kept as they are taken."""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import _environment
import numpy as np

from emu import Lab
from emu.errors import UsageError
from emu.measure.metrics import Reading
from emu.measure.parsers import BadOutput
from emu.measure.plots import image
from emu.measure.results import ResultFolder, Sample
from emu.measure.stats import block_medians
from emu.output import default_name, refuse_impossible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Experiment:
    """The samples so far, and where they go. ``units``: of each metric."""

    folder: ResultFolder
    units: Mapping[str, str]
    samples: list[Sample] = field(default_factory=list)

    def add(self, lab: Lab, workload: str, block: int, measured: Callable[["Experiment", Lab], list[Reading]]) -> None:
        """Keep what is measured of a lab; a tool's output without a measurement is a failed sample."""
        error, readings = None, []
        try:
            readings = measured(self, lab)
        except BadOutput as bad:
            error = str(bad)
        self.keep(lab.plan.design, dict(lab.plan.params), workload, block, readings, error)

    def keep(self, design: str, params: Mapping[str, str], workload: str, block: int, readings: Sequence[Reading],
             error: str | None = None) -> None:
        """Keep readings of what has no lab; none: a failed sample."""
        values = [(reading.metric, float(reading.value)) for reading in readings] or [(next(iter(self.units)), None)]
        new = [Sample(design, params, workload, metric, self.units[metric], block, 0, len(self.samples), value,
                      error is None, error, time.time()) for metric, value in values]
        self.folder.add_samples(new)
        self.samples += new

    def blocks(self, spec: str, workload: str, metric: str) -> dict[int, float]:
        """The median of each block."""
        found: dict[int, list[float]] = defaultdict(list)
        for s in self.samples:
            if s.value is not None and (s.spec, s.workload, s.metric) == (spec, workload, metric):
                found[s.block].append(s.value)
        return block_medians(found)

    def values(self, workload: str, metric: str, **params: str) -> list[float]:
        """All values of one kind, of labs with these parameters."""
        return [s.value for s in self.samples if s.value is not None and (s.workload, s.metric) == (workload, metric)
                and all(s.params.get(key) == value for key, value in params.items())]

    def draw(self, figure: "Figure", name: str) -> None:
        """Keep a figure among the plots, as picture and for print."""
        self.folder.folder("plots")
        for kind in ("png", "pdf"):
            self.folder.write(f"plots/{name}.{kind}", image(figure, kind))


def parser_for(about: str, blocks: int) -> argparse.ArgumentParser:
    """The command line of an experiment, but for what it alone has; ``blocks``: rounds unless said otherwise."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", metavar="N", default=str(blocks), help="rounds (default: %(default)s)")
    parser.add_argument("--sdn", metavar="auto|ryu|os-ken", help="SDN framework")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder for the results")
    parser.add_argument("--debug", action="store_true", help="a traceback for errors")
    return parser


def whole(option: str, text: str, least: int, problems: list[str], most: int | None = None) -> int:
    """The number that an option was given, less than ``least`` where it is none; a problem more if it is not between
    ``least`` and ``most``."""
    value = int(text) if text.isdecimal() else least - 1
    if value < least or (most is not None and value > most):
        allowed = f"of {least} or more" if most is None else f"between {least} and {most}"
        problems.append(f"{option} {text}: a number {allowed}")
    return value


def each_whole(option: str, words: Sequence[str], problems: list[str], most: int | None = None,
               least: int = 1) -> list[int]:
    """The numbers of ``least`` or more that an option was given, in order, each once."""
    values = {whole(option, word, least, problems, most) for word in words}
    return sorted(value for value in values if value >= least and (most is None or value <= most))


def new_folder(out: Path | None, experiment: str, problems: list[str]) -> Path:
    """The folder that was asked for, or one named after time and experiment; a problem more if it cannot be made."""
    out = out or _environment.CHECKOUT / "results" / default_name(datetime.now(timezone.utc), experiment)
    try:
        refuse_impossible(out)
    except UsageError as error:
        problems += error.problems
    return out


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile; NaN, which is not drawn, of nothing."""
    return float(np.quantile(values, q)) if values else float("nan")
