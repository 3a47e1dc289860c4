"""The errors that reach a user, each with the exit status the command line gives it.

An error carries *problems*: short sentences, one a line on standard error.
"""

from __future__ import annotations

from collections.abc import Sequence


class EmuError(Exception):
    """Something was asked for and could not be done (exit status 1)."""

    exit_status = 1

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems: Sequence[str] = problems


class LabError(EmuError):
    """A running lab failed, or did not reach a state in time (exit status 1)."""


class UsageError(EmuError):
    """Wrong usage or a bad scenario; holds every mistake found, not only the first (exit status 2)."""

    exit_status = 2


class MissingError(EmuError):
    """This machine lacks something; each problem names it and the command that mends it (exit status 3)."""

    exit_status = 3
