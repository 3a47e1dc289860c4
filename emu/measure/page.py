"""Pages that stand by themselves: one file, nothing loaded from elsewhere, in the project's look."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from emu.look import tokens
from emu.measure.budget_view import estimate_text, p99_text
from emu.measure.look import Style
from emu.measure.words import number, ratio_text


def page(package: str, looks: Sequence[Style], **values: Any) -> str:
    """``report.html`` of a package, filled in. ``looks``: of the designs, whose colours are ``--d1``, ``--d2``, ..."""
    texts = {name: files(home).joinpath(name).read_text(encoding="utf-8")
             for name, home in (("report.html", package), ("page.css", "emu.measure"))}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              loader=DictLoader(texts))
    environment.filters.update(number=number, estimate=estimate_text, p99=p99_text, ratio=ratio_text)
    return environment.get_template("report.html").render(looks=looks, colors=tokens()["color"], fonts=tokens()["font"],
                                                          **values)
