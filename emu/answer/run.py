"""The run: two comparisons, a look into every lab, and bridge machines that are ended in mid-transfer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emu import __version__
from emu.answer.cast import Cast
from emu.answer.look import look
from emu.answer.report import FILE, FORMAT, redraw_answer
from emu.bridges import Bridges
from emu.errors import EmuError, LabError, MissingError
from emu.live.lab import Lab, choose, this_machine
from emu.live.steady import PROTOCOLS
from emu.measure.asked import comparison_of
from emu.measure.blocks import PROFILES
from emu.measure.compare import compare
from emu.measure.progress import Progress
from emu.measure.workloads import parse_workload
from emu.model import Plan
from emu.output import OutputFolder

WORKLOADS = ("tcp_rr", "tcp_stream")
TOOLS = tuple(sorted({"tc", *(tool for name in WORKLOADS for tool in parse_workload(name).tools)}))
"""Commands that the run uses, besides those every lab needs."""

SILENCE = "qdisc clsact"
"""The finding about what has a bridge machine fall silent (``LabMachine.silence``)."""

FLOWS = 512
"""Flows of one datagram each, to see how they are spread over bridge machines."""

ENDINGS: Mapping[str, int] = {"quick": 6, "standard": 10, "paper": 20}
"""How often a bridge machine is ended by profile, for each protocol and way."""


def refuse(plan: Plan) -> None:
    """``MissingError`` if this machine cannot run a plan, or cannot have a machine fall silent."""
    problems: list[str] = []
    try:
        choose(plan, TOOLS)
    except MissingError as error:
        problems += error.problems
    silence = this_machine().finding(SILENCE)
    if silence.state == "absent":
        problems.append(silence.sentence())
    if problems:
        raise MissingError(*dict.fromkeys(problems))


def answer(cast: Cast, profile: str, out: Path, argv: Sequence[str], progress: Progress) -> Path:
    """Measure it all and write the folder ``out``; returns it.

    ``UsageError`` if there is no such profile, or the folder cannot be. Whatever ends it early leaves what was
    measured.
    """
    inside = comparison_of(cast.inside, WORKLOADS, profile, out / "inside")
    outside = comparison_of(cast.outside, WORKLOADS, profile, out / "outside")
    folder = OutputFolder.create(out)
    document: dict[str, Any] = {
        "format": FORMAT, "version": __version__, "argv": list(argv), "profile": PROFILES[profile].name,
        "started": _now(), "ended": None, "lacking": [list(each) for each in cast.lacking],
        "looked": [], "spread": [], "endings": [], "problems": [],
    }
    folder.write_json(FILE, document)
    for number, asked in enumerate((inside, outside), 1):
        progress.within = f"part {number} of 4"
        compare(asked, argv, progress)
    progress.within = "part 3 of 4"
    for plan in cast.looked_at:
        progress.step(f"looking into {plan.spec}")
        _look(plan, document, progress)
        folder.write_json(FILE, document)
    progress.within = "part 4 of 4"
    for plan in cast.ending:
        _end(plan, ENDINGS[profile], document, folder, progress)
    progress.within = ""
    document["ended"] = _now()
    folder.write_json(FILE, document)
    progress.step("drawing and writing the answer")
    redraw_answer(out)
    return out


def _look(plan: Plan, document: dict[str, Any], progress: Progress) -> None:
    try:
        with Lab(plan) as lab:
            looked, problems = look(lab)
            document["looked"].append(looked)
            document["problems"] += problems
            _keep_errors(lab, document)
    except LabError as error:
        _tell(f"{plan.spec}: {error}", document, progress)


def _end(plan: Plan, times: int, document: dict[str, Any], folder: OutputFolder, progress: Progress) -> None:
    """Have a bridge machine fall silent in mid-transfer, and come back, so many times by each protocol."""
    assert plan.endpoints is not None
    try:
        with Lab(plan) as lab:
            bridges = Bridges(lab)
            flows = bridges.spread(*plan.endpoints, FLOWS)
            document["spread"].append({"spec": plan.spec, "flows": FLOWS, "by": flows})
            for trial in range(times):
                for protocol in PROTOCOLS:
                    progress.step(f"{plan.spec}: a bridge machine falls silent, {protocol}, {trial + 1} of {times}")
                    over = bridges.end_in_transfer(*plan.endpoints, protocol, lambda name: lab[name].silence())
                    document["endings"].append({
                        "spec": plan.spec, "protocol": protocol, "trial": trial, "machine": over.machine,
                        "routed_ms": over.routed_s * 1000, "longest_gap_ms": over.flow.longest_gap_s * 1000,
                        "sent": over.flow.sent, "received": over.flow.received, "sources": list(over.flow.sources),
                        "error": over.flow.error, "t": time.time(),
                    })
                    lab[over.machine].speak()
                    bridges.await_routes(plan.endpoints[0], set(bridges.names))
                    folder.write_json(FILE, document)
            _keep_errors(lab, document)
    except EmuError as error:
        _tell(f"{plan.spec}: {error}", document, progress)


def _keep_errors(lab: Lab, document: dict[str, Any]) -> None:
    document["problems"] += [f"{lab.plan.spec}: {error}" for error in lab.errors()]


def _tell(problem: str, document: dict[str, Any], progress: Progress) -> None:
    document["problems"].append(problem)
    progress.say(f"failed: {problem}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
