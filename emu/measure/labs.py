"""The labs that a run is measured in, side by side: idle ones cost nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from types import TracebackType

from emu.live.lab import Lab
from emu.measure.summary import REFERENCE
from emu.measure.trust import CONTROL
from emu.model import Plan

ABORT_AGAIN_S = 0.1
"""How often labs that come up are ended anew: one may have had nothing yet that could be ended."""


class Labs:
    """A lab of each plan, and a second one of bare, from the beginning of the context to its end.

    ``fresh``: whether each block is to have a set of its own. ``up``: those of now, by what they are called in the run.
    ``took_s``: how long it took to have them, in seconds.
    """

    def __init__(self, plans: Sequence[Plan], fresh: bool) -> None:
        self._plans = {plan.spec: plan for plan in plans}
        self._plans.update((CONTROL, plan) for plan in plans if plan.design == REFERENCE)
        self._stack = ExitStack()
        self.fresh = fresh
        self.up: Mapping[str, Lab] = {}
        self.took_s = 0.0

    def __enter__(self) -> Labs:
        self.renew()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def renew(self) -> None:
        """End the labs there are, and bring others up in their place; ``LabError`` if one does not come up."""
        started = time.monotonic()
        self._stack.close()
        self.up = {name: Lab(plan) for name, plan in self._plans.items()}
        bring_up(self._stack, list(self.up.values()))
        self.took_s = time.monotonic() - started


def bring_up(stack: ExitStack, labs: Sequence[Lab]) -> None:
    """Enter all ``labs`` at once; ``stack`` will leave those that came up.

    The first that fails, or a signal, ends the others at once: nothing waits for a lab that nobody wants any more.
    """
    coming_up: list[Lab] = []
    entered: list[Lab] = []
    unwanted = threading.Event()

    def enter(lab: Lab) -> None:
        coming_up.append(lab)
        try:
            if not unwanted.is_set():
                lab.__enter__()
                entered.append(lab)
        finally:
            coming_up.remove(lab)

    try:
        with ThreadPoolExecutor(len(labs)) as pool:
            try:
                for started in as_completed([pool.submit(enter, lab) for lab in labs]):
                    started.result()
            except BaseException:
                unwanted.set()
                while coming_up:
                    for lab in tuple(coming_up):
                        lab.abort()
                    time.sleep(ABORT_AGAIN_S)
                raise
    finally:
        for lab in entered:
            stack.push(lab)
