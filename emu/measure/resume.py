"""Taking up an interrupted run: under the same conditions, and from the trial that it was ended in, or its block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emu.errors import UsageError
from emu.measure.blocks import Trial
from emu.measure.results import ResultFolder, Sample, Stored
from emu.measure.sequential import NOT_BEGUN
from emu.measure.surroundings import SURROUNDINGS, differences
from emu.measure.verdict import was_interrupted

PLANNED = ("scenario", "profile", "workloads", "precision", "fresh_labs")
"""Of ``run.json``: what has to be asked for again as it was."""
FOUND = (*SURROUNDINGS, "offloads", "sysctls")
"""What has to be found again as it was."""


def check_interrupted(stored: Stored, asked: Mapping[str, Any], specs: Sequence[str]) -> None:
    """``UsageError`` if a stored run was not interrupted, or naming each difference of what is asked for now.
    ``asked``: as ``run.json`` has it, ``specs``: the designs."""
    if not was_interrupted(stored.run):
        raise UsageError(f"the run in {stored.path} was not interrupted: there is nothing to resume")
    goal = stored.run.get("precision")
    before = {**stored.run, "precision": goal and {**goal, **NOT_BEGUN}}  # nobody asked for how far it came
    problems = _problems(before, asked, PLANNED)
    designs = [design["spec"] for design in stored.run["designs"]]
    if designs != list(specs):
        problems.append(changed("designs", " ".join(designs), " ".join(specs)))
    if problems:
        raise UsageError(*problems)


def go_on(stored: Stored, now: Mapping[str, Any], trials: Sequence[Trial],
          folder: ResultFolder) -> tuple[dict[str, Any], frozenset[int]]:
    """``run.json`` of an interrupted run that goes on in ``folder``, and which of its ``trials`` are done.

    The last trial there is may lack samples, so it is run again; with fresh labs all of its block is, which is to be
    measured in one set of them. ``UsageError`` if what is found ``now`` is not what the run began with, or its samples
    are not of these trials; nothing is changed then.
    """
    last = max(stored.samples, key=lambda sample: sample.trial, default=None)
    fresh = stored.run.get("fresh_labs")
    kept = [sample for sample in stored.samples if last and not (
        sample.block == last.block if fresh else sample.trial == last.trial)]
    problems = _problems(stored.run, now, FOUND)
    if not all(_is_of(sample, trials) for sample in kept):
        problems.append(f"--resume: {stored.path}/samples.jsonl is of another plan of trials than this version makes")
    if problems:
        raise UsageError(*problems)
    folder.keep_only(kept)
    run = {**stored.run, "interrupted": True, "ended": None,
           "warnings": [*stored.run["warnings"], f"interrupted, and taken up again at {now['started']}"]}
    if fresh:
        blocks = {sample.block for sample in kept}
        run.update((key, [entry for entry in run[key] if entry["block"] in blocks]) for key in ("usage", "unlike_labs"))
    return run, frozenset(sample.trial for sample in kept)


def _problems(before: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    found = differences({key: before.get(key) for key in keys}, {key: now.get(key) for key in keys})
    return [changed(*difference) for difference in found]


def changed(what: str, before: object, now: object) -> str:
    """The complaint about what is not as it was."""
    return f"--resume: {what} was {before} when the run began and is {now} now"


def _is_of(sample: Sample, trials: Sequence[Trial]) -> bool:
    return sample.trial < len(trials) and trials[sample.trial] == Trial(
        sample.trial, sample.block, sample.order, sample.spec, sample.workload)
