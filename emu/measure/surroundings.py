"""What a run is surrounded by, as ``run.json`` has it, and how two such things differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

SURROUNDINGS = ("kernel", "cpu", "cpus", "virtualisation", "ovs_version", "datapath", "sdn", "root", "tools", "version",
                "revision")  # fmt: skip
"""Of ``run.json``: what has to be the same for figures of several runs to be comparable, or is what is compared."""


def differences(before: object, now: object) -> Iterator[tuple[str, object, object]]:
    """What differs between two values as JSON has them: where, as in ``sysctls: ctr-1: net.ipv4.ip_forward``, and what
    is there in either."""
    yield from _differences(json.loads(json.dumps(before)), json.loads(json.dumps(now)), "")


def _differences(before: object, now: object, where: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for part in {**before, **now}:
            yield from _differences(before.get(part), now.get(part), f"{where}: {part}" if where else part)
    elif before != now:
        yield where, before, now
