"""Overlay back ends: one module each, found by listing this folder.

A back end's module has an object ``BACKEND`` that fulfils ``emu.backends.base.Backend``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from emu.backends.base import Backend
from emu.listing import objects_in
from emu.model import Scenario

DEFAULT = "vxlan"


def backend_of(name: str, scenario: Scenario) -> Backend:
    """The back end of that name, as flannel's own configuration has it where the scenario is of one."""
    backend = all_backends()[name]
    return backend.configured(scenario.flannel) if scenario.flannel else backend


@cache
def all_backends() -> Mapping[str, Backend]:
    """Every back end by its name, the default one first."""
    found = {backend.name: backend for backend in objects_in(sys.modules[__name__], "BACKEND", {"base"})}
    return {name: found[name] for name in sorted(found, key=lambda name: (name != DEFAULT, name))}
