"""What each verb does. A verb gets parsed words and returns an exit status; errors are raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emu.designs import DEFAULT_DESIGNS, plans_for
from emu.errors import UsageError
from emu.model import Plan
from emu.verbs import answer, claims, labs, machine, results, routes, show, sweep
from emu.verbs.common import Arguments, scenario_of


def run(arguments: Arguments, complaints: list[str]) -> int:
    """Run a verb. ``complaints`` are mistakes found already; all others found are added before anything starts."""
    if arguments.verb in _TAKES_SCENARIO:
        return _with_scenario(arguments, complaints)
    if arguments.verb == "sweep":  # has its scenarios in a file of its own
        return sweep.sweep(arguments, complaints)
    if arguments.verb == "when-overlay":  # has the designs that the question takes
        return answer.when_overlay(arguments, complaints)
    if complaints:
        raise UsageError(*complaints)
    return _VERBS[arguments.verb](arguments)


def _with_scenario(arguments: Arguments, problems: list[str]) -> int:
    scenario = scenario_of(arguments, problems)
    names = _designs_of(arguments)
    plans = plans_for(names, scenario, problems)
    return _TAKES_SCENARIO[arguments.verb](arguments, plans, problems)


def _designs_of(arguments: Arguments) -> list[str]:
    """The designs that a verb is about, in the words of the command line."""
    if arguments.verb == "guide":
        from emu.show import chapter_makers

        return [maker.spec for maker in chapter_makers().values()]
    return [arguments.design] if "design" in arguments else arguments.designs or list(DEFAULT_DESIGNS)


_TAKES_SCENARIO: Mapping[str, Callable[[Arguments, tuple[Plan, ...], list[str]], int]] = {
    "up": labs.up,
    "check": claims.check,
    "trace": show.trace,
    "guide": show.guide,
    "compare": results.compare,
    "controller": labs.controller,
}
_VERBS: Mapping[str, Callable[[Arguments], int]] = {
    "doctor": machine.doctor,
    "designs": machine.designs,
    "report": results.report,
    "export": results.export,
    "diff": results.diff,
    "labs": labs.labs,
    "routes": routes.routes,
    "exec": labs.execute,
    "capture": labs.capture,
    "clean": labs.clean,
}
