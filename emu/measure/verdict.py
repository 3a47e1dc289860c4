"""How far a run can be trusted, and why not further.

A *reason* is something that makes figures wrong or unfounded; one is enough for "not trusted". A *note* is a
fact that explains figures and is no fault, such as the userspace datapath.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.measure.blocks import MINIMUM_BLOCKS
from emu.measure.links import binomial_range, link_faults, lost_pings
from emu.measure.parsers import PINNED_CONGESTION_CONTROL, UNANSWERED
from emu.measure.results import Sample
from emu.measure.scripts import Lengths
from emu.measure.workloads import workloads_named
from emu.packets import ETHERNET_HEADER_BYTES

MOST_RETRANSMITS = 0.001
"""Share of segments sent again from which on a stream is held back by drops rather than by the design."""

FAR_RETRANSMITS, FEW_RETRANSMITS = 10, 0.0002
"""So many times as many segments sent again as in any other design are far from the others'; but not below this share,
where one segment more or less makes the difference."""

SMALL_BUFFER_BYTES = 4 << 20
"""Receive buffers below this drop bursts at the userspace switch (212,992 is the kernel's default)."""

INCAST = "incast"
"""Drops are what this workload is about, no fault of the run."""

LOSS_EXPLAINS = 1e-4
"""How often links that lose just what was asked leave more trials unanswered than is put down to them."""

LOSSY = ("bw", "loss", "jitter")
"""Of links: what has segments sent again by itself. A queue fills, frames are lost, or come in another order."""

STREAMS = ("tcp_stream", "udp_stream", "rr_under_load", INCAST)
"""Workloads that send in bursts."""

INTERRUPTED = "the run was interrupted; what it had measured until then is here"


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
          torn: bool, found: Sequence[Reason] = (), noted: Sequence[str] = ()) -> Verdict:
    """The verdict on a run: its facts, its samples, the median of each (design, workload, metric); and what else was
    ``found`` against it, and ``noted``."""
    labs = measured_labs(run)
    facts = {lab["spec"]: lab["facts"] for lab in labs}
    tunnels = {lab["spec"]: frozenset(lab.get("tunnels", ())) for lab in labs}
    asked_offload = run["scenario"].get("offload", "off") == "on"
    failed, unlucky = _failures(run, samples)
    reasons = (
        *([Reason(INTERRUPTED, "interrupted")] if was_interrupted(run) else []),
        *_too_few_blocks(samples, list(facts), run["workloads"], planned_blocks(run)),
        *failed,
        *_unequal(facts),
        *_unlike(run.get("unlike_labs", ())),
        *_other_offloads(facts, tunnels, asked_offload),
        *(Reason(f"{spec}: {len(errors)} controller errors, the first: {errors[0]}", "controller errors", spec)
          for spec, errors in run["controller_errors"].items() if errors),
        *([] if _are_to_drop(run["scenario"]) else [*_drops(medians), *_uneven_drops(medians)]),
        *([] if asked_offload else _super_packets(facts, medians)),
        *_small_buffers(facts, run["workloads"]),
        *(Reason(text, "other links", spec) for spec, text in link_faults(run)),
        *found,
    )
    return Verdict(reasons, (*_notes(run, facts, tunnels, torn), *unlucky, *noted))


def _are_to_drop(scenario: Mapping[str, Any]) -> bool:
    """Whether a scenario asks for links over which segments are sent again."""
    shapes = [scenario, *(scenario.get("links") or {}).values()]
    return any(shape.get(name) for shape in shapes for name in LOSSY)


def measured_labs(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What ``run.json`` tells of each lab of a set: those of the designs, and the control."""
    return [*run["designs"], *([run["control"]] if run.get("control") else [])]


def planned_blocks(run: Mapping[str, Any]) -> int:
    """How many blocks a run is to have, or was found to need."""
    return int((run.get("precision") or {}).get("blocks") or run["profile"]["blocks"])


def was_interrupted(run: Mapping[str, Any]) -> bool:
    """Whether a run was not measured to its end, by whatever it was ended."""
    return bool(run["interrupted"]) or run["ended"] is None


def _too_few_blocks(samples: Sequence[Sample], specs: Sequence[str], workloads: Sequence[str],
                    planned: int) -> list[Reason]:
    """Pairs of design and workload with too few blocks for an interval, or with blocks that were never run.

    Blocks lost to failed trials are ``_failures``'s to tell as long as enough are left. What holds for every
    design of a workload is told once.
    """
    good, run = _blocks(sample for sample in samples if sample.ok), _blocks(samples)
    reasons = []
    for workload in workloads:
        texts: dict[str | None, str] = {
            spec: _lacking_blocks(len(good[spec, workload]), len(run[spec, workload]), planned) for spec in specs}
        if len(set(texts.values())) == 1:
            texts = {None: texts[specs[0]]}
        reasons += [Reason(f"{f'{spec}, ' if spec else ''}{workload}: {text}", "few blocks", spec, workload)
                    for spec, text in texts.items() if text]
    return reasons


def _blocks(samples: Iterable[Sample]) -> Mapping[tuple[str, str], set[int]]:
    blocks: dict[tuple[str, str], set[int]] = defaultdict(set)
    for sample in samples:
        blocks[sample.spec, sample.workload].add(sample.block)
    return blocks


def _lacking_blocks(good: int, run: int, planned: int) -> str:
    """What is wrong with so many blocks; nothing where it is empty."""
    count = f"{good} blocks" if good == planned else f"{good} of the {planned} blocks planned"
    if good < MINIMUM_BLOCKS:
        return f"{count}; below {MINIMUM_BLOCKS} there are no intervals"
    return f"{run} of the {planned} blocks planned were run" if run < planned else ""


def _failures(run: Mapping[str, Any], samples: Sequence[Sample]) -> tuple[list[Reason], list[str]]:
    """Trials that failed, as reasons; and as notes those without an answer, where links that are to lose frames explain
    so many."""
    reasons, notes = [], []
    trials = Counter((spec, workload) for spec, workload, _ in {(s.spec, s.workload, s.trial) for s in samples})
    failed: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for sample in samples:
        if not sample.ok:
            failed[sample.spec, sample.workload].setdefault(sample.trial, str(sample.error))
    for (spec, workload), errors in failed.items():
        text = f"{spec}, {workload}: {len(errors)} trials failed, the first: {next(iter(errors.values()))}"
        made, unanswered = trials[spec, workload], all(error.startswith(UNANSWERED) for error in errors.values())
        if unanswered and len(errors) <= _most_unanswered(run, workload, made):
            notes.append(f"{text}; links that lose what was asked for explain so many of {made}")
        else:
            reasons.append(Reason(text, "failed trials", spec, workload))
    return reasons, notes


def _most_unanswered(run: Mapping[str, Any], workload: str, trials: int) -> int:
    """How many trials may come to nothing for want of a packet, or of a connection, that links were to lose."""
    lost, known = lost_pings(run), workloads_named([workload])
    if not lost or not known:
        return 0
    calls = known[workload].calls(Lengths(**run["profile"]["lengths"]))
    return binomial_range(trials, 1 - (1 - lost) ** calls, 2 * LOSS_EXPLAINS)[1]


def _unequal(facts: Mapping[str, Mapping[str, Any]]) -> list[Reason]:
    """What must be the same for all designs, and is not. The MTU compared is that of the underlay: a tunnel's
    smaller inner MTU is part of the design."""
    equal = {
        "the underlay's MTU": [fact["underlay_mtu"] for fact in facts.values()],
        "congestion control": [sorted({c for each in fact["congestion_control"].values() for c in each})
                               for fact in facts.values()],
        "the datapath": [fact["datapath"] for fact in facts.values()],
        "the controller framework": [fact["sdn"] for fact in facts.values()],
        "what links do": [fact.get("links") for fact in facts.values()],
        "socket buffers": [fact["socket_buffers"] for fact in facts.values()],
    }
    reasons = [
        Reason(f"{what} differs between designs: "
               + "; ".join(f"{spec}: {value}" for spec, value in zip(facts, _first_apart(values), strict=True)),
               "unequal settings")
        for what, values in equal.items() if any(value != values[0] for value in values)
    ]
    for spec, fact in facts.items():
        used = {c for each in fact["congestion_control"].values() for c in each}
        if used != {PINNED_CONGESTION_CONTROL}:
            reasons.append(Reason(f"{spec}: congestion control is {', '.join(sorted(used))}, not "
                                  f"{PINNED_CONGESTION_CONTROL}", "not cubic", spec))
    return reasons + _differing_sysctls(facts)


def _first_apart(values: Sequence[Any]) -> list[Any]:
    """Values that differ; of mappings only the first entry that does."""
    if not all(isinstance(value, Mapping) for value in values):
        return list(values)
    keys = dict.fromkeys(key for value in values for key in value)
    key = next(key for key in keys if any(value.get(key) != values[0].get(key) for value in values))
    return [{key: value.get(key)} for value in values]


def _unlike(entries: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Labs that came up later and are not like the first one, a reason a design."""
    reasons = []
    for spec in dict.fromkeys(entry["design"] for entry in entries):
        of_design = [entry for entry in entries if entry["design"] == spec]
        first, more = of_design[0], len({entry["block"] for entry in of_design}) - 1
        reasons.append(Reason(
            f"{spec}: the lab brought up for block {first['block'] + 1}{f' (and {more} more)' if more else ''} is not "
            f"like the first one: {first['fact']} was {first['first']} and is {first['here']}", "unlike labs", spec))
    return reasons


def _other_offloads(facts: Mapping[str, Mapping[str, Any]], tunnels: Mapping[str, frozenset[str]],
                    asked: bool) -> list[Reason]:
    """Offloads of endpoints and of devices between them that are not as the scenario asked; a tunnel device's being
    off is ``_notes``'s to tell."""
    reasons = []
    for spec, fact in facts.items():
        devices = {**fact["offloads"], **fact.get("path_offloads", {})}
        others = [f"{name} at {device}" for device, settings in devices.items()
                  for name, value in settings.items()
                  if value != asked and not (asked and device in tunnels[spec])]
        if others:
            reasons.append(Reason(f"{spec}: offloads {_on(asked)} were asked for, {_on(not asked)} are "
                                  + ", ".join(others), "other offloads", spec))
    return reasons


def _on(value: bool) -> str:
    return "on" if value else "off"


def _differing_sysctls(facts: Mapping[str, Mapping[str, Any]]) -> list[Reason]:
    """Sysctls present at endpoints of several designs whose values are not the same everywhere."""
    seen: dict[str, dict[str, set[str]]] = {}
    for spec, fact in facts.items():
        for settings in fact["sysctls"].values():
            for name, value in settings.items():
                seen.setdefault(name, {}).setdefault(spec, set()).add(str(value))
    return [
        Reason(f"sysctls differ between endpoints: {name} is "
               + ", ".join(f"{'/'.join(sorted(values))} in {spec}" for spec, values in by_spec.items()),
               "unequal settings")
        for name, by_spec in seen.items() if len(set().union(*by_spec.values())) > 1
    ]


def _drops(medians: Mapping[tuple[str, str, str], float]) -> list[Reason]:
    return [
        Reason(f"{spec}, {workload}: {share:.2%} of the segments were sent again", "drops", spec, workload)
        for (spec, workload, metric), share in medians.items()
        if metric == "retransmits" and share >= MOST_RETRANSMITS and workload.partition(":")[0] != INCAST
    ]


def _uneven_drops(medians: Mapping[tuple[str, str, str], float]) -> list[Reason]:
    """Designs in which far more was sent again than in all others: what is compared there is drops."""
    shares = {key: share for key, share in medians.items()
              if key[2] == "retransmits" and key[1].partition(":")[0] != INCAST}
    reasons = []
    for (spec, workload, _), share in shares.items():
        others = [other for key, other in shares.items() if key[1] == workload and key[0] != spec]
        if others and FEW_RETRANSMITS <= share < MOST_RETRANSMITS and share > FAR_RETRANSMITS * max(others):
            text = f"{share:.3%} of the segments were sent again, {max(others):.3%} or fewer in all others"
            reasons.append(Reason(f"{spec}, {workload}: {text}", "drops", spec, workload))
    return reasons


def _super_packets(facts: Mapping[str, Mapping[str, Any]],
                   medians: Mapping[tuple[str, str, str], float]) -> list[Reason]:
    """Frames on the wire that only offloads can make, where they are off."""
    return [
        Reason(f"{spec}, {workload}: {size:.0f} bytes per packet are above the MTU though offloads are off",
               "super-packets", spec, workload)
        for (spec, workload, metric), size in medians.items()
        if metric == "packet_size" and size > max(facts[spec]["mtu"].values()) + ETHERNET_HEADER_BYTES
    ]


def _small_buffers(facts: Mapping[str, Mapping[str, Any]], workloads: Sequence[str]) -> list[Reason]:
    small = {min(fact["socket_buffers"].values()) for fact in facts.values() if fact["datapath"] != "kernel"}
    if not small or min(small) >= SMALL_BUFFER_BYTES:
        return []
    return [Reason(f"{workload}: socket buffers of {min(small):,} bytes drop bursts at the userspace switch (runs as "
                   "root raise them)", "small buffers", workload=workload)
            for workload in workloads if workload.partition(":")[0] in STREAMS]


def _notes(run: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]], tunnels: Mapping[str, frozenset[str]],
           torn: bool) -> list[str]:
    notes = list(run["warnings"])
    if any(fact["datapath"] != "kernel" for fact in facts.values()):
        notes.append("userspace datapath: the switch's own cost is a large part of every figure, which pulls ratios "
                     "towards 1")
    if run["scenario"].get("offload") == "on":
        notes.append("offloads on: packets above the MTU cross the links, which makes tunnels look cheaper than they "
                     "are on a wire")
        notes += [f"{spec}: the tunnel device gets finished packets ({', '.join(off)} off at {device}), so that what "
                  "offloads save ends before it"
                  for spec, fact in facts.items() for device, settings in fact.get("path_offloads", {}).items()
                  if device in tunnels[spec] and (off := [name for name, value in settings.items() if not value])]
    if torn:
        notes.append("the last line of samples.jsonl was cut off and has been left out")
    return notes
