"""What a running lab's switch and controller go by, asked for from another terminal.

``ask`` is the half outside of the lab; the half inside, ``python -m emu.live.inspect``, prints one JSON document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from emu.errors import LabError
from emu.live.controller import asked
from emu.live.service import FOLDER
from emu.live.tree import RunningTree, entry
from emu.live.vswitch import VSwitch


def ask(tree: RunningTree) -> dict[str, Any]:
    """What there is to know: ``controller`` (status; ``None`` where it does not answer), ``known`` (rows by kind),
    ``flows`` (lines), ``told`` (what the programs beside the switch say of themselves), ``silent`` (a line each for the
    controller and the programs that do not answer). ``LabError`` where the lab has ended, or ends meanwhile."""
    command = [*entry(tree, "mount", "pid", "net"), sys.executable, "-m", "emu.live.inspect"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise LabError(f"lab {tree.lab_id} does not answer: {said}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def gather() -> dict[str, Any]:
    """The half inside of the lab."""
    plan = json.loads((FOLDER / "plan.json").read_text())
    beside = (plan["switch"]["own"] or {}).get("processes", [])
    silent: list[str] = []
    told = [_told(process, silent) for process in beside]
    for machine in plan["machines"]:
        for process in machine["processes"]:
            _told(process, silent)
    socket = FOLDER / "controller.sock"
    controller, known = None, {}
    try:
        controller, known = asked(socket, "status"), asked(socket, "known")
    except OSError as error:
        silent.append(f"the controller does not answer: {error}")
    return {"controller": controller, "known": known, "flows": VSwitch("").flows(), "told": told, "silent": silent}


def _told(process: Mapping[str, Any], silent: list[str]) -> str:
    """What a program says of itself; nothing, and a line more in ``silent``, where it does not answer. (Asked, and not
    looked for among processes: one that was killed may run again.)"""
    if not process["status"]:
        return ""
    done = subprocess.run(process["status"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        silent.append(f"{process['name']} does not answer: {said}")
        return ""
    return done.stdout


if __name__ == "__main__":
    print(json.dumps(gather()))
