"""The main job: designs side by side, measured in interleaved blocks, written down as it goes, and reported."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

from emu import __version__
from emu.errors import EmuError, LabError, MissingError
from emu.live.cpu import look
from emu.live.lab import choose
from emu.measure.asked import Comparison
from emu.measure.blocks import MOST_BLOCKS, Profile, Trial, expected_s, plan_trials
from emu.measure.budget import Budget, document
from emu.measure.budget_run import measure_budget
from emu.measure.budget_view import FILE as BUDGET_FILE
from emu.measure.labs import Labs
from emu.measure.links import check_links
from emu.measure.precision import Tally
from emu.measure.progress import Progress, left
from emu.measure.report import redraw
from emu.measure.results import RUN_FORMAT, ResultFolder
from emu.measure.resume import go_on
from emu.measure.running import Bench, LabDied, about_machine, ask_versions, revision
from emu.measure.sequential import UNREACHED, next_look
from emu.measure.stats import level_of
from emu.measure.summary import REFERENCE
from emu.measure.surroundings import differences
from emu.measure.trust import CONTROL
from emu.measure.usage import record
from emu.measure.verdict import measured_labs
from emu.measure.workloads import Workload, trial_s
from emu.model import UNSHAPED, Plan, Scenario

REPORT_S = 8.0
"""About how long plots and report take, for the time left that is told."""

BRING_UP_S, LINKS_S = 3.0, 4.0
"""About how long labs take to come up side by side, and the measuring of a design's links where they are shaped."""

BUDGET_REPEATS, BUDGET_S = 100, 2.5
"""Captured pings of each design's latency budget, and about how long one takes, for the time left that is told."""


def expected_run_s(specs: Sequence[str], scenario: Scenario, workloads: Sequence[Workload], profile: Profile) -> float:
    """About how long a whole comparison of designs takes, in seconds."""
    labs = len(specs) + (REFERENCE in specs)
    block_s = labs * sum(trial_s(workload, profile.lengths) for workload in workloads)
    shaped = bool(scenario.links) or scenario.shape_of("") != UNSHAPED
    links_s = LINKS_S * len(specs) * shaped
    return BRING_UP_S + links_s + profile.blocks * block_s + BUDGET_S * len(specs) + REPORT_S


def refuse_lacking(plans: Iterable[Plan], workloads: Sequence[Workload]) -> None:
    """``MissingError`` with all that this machine lacks for measuring these plans."""
    tools = sorted({tool for workload in workloads for tool in workload.tools})
    problems: dict[str, None] = {}
    for plan in plans:
        try:
            choose(plan, tools)
        except MissingError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise MissingError(*problems)


def compare(asked: Comparison, argv: Sequence[str], progress: Progress) -> Path:
    """Measure what is asked for and write its result folder; returns it.

    Raises ``MissingError`` before anything is built. If anything ends the measuring early, a signal included, the
    folder keeps its samples and says that it was interrupted; if that was a lab which died, the report on what there
    is is written before ``LabDied`` is raised.
    """
    out, workloads, stored = asked.out, asked.workloads, asked.interrupted
    refuse_lacking(asked.plans, list(workloads.values()))
    with ExitStack() as stack:
        progress.step(f"bringing up {', '.join(plan.spec for plan in asked.plans)}")
        labs = stack.enter_context(Labs(asked.plans, asked.fresh_labs))
        blocks = MOST_BLOCKS if asked.goal else asked.profile.blocks
        trials = plan_trials(list(labs.up), list(workloads), blocks, asked.plans[0].scenario.seed)
        folder = stack.enter_context(ResultFolder.take_up(out) if stored else ResultFolder.create(out))
        benches = _benches(labs, asked, folder)
        run = _describe(benches, asked, argv)
        run, done = go_on(stored, run, trials, folder) if stored else (run, frozenset())
        folder.write_json("run.json", run)
        tally = Tally(level_of(run))
        tally.add([sample for sample in stored.samples if sample.trial in done] if stored else [])
        measuring = Measuring(asked, labs, folder, progress, benches, run, tally)
        died = measuring.measure_and_tell([trial for trial in trials if trial.index not in done])
    progress.step("drawing plots and report")
    redraw(out)
    if died is not None:
        raise LabDied(f"{died}; what was measured before is in {out}")
    return out


def _benches(labs: Labs, asked: Comparison, folder: ResultFolder) -> dict[str, Bench]:
    """What measures in the labs that are up."""
    return {name: Bench(lab, asked.profile.lengths, folder, name == CONTROL) for name, lab in labs.up.items()}


def _describe(benches: Mapping[str, Bench], asked: Comparison, argv: Sequence[str]) -> dict[str, Any]:
    """``run.json`` as it stands before the first trial."""
    facts = {spec: bench.lab.facts() for spec, bench in benches.items()}
    first = next(iter(benches.values()))
    common = facts[first.spec]
    scenario = first.lab.plan.scenario
    return {
        "format": RUN_FORMAT,
        **asked.entry(),
        "nodes": len(first.lab.plan.nodes),
        "seed": scenario.seed,
        "argv": list(argv),
        "designs": [_lab_entry(bench, facts[spec]) for spec, bench in benches.items() if not bench.control],
        "control": next((_lab_entry(bench, facts[spec]) for spec, bench in benches.items() if bench.control), None),
        "version": __version__,
        "revision": revision(first, Path(__file__).resolve().parents[2]),
        "started": _utc(time.time()),
        "ended": None,
        "interrupted": True,  # until it is known that it was not
        "kernel": common["kernel"],
        **about_machine(first),
        "ovs_version": common["ovs_version"],
        "datapath": common["datapath"],
        "sdn": common["sdn"],
        "root": common["root"],
        "offloads": {spec: fact["offloads"] for spec, fact in facts.items()},
        "sysctls": {spec: fact["sysctls"] for spec, fact in facts.items()},
        "tools": ask_versions(first, list(asked.workloads.values())),
        "usage": [],
        "controller_errors": {},
        "links": [],
        "unlike_labs": [],
        "warnings": [] if REFERENCE in benches else [f"without {REFERENCE} there is nothing to relate the others to"],
    }


def _lab_entry(bench: Bench, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One lab in ``run.json``."""
    plan = bench.lab.plan
    return {"spec": bench.spec, "design": bench.design, "params": dict(plan.params),
            "endpoints": list(bench.endpoints), "tunnels": _tunnels(plan), "facts": facts}


def _tunnels(plan: Plan) -> list[str]:
    """The tunnel devices of a plan, as facts name devices."""
    return [f"{machine.name}:{device.name}" for machine in plan.machines for device in machine.devices if device.tunnel]


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


@dataclass
class Measuring:
    """The measuring of a run. ``run``: ``run.json`` so far; ``tally`` has what was measured before."""

    asked: Comparison
    labs: Labs
    folder: ResultFolder
    progress: Progress
    benches: dict[str, Bench]
    run: dict[str, Any]
    tally: Tally
    _block: int | None = None
    """The block that the labs which are up were last measured in."""
    _errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Errors of the labs before these."""
    _labs_s: float = 0.0
    _expected_s: float = 0.0
    _taken_s: float = 0.0
    """How long the last labs took to come up, and how long trials were to take and took so far."""

    def measure_and_tell(self, trials: Sequence[Trial]) -> LabDied | None:
        """Measure; whatever ends that, ``run.json`` tells when and how. A lab that died over it is returned."""
        died: LabDied | None = None
        try:
            self.run["links"] = []  # a run that goes on has had others
            for bench in self.benches.values():
                self.run["links"] += [] if bench.control else check_links(bench, self.progress.step)
            self.folder.write_json("run.json", self.run)
            if self.run["precision"]:
                self._measure_until(trials)
            else:
                self.measure(trials)
            # After all trials, which capturing would disturb.
            if budgets := [budget for bench in self.benches.values() if (budget := self._budget(bench))]:
                self.folder.write_json(BUDGET_FILE, document(budgets))
            self.run["interrupted"] = False
        except LabDied as error:
            died = error
            self.run["warnings"].append(str(error))
        except BaseException:
            self.progress.say(f"interrupted; the samples so far are in {self.folder.path}")
            raise
        finally:
            self.run["ended"] = _utc(time.time())
            self.folder.write_json("run.json", self.run)
        return died

    def _measure_until(self, trials: Sequence[Trial]) -> None:
        """Blocks until the run's goal is met, or its time is over; at least the profile's."""
        goal = self.run["precision"]
        before, blocks = 0, int(goal["until"] or self.run["profile"]["blocks"])  # a run that goes on goes to its look
        while blocks > before:
            goal["until"] = blocks
            self.measure([trial for trial in trials if before <= trial.block < blocks])
            width = self.tally.widest()
            self.progress.say(f"{blocks} blocks: {width or 'too few for intervals'}")
            goal["blocks"] = blocks
            if width and width.half <= goal["share"]:
                return
            rest_s = goal["limit_s"] - goal["took_s"]
            before, blocks = blocks, min(MOST_BLOCKS, next_look(blocks, max(0, int(rest_s / self._block_s()))))
        self.run["warnings"].append(UNREACHED)

    def measure(self, trials: Sequence[Trial]) -> None:
        """All of ``trials``, which may be some of a run's."""
        rest = list(trials)
        for block, of_block in groupby(trials, lambda trial: trial.block):
            started = time.monotonic()
            width = self.tally.widest()
            self._have_labs_for(block, rest)
            for trial in of_block:
                self.progress.step("  ".join([
                    f"trial {trial.index + 1} of {trials[-1].index + 1}", self._left(rest),
                    *([str(width)] if width else []), trial.design, trial.workload]))
                self._measure_one(trial)
                rest.pop(0)
            for name, bench in self.benches.items():
                self.run["controller_errors"][name] = [*self._errors.get(name, ()), *bench.errors()]
            if goal := self.run["precision"]:
                goal["took_s"] += round(time.monotonic() - started, 3)
            self.folder.write_json("run.json", self.run)  # what is not in the samples must outlive a kill, too

    def _measure_one(self, trial: Trial) -> None:
        started, workload = time.monotonic(), self.asked.workloads[trial.workload]
        roots = [bench.lab.tree.pid for bench in self.benches.values()]
        before = look(roots)
        samples = self.benches[trial.design].measure(trial, workload)
        record(self.run["usage"], trial, look(roots).since(before))
        self.folder.add_samples(samples)
        self.tally.add(samples)
        self._expected_s += trial_s(workload, self.asked.profile.lengths)
        self._taken_s += time.monotonic() - started
        for failed in (sample for sample in samples if not sample.ok):
            self.progress.say(f"{trial.design}, {trial.workload}, trial {trial.index + 1} failed: {failed.error}")

    def _have_labs_for(self, block: int, rest: Sequence[Trial]) -> None:
        """Labs ready for a block, of which ``rest`` is still to be measured."""
        if self._block is None:
            self._prepare(block)
        elif self.labs.fresh:
            self.progress.step(f"bringing up fresh labs for block {block + 1}  {self._left(rest)}")
            try:
                self.labs.renew()
                self.benches = _benches(self.labs, self.asked, self.folder)
                self._prepare(block)
            except LabError as error:
                raise LabDied(f"no labs for block {block + 1}: {error}") from error
        self._block = block

    def _prepare(self, block: int) -> None:
        """Have labs that have come up ready to be measured, and write down what is otherwise in them than in the first
        ones."""
        started = time.monotonic()
        first = {entry["spec"]: entry["facts"] for entry in measured_labs(self.run)}
        for name, bench in self.benches.items():
            self.run["unlike_labs"] += [
                {"design": name, "block": block, "fact": fact, "first": before, "here": here}
                for fact, before, here in differences(first[name], bench.lab.facts())]
            bench.prepare(list(self.asked.workloads.values()))
        self._errors = dict(self.run["controller_errors"])
        self._labs_s = self.labs.took_s + time.monotonic() - started

    def _left(self, rest: Sequence[Trial]) -> str:
        """How long the rest will take: trials, labs for them, budgets and report."""
        sets = len({trial.block for trial in rest} - {self._block}) if self.labs.fresh else 0
        after_s = BUDGET_S * len(self.asked.plans) + REPORT_S
        trials_s = expected_s(rest, self.asked.workloads, self.asked.profile.lengths)
        return f"about {left(trials_s * self._pace() + sets * self._labs_s + after_s)} left"

    def _block_s(self) -> float:
        """How long one more block will take."""
        trials_s = sum(trial_s(workload, self.asked.profile.lengths) for workload in self.asked.workloads.values())
        return trials_s * len(self.benches) * self._pace() + (self._labs_s if self.labs.fresh else 0)

    def _pace(self) -> float:
        """How many times as long as expected trials take."""
        return max(1.0, self._taken_s / self._expected_s) if self._expected_s else 1.0

    def _budget(self, bench: Bench) -> Budget | None:
        """A design's latency budget; the control has none. One that fails is ``None`` and a warning."""
        if bench.control:
            return None
        self.progress.step(f"latency budget of {bench.spec}")
        name = f"budget-{bench.lab.plan.design}"
        src, dst = bench.endpoints
        try:
            return measure_budget(bench.lab, src, dst, "ping", BUDGET_REPEATS, lambda done: bench.keep(name, src, done))
        except EmuError as error:
            self.run["warnings"].append(f"no latency budget of {bench.spec}: {error}")
            self.progress.say(self.run["warnings"][-1])
            return None
