"""Taking up an interrupted run: what is done, what is run again, and when it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emu.errors import UsageError
from emu.measure.blocks import plan_trials
from emu.measure.results import ResultFolder, Sample, read_folder
from emu.measure.resume import check_interrupted, go_on
from tests.unit.measure_support import run_json, store

TRIALS = plan_trials(["bare", "control"], ["ping"], 6, seed=1)


def interrupted(**changes: Any) -> dict[str, Any]:
    return run_json(["bare"], ["ping"], interrupted=True, ended=None, cpus=2, **changes)


def taken(trials: int, per_trial: int = 3) -> list[Sample]:
    return [Sample(t.design, {}, t.workload, "rtt", "us", t.block, t.order, t.index, 40.0, True, None, 1.0)
            for t in TRIALS[:trials] for _ in range(per_trial)]


def test_all_but_the_last_trial_are_done_and_its_samples_and_a_torn_line_are_dropped(tmp_path: Path) -> None:
    path = store(tmp_path / "run", interrupted(), taken(4)[:-1])
    with (path / "samples.jsonl").open("a") as file:
        file.write('{"design": "ba')
    run, done = go_on(read_folder(path), interrupted(started="later"), TRIALS, ResultFolder.take_up(path))
    assert done == {0, 1, 2}
    assert (run["started"], run["warnings"]) == (
        run_json([])["started"], ["interrupted, and taken up again at later"])
    again = read_folder(path)
    assert not again.torn
    assert list(again.samples) == taken(3)


def test_a_run_that_has_measured_nothing_yet_begins_anew(tmp_path: Path) -> None:
    path = store(tmp_path / "run", interrupted(), [])
    assert go_on(read_folder(path), interrupted(), TRIALS, ResultFolder.take_up(path))[1] == frozenset()


def test_calls_of_tools_go_on_being_numbered(tmp_path: Path) -> None:
    path = store(tmp_path / "run", interrupted(), [])
    for _ in range(2):
        ResultFolder.take_up(path).add_call("ping", {})
    assert sorted(file.name for file in (path / "raw").iterdir()) == ["00000-ping.json", "00001-ping.json"]


def test_every_difference_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    path = store(tmp_path / "run", interrupted(), taken(4))
    now = interrupted(kernel="6.2.0", tools={"ping": "ping from iputils 1", "wrk": "wrk 4"}, revision="abc")
    with pytest.raises(UsageError) as refused:
        go_on(read_folder(path), now, TRIALS[::-1], ResultFolder.take_up(path))
    assert [problem.removeprefix("--resume: ").split(" was ")[0] for problem in refused.value.problems] == [
        "kernel", "tools: ping", "tools: wrk", "revision",
        f"{path}/samples.jsonl is of another plan of trials than this version makes"]
    assert list(read_folder(path).samples) == taken(4)


def test_what_is_asked_for_must_be_the_same(tmp_path: Path) -> None:
    run = interrupted()
    path = store(tmp_path / "run", run, taken(4))
    asked = {key: run[key] for key in ("scenario", "profile", "workloads", "fresh_labs")}
    check_interrupted(read_folder(path), asked, ["bare"])
    asked = {**asked, "scenario": {**run["scenario"], "mtu": 1400, "seed": 2}, "workloads": ["ping", "http"]}
    with pytest.raises(UsageError) as refused:
        check_interrupted(read_folder(path), asked, ["bare", "l2"])
    assert list(refused.value.problems) == [
        "--resume: scenario: mtu was 1500 when the run began and is 1400 now",
        "--resume: scenario: seed was 1 when the run began and is 2 now",
        "--resume: workloads was ['ping'] when the run began and is ['ping', 'http'] now",
        "--resume: designs was bare when the run began and is bare l2 now",
    ]


def test_a_finished_run_has_nothing_to_resume(tmp_path: Path) -> None:
    path = store(tmp_path / "run", run_json(["bare"]), [])
    with pytest.raises(UsageError, match="was not interrupted: there is nothing to resume"):
        check_interrupted(read_folder(path), {}, ["bare"])
