"""The main job: designs side by side, measured in interleaved blocks, written down as it goes, and reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emu import __version__
from emu.errors import EmuError, UsageError
from emu.live.cpu import look
from emu.live.lab import Lab, choose
from emu.measure.blocks import MOST_BLOCKS, PROFILES, Profile, Trial, expected_s, plan_trials
from emu.measure.budget import Budget, document
from emu.measure.budget_run import measure_budget
from emu.measure.budget_view import FILE as BUDGET_FILE
from emu.measure.links import check_links
from emu.measure.precision import Tally, Width
from emu.measure.progress import Progress, left
from emu.measure.report import redraw
from emu.measure.results import RUN_FORMAT, ResultFolder, read_folder
from emu.measure.resume import go_on, interrupted_run
from emu.measure.running import Bench, LabDied, about_machine, ask_versions, revision
from emu.measure.scripts import senders
from emu.measure.sequential import UNREACHED, Goal, next_look
from emu.measure.stats import level_of
from emu.measure.summary import REFERENCE
from emu.measure.trust import CONTROL
from emu.measure.usage import record
from emu.measure.workloads import Workload, in_order, parse_workload, trial_s, workloads_named
from emu.model import UNSHAPED, Plan, Scenario
from emu.output import refuse_impossible

REPORT_S = 8.0
"""About how long plots and report take, for the time left that is told."""

BUDGET_REPEATS, BUDGET_S = 100, 2.5
"""Captured pings of each design's latency budget, and about how long one takes, for the time left that is told."""

BRING_UP_S, LINKS_S = 3.0, 4.0
"""About how long labs take to come up side by side, and the measuring of a design's links where they are shaped."""

ABORT_AGAIN_S = 0.1
"""How often labs that come up are ended anew: one may have had nothing yet that could be ended."""


def problems_of(plans: Sequence[Plan], workloads: Sequence[str], profile: str, out: Path,
                resume: bool = False, goal: Goal | None = None) -> list[str]:
    """Everything wrong with a comparison that is asked for, before anything is built."""
    problems: list[str] = []
    chosen = _parse(workloads, problems)
    problems += [f"workload '{name}' is named twice" for name in _repeated([workload.name for workload in chosen])]
    problems += [f"design '{spec}' is named twice" for spec in _repeated([plan.spec for plan in plans])]
    problems += unmeasurable(plans, chosen)
    if goal and plans and (len(plans) < 2 or REFERENCE not in [plan.design for plan in plans]):
        problems.append(f"--precision is about ratios to {REFERENCE}: name it and another design")
    if goal and chosen and all(workload.cold for workload in chosen):
        problems.append("--precision is about steady state: name a workload that is not cold")
    if profile not in PROFILES:
        problems.append(no_profile(profile))
    try:
        if not resume:
            refuse_impossible(out)
        elif not problems and plans:
            asked = _asked(plans[0], workloads, PROFILES[profile], goal)
            interrupted_run(out, asked, [plan.spec for plan in plans])
    except UsageError as error:
        problems += error.problems
    return problems


def unmeasurable(plans: Sequence[Plan], workloads: Sequence[Workload]) -> list[str]:
    """What the plans of a scenario lack for what is to be measured in them."""
    return [
        *(f"{plan.spec}: in this scenario there are no two endpoints on two nodes to measure between"
          for plan in plans if plan.endpoints is None),
        *(f"{workload.name}: in this scenario {plan.spec} has only {len(found)} on other nodes than the receiver"
          for workload in workloads for plan in plans if plan.endpoints is not None
          and len(found := senders(plan, workload.senders)) < workload.senders),
    ]


def no_profile(name: str) -> str:
    """The complaint about a profile that there is not."""
    return f"there is no profile '{name}'; there are: {', '.join(PROFILES)}"


def expected_run_s(specs: Sequence[str], scenario: Scenario, workloads: Sequence[Workload], profile: Profile) -> float:
    """About how long a whole comparison of designs takes, in seconds."""
    labs = len(specs) + (REFERENCE in specs)
    block_s = labs * sum(trial_s(workload, profile.lengths) for workload in workloads)
    shaped = bool(scenario.links) or scenario.shape_of("") != UNSHAPED
    links_s = LINKS_S * len(specs) * shaped
    return BRING_UP_S + links_s + profile.blocks * block_s + BUDGET_S * len(specs) + REPORT_S


def _parse(texts: Sequence[str], problems: list[str]) -> list[Workload]:
    """The workloads that are named; what is wrong with the others is added to ``problems``."""
    chosen = []
    for text in texts:
        try:
            chosen.append(parse_workload(text))
        except UsageError as error:
            problems += error.problems
    return chosen


def _asked(plan: Plan, workloads: Sequence[str], profile: Profile, goal: Goal | None) -> dict[str, Any]:
    """What is asked for, as ``run.json`` has it."""
    return {"scenario": asdict(plan.scenario), "profile": asdict(profile),
            "workloads": list(workloads_named(workloads)), "precision": goal.entry() if goal else None}


def _repeated(words: Sequence[str]) -> list[str]:
    return sorted({word for word in words if words.count(word) > 1})


def compare(plans: Sequence[Plan], workloads: Sequence[str], profile: str, out: Path, argv: Sequence[str],
            progress: Progress, resume: bool = False, goal: Goal | None = None) -> Path:
    """Measure ``plans`` (all of one scenario) and write the result folder ``out``; returns it. With ``resume`` it is
    that of an interrupted run, which goes on. With a ``goal`` there are more blocks than the profile's until it is met.

    Raises ``UsageError`` naming everything wrong, ``MissingError`` before anything is built. If anything ends the
    measuring early, a signal included, the folder keeps its samples and says that it was interrupted; if that was
    a lab which died, the report on what there is is written before ``LabDied`` is raised.
    """
    problems = problems_of(plans, workloads, profile, out, resume, goal)
    if problems:
        raise UsageError(*problems)
    chosen = in_order([parse_workload(text) for text in workloads])
    with ExitStack() as stack:
        for plan in plans:
            choose(plan, sorted({tool for workload in chosen.values() for tool in workload.tools}))
        labs = _open(stack, plans, progress)
        blocks = MOST_BLOCKS if goal else PROFILES[profile].blocks
        trials = plan_trials(list(labs), list(chosen), blocks, plans[0].scenario.seed)
        stored = read_folder(out) if resume else None
        folder = stack.enter_context(ResultFolder.take_up(out) if stored else ResultFolder.create(out))
        benches = {spec: Bench(lab, PROFILES[profile].lengths, folder, spec == CONTROL) for spec, lab in labs.items()}
        run = _describe(benches, chosen, PROFILES[profile], argv, goal)
        run, done = go_on(stored, run, trials, folder) if stored else (run, frozenset())
        folder.write_json("run.json", run)
        tally = Tally(level_of(run))
        tally.add([sample for sample in stored.samples if sample.trial in done] if stored else [])
        todo = [trial for trial in trials if trial.index not in done]
        died = _measure_and_tell(run, benches, chosen, todo, tally, folder, progress)
    progress.step("drawing plots and report")
    redraw(out)
    if died is not None:
        raise LabDied(f"{died}; what was measured before is in {out}")
    return out


def _open(stack: ExitStack, plans: Sequence[Plan], progress: Progress) -> dict[str, Lab]:
    """All labs side by side (idle ones cost nothing), with a second one of bare, by what they are called in the run."""
    progress.step(f"bringing up {', '.join(plan.spec for plan in plans)}")
    labs = {plan.spec: Lab(plan) for plan in plans}
    labs.update((CONTROL, Lab(plan)) for plan in plans if plan.design == REFERENCE)
    bring_up(stack, list(labs.values()))
    return labs


def bring_up(stack: ExitStack, labs: Sequence[Lab]) -> None:
    """Enter all ``labs`` at once; ``stack`` will leave those that came up.

    The first that fails, or a signal, ends the others at once: nothing waits for a lab that nobody wants any more.
    """
    coming_up: list[Lab] = []
    entered: list[Lab] = []
    unwanted = threading.Event()

    def enter(lab: Lab) -> None:
        coming_up.append(lab)
        try:
            if not unwanted.is_set():
                lab.__enter__()
                entered.append(lab)
        finally:
            coming_up.remove(lab)

    try:
        with ThreadPoolExecutor(len(labs)) as pool:
            try:
                for started in as_completed([pool.submit(enter, lab) for lab in labs]):
                    started.result()
            except BaseException:
                unwanted.set()
                while coming_up:
                    for lab in tuple(coming_up):
                        lab.abort()
                    time.sleep(ABORT_AGAIN_S)
                raise
    finally:
        for lab in entered:
            stack.push(lab)


def _describe(benches: Mapping[str, Bench], workloads: Mapping[str, Workload], profile: Profile,
              argv: Sequence[str], goal: Goal | None) -> dict[str, Any]:
    """``run.json`` as it stands before the first trial."""
    facts = {spec: bench.lab.facts() for spec, bench in benches.items()}
    first = next(iter(benches.values()))
    common = facts[first.spec]
    scenario = first.lab.plan.scenario
    return {
        "format": RUN_FORMAT,
        **_asked(first.lab.plan, list(workloads), profile, goal),
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
        "tools": ask_versions(first, list(workloads.values())),
        "usage": [],
        "controller_errors": {},
        "links": [],
        "warnings": [] if REFERENCE in benches else [f"without {REFERENCE} there is nothing to relate the others to"],
    }


def _lab_entry(bench: Bench, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One lab in ``run.json``."""
    plan = bench.lab.plan
    return {"spec": bench.spec, "design": bench.design, "params": dict(plan.params),
            "endpoints": list(bench.endpoints), "tunnels": _tunnels(plan), "facts": facts}


def _tunnels(plan: Plan) -> list[str]:
    """The tunnel devices of a plan, as facts name devices."""
    return [f"{machine.name}:{device.name}" for machine in plan.machines for device in machine.devices if device.vxlan]


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def _measure_and_tell(run: dict[str, Any], benches: Mapping[str, Bench], workloads: Mapping[str, Workload],
                      trials: Sequence[Trial], tally: Tally, folder: ResultFolder,
                      progress: Progress) -> LabDied | None:
    """Measure; whatever ends that, ``run.json`` tells when and how. A lab that died over it is returned."""
    died: LabDied | None = None
    try:
        run["links"] = []  # a run that goes on has had others
        for bench in benches.values():
            if not bench.control:
                run["links"] += _links(bench, progress)
            bench.prepare(list(workloads.values()))
        folder.write_json("run.json", run)
        if run["precision"]:
            _measure_until(run, benches, workloads, trials, tally, progress)
        else:
            _measure(run, benches, workloads, trials, tally, progress)
        for spec, bench in benches.items():
            run["controller_errors"][spec] = bench.lab.errors()
        # After all trials, which capturing would disturb.
        budgets = [budget for bench in benches.values() if not bench.control
                   and (budget := _budget(bench, run["warnings"], progress))]
        if budgets:
            folder.write_json(BUDGET_FILE, document(budgets))
        run["interrupted"] = False
    except LabDied as error:
        died = error
        run["warnings"].append(str(error))
    except BaseException:
        progress.say(f"interrupted; the samples so far are in {folder.path}")
        raise
    finally:
        run["ended"] = _utc(time.time())
        folder.write_json("run.json", run)
    return died


def _links(bench: Bench, progress: Progress) -> list[dict[str, Any]]:
    """What the links of a design are asked to be, and are."""
    if any(port.shape != UNSHAPED for port in bench.lab.plan.switch.ports):
        progress.step(f"measuring the links of {bench.spec}")
    return check_links(bench)


def _measure_until(run: dict[str, Any], benches: Mapping[str, Bench], workloads: Mapping[str, Workload],
                   trials: Sequence[Trial], tally: Tally, progress: Progress) -> None:
    """Blocks until the run's goal is met, or its time is over; at least the profile's."""
    share, limit_s = run["precision"]["share"], run["precision"]["limit_s"]
    before, blocks, taken = 0, int(run["profile"]["blocks"]), 0
    started = time.monotonic()
    while blocks > before:
        stage = [trial for trial in trials if before <= trial.block < blocks]
        taken += len(stage)
        _measure(run, benches, workloads, stage, tally, progress)
        width = tally.widest()
        progress.say(f"{blocks} blocks: {width or 'too few for intervals'}")
        run["precision"]["blocks"] = blocks
        if width and width.half <= share:
            return
        spent_s = time.monotonic() - started
        block_s = spent_s / max(1, taken) * len(benches) * len(workloads)
        before, blocks = blocks, min(MOST_BLOCKS, next_look(blocks, max(0, int((limit_s - spent_s) / block_s))))
    run["warnings"].append(UNREACHED)


def _measure(run: dict[str, Any], benches: Mapping[str, Bench], workloads: Mapping[str, Workload],
             trials: Sequence[Trial], tally: Tally, progress: Progress) -> None:
    """All of ``trials``, which may be some of a run's; ``tally`` has what was measured before."""
    first = next(iter(benches.values()))
    roots = [bench.lab.tree.pid for bench in benches.values()]
    after_s = BUDGET_S * sum(not bench.control for bench in benches.values()) + REPORT_S
    started, planned_s = time.monotonic(), expected_s(trials, workloads, first.lengths)
    width = tally.widest()
    for number, trial in enumerate(trials):
        if trial.order == 0:
            width = tally.widest()
        rest_s = expected_s(trials[number:], workloads, first.lengths)
        spent_s = time.monotonic() - started
        pace = max(1.0, spent_s / (planned_s - rest_s)) if planned_s > rest_s else 1.0
        progress.step(_line(trial, trials[-1].index + 1, rest_s * pace + after_s, width))
        bench = benches[trial.design]
        before = look(roots)
        samples = bench.measure(trial, workloads[trial.workload])
        record(run["usage"], trial, look(roots).since(before))
        first.folder.add_samples(samples)
        tally.add(samples)
        for failed in (sample for sample in samples if not sample.ok):
            progress.say(f"{trial.design}, {trial.workload}, trial {trial.index + 1} failed: {failed.error}")
        if trial is trials[-1] or trials[number + 1].block != trial.block:
            first.folder.write_json("run.json", run)  # what is not in the samples must outlive a kill, too


def _budget(bench: Bench, warnings: list[str], progress: Progress) -> Budget | None:
    """A design's latency budget. One that fails is ``None`` and a warning."""
    progress.step(f"latency budget of {bench.spec}")
    name = f"budget-{bench.lab.plan.design}"
    src, dst = bench.endpoints
    try:
        return measure_budget(bench.lab, src, dst, "ping", BUDGET_REPEATS, lambda done: bench.keep(name, src, done))
    except EmuError as error:
        warnings.append(f"no latency budget of {bench.spec}: {error}")
        progress.say(warnings[-1])
        return None


def _line(trial: Trial, count: int, left_s: float, width: Width | None) -> str:
    widest = [str(width)] if width else []
    return "  ".join([f"trial {trial.index + 1} of {count}", f"about {left(left_s)} left", *widest,
                      trial.design, trial.workload])
