"""Progress for a person: one rewritten line on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TextIO

PLAIN_EVERY_S = 5.0


class Progress:
    """Tells what runs. ``stream`` gets lines; on a terminal steps share one line that is written over. ``within``: of
    which part of a larger work all that is told is; lines begin with it."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._terminal = stream.isatty()
        self._last_s: float | None = None
        self._open_line = False
        self.within = ""

    def end(self) -> None:
        """Take the last step's line away: what comes next is not told here."""
        if self._open_line:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._open_line = False

    def say(self, text: str) -> None:
        """A line that stays."""
        self.end()
        self._stream.write(self._placed(text) + "\n")
        self._stream.flush()

    def stage(self, text: str) -> None:
        """What runs now, one of a few: replaced by what comes next on a terminal, a line that stays elsewhere."""
        if self._terminal:
            self._stream.write("\r\x1b[K" + self._placed(text)[: self._columns()])
            self._stream.flush()
            self._open_line = True
        else:
            self.say(text)

    def step(self, text: str) -> None:
        """What runs now, one of many: as ``stage``, but without a terminal left out if one was told just now."""
        if self._terminal:
            self.stage(text)
        elif self._last_s is None or self._now() - self._last_s >= PLAIN_EVERY_S:
            self._last_s = self._now()
            self.stage(text)

    def _placed(self, text: str) -> str:
        return f"{self.within}  {text}" if self.within else text

    def _columns(self) -> int | None:
        """How many characters fit on a line that is to be written over, where the terminal tells: one that wraps could
        not be taken away."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            return None
        return columns - 1 if columns else None


def left(seconds: float) -> str:
    """A time left, roughly: ``40 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds >= 3600:
        return f"{round(seconds / 60) // 60} h {round(seconds / 60) % 60} min"
    tens = max(0, round(seconds / 10) * 10) if seconds >= 30 else max(0, round(seconds))
    return f"{tens} s" if tens < 60 else f"{tens // 60} min {tens % 60:.0f} s"
