"""Design of the experiment: randomised interleaved blocks, planned beforehand as plain values.

Every block runs every pair of design and workload once. The order of the workloads, and within each workload
the order of the designs, is drawn anew in each block from a kept seed: slow drifts of the machine then hit all
designs alike, and designs that are compared run within seconds of each other.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emu.measure.scripts import Lengths
from emu.measure.workloads import Workload, trial_s

MINIMUM_BLOCKS = 6
"""Below this no 95 % interval of a median exists without assumptions: five values cover it with 93.75 % only."""


@dataclass(frozen=True)
class Profile:
    """How much is measured: so many blocks of trials of these lengths. ``limit_s``: for how long at most, where the
    number of blocks depends on what they say."""

    name: str
    blocks: int
    lengths: Lengths
    limit_s: float = 1800


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("quick", 6, Lengths(ping_packets=100, request_s=0.5, stream_s=1, first_packets=5), 600),
        Profile("standard", 10, Lengths(ping_packets=400, request_s=1.0, stream_s=3, first_packets=10), 3600),
        Profile("paper", 20, Lengths(ping_packets=1000, request_s=3.0, stream_s=10, first_packets=20), 4 * 3600),
    )
}


@dataclass(frozen=True)
class Trial:
    """One trial: ``index`` over the whole run, ``order`` within its block, all counted from 0."""

    index: int
    block: int
    order: int
    design: str
    workload: str


def plan_trials(designs: Sequence[str], workloads: Sequence[str], blocks: int, seed: int) -> list[Trial]:
    """All trials in the order in which they are to run. The same arguments give the same plan."""
    generator = random.Random(f"blocks {seed}")
    trials: list[Trial] = []
    for block in range(blocks):
        order = 0
        for workload in generator.sample(workloads, len(workloads)):
            for design in generator.sample(designs, len(designs)):
                trials.append(Trial(len(trials), block, order, design, workload))
                order += 1
    return trials


MOST_BLOCKS = 1000
"""A run is over after so many, however long it may take and whatever is asked of it."""


def expected_s(trials: Sequence[Trial], workloads: Mapping[str, Workload], lengths: Lengths) -> float:
    """How long ``trials`` are expected to take, in seconds."""
    return sum(trial_s(workloads[trial.workload], lengths) for trial in trials)
