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
    """The objects that iproute2 printed with ``-j``, but for empty ones, which it prints for some devices. What a route
    has put around packets (``encap``) may be an object of its own (6.15) or beside the route's names (6.1), some of
    which are there twice then: here it is beside them, and of what is there twice the second is ``NAME.2``."""
    found = json.loads(printed or "[]", object_pairs_hook=_flat)
    return [item for item in found if item]


def _flat(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        is_nested = name == "encap" and isinstance(value, dict)
        for key, each in ([("encap", value.pop("encap_type")), *value.items()] if is_nested else [(name, value)]):
            found[f"{key}.2" if key in found else key] = each
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
