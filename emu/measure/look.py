"""The look of figures: how a design is drawn. Values are in ``emu.look``; ``look.json`` here is for figures alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from emu.look import tokens
from emu.measure.results import spec_of

STYLE = "emu.measure.paper"
"""The style file, as matplotlib's ``style.use`` finds it."""

UNKNOWN = {"light": "#454C55", "dark": "#BCC3CB", "marker": "o"}
"""How a design is drawn that the look does not name."""


@cache
def figure_tokens() -> Mapping[str, Any]:
    """The values that only our figures need: sizes in inches and points, greys. matplotlib's settings are in
    ``paper.mplstyle``, for figures of others too."""
    text = files("emu.measure").joinpath("look.json").read_text(encoding="utf-8")
    values: Mapping[str, Any] = json.loads(text)["figure"]
    return values


@dataclass(frozen=True)
class Style:
    """How one design is drawn. A variant of a design keeps its colour and has an open marker and a dash."""

    label: str
    light: str
    dark: str
    marker: str
    dash: tuple[float, ...]
    is_open: bool


def styles(designs: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, Style]:
    """A style for every (design, parameters) of a run, by spec. Labels name parameters only where they must."""
    met: dict[str, int] = {}
    found: dict[str, Style] = {}
    for name, params in designs:
        look = tokens()["design"]
        key = f"{name}:{params['backend']}" if f"{name}:{params.get('backend')}" in look else name
        values = look.get(key, UNKNOWN)
        label = _label(name, params, designs)
        variant = met.get(key, 0)
        met[key] = variant + 1
        dashes = tokens()["design_variant_dash"]
        found[spec_of(name, params)] = Style(label, values["light"], values["dark"], values["marker"],
                                             tuple(dashes[variant % len(dashes)]), variant > 0)
    return found


def _label(name: str, params: Mapping[str, str], designs: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    others = [other for other_name, other in designs if other_name == name and other != params]
    telling = [value for key, value in params.items() if any(other.get(key) != value for other in others)]
    if telling:
        return " ".join([name, *telling])
    return f"{name} {params['backend']}" if "backend" in params else name


def use_in_figures() -> None:
    """Set matplotlib to ``paper.mplstyle``, with those of its fonts that this machine has."""
    import matplotlib
    from matplotlib import font_manager, style

    style.use(STYLE)
    installed = set(font_manager.get_font_names())
    matplotlib.rcParams["font.sans-serif"] = [f for f in matplotlib.rcParams["font.sans-serif"] if f in installed]
