"""The report: summary, figures and one self-contained page, all from what a result folder holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.measure.budget import SEGMENTS
from emu.measure.budget_view import read_budgets
from emu.measure.figures import Drawn, Subject, draw
from emu.measure.links import links_text
from emu.measure.metrics import COST_PARTS
from emu.measure.page import page
from emu.measure.published import held, order, sources, why
from emu.measure.results import ResultFolder, Stored, read_folder, summary_csv
from emu.measure.summary import REFERENCE, Cell, summarise
from emu.measure.verdict import planned_blocks, was_interrupted
from emu.measure.words import (
    Question,
    conditions,
    control_text,
    cost_questions,
    differs,
    interval_text,
    labs_text,
    links,
    number,
    ratio_text,
)
from emu.measure.workloads import workloads_named


@dataclass(frozen=True)
class Answer:
    """One cell of the report's first table, in words."""

    value: str
    interval: str
    ratio: str
    shown: bool
    doubted: bool


def redraw(path: Path) -> Path:
    """Write summary, figures and report of a result folder anew, from its stored samples; the report's path.

    Needs neither root nor a lab. ``UsageError`` if ``path`` is no result folder.
    """
    stored = read_folder(path)
    subject = subject_of(stored)
    folder = ResultFolder.reopen(path)
    document = subject.summary.document()
    folder.write_json("summary.json", document)
    folder.write("summary.csv", summary_csv(document["metrics"]))
    return folder.write("report.html", render(stored, subject, draw(subject, folder)))


def subject_of(stored: Stored) -> Subject:
    """What a stored run's figures and report are made from."""
    summary = summarise(stored)
    budgets = {budget.spec: budget for budget in read_budgets(stored.path)}
    return Subject(stored.run, summary, [budgets[spec] for spec in summary.specs if spec in budgets])


def render(stored: Stored, subject: Subject, drawn: Sequence[Drawn]) -> str:
    """The page."""
    summary = subject.summary
    asked = [question for question in subject.questions if subject.cells(question)]
    return page(
        "emu.measure",
        [subject.styles[spec] for spec in summary.specs],
        run=stored.run,
        blocks=planned_blocks(stored.run),
        verdict=summary.verdict,
        control=control_text(summary.control) if summary.control else "",
        headlines=_headlines(subject, asked),
        conditions=conditions(stored.run),
        questions=asked,
        rows=[(spec, subject.styles[spec], [answer(subject, spec, question) for question in asked])
              for spec in summary.specs],
        has_reference=REFERENCE in summary.specs,
        figures=[(figure.name, figure.title, base64.b64encode(figure.png).decode()) for figure in drawn],
        budgets=subject.budgets,
        held=held(stored.run, summary),
        order=order(summary),
        why=why(stored.run, summary, subject.budgets),
        sources=sources(),
        segments=[name for name in SEGMENTS if any(name in budget.segments for budget in subject.budgets)],
        labels=subject.labels,
        cells=[(cell, cell.entry(), subject.labels[cell.spec]) for cell in summary.cells.values()],
        workloads=list(workloads_named(stored.run["workloads"]).values()),
        facts=_facts(stored),
        costs=_costs(subject),
    )


def _costs(subject: Subject) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Of each workload with costs: its heading, and of each part (the whole first) a value a design."""
    tables = []
    for question in cost_questions(subject.run["workloads"]):
        names = {"in all": question.metric, **{part: question.part(part) for part in COST_PARTS}}
        cells = {name: [subject.summary.cell(spec, question.workload, metric) for spec in subject.summary.specs]
                 for name, metric in names.items()}
        rows = [(name, [number(cell.median.value) if cell else "" for cell in row])
                for name, row in cells.items() if any(row)]
        if rows:
            tables.append((question.heading, rows))
    return tables


def _headlines(subject: Subject, asked: Sequence[Question]) -> list[str]:
    """The largest difference shown in steady state, and that of the first packet, which is of another size."""
    parts = ([q for q in asked if q.workload != "first_packet"], [q for q in asked if q.workload == "first_packet"])
    return list(dict.fromkeys(subject.finding(*part) for part in parts if part))


def answer(subject: Subject, spec: str, question: Question) -> Answer | None:
    """What a run answers to a question for one design; ``None`` where nothing was measured."""
    cell: Cell | None = subject.summary.cell(spec, question.workload, question.metric)
    if cell is None:
        return None
    related = cell.ratio is not None and cell.design != REFERENCE
    return Answer(
        value=number(cell.median.value * question.scale),
        interval=interval_text(cell.median, question.scale),
        ratio=ratio_text(cell.ratio) if related and cell.ratio is not None else "",
        shown=related and cell.ratio is not None and differs(cell.ratio),
        doubted=subject.is_doubted(cell),
    )


def _facts(stored: Stored) -> list[tuple[str, str]]:
    """How it was measured, row by row."""
    run = stored.run
    first = run["designs"][0]["facts"]
    profile = run["profile"]
    offloads = sorted({f"{name} {'on' if value else 'off'}" for design in run["designs"]
                       for settings in design["facts"]["offloads"].values() for name, value in settings.items()})
    scenario = ", ".join(f"{key} {value}" for key, value in run["scenario"].items() if value not in (None, {}))
    rows: list[tuple[str, Any]] = [
        ("Designs", "; ".join(f"{d['spec']} from {d['endpoints'][0]} to {d['endpoints'][1]}" for d in run["designs"])),
        ("Scenario", f"{run['nodes']} nodes; {scenario}"),
        ("Links", links_text(run) or links(run["scenario"])),
        ("Profile", f"{profile['name']}: {planned_blocks(run)} blocks; {json.dumps(profile['lengths'])[1:-1]}"),
        ("Labs", labs_text(run)),
        ("Seed of the order of trials", run["seed"]),
        ("Congestion control", ", ".join(sorted({c for each in first["congestion_control"].values() for c in each}))),
        ("Offloads at the endpoints", ", ".join(offloads)),
        ("MTU at the endpoints", "; ".join(f"{d['spec']} {'/'.join(map(str, sorted(set(d['facts']['mtu'].values()))))}"
                                           for d in run["designs"])),
        ("Socket buffers", ", ".join(f"{name} {value:,} B" for name, value in first["socket_buffers"].items())),
        ("Switch", f"Open vSwitch {run['ovs_version']}, {run['datapath']} datapath; controller {run['sdn']}"),
        ("Machine", f"{run['cpu']}, {run['cpus']} CPUs, hypervisor: {run['virtualisation']}, Linux {run['kernel']}, "
                    f"{'as root' if run['root'] else 'without root'}"),
        ("Tools", "; ".join(run["tools"].values())),
        ("Software", f"kubenet-emu {run['version']}, revision {run['revision'] or 'unknown'}"),
        ("Started, ended", f"{run['started']}, {run['ended'] or 'not known'}"
                           f"{' (interrupted)' if was_interrupted(run) else ''}"),
        ("Command", " ".join(run["argv"])),
    ]
    return [(name, str(value)) for name, value in rows]
