"""What is refused before anything is built, and labs coming up side by side: none outlives a failure or a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from emu.cli import main
from emu.designs import plans_for
from emu.errors import LabError, UsageError
from emu.measure.asked import comparison_of
from emu.measure.compare import bring_up
from emu.measure.scripts import senders
from emu.measure.sequential import Goal, next_look
from emu.measure.workloads import WORKLOADS
from emu.model import Plan, Scenario

PATIENCE_S = 30.0


class StartingLab:
    """A lab that does ``start`` on entering; ``log`` keeps what became of it."""

    def __init__(self, start: Callable[[StartingLab], object]) -> None:
        self._start = start
        self.begun, self.aborted = threading.Event(), threading.Event()
        self.log: list[str] = []

    def __enter__(self) -> StartingLab:
        self.begun.set()
        self._start(self)
        self.log.append("entered")
        return self

    def __exit__(self, *_: object) -> None:
        self.log.append("left")

    def abort(self) -> None:
        if self.begun.is_set():  # a lab that has not begun has nothing to end
            self.aborted.set()


def at_once(lab: StartingLab) -> None:
    pass


def never(lab: StartingLab) -> None:
    if not lab.aborted.wait(PATIENCE_S):
        lab.log.append("waited in vain to be ended")
    raise LabError("lab bare-1234 has died")


def bring_up_and_leave(*labs: StartingLab) -> None:
    with ExitStack() as stack:
        bring_up(stack, labs)  # type: ignore[arg-type]
        assert [lab.log for lab in labs] == [["entered"]] * len(labs)


def test_labs_come_up_side_by_side_and_are_left_with_the_stack() -> None:
    both = threading.Barrier(2)
    labs = [StartingLab(lambda lab: both.wait(PATIENCE_S)) for _ in range(2)]
    bring_up_and_leave(*labs)
    assert [lab.log for lab in labs] == [["entered", "left"]] * 2


def test_a_lab_that_fails_ends_the_others_and_its_error_is_told() -> None:
    done, hanging = StartingLab(at_once), StartingLab(never)

    def fail(lab: StartingLab) -> None:
        assert hanging.begun.wait(PATIENCE_S)
        raise LabError("no switch")

    with pytest.raises(LabError, match="no switch"):
        bring_up_and_leave(done, hanging, StartingLab(fail))
    assert done.log == ["entered", "left"]
    assert hanging.log == []


def interrupt(lab: StartingLab) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    never(lab)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python leaves a signal ignored that was so when it started, as in the background of a shell script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_signal_ends_labs_that_come_up(before: int) -> None:
    """However many labs have begun when the signal comes."""
    hanging = [StartingLab(never) for _ in range(before)]
    interrupting, last = StartingLab(interrupt), StartingLab(at_once)
    with pytest.raises(KeyboardInterrupt):
        bring_up_and_leave(*hanging, interrupting, last)
    assert [lab.log for lab in (*hanging, interrupting)] == [[]] * (before + 1)
    assert last.log in ([], ["entered", "left"])


def test_a_lab_that_begins_only_after_the_signal_is_ended_too() -> None:
    late = StartingLab(never)
    late.begun = Late()

    def fail(lab: StartingLab) -> None:
        raise LabError("no switch")

    with pytest.raises(LabError, match="no switch"):
        bring_up_and_leave(late, StartingLab(fail))
    assert late.log == []


class Late(threading.Event):
    """Tells what it is only when it is asked for the third time."""

    asked = 0

    def is_set(self) -> bool:
        self.asked += 1
        return self.asked > 2


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
