"""Latency budgets shown: tables for a terminal, the figure, and the files they become."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from emu.errors import UsageError
from emu.measure.budget import SEGMENTS, Budget, Spent, document, read
from emu.measure.budget_plot import ROW_HEIGHT, draw_budgets
from emu.measure.look import Style, styles, use_in_figures
from emu.measure.plots import Sheet, image
from emu.measure.stats import Estimate
from emu.measure.words import conditions, interval_text, number, ratio_text
from emu.output import OutputFolder

FILE, FIGURE = "budget.json", "latency-budget"
_GAP, _TICKS = 0.04, 0.4  # room above and below the bars in inches
_TABLE_DESIGNS = 4
"""Designs side by side in a table of 80 columns."""


def styles_of(budgets: Sequence[Budget]) -> dict[str, Style]:
    """How the designs of some budgets are drawn and called, by spec."""
    return styles([(budget.design, budget.params) for budget in budgets])


def finding(budgets: Sequence[Budget], labels: Mapping[str, str]) -> str:
    """One sentence on the largest part of the time. A gateway is the switch, routing."""
    shares = {b.spec: b.segments[b.largest].median_us / sum(s.median_us for s in b.segments.values()) for b in budgets}
    low, high = (f"{100 * share:.0f}" for share in (min(shares.values()), max(shares.values())))
    span = f"{low}\N{NO-BREAK SPACE}%" if low == high else f"{low} to {high}\N{NO-BREAK SPACE}%"
    largest = {budget.largest for budget in budgets}
    if largest <= {"switch", "gateway"} or len(largest) == 1:
        name = "switch" if "switch" in largest else next(iter(largest))
        return f"The {name} takes {span} of a round trip"
    parts = (f"{labels[budget.spec]}: {budget.largest}" for budget in budgets)
    return f"The largest part of a round trip differs ({'; '.join(parts)})"


def estimate_text(estimate: Estimate) -> str:
    """A time, with its interval in brackets where it has one."""
    return number(estimate.value) + (f" ({interval_text(estimate, 1)})" if estimate.interval else "")


def p99_text(spent: Spent) -> str:
    """A p99 in microseconds; a dash where there are too few exchanges for one."""
    return "-" if spent.p99_us is None else number(spent.p99_us)


def caption(budgets: Sequence[Budget], labels: Mapping[str, str]) -> list[str]:
    """What a figure of budgets has to say besides its conditions, a sentence each."""
    first = budgets[0]
    costs = ", ".join(f"{labels[budget.spec]} {ratio_text(budget.capture_cost)}" for budget in budgets)
    interval = " and its 95\N{NO-BREAK SPACE}% interval over blocks" if first.round_trip.interval else ""
    return [
        f"{first.blocks} blocks, {first.repeats} captured {_NOUN[first.request]} a design.",
        "Parts: medians, in colour the largest; hatched: what no capture point sees, the sender's stack and the tool. "
        f"Tick: median round trip by the tool's clock{interval}; medians of parts need not add up to it.",
        f"Capture's own cost, round trip with it over that without: {costs}.",
    ]


_NOUN = {"ping": "pings", "http": "requests"}


def latency_budget(budgets: Sequence[Budget], look: Mapping[str, Style],
                   sheet_of: Callable[..., Sheet]) -> tuple[str, Figure]:
    """The figure of some budgets, and its title. ``look``: a style for each, by spec. ``sheet_of``: makes a sheet of a
    title, the height of its parts in inches, and sentences to end its caption with."""
    labels = {spec: style.label for spec, style in look.items()}
    title = finding(budgets, labels)
    height = ROW_HEIGHT * len(budgets)
    sheet = sheet_of(title, _GAP + height + _TICKS, *caption(budgets, labels))
    draw_budgets(sheet.axes(_GAP, height, _TICKS), budgets, look)
    return title, sheet.figure


def write(folder: OutputFolder, budgets: Sequence[Budget]) -> None:
    """Put ``budget.json`` and the figure, as PNG and PDF, into a folder."""
    use_in_figures()
    said = conditions(budgets[0].conditions)

    def sheet(title: str, height: float, *sentences: str) -> Sheet:
        return Sheet(title, " ".join([said, *sentences]), height, None)

    _, figure = latency_budget(budgets, styles_of(budgets), sheet)
    folder.write_json(FILE, document(budgets))
    for kind in ("pdf", "png"):
        folder.write(f"{FIGURE}.{kind}", image(figure, kind))


def read_budgets(folder: Path) -> list[Budget]:
    """The budgets in a result folder; none where it has none. ``UsageError`` if its file is damaged."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except (UsageError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}") from None


def hop_table(budget: Budget) -> str:
    """One design, hop by hop, for a terminal of 80 columns."""
    lines = [f"{budget.spec}: {budget.repeats} {_NOUN[budget.request]} from {budget.src} to {budget.dst}",
             f"{'µs':>62}{'median':>9}{'p99':>9}", f"  {budget.hops[0][0].start}"]
    lines += [f"  {leg.end:<42}{leg.segment:<18}{number(spent.median_us):>9}{p99_text(spent):>9}"
              for leg, spent in budget.hops]
    return "\n".join(lines)


def table(budgets: Sequence[Budget]) -> str:
    """Designs side by side, segment by segment, and what capturing them cost, for a terminal of 80 columns."""
    look = styles_of(budgets)
    parts = [budgets[start : start + _TABLE_DESIGNS] for start in range(0, len(budgets), _TABLE_DESIGNS)]
    lines = [line for part in parts for line in _segments(part, look)]
    lines.append(f"{'':<16}{'round trip, µs':>21}{'uncaptured, µs':>21}{'ratio':>22}")
    for budget in budgets:
        trip, uncaptured, cost = estimate_text(budget.round_trip), estimate_text(budget.uncaptured), budget.capture_cost
        lines.append(f"{look[budget.spec].label:<16}{trip:>21}{uncaptured:>21}{ratio_text(cost):>22}")
    return "\n".join(lines)


def _segments(budgets: Sequence[Budget], look: Mapping[str, Style]) -> list[str]:
    lines = [f"{'median / p99, µs':<16}" + "".join(f"{look[budget.spec].label:>16}" for budget in budgets)]
    for name in SEGMENTS:
        spent = [budget.segments.get(name) for budget in budgets]
        if any(spent):
            cells = (f"{number(s.median_us)} / {p99_text(s)}" if s else "-" for s in spent)
            lines.append(f"{name:<16}" + "".join(f"{cell:>16}" for cell in cells))
    return lines
