"""Commands as words, never through a shell, with their status looked at; and waiting for conditions."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emu.errors import LabError, MissingError

USUAL_DEADLINE_S = 30.0
"""How long to wait for what usually takes under three seconds: it detects a hang and nothing else."""


def run(argv: Sequence[str], env: Mapping[str, str] | None = None, deadline_s: float = USUAL_DEADLINE_S) -> str:
    """Standard output of a command that must succeed; ``LabError`` with what it said if it does not."""
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline_s, check=False
        )
    except FileNotFoundError:
        raise MissingError(f"{argv[0]} is not installed; mend: sudo ./run doctor") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv[:3])} did not end within {deadline_s:g} s") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise LabError(f"{' '.join(argv[:3])} ended with status {done.returncode}: {said}")
    return done.stdout


def objects(printed: str) -> list[dict[str, Any]]:
    """The objects that iproute2 printed with ``-j``. It prints an empty one for some devices that it has nothing to say
    of, and a route with an encapsulation has some names twice: those of the encapsulation are ``dst.2`` here."""
    found = json.loads(printed or "[]", object_pairs_hook=_once_each)
    return [item for item in found if item]


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[f"{name}.2" if name in found else name] = value
    return found


def wait_until(
    what: str, condition: Callable[[], bool], deadline_s: float = USUAL_DEADLINE_S, interval_s: float = 0.01
) -> None:
    """Return as soon as ``condition`` holds; ``LabError`` naming ``what`` if it does not by the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {deadline_s:g} s in vain: {what}")
        time.sleep(interval_s)
