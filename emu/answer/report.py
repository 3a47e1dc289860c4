"""Numbers, guide, figures and one self-contained page, from what the folder of an answer holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from emu.answer.draw import OVER, beside, draw, label_of
from emu.answer.guide import DEFAULT, Advice, guide
from emu.answer.look import Held, spoke_of
from emu.answer.numbers import COSTS, Number, Numbers, against, costs, ended, looked, spread, wrong
from emu.backends import DEFAULT as DEFAULT_BACKEND
from emu.errors import UsageError
from emu.measure.figures import Subject
from emu.measure.look import Style, styles, use_in_figures
from emu.measure.page import page
from emu.measure.plots import image
from emu.measure.report import subject_of
from emu.measure.results import csv_text, parts_of, read_folder, spec_of
from emu.measure.words import conditions
from emu.output import OutputFolder

FORMAT, FILE = "emu-answer/1", "answer.json"
PARTS = ("inside", "outside")
CSV_FIELDS = ("id", "what", "value", "unit", "low", "high", "n", "source")


@dataclass(frozen=True)
class Answered:
    """The folder of an answer as read back."""

    path: Path
    document: Mapping[str, Any]
    parts: Mapping[str, Subject]
    labels: Mapping[str, str]
    numbers: Numbers
    advice: Sequence[Advice]

    @property
    def problems(self) -> list[str]:
        """What failed while it was measured."""
        return [*self.document["problems"], *wrong(self.document)]

    @property
    def reasons(self) -> list[str]:
        """What speaks against its figures."""
        found = [f"{name}: {reason.text}" for name, part in self.parts.items()
                 for reason in part.summary.verdict.reasons]
        return [*found, *self.problems, *([] if self.document["ended"] else ["it was interrupted"])]


def is_answer(path: Path) -> bool:
    """Whether a folder is that of an answer."""
    return (path / FILE).exists()


def read_answer(path: Path) -> Answered:
    """Read the folder of an answer; ``UsageError`` if it is none, or a comparison in it is missing."""
    try:
        document = json.loads((path / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not the folder of an answer: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path}/{FILE} is not of the format {FORMAT}")
    parts = {name: subject_of(read_folder(path / name)) for name in PARTS}
    labels = _labels(parts, document)
    numbers = Numbers(_numbers(parts, document, labels))
    designs = [parts_of(spec) for spec in parts["inside"].summary.specs]
    backends = [params["backend"] for name, params in designs if name == "overlay"]
    return Answered(path, document, parts, labels, numbers, guide(numbers, backends))


def _labels(parts: Mapping[str, Subject], document: Mapping[str, Any]) -> dict[str, str]:
    """Short names of all designs: the back end for overlays between pods; the way for those from outside, with the back
    end where that is another than the default one."""
    specs = dict.fromkeys([*(spec for part in parts.values() for spec in part.summary.specs),
                           *(each["spec"] for name in ("looked", "spread", "endings") for each in document[name])])
    return {spec: _label(spec) for spec in specs}


def _label(spec: str) -> str:
    name, params = parts_of(spec)
    if name != "overlay":
        return name
    way, backend, bridges = params["outside"], params["backend"], params.get("bridges", "1")
    nat = "+nat" if params.get("snat") == "on" else ""
    if way == "none":
        return f"{backend}{nat}"
    by = "" if backend == DEFAULT_BACKEND else f" {backend}"
    return f"{way if bridges == '1' else f'{bridges} bridges'}{nat}{by}"


def _numbers(parts: Mapping[str, Subject], document: Mapping[str, Any], labels: Mapping[str, str]) -> list[Number]:
    found: list[Number] = []
    uncounted = _uncounted(labels, document)
    for name, part in parts.items():
        summary = part.summary
        found += costs(name, summary, labels, uncounted)
        default = DEFAULT if name == "inside" else DEFAULT.replace("none", "bridge")
        for spec in summary.specs:
            if spec not in (default, summary.specs[0]):
                found += against(name, summary, labels, spec, default, uncounted)
        if name == "inside" and {DEFAULT, "hostgw"} <= set(summary.specs):
            found += against(name, summary, labels, DEFAULT, "hostgw", uncounted)
    for each in document["looked"]:
        found += looked(each, label_of(each["spec"], each["from"], labels))
    for each in document["spread"]:
        found += spread(each, labels[each["spec"]])
    keyed = sorted(document["endings"], key=_ending)
    for _, trials in groupby(keyed, key=_ending):
        of_one = list(trials)
        found += ended(of_one, labels[of_one[0]["spec"]])
    return found


def _uncounted(specs: Iterable[str], document: Mapping[str, Any]) -> set[str]:
    """Overlays by WireGuard, unless a program was seen to encipher: the kernel does it in threads of its own, whose CPU
    time is no process's."""
    if False in [each.get("kernel_wireguard") for each in document["looked"]]:
        return set()
    return {spec for spec in specs if parts_of(spec)[1].get("backend") == "wireguard"}


def _ending(trial: Mapping[str, Any]) -> tuple[str, str]:
    return trial["spec"], trial["protocol"]


def redraw_answer(path: Path) -> Answered:
    """Write numbers, guide, figures and report anew from what is stored; what there is then. ``UsageError`` as
    ``read_answer``."""
    answered = read_answer(path)
    folder = OutputFolder.reopen(path)
    document = {**answered.document, "numbers": [number.entry() for number in answered.numbers.by_id.values()],
                "guide": [advice.entry() for advice in answered.advice],
                "verdict": {"trusted": not answered.reasons, "reasons": answered.reasons}}
    folder.write_json(FILE, document)
    folder.write("answer.csv", csv_text(CSV_FIELDS, document["numbers"]))
    use_in_figures()
    folder.folder("plots")
    figures = []
    for name, title, figure in draw(answered.document, answered.parts, answered.numbers, answered.labels):
        folder.write(f"plots/{name}.pdf", image(figure, "pdf"))
        png = image(figure, "png")
        folder.write(f"plots/{name}.png", png)
        figures.append((title, base64.b64encode(png).decode()))
    folder.write("report.html", _render(answered, figures))
    return answered


def _render(answered: Answered, figures: Sequence[tuple[str, str]]) -> str:
    parts = answered.parts
    rows = [(name, part.run, [(spec, _cells(answered, name, spec)) for spec in part.summary.specs])
            for name, part in parts.items()]
    return page(
        "emu.answer",
        list(_looks(parts).values()),
        document=answered.document,
        advice=answered.advice,
        reasons=answered.reasons,
        conditions=conditions(parts["inside"].run),
        costs=[noun for _, _, noun in COSTS],
        rows=rows,
        labels=answered.labels,
        over=OVER,
        beside=beside([each["spec"] for each in answered.document["looked"]]),
        enciphers=any(each.get("kernel_wireguard") for each in answered.document["looked"]),
        looked=[(each, label_of(each["spec"], each["from"], answered.labels), *spoke_of(each),
                 [Held(**held) for held in each["held"]])
                for each in answered.document["looked"]],
        endings=_endings(answered),
        numbers=list(answered.numbers.by_id.values()),
        figures=figures,
    )


def _looks(parts: Mapping[str, Subject]) -> dict[str, Style]:
    designs = [(d["design"], d["params"]) for part in parts.values() for d in part.run["designs"]]
    return styles(list({spec_of(*design): design for design in designs}.values()))


def _cells(answered: Answered, part: str, spec: str) -> list[tuple[Number | None, Number | None]]:
    """Of each cost the median and its ratio to bare."""
    return [(answered.numbers.get(f"{part}/{metric}/{spec}"), answered.numbers.get(f"{part}/{metric}/{spec}/bare"))
            for _, metric, _ in COSTS]


def _endings(answered: Answered) -> list[tuple[str, str, list[Number | None]]]:
    """A row for each way and protocol: went on, was ended, of these by a reset, the gap, until routed."""
    keys = ("lived", "ended", "reset", "longest_gap_ms", "routed_ms")
    kinds = dict.fromkeys((trial["spec"], trial["protocol"]) for trial in answered.document["endings"])
    return [(answered.labels[spec], protocol, [answered.numbers.get(f"{key}/{protocol}/{spec}") for key in keys])
            for spec, protocol in kinds]
