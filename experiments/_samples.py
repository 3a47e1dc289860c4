"""What experiments that measure themselves share: their samples, kept as they are taken."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emu import Lab
from emu.measure.metrics import Reading
from emu.measure.parsers import BadOutput
from emu.measure.results import ResultFolder, Sample


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
        values = [(reading.metric, float(reading.value)) for reading in readings] or [(next(iter(self.units)), None)]
        new = [Sample(lab.plan.design, dict(lab.plan.params), workload, metric, self.units[metric], block, 0,
                      len(self.samples), value, error is None, error, time.time()) for metric, value in values]
        self.folder.add_samples(new)
        self.samples += new

    def values(self, workload: str, metric: str, **params: str) -> list[float]:
        """All values of one kind, of labs with these parameters."""
        return [s.value for s in self.samples if s.value is not None and (s.workload, s.metric) == (workload, metric)
                and all(s.params.get(key) == value for key, value in params.items())]


def quantile(values: Sequence[float], q: float) -> float:
    """A quantile; NaN, which is not drawn, of nothing."""
    return float(np.quantile(values, q)) if values else float("nan")
