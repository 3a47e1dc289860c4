"""Taking up an interrupted run: under the same conditions, and from the trial that it was ended in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emu.errors import UsageError
from emu.measure.blocks import Trial
from emu.measure.results import ResultFolder, Sample, Stored
from emu.measure.verdict import was_interrupted

PLANNED = ("scenario", "profile", "workloads", "precision")
"""Of ``run.json``: what has to be asked for again as it was."""
SURROUNDINGS = ("kernel", "cpu", "cpus", "virtualisation", "ovs_version", "datapath", "sdn", "root", "offloads",
                "sysctls", "tools", "version", "revision")  # fmt: skip
"""What has to be found again as it was."""


def check_interrupted(stored: Stored, asked: Mapping[str, Any], specs: Sequence[str]) -> None:
    """``UsageError`` if a stored run was not interrupted, or naming each difference of what is asked for now.
    ``asked``: as ``run.json`` has it, ``specs``: the designs."""
    if not was_interrupted(stored.run):
        raise UsageError(f"the run in {stored.path} was not interrupted: there is nothing to resume")
    problems = list(differences(stored.run, asked, PLANNED))
    before = [design["spec"] for design in stored.run["designs"]]
    if before != list(specs):
        problems.append(_differs("designs", " ".join(before), " ".join(specs)))
    if problems:
        raise UsageError(*problems)


def go_on(stored: Stored, now: Mapping[str, Any], trials: Sequence[Trial],
          folder: ResultFolder) -> tuple[dict[str, Any], frozenset[int]]:
    """``run.json`` of an interrupted run that goes on in ``folder``, and which of its ``trials`` are done.

    The last trial there is may lack samples, so it is run again. ``UsageError`` if what is found ``now`` is not what
    the run began with, or its samples are not of these trials; nothing is changed then.
    """
    last = max((sample.trial for sample in stored.samples), default=-1)
    kept = [sample for sample in stored.samples if sample.trial != last]
    problems = list(differences(stored.run, now, SURROUNDINGS))
    if not all(_is_of(sample, trials) for sample in kept):
        problems.append(f"--resume: {stored.path}/samples.jsonl is of another plan of trials than this version makes")
    if problems:
        raise UsageError(*problems)
    folder.keep_only(kept)
    warning = f"interrupted, and taken up again at {now['started']}"
    run = {**stored.run, "interrupted": True, "ended": None, "warnings": [*stored.run["warnings"], warning]}
    return run, frozenset(sample.trial for sample in kept)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    """A sentence for each of ``keys`` that differs, for each of its parts where it has named ones."""
    for key in keys:
        old, new = before.get(key), json.loads(json.dumps(now.get(key)))
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (_differs(f"{key}: {part}", old.get(part), new.get(part))
                        for part in {**old, **new} if old.get(part) != new.get(part))
        elif old != new:
            yield _differs(key, old, new)


def _differs(what: str, before: object, now: object) -> str:
    return f"--resume: {what} was {before} when the run began and is {now} now"


def _is_of(sample: Sample, trials: Sequence[Trial]) -> bool:
    return sample.trial < len(trials) and trials[sample.trial] == Trial(
        sample.trial, sample.block, sample.order, sample.spec, sample.workload)
