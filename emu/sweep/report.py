"""What is made of a sweep's points: one table, curves, and one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from emu.measure.figures import Drawn
from emu.measure.look import Style, use_in_figures
from emu.measure.page import page
from emu.measure.plots import image
from emu.measure.report import Answer, answer
from emu.measure.summary import REFERENCE
from emu.measure.verdict import planned_blocks
from emu.measure.words import Question, columns, conditions
from emu.output import OutputFolder
from emu.sweep.axes import Axis
from emu.sweep.curves import Chart, Measured, Results, change_shown, charts, finding, read_results, sweep_csv
from emu.sweep.draw import draw_chart, ratio_limits


@dataclass(frozen=True)
class Group:
    """The figures that answer one question along one axis, one for each combination of what is held."""

    heading: str
    figures: Sequence[Drawn]


def redraw_sweep(path: Path) -> Results:
    """Write table, curves and report of a sweep anew, from its points' stored samples; the sweep as read back.

    Needs neither root nor a lab. ``UsageError`` if ``path`` is not the folder of a sweep.
    """
    results = read_results(path)
    folder = OutputFolder.reopen(path)
    folder.write("sweep.csv", sweep_csv(results))
    drawn = charts(results)
    folder.write("report.html", _render(results, drawn, _draw(results, drawn, folder)))
    return results


def points_text(results: Results) -> str:
    """The verdict on every point, a line each, for a terminal."""
    return "\n".join(columns([(point.folder, *_standing(point)) for point in results.points]))


def _standing(point: Measured) -> tuple[str, str]:
    """What became of a point, and why not more: in a word or two, and in words."""
    if point.subject is None:
        return ("failed", point.error or "") if point.error else ("not measured", "")
    verdict = point.subject.summary.verdict
    if verdict.trusted:
        return "trusted", ""
    return "NOT TRUSTED", point.error or verdict.reasons[0].text


def _looks(results: Results) -> dict[str, Style]:
    return {spec: style for _, subject in results.found for spec, style in subject.styles.items()}


def _draw(results: Results, drawn: Sequence[Chart], folder: OutputFolder) -> list[Group]:
    """Draw every chart into ``plots/``, as PNG and PDF. Those of one question along one axis share limits of ratios."""
    use_in_figures()
    folder.folder("plots")
    looks = _looks(results)
    groups: dict[tuple[Question, Axis], list[Chart]] = {}
    for chart in drawn:
        groups.setdefault((chart.question, chart.axis), []).append(chart)
    return [Group(f"{question.heading}, by {axis.words.noun}",
                  [_figure(chart, looks, members, folder) for chart in members])
            for (question, axis), members in groups.items()]


def _figure(chart: Chart, looks: Mapping[str, Style], group: Sequence[Chart], folder: OutputFolder) -> Drawn:
    title, figure = draw_chart(chart, looks, ratio_limits(group))
    folder.write(f"plots/{chart.name}.pdf", image(figure, "pdf"))
    png = image(figure, "png")
    folder.write(f"plots/{chart.name}.png", png)
    return Drawn(chart.name, title, png)


def _render(results: Results, drawn: Sequence[Chart], groups: Sequence[Group]) -> str:
    looks = _looks(results)
    specs = results.specs
    notes: dict[str, None] = {}
    for _, subject in results.found:
        notes.update(dict.fromkeys(subject.summary.verdict.notes))
    asked = list(dict.fromkeys(question for _, subject in results.found for question in subject.questions
                               if subject.cells(question)))
    standings = [(point, quote(f"{point.folder}/report.html", safe="/=,"), *_standing(point))
                 for point in results.points]
    return page(
        "emu.sweep",
        [looks[spec] for spec in specs],
        document=results.document,
        nouns=" and ".join(axis.noun for axis in results.axes),
        swept=[(axis.label, ", ".join(axis.text(value) for value in axis.values)) for axis in results.axes],
        headlines=_headlines(drawn, {spec: looks[spec].label for spec in specs}),
        conditions=conditions(results.found[0][1].run) if len(results.points) == 1 and results.found else "",
        trusted=sum(word == "trusted" for _, _, word, _ in standings),
        standings=standings,
        blocks=min((planned_blocks(subject.run) for _, subject in results.found), default=0),
        reasons={point.folder: [*([point.error] if point.error else []),
                                *(reason.text for reason in subject.summary.verdict.reasons)]
                 for point, subject in results.found},
        differences=results.differences(),
        notes=list(notes),
        questions=asked,
        has_reference=REFERENCE in specs,
        axes=[axis for axis in results.axes if not axis.workload],
        rows=[(point, spec, specs.index(spec) + 1, looks[spec], _answers(point, spec, asked))
              for point, subject in results.found for spec in subject.summary.specs],
        groups=[(group.heading, [(figure.title, base64.b64encode(figure.png).decode()) for figure in group.figures])
                for group in groups],
    )


def _answers(point: Measured, spec: str, asked: Sequence[Question]) -> list[Answer | None]:
    return [answer(point.subject, spec, question) if point.subject else None for question in asked]


def _headlines(drawn: Sequence[Chart], labels: Mapping[str, str]) -> list[str]:
    """Of each axis along which a ratio is seen to change, the chart in which it does most."""
    told = []
    for axis in dict.fromkeys(chart.axis.name for chart in drawn):
        chart = max((chart for chart in drawn if chart.axis.name == axis), key=change_shown)
        if change_shown(chart):
            told.append(finding(chart, labels) + (f" ({chart.held_text})" if chart.held else ""))
        else:
            told.append(f"No change of a ratio with the {chart.axis.words.noun} is shown")
    return told
