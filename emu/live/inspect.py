"""What a running lab's switch and controller go by, asked for from another terminal.

``ask`` is the half outside of the lab; the half inside, ``python -m emu.live.inspect``, prints one JSON document.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from emu.errors import LabError
from emu.live.controller import asked
from emu.live.service import FOLDER
from emu.live.tree import RunningTree, entry
from emu.live.vswitch import VSwitch


def ask(tree: RunningTree) -> dict[str, Any]:
    """What there is to know: ``controller`` (status), ``known`` (rows by kind), ``flows`` (lines), ``told`` (what the
    programs beside the switch say of themselves, by name). ``LabError`` where the lab has ended, or ends meanwhile."""
    command = [*entry(tree, "mount", "pid", "net"), sys.executable, "-m", "emu.live.inspect"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise LabError(f"lab {tree.lab_id} does not answer: {said}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _gather() -> dict[str, Any]:
    plan = json.loads((FOLDER / "plan.json").read_text())
    beside = (plan["switch"]["own"] or {}).get("processes", [])
    told = {
        process["name"]: subprocess.run(process["status"], capture_output=True, text=True, check=False).stdout
        for process in beside
        if process["status"]
    }
    socket = FOLDER / "controller.sock"
    return {"controller": asked(socket, "status"), "known": asked(socket, "known"), "flows": VSwitch("").flows(),
            "told": told}


if __name__ == "__main__":
    print(json.dumps(_gather()))
