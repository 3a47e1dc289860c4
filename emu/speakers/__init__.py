"""Routing daemons for nodes: one module each, found by listing this folder.

A speaker's module has an object ``SPEAKER`` that fulfils ``emu.speakers.base.Speaker``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from emu.speakers.base import Speaker

_NOT_SPEAKERS = {"base", "claims"}


@cache
def all_speakers() -> Mapping[str, Speaker]:
    """Every routing daemon by its name."""
    modules = (module.name for module in pkgutil.iter_modules(__path__) if module.name not in _NOT_SPEAKERS)
    found = (importlib.import_module(f"{__name__}.{module}").SPEAKER for module in modules)
    return {speaker.name: speaker for speaker in found}
