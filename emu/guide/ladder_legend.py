"""The legend below the ladder."""

from __future__ import annotations

from collections.abc import Callable

from emu.guide.ladder_svg import Pencil, width
from emu.guide.realms import NODE, POD

_SAMPLE, _GAP, _LINE = 30.0, 24.0, 24.0


def legend(pencil: Pencil, left: float, right: float, y: float) -> float:
    """What the lines and signs mean, in as many lines as it takes; the y of the last one."""
    x = left
    for words, sign in _SIGNS.items():
        needed = _SAMPLE + 8 + width(words, "legend")
        if x + needed > right:
            x, y = left, y + _LINE
        sign(pencil, x, y)
        pencil.text(x + _SAMPLE + 8, y, words, "legend")
        x += needed + _GAP
    return y


def _line(css: str) -> Callable[[Pencil, float, float], None]:
    return lambda pencil, x, y: pencil.line("legs", [(x, y), (x + _SAMPLE, y)], css)


def _circle(radius: float, css: str) -> Callable[[Pencil, float, float], None]:
    return lambda pencil, x, y: pencil.circle((x + _SAMPLE / 2, y), radius, css)


def _of_realm(realm: str) -> Callable[[Pencil, float, float], None]:
    def draw(pencil: Pencil, x: float, y: float) -> None:
        _line(f"leg s-{realm}")(pencil, x, y)
        pencil.glyph((x + _SAMPLE / 2, y), realm)

    return draw


_SIGNS: dict[str, Callable[[Pencil, float, float], None]] = {
    "a container's packet": _of_realm(POD),
    "a node's packet": _of_realm(NODE),
    "a packet in a packet": lambda pencil, x, y: pencil.pipe([(x, y), (x + _SAMPLE, y)], NODE, POD),
    "broadcast": _line("leg s-ink flood"),
    "waits": _line("wait s-ink"),
    "changed here": _circle(4.5, "ring"),
    "answered": _circle(5, "f-ink"),
    "heard, silent": _circle(3.5, "quiet"),
    "dropped or lost": lambda pencil, x, y: pencil.cross((x + _SAMPLE / 2, y)),
}
