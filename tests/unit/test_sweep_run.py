"""A sweep run without labs: the order of points, what becomes of each, and going on with one that was interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from emu.cli import main
from emu.errors import LabError, MissingError, UsageError
from emu.measure import compare as comparing
from emu.measure.asked import Comparison
from emu.measure.running import LabDied
from emu.model import Plan
from emu.sweep import run
from emu.sweep.axes import Sweep, Value
from tests.unit.sweep_support import store_point, sweep_of

FILE = """designs: [bare, overlay]
workloads: [ping]
profile: quick
sweep:
  mtu: [1500, 4000, 9000]
"""


def truth(design: str, kind: str, metric: str, values: Mapping[str, Value]) -> float:
    return 50.0 if design == "bare" else 60.0


class Measuring:
    """Stands in for ``compare``: writes what it would, and does what a test has planned for a point."""

    def __init__(self, sweep: Sweep, plans: Mapping[str, Callable[[Path], None]]) -> None:
        self.sweep = sweep
        self.plans = dict(plans)
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, asked: Comparison, argv: Sequence[str], progress: Any) -> Path:
        out, resume = asked.out, asked.interrupted is not None
        self.asked.append((out.name, resume))
        assert {plan.scenario for plan in asked.plans} == {p.scenario for p in self.sweep.points if p.name == out.name}
        assert (list(asked.workloads), asked.profile.name) == (self.sweep.workloads, "quick")
        self.plans.pop(out.name, lambda out: None)(out)
        if not resume:
            store_point(out, self.sweep, out.name, truth)
        run_json = json.loads((out / "run.json").read_text())
        (out / "run.json").write_text(json.dumps({**run_json, "interrupted": False}))
        progress.step("trial 1 of 1")
        (out / "report.html").write_text("a point's report")
        return out


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def begin(file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Measuring]:
    """Have points measured by a stand-in; ``plans``: what it is to do at a point, by name."""
    monkeypatch.setattr(comparing, "choose", lambda plan, tools: ("netdev", "ryu"))

    def start(**plans: Callable[[Path], None]) -> Measuring:
        measuring = Measuring(sweep_of(file, file.read_text()),
                              {name.replace("_", "="): plan for name, plan in plans.items()})
        monkeypatch.setattr(run, "compare", measuring)
        return measuring

    return start


def names(measuring: Measuring) -> list[str]:
    """The points in the order in which they are to be measured."""
    return [point.name for point in sorted(measuring.sweep.points, key=lambda point: point.order)]


def states(out: Path) -> dict[str, str]:
    return {point["folder"]: point["state"] for point in json.loads((out / "sweep.json").read_text())["points"]}


def test_every_point_is_measured_once_in_the_order_drawn_and_told(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring = begin()
    assert main(["sweep", str(file), "--out", str(tmp_path / "out")]) == 0
    assert measuring.asked == [(name, False) for name in names(measuring)]
    document = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert document["format"] == "emu-sweep/1"
    assert document["file"] == {"name": str(file), "text": FILE}
    assert [(p["folder"], p["values"], p["state"], p["error"]) for p in document["points"]] == [
        (f"mtu={mtu}", {"mtu": mtu}, "measured", None) for mtu in (1500, 4000, 9000)]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "sweep.json", "sweep.csv", "plots", "report.html", *names(measuring)}
    said = capsys.readouterr()
    assert said.err.startswith("3 points (3 of mtu); at each 2 designs, 1 workload, 6 blocks; about ")
    assert [line for line in said.err.splitlines() if "  mtu=" in line] == [
        line for i, name in enumerate(names(measuring), 1) for line in said.err.splitlines()
        if line.startswith(f"point {i} of 3  {name}; about ")]
    assert "point 1 of 3  trial 1 of 1" in said.err
    assert said.out.splitlines()[-1] == f"report: {tmp_path}/out/report.html"
    assert [line.split()[:2] for line in said.out.splitlines()[:-1]] == [
        [f"mtu={mtu}", "trusted"] for mtu in (1500, 4000, 9000)]


@pytest.mark.parametrize("error", [LabDied("the lab of bare died: no answer"), LabError("no switch")])
def test_a_point_whose_lab_fails_is_told_and_the_others_go_on(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str], error: LabError
) -> None:
    def fail(out: Path) -> None:
        raise error

    measuring = begin(mtu_4000=fail)
    out = tmp_path / "out"
    assert main(["sweep", str(file), "--out", str(out)]) == 1
    assert [name for name, _ in measuring.asked] == names(measuring)
    assert states(out) == {"mtu=1500": "measured", "mtu=4000": "failed", "mtu=9000": "measured"}
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"emu: point mtu=4000: {error}"
    assert f"failed: {error}" in said.err
    assert str(error) in (out / "report.html").read_text()

    measuring = begin()
    assert main(["sweep", str(file), "--out", str(out), "--resume"]) == 0
    assert measuring.asked == [("mtu=4000", False)]
    assert set(states(out).values()) == {"measured"}
    assert [point["error"] for point in json.loads((out / "sweep.json").read_text())["points"]] == [None] * 3


def test_a_point_begun_in_other_surroundings_is_named_with_what_to_do(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(out: Path) -> None:
        raise UsageError("--resume: kernel was 6.1 when the run began and is 6.12 now", "--resume: sdn was ryu")

    out = tmp_path / "out"
    begin(mtu_4000=refuse)
    assert main(["sweep", str(file), "--out", str(out)]) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("emu: ")] == [
        f"emu: {out}/mtu=4000: --resume: kernel was 6.1 when the run began and is 6.12 now",
        f"emu: {out}/mtu=4000: --resume: sdn was ryu",
        f"emu: remove {out}/mtu=4000 to have it measured anew, or go on where it was begun"]


def test_an_interrupted_sweep_goes_on_with_the_point_it_was_ended_in(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str]
) -> None:
    measuring = begin()
    first, second, third = names(measuring)
    out = tmp_path / "out"

    def interrupt(path: Path) -> None:
        store_point(path, measuring.sweep, second, truth, interrupted=True, ended=None)
        raise KeyboardInterrupt

    measuring = begin(**{second.replace("=", "_"): interrupt})
    with pytest.raises(KeyboardInterrupt):
        main(["sweep", str(file), "--out", str(out)])
    assert states(out) == {first: "measured", second: "begun", third: "waiting"}
    assert f"to go on: ./run sweep {file} --out {out} --resume" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0  # of what there is
    report = (out / "report.html").read_text()
    assert all(word in report for word in ("✓ trusted", "✗ not trusted", "✗ not measured", "1 of 3 points trusted"))

    file.write_text("# said otherwise, and meant the same\n" + FILE)
    measuring = begin()
    assert main(["sweep", str(file), "--out", str(out), "--resume"]) == 0
    assert measuring.asked == [(second, True), (third, False)]
    assert set(states(out).values()) == {"measured"}
    assert len(json.loads((out / "sweep.json").read_text())["resumed"]) == 1
    assert f"point 3 of 3  {third}" in capsys.readouterr().err

    measuring = begin()
    assert main(["sweep", str(file), "--out", str(out), "--resume"]) == 2
    assert measuring.asked == []
    assert "was not interrupted: there is nothing to resume" in capsys.readouterr().err


def test_a_point_that_was_killed_before_its_run_was_described_begins_anew(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring]
) -> None:
    def kill(path: Path) -> None:
        (path / "raw").mkdir(parents=True)
        raise KeyboardInterrupt

    measuring = begin(**{names(begin())[0].replace("=", "_"): kill})
    with pytest.raises(KeyboardInterrupt):
        main(["sweep", str(file), "--out", str(tmp_path / "out")])
    measuring = begin()
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--resume"]) == 0
    assert measuring.asked == [(name, False) for name in names(measuring)]


def test_a_sweep_does_not_go_on_as_another(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    begin(mtu_4000=interrupt)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        main(["sweep", str(file), "--out", str(out)])
    before = (out / "sweep.json").read_bytes()
    capsys.readouterr()
    file.write_text("""designs: [bare]
workloads: [ping, http]
profile: paper
seed: 2
sweep:
  mtu: [1500, 9000]
""")
    measuring = begin()
    assert main(["sweep", str(file), "--out", str(out), "--resume"]) == 2
    assert measuring.asked == []
    assert (out / "sweep.json").read_bytes() == before
    lines = [line.removeprefix("emu: --resume: ") for line in capsys.readouterr().err.splitlines()]
    assert [line.partition(" was ")[0] for line in lines] == [
        "designs", "workloads", "profile: name", "profile: blocks", "profile: lengths: ping_packets",
        "profile: lengths: request_s", "profile: lengths: stream_s", "profile: lengths: first_packets",
        "profile: limit_s", "scenario: seed", "sweep: mtu"]
    assert "sweep: mtu was [1500, 4000, 9000] when the run began and is [1500, 9000] now" in lines


def test_what_is_swept_keeps_its_order_which_points_are_named_by(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    file.write_text(FILE + "  nodes: [3]\n")
    begin(**{"mtu_1500,nodes_3": interrupt})
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        main(["sweep", str(file), "--out", str(out)])
    capsys.readouterr()
    file.write_text(FILE.replace("  mtu", "  nodes: [3]\n  mtu"))
    assert main(["sweep", str(file), "--out", str(out), "--resume"]) == 2
    assert capsys.readouterr().err == ("emu: --resume: order of what is swept was ['mtu', 'nodes'] when the run began "
                                       "and is ['nodes', 'mtu'] now\n")


def test_a_point_that_was_killed_over_its_report_gets_one(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring]
) -> None:
    measuring = begin()
    out = tmp_path / "out"
    assert main(["sweep", str(file), "--out", str(out)]) == 0
    document = json.loads((out / "sweep.json").read_text())
    (out / "sweep.json").write_text(json.dumps({**document, "ended": None}))
    first, second, third = names(measuring)
    (out / first / "report.html").unlink()
    os.utime(out / second / "report.html", (1, 1))  # of an earlier time, when a lab had died
    measuring = begin()
    assert main(["sweep", str(file), "--out", str(out), "--resume"]) == 0
    assert measuring.asked == []
    reports = [(out / name / "report.html").read_text() for name in (first, second, third)]
    assert ["What does each design cost here?" in report for report in reports] == [True, True, False]


def test_going_on_needs_the_folder_of_a_sweep(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], capsys: pytest.CaptureFixture[str]
) -> None:
    begin()
    assert main(["sweep", str(file), "--resume"]) == 2
    assert main(["sweep", str(file), "--resume", "--out", str(tmp_path)]) == 2
    assert main(["sweep", str(file), "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "emu: --resume takes up the sweep in a folder that has to be named: --out DIR",
        f"emu: {tmp_path} is not the folder of a sweep: {tmp_path}/sweep.json: No such file or directory",
        f"emu: the result folder {tmp_path} exists already",
    ]


def test_what_the_machine_lacks_for_any_point_is_told_before_anything_is_made(
    file: Path, tmp_path: Path, begin: Callable[..., Measuring], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"{FILE}  delay: [0, 1, 2]\n  datapath: [netdev, kernel]\n")
    measuring = begin()

    def choose(plan: Plan, tools: Sequence[str]) -> tuple[str, str]:
        assert tools == ["ping"]
        lacks = [*(["no kernel datapath"] if plan.scenario.datapath == "kernel" else []),
                 *(["no netem"] if plan.scenario.delay else [])]
        if lacks:
            raise MissingError(*lacks)
        return "netdev", "ryu"

    monkeypatch.setattr(comparing, "choose", choose)
    assert main(["sweep", str(file), "--out", str(tmp_path / "out")]) == 3
    assert sorted(capsys.readouterr().err.splitlines()) == ["emu: no kernel datapath", "emu: no netem"]
    assert not (tmp_path / "out").exists()
    assert measuring.asked == []
