"""A lab's controller: a process of its own, spoken to over its status socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from emu.errors import LabError
from emu.live.process import wait_until
from emu.live.vswitch import CONTROLLER_ADDRESS
from emu.model import Plan

START_DEADLINE_S = 180.0
"""Controllers take a second or two to start, in an emulated machine half a minute."""


class Controller:
    """``python -m controllers`` for a plan, with its files in ``folder``; ``listen``: where switches connect."""

    def __init__(self, plan: Plan, sdn: str, folder: Path, listen: str = CONTROLLER_ADDRESS) -> None:
        self._socket, self._log, plan_file = folder / "controller.sock", folder / "controller.log", folder / "plan.json"
        plan_file.write_text(plan.to_json())
        self._argv = (sys.executable, "-m", "controllers", "--plan", str(plan_file), "--listen", listen,
                      "--status", str(self._socket), "--sdn", sdn, *plan.control.apps)
        self._process = self._popen()
        self._errors: list[str] = []

    @property
    def pid(self) -> int:
        """Its process number inside the lab."""
        return self._process.pid

    def restart(self) -> None:
        """Start it anew after ``kill``; ``LabError`` if it still runs."""
        if self._process.poll() is None:
            raise LabError("the controller runs already")
        self._process = self._popen()

    def _popen(self) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as log:
            return subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True)

    def kill(self) -> None:
        """End it by SIGKILL; its errors so far stay known, where it tells them."""
        try:
            self._errors = self.errors()
        finally:
            self._process.kill()
            self._process.wait()

    def wait_listening(self) -> None:
        """Return when switches can connect; ``LabError`` if it ended instead."""
        wait_until("the controller to listen", self._listens, START_DEADLINE_S)

    def wait_ready(self) -> None:
        """Return when the switch has all that is planned, and nothing stale."""
        wait_until("the controller to have set up the switch", lambda: bool(self.ask("status")["ready"]),
                   START_DEADLINE_S)

    def wait_parted(self) -> None:
        """Return when no switch is connected."""
        wait_until("the connection to end", lambda: not self.ask("status")["connected"], START_DEADLINE_S)

    def errors(self) -> list[str]:
        """Its exceptions and OpenFlow errors so far, in all its lives."""
        return [*self._errors, *self.ask("status")["errors"]]

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            log = self._log.read_text(errors="replace").strip().splitlines()
            raise LabError(f"the controller ended with status {self._process.returncode}: {' | '.join(log[-3:])}")
        try:
            return bool(self.ask("status"))
        except OSError:  # not yet
            return False

    def ask(self, operation: str) -> dict[str, Any]:
        """What it answers to an operation of its status socket (``docs/controllers.md``)."""
        return asked(self._socket, operation)


def asked(path: Path, operation: str) -> dict[str, Any]:
    """What the controller at a status socket answers to an operation; ``OSError`` where there is none, or it ends over
    it, ``LabError`` where it cannot."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(START_DEADLINE_S)
        asking.connect(str(path))
        with asking.makefile("rw") as stream:
            stream.write(json.dumps({"op": operation}) + "\n")
            stream.flush()
            said = stream.readline()
    if not said:
        raise ConnectionResetError(f"the controller has ended over '{operation}'")
    answer: dict[str, Any] = json.loads(said)
    if "error" in answer:
        raise LabError(f"the controller cannot tell: {answer['error']}")
    return answer
