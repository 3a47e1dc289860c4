"""The project's look: the one set of values (``look.json``) for the guide, walk.svg, report.html and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def tokens() -> Mapping[str, Any]:
    """The values of the look: colours by theme, realms, designs, fonts, sizes and places on the stage."""
    values: Mapping[str, Any] = json.loads(files("emu").joinpath("look.json").read_text(encoding="utf-8"))
    return values
