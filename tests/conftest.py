"""Marks every test below tests/live, and skips those where an ordinary user may not make namespaces."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from emu.live.preflight import Finding, examine

LIVE = Path(__file__).with_name("live")


@cache
def _lab_namespaces() -> Finding:
    return examine().finding("lab namespaces")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if LIVE in item.path.parents:
            item.add_marker("live")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Root can always make them: there a failure is a failure, never a skip.
    if item.get_closest_marker("live") and os.geteuid() != 0 and _lab_namespaces().state == "absent":
        pytest.skip(_lab_namespaces().sentence())
