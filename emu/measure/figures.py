"""Which figures a run has, what each claims, and the files they become.

A title is a sentence computed from the data (``words.finding``): it names a difference only where the interval
of the ratio to bare leaves no room for none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from emu.measure.budget import Budget
from emu.measure.budget_view import FIGURE, latency_budget
from emu.measure.look import Style, styles, use_in_figures
from emu.measure.parsers import VALUES_PER_TRIAL
from emu.measure.plots import (
    CDF_ABOVE,
    INK2,
    ROW,
    ROWS_WIDTH,
    Curve,
    Row,
    Sheet,
    draw_cdf,
    draw_rows,
    image,
    log_axis,
)
from emu.measure.published import Band, band
from emu.measure.results import ResultFolder
from emu.measure.stats import Estimate
from emu.measure.summary import REFERENCE, Cell, Summary
from emu.measure.words import (
    COSTS,
    LATENCY_OF_REQUESTS,
    QUESTIONS,
    UNTRUSTED,
    Question,
    conditions,
    finding,
    number,
    questions,
    ratio_text,
)

HEADING, GAP, TICKS, TICKS_AND_LABEL = 0.2, 0.06, 0.24, 0.4  # room above and below rows
CDF_HEIGHT = 1.3
REFERENCE_LINE_PT = 0.8
MARKS = "Dot: one block; bar: 95\N{NO-BREAK SPACE}% interval of the median over blocks."


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn; ``png`` is the image itself."""

    name: str
    title: str
    png: bytes


@dataclass(frozen=True)
class Subject:
    """What figures are drawn from."""

    run: Mapping[str, Any]
    summary: Summary
    budgets: Sequence[Budget] = ()

    @cached_property
    def styles(self) -> Mapping[str, Style]:
        return styles([(design["design"], design["params"]) for design in self.run["designs"]])

    @cached_property
    def labels(self) -> dict[str, str]:
        return {spec: style.label for spec, style in self.styles.items()}

    @cached_property
    def questions(self) -> list[Question]:
        return questions(self.run["workloads"])

    def cells(self, question: Question) -> list[Cell]:
        """The cells that answer ``question``, in the order of the designs."""
        found = (self.summary.cell(spec, question.workload, question.metric) for spec in self.summary.specs)
        return [cell for cell in found if cell is not None]

    def is_doubted(self, cell: Cell) -> bool:
        """Whether a cell is not to be trusted."""
        return bool(self.summary.verdict.doubts(cell.spec, cell.workload))

    def remark(self, cell: Cell) -> str:
        """Why a cell is not to be trusted, short, where that concerns its design only."""
        doubts = self.summary.verdict.doubts(cell.spec, cell.workload)
        return next((f"untrusted: {reason.short}" for reason in doubts if reason.design), "")

    def finding(self, *questions: Question) -> str:
        """One sentence on the answers to ``questions``."""
        rows = [(cell, question) for question in questions for cell in self.cells(question)]
        return finding(rows, self.labels, {(c.spec, c.workload) for c, _ in rows if self.is_doubted(c)})

    def sheet(self, title: str, parts_height: float, *sentences: str) -> Sheet:
        """A sheet whose caption begins with the run's conditions; it bears the mark of an untrusted run."""
        reasons = self.summary.verdict.reasons
        if not reasons:
            return Sheet(title, " ".join([conditions(self.run), *sentences]), parts_height, None)
        caption = " ".join([conditions(self.run), *sentences, "Hollow or dashed: not to be trusted."])
        return Sheet(title, caption, parts_height, f"run not trusted: {reasons[0].short}"
                     + (", and more" if len({reason.short for reason in reasons}) > 1 else ""))


def draw(subject: Subject, folder: ResultFolder) -> list[Drawn]:
    """Draw every figure the run has data for into ``plots/``, as PNG and PDF."""
    use_in_figures()
    folder.folder("plots")
    drawn = []
    for name, drawing in DRAWINGS.items():
        done = drawing(subject)
        if done is not None:
            title, figure = done
            folder.write(f"plots/{name}.pdf", image(figure, "pdf"))
            png = image(figure, "png")
            folder.write(f"plots/{name}.png", png)
            drawn.append(Drawn(name, title, png))
    return drawn


def _cdf(question: Question, label: str, note: str) -> Callable[[Subject], tuple[str, Figure] | None]:
    """A figure of the distribution of a time."""

    def drawing(subject: Subject) -> tuple[str, Figure] | None:
        cells = subject.cells(question)
        if not cells:
            return None
        title = subject.finding(question)
        blocks, values = max(len(c.blocks) for c in cells), max(len(c.values) for c in cells)
        sheet = subject.sheet(
            title, CDF_ABOVE + CDF_HEIGHT + TICKS_AND_LABEL,
            f"{blocks} interleaved blocks, {values:,} values a design. {note} Numbers above: median over blocks; "
            "markers: quartiles and p99 of all values.",
        )
        curves = [Curve(subject.styles[c.spec], c.values, c.median.value, subject.is_doubted(c)) for c in cells]
        draw_cdf(sheet.axes(CDF_ABOVE, CDF_HEIGHT, TICKS_AND_LABEL), curves, CDF_HEIGHT, label)
        return title, sheet.figure

    return drawing


def _rates(subject: Subject) -> tuple[str, Figure] | None:
    """How much gets through: throughput and rates."""
    return _from_zero(subject, [question for question in subject.questions if question.higher_is_better])


def _cpu(subject: Subject) -> tuple[str, Figure] | None:
    """What it costs: CPU time of the lab's processes."""
    return _from_zero(subject, questions(subject.run["workloads"], COSTS), "CPU time of clients, server, switch and "
                      "controller, and softirq time where the kernel keeps it apart.")


def _from_zero(subject: Subject, questions: Sequence[Question], *sentences: str) -> tuple[str, Figure] | None:
    """Answers on axes that begin at 0, a part a question."""
    asked = [question for question in questions if subject.cells(question)]
    if not asked:
        return None
    title = subject.finding(*asked)
    heights = [ROW * len(subject.cells(question)) for question in asked]
    blocks = max(len(cell.blocks) for question in asked for cell in subject.cells(question))
    sheet = subject.sheet(title, sum(heights) + len(asked) * (HEADING + TICKS), f"{blocks} interleaved blocks. {MARKS} "
                          "Axes begin at 0.", *sentences)
    for question, height in zip(asked, heights, strict=True):
        ax = sheet.axes(HEADING, height, TICKS, ROWS_WIDTH)
        rows = [_row(subject, cell, question) for cell in subject.cells(question)]
        draw_rows(ax, rows, f"{question.heading}, {question.unit}")
        ax.set_xlim(0, 1.05 * max(max(*row.points, *(row.interval or ()), row.value) for row in rows))
        ax.locator_params(axis="x", nbins=4)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    return title, sheet.figure


def _row(subject: Subject, cell: Cell, question: Question) -> Row:
    median, scale = cell.median, question.scale
    return Row(
        subject.styles[cell.spec], median.value * scale,
        (median.interval[0] * scale, median.interval[1] * scale) if median.interval else None,
        points=[value * scale for value in cell.blocks.values()], text=number(median.value * scale),
        doubted=subject.is_doubted(cell), remark=subject.remark(cell),
    )


def _ratios(subject: Subject) -> tuple[str, Figure] | None:
    """All ratios to bare on one logarithmic axis."""
    parts: dict[Question, list[Row]] = {}
    sources: list[str] = []
    for question in subject.questions:
        for cell in subject.cells(question):
            if cell.ratio is not None and cell.design != REFERENCE:
                known = band(subject.run, cell)
                sources += [source for source in (known.sources if known else ()) if source not in sources]
                parts.setdefault(question, []).append(_ratio_row(subject, cell, cell.ratio, known))
    if not parts:
        return None
    title = subject.finding(*parts)
    height = sum(HEADING + ROW * len(rows) for rows in parts.values()) + GAP * (len(parts) - 1) + TICKS_AND_LABEL
    published = [f"Grey: published ({'; '.join(sources)})."] if sources else []
    sheet = subject.sheet(title, height, f"Each block against {REFERENCE} in the same block. {MARKS}", *published)
    low, high = _reach([row for rows in parts.values() for row in rows])
    last = list(parts)[-1]
    for question, rows in parts.items():
        ax = sheet.axes(HEADING, ROW * len(rows), TICKS_AND_LABEL if question is last else GAP, ROWS_WIDTH)
        draw_rows(ax, rows, f"{question.heading}: {'more' if question.higher_is_better else 'less'} is better")
        log_axis(ax, low, high, f"ratio to {REFERENCE} (log scale)" if question is last else "")
        ax.axvline(1, color=INK2, lw=REFERENCE_LINE_PT, zorder=1)
        if question is not last:
            ax.spines["bottom"].set_visible(False)
            ax.xaxis.set_major_locator(NullLocator())
    return title, sheet.figure


def _ratio_row(subject: Subject, cell: Cell, ratio: Estimate, known: Band | None) -> Row:
    return Row(
        subject.styles[cell.spec], ratio.value, ratio.interval, points=cell.ratios, text=ratio_text(ratio),
        doubted=subject.is_doubted(cell), remark=subject.remark(cell),
        band=(known.low, known.high) if known else None,
    )


def _reach(rows: Sequence[Row]) -> tuple[float, float]:
    """Limits of a logarithmic axis that show all of ``rows``."""
    ends = [x for row in rows for x in (*row.points, row.value, *(row.band or ())) if x > 0]
    return min(ends) * 0.93, max(ends) * 1.07


def _first_packet(subject: Subject) -> tuple[str, Figure] | None:
    """What the first packet costs that later ones do not."""
    steady_question, first_question = QUESTIONS[0], QUESTIONS[-1]
    steady = {cell.spec: cell for cell in subject.cells(steady_question)}
    pairs = [(steady[cell.spec], cell) for cell in subject.cells(first_question) if cell.spec in steady]
    if not pairs:
        return None
    times = [first.median.value / later.median.value for later, first in pairs]
    span = number(times[0]) if len(times) == 1 else f"{number(min(times))} to {number(max(times))}"
    doubted = any(subject.is_doubted(cell) for pair in pairs for cell in pair)
    title = UNTRUSTED if doubted else f"Cold, a packet takes {span} times as long"
    sheet = subject.sheet(title, 2 * HEADING + 2 * ROW * len(pairs) + GAP + TICKS_AND_LABEL,
                          "Cold: neighbors, datapath flows and what the controller learned were emptied before each "
                          f"packet; steady: pings every 2 ms. {MARKS}")
    parts = [(heading, [_row(subject, pair[i], first_question) for pair in pairs])
             for i, heading in enumerate(("Steady, µs", "First packet, µs"))]
    low, high = _reach([row for _, rows in parts for row in rows])
    for i, (heading, rows) in enumerate(parts):
        ax = sheet.axes(HEADING, ROW * len(rows), TICKS_AND_LABEL if i else GAP, ROWS_WIDTH)
        draw_rows(ax, rows, heading)
        log_axis(ax, low, high, "round-trip time, µs (log scale)" if i else "")
        if not i:
            ax.spines["bottom"].set_visible(False)
            ax.xaxis.set_major_locator(NullLocator())
    return title, sheet.figure


def _latency_budget(subject: Subject) -> tuple[str, Figure] | None:
    """Where the time of a round trip goes."""
    if not subject.budgets:
        return None
    return latency_budget(subject.budgets, subject.styles, subject.sheet)


DRAWINGS: Mapping[str, Callable[[Subject], tuple[str, Figure] | None]] = {
    "latency-ping": _cdf(QUESTIONS[0], "round-trip time, µs (log scale)", "Every packet counts."),
    "latency-tcp-rr": _cdf(LATENCY_OF_REQUESTS, "from request to answer, µs (log scale)",
                           f"Of each trial {VALUES_PER_TRIAL} evenly ranked times."),
    "rates": _rates,
    "ratios": _ratios,
    "first-packet": _first_packet,
    "cpu": _cpu,
    FIGURE: _latency_budget,
}
"""The figures by the name of their files, in the order of the report."""
