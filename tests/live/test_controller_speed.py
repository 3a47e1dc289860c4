"""The benchmark of the controller runs, and says what it is to say of packets; how fast they are is not tested."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.live.machine import CHECKOUT, our_labs

pytestmark = pytest.mark.alone


def test_what_is_known_beforehand_is_never_shown_to_the_controller(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [CHECKOUT / "experiments/controller.py", "--blocks", "1", "--hosts", "200", "--pings", "2", "--out", out],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    handed = {(s["design"], s["value"]) for s in samples if s["metric"] == "to_controller"}
    assert {("static", 0.0), ("planned", 0.0)} <= handed
    assert all(value > 0 for design, value in handed if design == "simple_switch_13")
    rates = {(s["design"], s["params"]["sdn"]) for s in samples if s["metric"] == "packet_ins" and s["value"] > 0}
    assert {("l2_switch", "ryu"), ("l2_switch", "os-ken"), ("simple_switch_13", "ryu")} <= rates
    assert (out / "plots" / "controller.png").exists()
    assert our_labs() == []
