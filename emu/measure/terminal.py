"""The result of a run as a table for a terminal."""

from __future__ import annotations

from emu.measure.summary import REFERENCE, Cell, Summary
from emu.measure.words import Question, columns, control_text, number, questions, ratio_text


def table(summary: Summary) -> str:
    """A row a design: medians, and behind each the ratio to bare with its interval; then how far to trust it."""
    asked = [question for question in questions(dict.fromkeys(workload for _, workload, _ in summary.cells))
             if any(_cell(summary, spec, question) for spec in summary.specs)]
    rows = [["", *(f"{question.heading}, {question.unit}" for question in asked)]]
    for spec in summary.specs:
        rows.append([spec, *(_text(_cell(summary, spec, question), question) for question in asked)])
    lines = columns(rows)
    if any(cell.ratio is not None for cell in summary.cells.values()):
        lines.append(f"x: ratio to {REFERENCE}; above 1 is worse for times, below 1 for rates")
    if summary.control:
        lines.append(control_text(summary.control))
    verdict = summary.verdict
    lines.append("trusted" if verdict.trusted else "NOT TRUSTED: " + "; ".join(verdict.document()["reasons"]))
    return "\n".join(lines)


def _cell(summary: Summary, spec: str, question: Question) -> Cell | None:
    return summary.cell(spec, question.workload, question.metric)


def _text(cell: Cell | None, question: Question) -> str:
    if cell is None:
        return "-"
    median = number(cell.median.value * question.scale)
    return f"{median}  x{ratio_text(cell.ratio)}" if cell.ratio is not None else median
