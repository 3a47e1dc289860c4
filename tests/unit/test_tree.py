"""Labs that run, as other programs find them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emu.errors import UsageError
from emu.live.tree import RunningTree


def test_a_lab_that_has_ended_meanwhile_is_told_as_that() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    with pytest.raises(UsageError, match=r"^lab bare-1234 has ended$"):
        _ = RunningTree("bare-1234", "bare", gone.pid, owner=0, owner_pid=1).machines
