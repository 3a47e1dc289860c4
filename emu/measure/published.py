"""Ratios to bare that others have published, to hold ours against; data and sources in ``published.json``.

Nothing here changes a figure of ours, and nothing is tuned to fit: this says where a run stands, and why elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from emu.measure.budget import Budget
from emu.measure.stats import Estimate
from emu.measure.summary import REFERENCE, Cell, Summary
from emu.measure.words import DASH, QUESTIONS, number, ratio_text
from emu.packets import ETHERNET_HEADER_BYTES

ORDER = (REFERENCE, "l2", "routed", "overlay")
"""From the fastest on, as most of the studies have them."""


@dataclass(frozen=True)
class Study:
    """What one study found: a range of a ratio to bare (a point where ``low`` is ``high``), of which system."""

    source: str
    system: str
    low: float
    high: float

    def __str__(self) -> str:
        span = f"{self.low:.2f}" if self.low == self.high else f"{self.low:.2f}{DASH}{self.high:.2f}"
        return f"{span} ({self.source}: {self.system})"


@dataclass(frozen=True)
class Band:
    """A published range of a ratio, and who published it."""

    low: float
    high: float
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """One of our ratios beside what is published. ``stand``: where ours lies, or that the two are not comparable."""

    spec: str
    quantity: str
    ours: str
    studies: tuple[Study, ...]
    stand: str


@cache
def _published() -> Mapping[str, Any]:
    values: Mapping[str, Any] = json.loads(files("emu.measure").joinpath("published.json").read_text(encoding="utf-8"))
    return values


def studies_of(cell: Cell) -> tuple[Study, ...]:
    """What is published of what a cell measures."""
    known = _published()
    return tuple(
        Study(known["sources"][row["source"]]["short"], ", ".join(filter(None, (row["system"], row.get("as")))),
              row["low"], row["high"])
        for row in known["studies"]
        if (row["design"], row["workload"], row["metric"]) == (cell.design, cell.workload, cell.metric)
        and row.get("backend") in (None, cell.params.get("backend"))
    )


def sources() -> list[str]:
    """The sources in full, with addresses."""
    return [f"{source['title']}. {source['url']}" for source in _published()["sources"].values()]


def incomparable(run: Mapping[str, Any]) -> str:
    """Why a run's ratios cannot be held against published ones; empty where they can."""
    if run["datapath"] != "kernel":
        return "not comparable: userspace switch"
    if any(run["scenario"].get(name) for name in ("bw", "delay", "jitter", "loss", "links")):
        return "not comparable: shaped links"
    return "not comparable: super-packets" if run["scenario"]["offload"] != "off" else ""


def band(run: Mapping[str, Any], cell: Cell) -> Band | None:
    """The published range for a cell. Only for runs on the kernel datapath without offloads: in user space the
    switch's own cost is a large part of every figure, so its ratios are not comparable."""
    found = studies_of(cell)
    if incomparable(run) or not found:
        return None
    return Band(min(study.low for study in found), max(study.high for study in found),
                tuple(dict.fromkeys(study.source for study in found)))


def held(run: Mapping[str, Any], summary: Summary) -> list[Held]:
    """Every ratio of a run of which something is published."""
    headings = {(question.workload, question.metric): question.heading for question in QUESTIONS}
    rows = []
    for cell in summary.cells.values():
        studies = studies_of(cell)
        if cell.ratio is not None and studies:
            quantity = headings.get((cell.workload, cell.metric), f"{cell.workload}, {cell.metric}")
            known = band(run, cell)
            stand = incomparable(run) if known is None else _stand(cell.ratio, known)
            if summary.verdict.doubts(cell.spec, cell.workload):
                stand = "ours is not to be trusted"
            rows.append(Held(cell.spec, quantity, ratio_text(cell.ratio), studies, stand))
    return rows


def _stand(ratio: Estimate, known: Band) -> str:
    low, high = ratio.interval or (ratio.value, ratio.value)
    if high < known.low:
        return "below what is published"
    if low > known.high:
        return "above what is published"
    return "within what is published" if known.low <= ratio.value <= known.high else "reaches into what is published"


def order(summary: Summary) -> list[str]:
    """Whether a run's rates contradict the order that most studies have; a sentence for each that they measured. The
    interval of a ratio that lies wholly above that of a design which should be faster contradicts it."""
    studied = {(row["workload"], row["metric"]) for row in _published()["studies"]}
    sentences = []
    for question in QUESTIONS:
        if not question.higher_is_better or (question.workload, question.metric) not in studied:
            continue
        found: dict[str, tuple[float, float]] = {}
        for cell in summary.cells.values():
            asked = (cell.workload, cell.metric) == (question.workload, question.metric) and cell.design in ORDER
            sound = asked and not summary.verdict.doubts(cell.spec, cell.workload)
            if sound and cell.ratio is not None and cell.ratio.interval is not None:
                found.setdefault(cell.design, cell.ratio.interval)
        present = [name for name in ORDER if name in found]
        wrong = [f"{after} above {before}" for at, before in enumerate(present) for after in present[at + 1 :]
                 if found[after][0] > found[before][1]]
        if len(present) > 2:
            told = f"is contradicted: {', '.join(wrong)}" if wrong else "is contradicted by no interval"
            sentences.append(f"{question.heading}: the order {' ≥ '.join(present)} {told}.")
    return sentences


def why(run: Mapping[str, Any], summary: Summary, budgets: Sequence[Budget] = ()) -> list[str]:
    """Why ratios measured here differ from published ones, from what this run was and measured; a sentence each."""
    reasons = [_switch(run, budgets)] if run["datapath"] != "kernel" else []
    cpus = f"{run['cpus']} CPUs" if run["cpus"] else "the same CPUs"
    reasons.append(f"One machine: {run['nodes']} nodes, the switch and the tools share {cpus}, and no frame crosses a "
                   "network card. In most of the studies each end has a machine of its own: there the dearer end is "
                   "the limit, here it is the sum of both.")
    reasons += _frames(run, summary)
    bare = summary.cell(REFERENCE, "tcp_stream", "throughput")
    if bare is not None and run["scenario"].get("bw") is None:
        reasons.append(f"No card's speed: links are unshaped, so bare's {number(bare.median.value * 1e-9)} Gbit/s in "
                       "one stream is what the CPUs give. Where a card is bare's limit, ratios are nearer to 1.")
    return reasons


def _switch(run: Mapping[str, Any], budgets: Sequence[Budget]) -> str:
    measured = ""
    bare = next((budget for budget in budgets if budget.spec == REFERENCE and "switch" in budget.segments), None)
    if bare is not None:
        share = bare.segments["switch"].median_us / bare.round_trip.value
        measured = f" (of bare's captured round trip here: {share:.0%})"
    return ("Userspace switch: every packet of every design is handed to a process and back, bare's too. That is a "
            f"constant cost{measured} which pulls ratios towards 1; it is not in the studies. So ranges are listed, "
            "and not drawn behind ours.")


def _frames(run: Mapping[str, Any], summary: Summary) -> list[str]:
    sizes = [cell.median.value for cell in summary.cells.values() if cell.metric == "packet_size"]
    if not sizes:
        return []
    limit = int(run["scenario"]["mtu"]) + ETHERNET_HEADER_BYTES
    if max(sizes) > limit:
        return [f"Super-packets: up to {max(sizes):,.0f} bytes a frame cross the links here, where a wire carries "
                f"{limit:,}. A tunnel's cost per packet is then spread over more bytes, so it looks cheaper."]
    return [f"No super-packets: at most {max(sizes):,.0f} bytes a frame. Cards of real machines usually cut and "
            "join segments themselves; there a packet's cost is spread over more bytes."]
