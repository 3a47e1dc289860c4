"""Overlay back ends: one module each, found by listing this folder.

A back end's module has an object ``BACKEND`` that fulfils ``emu.backends.base.Backend``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from emu.backends.base import Backend


@cache
def all_backends() -> Mapping[str, Backend]:
    """Every back end by its name."""
    modules = (module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    found = (importlib.import_module(f"{__name__}.{module}").BACKEND for module in modules)
    return {backend.name: backend for backend in found}
