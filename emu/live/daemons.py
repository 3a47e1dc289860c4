"""The programs that a plan has run from the start, such as routing daemons."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from emu.errors import LabError
from emu.programs import Process

LINES_TOLD = 3


class Daemons:
    """All of them in one lab; they end with it. What they print goes to files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[tuple[str, str, subprocess.Popen[bytes], Path]] = []

    def start(self, machine: str, process: Process, entering: Sequence[str]) -> None:
        """Start one; ``entering``: the words that have a command run in its machine."""
        for path, text in process.files:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text)
        log = self._folder / f"{process.name}.log"
        with open(log, "ab") as file:
            started = subprocess.Popen([*entering, *process.argv], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                       start_new_session=True)
        self._started.append((machine, (process.needs or process.argv)[0], started, log))

    @property
    def pids(self) -> list[int]:
        """Process numbers of those that run."""
        return [process.pid for _, _, process, _ in self._started if process.poll() is None]

    def ended(self, machine: str | None = None) -> list[str]:
        """Those of all machines, or of one, that have ended, with what they said last."""
        found = []
        for where, program, process, log in self._started:
            if machine in (None, where) and process.poll() is not None:
                said = log.read_text(errors="replace").strip().splitlines()[-LINES_TOLD:]
                found.append(f"{program} of {where} ended with status {process.returncode}: {' | '.join(said)}")
        return found

    def assert_running(self) -> None:
        """``LabError`` if one has ended."""
        if ended := self.ended():
            raise LabError(*ended)
