"""Routing daemons for nodes: one module each, found by listing this folder.

A speaker's module has an object ``SPEAKER`` that fulfils ``emu.speakers.base.Speaker``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from emu.listing import objects_in
from emu.speakers.base import Speaker


@cache
def all_speakers() -> Mapping[str, Speaker]:
    """Every routing daemon by its name."""
    found = objects_in(sys.modules[__name__], "SPEAKER", {"base", "claims"})
    return {speaker.name: speaker for speaker in found}


def speaker_of(params: Mapping[str, str]) -> Speaker:
    """The daemon of nodes, by a design's parameters."""
    return all_speakers()[params.get("bgp", "bird")]
