"""``emu when-overlay``: a small run of it, from labs to the sentences that point at its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emu.answer import run as running
from emu.answer.cast import cast_for
from emu.answer.report import redraw_answer
from emu.measure import compare as comparing
from emu.measure.blocks import PROFILES, Profile
from emu.measure.progress import Progress
from emu.measure.scripts import Lengths
from emu.model import Scenario
from tests.live.machine import emu

pytestmark = pytest.mark.live


def test_bad_input_is_told_at_once() -> None:
    done = emu("when-overlay", "--nodes", "x", "--profile", "slow", "--out", "/proc/none")
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("--nodes takes N", "no profile 'slow'", "/proc/none"))


def test_a_small_run_answers_and_every_sentence_points_at_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = Profile("quick", 2, Lengths(ping_packets=20, request_s=0.2, stream_s=1, first_packets=1))
    monkeypatch.setitem(PROFILES, "quick", brief)
    monkeypatch.setitem(running.ENDINGS, "quick", 1)
    monkeypatch.setattr(comparing.Measuring, "_budget", lambda self, bench: None)
    whole = cast_for(Scenario(), lambda plan: None)

    def some(plans: tuple, *words: str) -> tuple:  # type: ignore[type-arg]
        return tuple(plan for plan in plans if plan.spec in words)

    vxlan, route = "overlay:backend=vxlan,outside=none", "overlay:backend=vxlan,outside=route"
    cast = type(whole)(some(whole.inside, "bare", "hostgw", vxlan), some(whole.outside, "bare", route),
                       some(whole.looked_at, "hostgw", vxlan, route), whole.ending[1:], (("round", "no such thing"),))
    out = tmp_path / "answer"
    with (tmp_path / "progress").open("w") as stream:
        running.answer(cast, "quick", out, ["emu", "when-overlay"], Progress(stream))
    document = json.loads((out / "answer.json").read_text())
    numbers = {number["id"]: number for number in document["numbers"]}
    sentences = [sentence for advice in document["guide"] for sentence in advice["sentences"]]
    assert len(sentences) > 5
    for sentence in sentences:
        assert sentence["numbers"]
        assert all(numbers[name]["text"] in sentence["text"] for name in sentence["numbers"])
    assert numbers[f"packet/{vxlan}"]["value"] == 1450
    assert numbers[f"answered/there/{vxlan}/outside"]["value"] == 0
    assert numbers[f"answered/there/{route}/outside"]["value"] == 1
    assert numbers[f"ended/tcp/{whole.ending[1].spec}"]["value"] == 1
    assert document["problems"] == []
    page = (out / "report.html").read_text()
    assert "round: no such thing" in page
    assert all(f'id="{name}"' in page for name in numbers)
    before = (out / "answer.csv").read_bytes()
    redraw_answer(out)
    assert (out / "answer.csv").read_bytes() == before
