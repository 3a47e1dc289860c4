"""A sweep on real labs: killed in its second point, it goes on and ends with the cells that it would have had."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emu.measure.results import read_folder
from emu.measure.workloads import WORKLOADS
from tests.live.machine import emu_command

BLOCKS = 2
FILE = """designs: [bare]
workloads: [ping]
profile: tiny
sweep:
  mtu: [1500, 9000]
"""

# ``emu`` with a profile of short trials and points' reports left empty; with KILL it ends itself, as kill -9 would,
# when a step begins with that.
PROGRAM = f"""
import os, signal, sys
from emu.cli import main
from emu.measure import compare
from emu.measure.blocks import PROFILES, Profile
from emu.measure.progress import Progress
from emu.measure.scripts import Lengths

PROFILES["tiny"] = Profile("tiny", {BLOCKS}, Lengths(ping_packets=20, request_s=0.2, stream_s=1, first_packets=2))
compare.BUDGET_REPEATS = 16
compare.redraw = lambda folder: (folder / "report.html").write_text("")

class Mortal(Progress):
    def stage(self, text):
        if os.environ.get("KILL") and f"{{self.within}}  {{text}}".startswith(os.environ["KILL"]):
            os.kill(os.getpid(), signal.SIGKILL)
        super().stage(text)
    step = stage

import emu.measure.progress
emu.measure.progress.Progress = Mortal
sys.exit(main())
"""


def sweep(file: Path, out: Path, *more: str, kill: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, "sweep", str(file), "--out", str(out), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "KILL": kill})


def cells(out: Path) -> set[tuple[str, str, str, str, int]]:
    """What was measured: point, design, workload, metric, block."""
    return {(point["folder"], sample.spec, sample.workload, sample.metric, sample.block)
            for point in json.loads((out / "sweep.json").read_text())["points"] if (out / point["folder"]).exists()
            for sample in read_folder(out / point["folder"]).samples}


def test_a_sweep_that_is_killed_in_its_second_point_ends_with_the_same_cells_as_one_left_alone(tmp_path: Path) -> None:
    file, whole, killed = tmp_path / "sweep.yaml", tmp_path / "whole", tmp_path / "killed"
    file.write_text(FILE)
    left_alone = sweep(file, whole)
    assert left_alone.returncode == 0, left_alone.stderr
    assert "point 2 of 2  mtu=" in left_alone.stderr
    assert {metric for _, _, _, metric, _ in cells(whole)} == set(WORKLOADS["ping"].metrics)

    done = sweep(file, killed, kill="point 2 of 2  trial 3 of 4")
    assert done.returncode == -signal.SIGKILL
    cut = cells(killed)
    second = next(p["folder"] for p in json.loads((killed / "sweep.json").read_text())["points"] if p["order"] == 1)
    assert 0 < len({cell for cell in cut if cell[0] == second}) < len({c for c in cells(whole) if c[0] == second})

    changed = tmp_path / "changed.yaml"
    changed.write_text(FILE.replace("1500, 9000", "1500, 4000"))
    refused = sweep(changed, killed, "--resume")
    assert refused.returncode == 2
    assert "--resume: sweep: mtu was [1500, 9000]" in refused.stderr
    assert cells(killed) == cut

    resumed = sweep(file, killed, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "point 1 of 2" not in resumed.stderr
    assert cells(killed) == cells(whole)
    assert len(cells(whole)) == 2 * 2 * BLOCKS * len(WORKLOADS["ping"].metrics)  # with the control
    for out in (whole, killed):
        assert {path.name for path in out.iterdir()} == {
            "sweep.json", "sweep.csv", "plots", "report.html", "mtu=1500", "mtu=9000"}
        assert (out / "mtu=1500" / "report.html").exists()
        assert (out / "plots" / "ping-rtt-by-mtu.png").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to hide a tool in a mount namespace")
def test_a_missing_tool_is_named_before_anything_is_made(tmp_path: Path) -> None:
    path = shutil.which("wrk", path="/usr/bin:/usr/sbin")
    assert path
    file = tmp_path / "sweep.yaml"
    file.write_text(FILE.replace("tiny", "quick").replace("ping", "http"))
    hidden = ["unshare", "--mount", "sh", "-c", f'mount --bind /dev/null "{path}" && exec "$@"', "-"]
    done = subprocess.run([*hidden, *emu_command("sweep", str(file), "--out", str(tmp_path / "out"))],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert [line for line in done.stderr.splitlines() if "tool wrk" in line and "./run" in line]
    assert not (tmp_path / "out").exists()
