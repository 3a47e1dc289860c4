"""How far a run can be trusted, and why not further.

A *reason* is something that makes figures wrong or unfounded; one is enough for "not trusted". A *note* is a
fact that explains figures and is no fault, such as the userspace datapath.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.measure.blocks import MINIMUM_BLOCKS
from emu.measure.parsers import PINNED_CONGESTION_CONTROL
from emu.measure.results import Sample

MOST_RETRANSMITS = 0.001
"""Share of segments sent again from which on a stream is held back by drops rather than by the design."""

SMALL_BUFFER_BYTES = 4 << 20
"""Receive buffers below this drop bursts at the userspace switch (212,992 is the kernel's default)."""

ETHERNET_HEADER_BYTES = 14


@dataclass(frozen=True)
class Reason:
    """Why figures are not to be trusted; ``None`` stands for every design, every workload.

    ``short`` is what fits beside a point of a figure.
    """

    text: str
    short: str
    design: str | None = None
    workload: str | None = None

    def concerns(self, design: str, workload: str) -> bool:
        """Whether it touches the figures of this design under this workload."""
        return self.design in (None, design) and self.workload in (None, workload)


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run."""

    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        return not self.reasons

    def doubts(self, design: str, workload: str) -> list[Reason]:
        """The reasons that touch the figures of this design under this workload."""
        return [reason for reason in self.reasons if reason.concerns(design, workload)]

    def document(self) -> dict[str, Any]:
        """The verdict of ``summary.json``."""
        return {
            "trusted": self.trusted,
            "reasons": [reason.text for reason in self.reasons],
            "notes": list(self.notes),
        }


def judge(run: Mapping[str, Any], samples: Sequence[Sample], medians: Mapping[tuple[str, str, str], float],
          torn: bool) -> Verdict:
    """The verdict on a run: its facts, its samples, and the median of each (design, workload, metric)."""
    facts = {design["spec"]: design["facts"] for design in run["designs"]}
    reasons = (
        *_too_few_blocks(samples, run["workloads"]),
        *_failures(samples),
        *_unequal(facts),
        *(Reason(f"{spec}: {len(errors)} controller errors, the first: {errors[0]}", "controller errors", spec)
          for spec, errors in run["controller_errors"].items() if errors),
        *_drops(medians),
        *_super_packets(run, facts, medians),
        *_small_buffers(facts),
    )
    return Verdict(reasons, tuple(_notes(run, facts, torn)))


def _too_few_blocks(samples: Sequence[Sample], workloads: Sequence[str]) -> list[Reason]:
    reasons = []
    for workload in workloads:
        blocks = {s.block for s in samples if s.ok and s.workload == workload}
        if len(blocks) < MINIMUM_BLOCKS:
            text = f"{workload}: {len(blocks)} blocks; below {MINIMUM_BLOCKS} there are no intervals"
            reasons.append(Reason(text, "few blocks", workload=workload))
    return reasons


def _failures(samples: Sequence[Sample]) -> list[Reason]:
    failed = [sample for sample in samples if not sample.ok]
    counts = Counter((spec, workload) for spec, workload, _ in {(s.spec, s.workload, s.trial) for s in failed})
    first = {(s.spec, s.workload): s.error for s in reversed(failed)}
    return [
        Reason(f"{spec}, {workload}: {count} trials failed, the first: {first[spec, workload]}",
               "failed trials", spec, workload)
        for (spec, workload), count in counts.items()
    ]


def _unequal(facts: Mapping[str, Mapping[str, Any]]) -> list[Reason]:
    """What must be the same for all designs, and is not. The MTU compared is that of the underlay: a tunnel's
    smaller inner MTU is part of the design."""
    equal = {
        "the underlay's MTU": [fact["underlay_mtu"] for fact in facts.values()],
        "congestion control": [sorted({c for each in fact["congestion_control"].values() for c in each})
                               for fact in facts.values()],
        "the datapath": [fact["datapath"] for fact in facts.values()],
        "the controller framework": [fact["sdn"] for fact in facts.values()],
        "socket buffers": [fact["socket_buffers"] for fact in facts.values()],
    }
    reasons = [
        Reason(f"{what} differs between designs: " + "; ".join(f"{s}: {v}" for s, v in zip(facts, values, strict=True)),
               "unequal settings")
        for what, values in equal.items() if any(value != values[0] for value in values)
    ]
    for spec, fact in facts.items():
        used = {c for each in fact["congestion_control"].values() for c in each}
        if used != {PINNED_CONGESTION_CONTROL}:
            reasons.append(Reason(f"{spec}: congestion control is {', '.join(sorted(used))}, not "
                                  f"{PINNED_CONGESTION_CONTROL}", "not cubic", spec))
    for kind in ("offloads", "sysctls"):
        reasons += _differing_settings(kind, facts)
    return reasons


def _differing_settings(kind: str, facts: Mapping[str, Mapping[str, Any]]) -> list[Reason]:
    """Settings present at endpoints of several designs whose values are not the same everywhere."""
    seen: dict[str, dict[str, set[str]]] = {}
    for spec, fact in facts.items():
        for settings in fact[kind].values():
            for name, value in settings.items():
                seen.setdefault(name, {}).setdefault(spec, set()).add(str(value))
    return [
        Reason(f"{kind} differ between endpoints: {name} is "
               + ", ".join(f"{'/'.join(sorted(values))} in {spec}" for spec, values in by_spec.items()),
               "unequal settings")
        for name, by_spec in seen.items() if len(set().union(*by_spec.values())) > 1
    ]


def _drops(medians: Mapping[tuple[str, str, str], float]) -> list[Reason]:
    return [
        Reason(f"{spec}, {workload}: {share:.2%} of the segments were sent again", "drops", spec, workload)
        for (spec, workload, metric), share in medians.items()
        if metric == "retransmits" and share >= MOST_RETRANSMITS
    ]


def _super_packets(run: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]],
                   medians: Mapping[tuple[str, str, str], float]) -> list[Reason]:
    if run["scenario"].get("offload") == "on":
        return []
    return [
        Reason(f"{spec}, {workload}: {size:.0f} bytes per packet are above the MTU though offloads are off",
               "super-packets", spec, workload)
        for (spec, workload, metric), size in medians.items()
        if metric == "packet_size" and size > max(facts[spec]["mtu"].values()) + ETHERNET_HEADER_BYTES
    ]


def _small_buffers(facts: Mapping[str, Mapping[str, Any]]) -> list[Reason]:
    small = {min(fact["socket_buffers"].values()) for fact in facts.values() if fact["datapath"] != "kernel"}
    if not small or min(small) >= SMALL_BUFFER_BYTES:
        return []
    return [Reason(f"socket buffers of {min(small):,} bytes drop bursts at the userspace switch (runs as root raise "
                   "them)", "small buffers", workload="tcp_stream")]


def _notes(run: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]], torn: bool) -> list[str]:
    notes = list(run["warnings"])
    if any(fact["datapath"] != "kernel" for fact in facts.values()):
        notes.append("userspace datapath: the switch's own cost is large and equal in all designs, which pulls every "
                     "ratio towards 1")
    if run["scenario"].get("offload") == "on":
        notes.append("offloads on: packets above the MTU cross the links, which makes tunnels look cheaper than they "
                     "are on a wire")
    if run["interrupted"]:
        notes.append("the run was interrupted; what it had measured is here")
    if torn:
        notes.append("the last line of samples.jsonl was cut off and has been left out")
    return notes
