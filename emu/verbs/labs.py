"""Labs: bring one up, list, enter and watch those that run, end those that nobody owns any more."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from emu.checks import machine_wide_problems
from emu.model import Plan
from emu.verbs.common import Arguments, refuse


class Waitable(Protocol):
    """A process that was started."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        ...


def up(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu up``."""
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
    refuse(problems)
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


def labs(arguments: Arguments) -> int:
    """``emu labs``."""
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


def execute(arguments: Arguments) -> int:
    """``emu exec``."""
    from emu.live.tree import enter, find_tree

    process = enter(find_tree(arguments.lab), arguments.name, arguments.command)
    with _interrupt_left_to_others():
        return _worst([_status_of(arguments.name, arguments.command, process)])


def capture(arguments: Arguments) -> int:
    """``emu capture``."""
    from emu.live.tap import attach

    return attach(arguments.lab, arguments.points)


def controller(arguments: Arguments, plans: tuple[Plan, ...], problems: list[str]) -> int:
    """``emu controller``: becomes the controllers' own program. The plan is in its memory, not in a file."""
    problems += machine_wide_problems(plans[0]) if plans else []
    refuse(problems)
    descriptor = os.memfd_create("plan", 0)
    os.write(descriptor, plans[0].to_json().encode())
    python = [sys.executable, *(("-I",) if sys.flags.isolated else ()), "-B", "-m", "controllers"]
    words = ["--plan", f"/proc/self/fd/{descriptor}", "--listen", arguments.listen, "--sdn", plans[0].scenario.sdn]
    os.execv(sys.executable, [*python, *words])


def clean(arguments: Arguments) -> int:
    """``emu clean``."""
    from emu.live import wide
    from emu.live.buffers import restore_if_unused
    from emu.live.tree import end_orphans

    for lab_id in end_orphans():
        print(f"ended the lab {lab_id}, whose owner is gone")
    if restore_if_unused():
        print("restored net.core.rmem_default and rmem_max")
    if left := wide.clean():
        print(f"removed what a machine-wide lab left: {', '.join(left)}")
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
