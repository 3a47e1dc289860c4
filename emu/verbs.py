"""What each verb does. A verb gets parsed words and returns an exit status; errors are raised."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from emu.designs import DEFAULT_DESIGNS, all_designs, parse_design, plans_for
from emu.errors import EmuError, UsageError
from emu.model import Plan
from emu.scenario import OPTIONS, read

Arguments = argparse.Namespace


class Waitable(Protocol):
    """A process that was started."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        ...


def run(arguments: Arguments, complaints: list[str]) -> int:
    """Run a verb. ``complaints`` are mistakes found already; all others found are added before anything starts."""
    if arguments.verb in _TAKES_SCENARIO:
        return _with_scenario(arguments, complaints)
    if complaints:
        raise UsageError(*complaints)
    return _VERBS[arguments.verb](arguments)


def _with_scenario(arguments: Arguments, problems: list[str]) -> int:
    given = {option.field: getattr(arguments, option.field) for option in OPTIONS}
    scenario, mistakes = read(given, arguments.scenario)
    problems.extend(mistakes)
    names = [arguments.design] if arguments.verb == "up" else arguments.designs or list(DEFAULT_DESIGNS)
    plans = plans_for(names, scenario, problems)
    return _TAKES_SCENARIO[arguments.verb](arguments, plans, problems)


def _raise(problems: list[str]) -> None:
    if problems:
        raise UsageError(*problems)


def _up(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    commands = []
    for text in arguments.commands or ():
        try:
            words = shlex.split(text)
        except ValueError as error:
            problems.append(f"--exec {text!r}: {error}")
            continue
        machine = plans[0].find(words[0]) if plans and words else None
        if len(words) < 2:
            problems.append(f"--exec {text!r}: wants a name and a command")
        elif plans and machine is None:
            problems.append(f"--exec {text!r}: {plans[0].spec} has no machine '{words[0]}'")
        commands.append((machine or "", words[1:]))
    _raise(problems)
    from emu.live.lab import Lab
    from emu.live.tree import enter, find_tree

    with Lab(plans[0], on_terminal=arguments.commands is None) as lab:
        if arguments.commands is None:
            print(
                f"{lab.plan.spec} is up as {lab.lab_id}: {len(lab.plan.machines)} machines. "
                f"From another terminal: emu exec --lab {lab.lab_id} NAME -- COMMAND",
                flush=True,
            )
            with _interrupt_left_to_others():
                lab.tree.request("cli")
            return 0
        tree = find_tree(lab.lab_id)
        return _worst([_status_of(machine, words, enter(tree, machine, words)) for machine, words in commands])


def _status_of(machine: str, words: Sequence[str], process: Waitable) -> int:
    """Wait for a command; its status, told if it is not 0."""
    status = process.wait()
    if status:
        print(f"emu: {machine} {shlex.join(words)}: status {status}", file=sys.stderr)
    return status


def _worst(statuses: Sequence[int]) -> int:
    return int(any(statuses))


@contextmanager
def _interrupt_left_to_others() -> Iterator[None]:
    """While the terminal belongs to another program of ours, Ctrl-C is for that one alone."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _check(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    _raise(problems)
    from emu.live.judge import COMMANDS, judge
    from emu.live.lab import Lab, choose

    for plan in plans:
        choose(plan, COMMANDS)
    claims: list[dict[str, Any]] = []
    errors: list[str] = []
    for plan in plans:
        with Lab(plan) as lab:
            verdicts = judge(lab, parse_design(plan.design).design.claims(plan))
            errors += [f"{plan.spec}: {error}" for error in lab.errors()]
        for verdict in verdicts:
            claim = verdict.claim
            claims.append(
                {
                    "design": plan.spec,
                    "id": claim.id,
                    "text": claim.text,
                    "source": claim.source,
                    "result": verdict.result,
                    "expected": verdict.expected,
                    "seen": verdict.seen,
                    "because": verdict.because,
                }
            )
            if not arguments.json:
                print(_line(claims[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"format": "emu-check/1", "claims": claims}, indent=1))
    else:
        counts = {word: sum(claim["result"] == word for claim in claims) for word in ("holds", "fails", "not judged")}
        print(
            f"{len(claims)} claims: {counts['holds']} hold, {counts['fails']} fail, {counts['not judged']} not judged"
        )
    if errors:
        raise EmuError(*errors)
    return int(any(claim["result"] != "holds" for claim in claims))


def _line(claim: Mapping[str, str]) -> str:
    line = f"{claim['result']:<10}  {claim['design']}  {claim['id']}: {claim['text']}"
    if claim["result"] == "fails":
        line += f"\n            expected {claim['expected']}\n            seen {claim['seen']}"
    if claim["because"]:
        line += f"\n            because {claim['because']}"
    return line


def _compare(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    from emu.measure.compare import compare, problems_of
    from emu.measure.progress import Progress
    from emu.measure.workloads import WORKLOADS
    from emu.output import default_name

    if arguments.resume:
        problems.append("--resume is not built yet")
    workloads = arguments.workloads or list(WORKLOADS)
    out = arguments.out or _results_folder() / default_name(datetime.now(timezone.utc), "compare")
    _raise(problems + problems_of(plans, workloads, arguments.profile, out))
    folder = compare(plans, workloads, arguments.profile, out, ["emu", *sys.argv[1:]], Progress(sys.stderr))
    _tell(folder)
    return 0


def _results_folder() -> Path:
    """``results`` of the checkout this runs from; of the working directory where it was installed without one."""
    checkout = Path(__file__).resolve().parents[1]
    return (checkout if (checkout / "run").exists() else Path()) / "results"


def _report(arguments: Arguments) -> int:
    from emu.measure.report import redraw

    redraw(arguments.folder)
    _tell(arguments.folder)
    return 0


def _tell(folder: Path) -> None:
    from emu.measure.results import read_folder
    from emu.measure.summary import summarise
    from emu.measure.terminal import table

    print(table(summarise(read_folder(folder))))
    print(f"report: {folder / 'report.html'}")


def _doctor(arguments: Arguments) -> int:
    from emu.live import preflight

    machine = preflight.examine()
    print(json.dumps(preflight.to_json(machine), indent=1) if arguments.json else preflight.render(machine))
    return 3 if preflight.main_job_missing(machine) else 0


def _designs(arguments: Arguments) -> int:
    rows = [
        {
            "name": design.name,
            "summary": design.summary,
            "default": design.name in DEFAULT_DESIGNS,
            "parameters": {
                key: {"values": list(values.values), "default": values.default, "not built yet": list(values.unbuilt)}
                for key, values in design.parameters.items()
            },
        }
        for design in all_designs().values()
    ]
    if arguments.json:
        print(json.dumps({"format": "emu-designs/1", "designs": rows}, indent=1))
        return 0
    for design in all_designs().values():
        print(f"{design.name:<9}{design.summary}")
        for key, values in design.parameters.items():
            later = f"; not built yet: {', '.join(values.unbuilt)}" if values.unbuilt else ""
            print(f"         {key}={'|'.join(values.values)}{later}")
    return 0


def _labs(arguments: Arguments) -> int:
    from emu.live.tree import running_trees

    trees = running_trees()
    if arguments.json:
        rows = [{"id": t.lab_id, "design": t.spec, "init_pid": t.init_pid, "owner_uid": t.owner} for t in trees]
        print(json.dumps({"format": "emu-labs/1", "labs": rows}, indent=1))
        return 0
    for tree in trees:
        print(f"{tree.lab_id}  {tree.spec}  init {tree.init_pid}, of user {tree.owner}")
    if not trees:
        print("no lab is running here")
    return 0


def _exec(arguments: Arguments) -> int:
    from emu.live.tree import enter, find_tree

    process = enter(find_tree(arguments.lab), arguments.name, arguments.command)
    with _interrupt_left_to_others():
        return _worst([_status_of(arguments.name, arguments.command, process)])


def _capture(arguments: Arguments) -> int:
    from emu.live.tap import attach

    return attach(arguments.lab, arguments.points)


def _clean(arguments: Arguments) -> int:
    from emu.live.buffers import restore_if_unused
    from emu.live.tree import end_orphans

    for lab_id in end_orphans():
        print(f"ended the lab {lab_id}, whose owner is gone")
    if restore_if_unused():
        print("restored net.core.rmem_default and rmem_max")
    return 0


def end_with_sudo(signal_number: int) -> None:
    """Under sudo: be told when sudo is killed, which cannot pass that on. Otherwise a parent may well go first."""
    from emu.live.linux import die_with_parent

    try:
        pid = os.getppid()
        parent = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return
    if parent == "sudo":
        die_with_parent(signal_number)
        if os.getppid() != pid:  # it was killed just before
            os.kill(os.getpid(), signal_number)


_TAKES_SCENARIO: Mapping[str, Callable[[Arguments, tuple[Plan, ...], list[str]], int]] = {
    "up": _up,
    "check": _check,
    "compare": _compare,
}
_VERBS: Mapping[str, Callable[[Arguments], int]] = {
    "doctor": _doctor,
    "designs": _designs,
    "report": _report,
    "labs": _labs,
    "exec": _exec,
    "capture": _capture,
    "clean": _clean,
}
