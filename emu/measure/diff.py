"""Two runs compared: what changed from one result folder to the other, per design and metric. Pure.

The runs may be of two machines, two versions or two days. Their blocks have nothing to do with each other, so they are
resampled independently: the change is the median of B over that of A, with a percentile bootstrap over the blocks of
both (Efron 1979). Beside it stands the change of the ratio to bare: what is the same for a whole machine cancels there.
That one decides wherever there is one, for labs that come up anew and a machine that others share differ from run to
run by more than blocks of either tell (``docs/measuring.md``, "Two runs compared").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.measure.blocks import MINIMUM_BLOCKS
from emu.measure.metrics import METRICS
from emu.measure.results import Stored
from emu.measure.stats import LEVEL, Estimate, interval_entry
from emu.measure.summary import REFERENCE, Cell, Summary, summarise
from emu.measure.surroundings import SURROUNDINGS, differences
from emu.measure.words import columns, differs, labs_text, ratio_text
from emu.model import Scenario

FORMAT = "emu-diff/1"
DRAWS = 4000

@dataclass(frozen=True)
class Change:
    """One metric of one design in both runs. ``change``: B over A of the median; ``of_ratio``: B over A of the ratio to
    bare, where both have one."""

    spec: str
    workload: str
    metric: str
    before: float
    after: float
    change: Estimate
    of_ratio: Estimate | None

    @property
    def design(self) -> str:
        """The design without its parameters."""
        return self.spec.partition(":")[0]

    @property
    def judged(self) -> Estimate:
        """The change that decides: of the ratio to bare where there is one."""
        return self.of_ratio or self.change

    @property
    def worse_by(self) -> float:
        """By how much B is worse, as a share of A; negative where it is better."""
        rises = self.judged.value - 1
        return rises if METRICS[self.metric].better == "lower" else -rises

    def is_regression(self, limit: float) -> bool:
        """Whether B is worse by more than ``limit`` and the change's interval leaves out none."""
        return differs(self.judged) and self.worse_by > limit


@dataclass(frozen=True)
class Difference:
    """All that changed from run A to run B. ``warnings``: conditions that differ, and what only one run has."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    def regressions(self, limit: float) -> list[Change]:
        """What got worse by more than ``limit``."""
        return [change for change in _of_designs(self.changes) if change.is_regression(limit)]

    def document(self, regressions: Collection[Change]) -> dict[str, Any]:
        """As ``emu diff --json`` prints it. ``regressions``: those of the changes that fail."""
        entries = [{**_entry(change), "regression": change in regressions} for change in self.changes]
        return {"format": FORMAT, "warnings": list(self.warnings), "changes": entries, "regressions": len(regressions)}


def compare_runs(a: Stored, b: Stored) -> Difference:
    """The change from ``a`` to ``b`` of every metric that has a cost and that both have measured."""
    before, after = summarise(a), summarise(b)
    shared = [key for key in before.cells if key in after.cells and METRICS[key[2]].is_cost]
    seed = int(a.run["seed"])
    changes = tuple(_change(before.cells[key], after.cells[key], seed) for key in shared)
    warnings = (*_conditions(a.run, b.run), *_missing(before, after), *_doubts(before, after), *_of_bare(changes),
                *_unrelated(changes))
    return Difference(changes, warnings)


def _of_designs(changes: Sequence[Change]) -> Sequence[Change]:
    """The changes that are designs': of ``bare`` only where there is nothing else, for it stands for the machine, and
    for what all designs share."""
    return [change for change in changes if change.design != REFERENCE] or changes


def _change(a: Cell, b: Cell, seed: int) -> Change:
    ratios = None
    if a.ratios and b.ratios and a.design != REFERENCE:
        ratios = independent_ratio(np.array(b.ratios), np.array(a.ratios), seed)
    values = independent_ratio(_blocks(b), _blocks(a), seed)
    return Change(a.spec, a.workload, a.metric, a.median.value, b.median.value, values, ratios)


def _blocks(cell: Cell) -> NDArray[np.float64]:
    return np.array(list(cell.blocks.values()))


def independent_ratio(values: NDArray[np.float64], reference: NDArray[np.float64], seed: int) -> Estimate:
    """The median of ``values`` over that of ``reference`` (one value a block each, blocks unrelated), with its
    bootstrap interval; none below ``MINIMUM_BLOCKS`` blocks of either."""
    middle = float(np.median(values) / np.median(reference))
    if min(values.size, reference.size) < MINIMUM_BLOCKS:
        return Estimate(middle, None, None)
    generator = np.random.default_rng(seed)
    drawn = [
        np.median(blocks[generator.integers(0, blocks.size, (DRAWS, blocks.size))], axis=1)
        for blocks in (values, reference)
    ]
    low, high = np.quantile(drawn[0] / drawn[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(middle, float(low), float(high))


def _conditions(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What the runs' conditions have different, a sentence each."""
    surroundings = ({name: run.get(name) for name in SURROUNDINGS} for run in (a, b))
    found = [f"{what} differs: {in_a} in A, {in_b} in B" for what, in_a, in_b in differences(*surroundings)]
    default = asdict(Scenario())  # a run of a version without an option had what is its default now
    asked_a, asked_b = ({**default, **run["scenario"]} for run in (a, b))
    found += [
        f"scenario: {name} is {asked_a.get(name)} in A, {asked_b.get(name)} in B"
        for name in {**asked_a, **asked_b}
        if asked_a.get(name) != asked_b.get(name)
    ]
    offloads = [_offloads(run) for run in (a, b)]
    found += [
        f"offloads of {spec} differ: {offloads[0][spec]} in A, {offloads[1][spec]} in B"
        for spec in offloads[0]
        if spec in offloads[1] and offloads[0][spec] != offloads[1][spec]
    ]
    if labs_text(a) != labs_text(b):
        found.append(f"labs differ: {labs_text(a)} in A, {labs_text(b)} in B")
    if a["profile"] != b["profile"]:
        found.append(f"profile differs: {a['profile']['name']} in A, {b['profile']['name']} in B")
    return found


def _offloads(run: Mapping[str, Any]) -> dict[str, str]:
    """What is on at the endpoints of each design, in words."""
    found = {}
    for design in run["designs"]:
        devices = design["facts"]["offloads"].values()
        found[design["spec"]] = ", ".join(sorted({name for on in devices for name in on if on[name]})) or "none"
    return found


def _missing(a: Summary, b: Summary) -> list[str]:
    """What only one of the runs has measured."""
    return [
        f"only {name} has {spec}, {workload}, {metric}"
        for name, has, other in (("A", a, b), ("B", b, a))
        for spec, workload, metric in has.cells
        if (spec, workload, metric) not in other.cells
    ]


def _of_bare(changes: Iterable[Change]) -> list[str]:
    """What has changed for all designs, maybe."""
    return [
        f"bare itself has changed, {change.workload} {change.metric}: {ratio_text(change.change)}; the machine has, or"
        " what all designs share"
        for change in changes
        if change.design == REFERENCE and differs(change.change)
    ]


def _unrelated(changes: Sequence[Change]) -> list[str]:
    """That absolute figures decide, where they do."""
    found = dict.fromkeys(change.spec for change in _of_designs(changes) if not change.of_ratio)
    return [f"no ratio to {REFERENCE} in both runs of {', '.join(found)}: absolute figures decide there, and they"
            " change by themselves from labs to labs (docs/measuring.md)"] if found else []


def _doubts(a: Summary, b: Summary) -> list[str]:
    return [
        f"{name} is not trusted: {reason.text}" for name, run in (("A", a), ("B", b)) for reason in run.verdict.reasons
    ]


def _entry(change: Change) -> dict[str, Any]:
    metric = METRICS[change.metric]
    entry: dict[str, Any] = {
        "design": change.spec,
        "workload": change.workload,
        "metric": change.metric,
        "unit": metric.unit,
        "better": metric.better,
        "a": change.before,
        "b": change.after,
        "change": {"value": change.change.value, **interval_entry(change.change)},
        "shown": differs(change.judged),
        "judged": "ratio" if change.of_ratio else "absolute",
    }
    if change.of_ratio:
        entry["change_of_ratio_to_bare"] = {"value": change.of_ratio.value, **interval_entry(change.of_ratio)}
    return entry


def render(difference: Difference, regressions: Iterable[Change]) -> str:
    """The difference as text: a line a design and metric, then what to beware of."""
    failed = set(regressions)
    rows = [("", "A", "B", "B / A (95 %)", "of the ratio to bare", "")]
    for change in difference.changes:
        rows.append(
            (
                f"{change.spec} {change.workload} {change.metric}, {METRICS[change.metric].unit}",
                f"{change.before:.4g}",
                f"{change.after:.4g}",
                ratio_text(change.change),
                ratio_text(change.of_ratio) if change.of_ratio else "",
                "REGRESSION" if change in failed else _word(change),
            )
        )
    return "\n".join([*columns(rows), *(f"beware: {warning}" for warning in difference.warnings)])


def _word(change: Change) -> str:
    if change.judged.interval is None:
        return "too few blocks"
    if not differs(change.judged):
        return "no difference shown"
    return "worse" if change.worse_by > 0 else "better"
