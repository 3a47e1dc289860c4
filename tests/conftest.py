"""Marks every test below tests/live, skips those where an ordinary user may not make namespaces, and has what tests
start apart from all else, ended by signals however the run itself was started."""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

import pytest

from emu.live.preflight import Finding, examine
from tests.live.apart import have_a_reaper, have_a_tmp

LIVE = Path(__file__).with_name("live")


@cache
def _lab_namespaces() -> Finding:
    return examine().finding("lab namespaces")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads wait for each other longer than they work here
    _hand_on_no_ignored_signals()
    have_a_reaper()
    if not any("/tmp" in word for word in config.invocation_params.args):  # what is named there is meant for others
        have_a_tmp()


def _hand_on_no_ignored_signals() -> None:
    """A shell without job control has what it starts in the background ignore SIGINT, nohup SIGHUP, and whatever tests
    start would do so too. A handler is not handed on (execve(2)); this one does what ignoring does."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if LIVE in item.path.parents:
            item.add_marker("live")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Root can always make them: there a failure is a failure, never a skip.
    if item.get_closest_marker("live") and os.geteuid() != 0 and _lab_namespaces().state == "absent":
        pytest.skip(_lab_namespaces().sentence())
