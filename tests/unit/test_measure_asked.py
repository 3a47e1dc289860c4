"""What is refused before anything is built, and when there is the next look at how precise a run is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from emu.cli import main
from emu.designs import plans_for
from emu.errors import UsageError
from emu.measure.asked import comparison_of
from emu.measure.scripts import senders
from emu.measure.sequential import Goal, next_look
from emu.measure.workloads import WORKLOADS
from emu.model import Plan, Scenario


def problems_of(plans: Sequence[Plan], workloads: Sequence[str], out: Path, goal: Goal | None = None) -> list[str]:
    with pytest.raises(UsageError) as wrong:
        comparison_of(plans, workloads, "quick", out, goal=goal)
    return list(wrong.value.problems)


def test_everything_wrong_with_workloads_is_told(tmp_path: Path) -> None:
    (deck,) = plans_for(["overlay"], Scenario(), [])
    asked = ["pong", "udp_rr:size=64", "udp_rr", "incast:senders=9"]
    assert problems_of([deck], asked, tmp_path / "out") == [
        f"there is no workload 'pong'; there are: {', '.join(WORKLOADS)}", "workload 'udp_rr' is named twice",
        f"incast:senders=9: in this scenario {deck.spec} has only {len(senders(deck, 9))} on other nodes than the "
        "receiver"]


def test_a_precision_of_nothing_is_told(tmp_path: Path) -> None:
    (bare,) = plans_for(["bare"], Scenario(), [])
    assert problems_of([bare], ["first_packet"], tmp_path / "out", Goal(0.02, 60)) == [
        "--precision is about ratios to bare: name it and another design",
        "--precision is about steady state: name a workload that is not cold"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--precision", "0"], ["--precision takes a share above 0"]),
        (["--precision", "fine", "--max-time", "0"], ["--precision takes a share such as", "--max-time takes whole"]),
        (["--max-time", "5"], ["--max-time goes with --precision"]),
    ],
)
def test_words_that_are_no_goal_are_told(
    words: list[str], says: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "bare", "l2", "--out", str(tmp_path / "out"), *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"emu: {said}") for line, said in zip(lines, says, strict=True)] == [True] * len(says)


def test_looks_come_a_quarter_later_each_time_and_not_after_the_time_is_over() -> None:
    assert [next_look(blocks, 100) for blocks in (2, 6, 10, 20)] == [3, 8, 13, 25]
    assert [next_look(20, affordable) for affordable in (3, 0)] == [23, 20]


def test_a_result_folder_that_cannot_be_made_is_told_with_everything_else() -> None:
    problems = problems_of([], ["pong"], Path("/proc/run"))
    assert [problem.split(";")[0].split(":")[0] for problem in problems] == [
        "there is no workload 'pong'", "cannot make the result folder /proc/run"]
