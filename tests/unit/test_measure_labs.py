"""The labs of a run: they come up side by side, none outlives a failure or a signal, and blocks can have their own."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emu.cli import main
from emu.designs import plans_for
from emu.errors import LabError
from emu.live.cpu import Snapshot
from emu.live.lab import Completed
from emu.measure import compare as comparing
from emu.measure.asked import comparison_of
from emu.measure.labs import Labs, bring_up
from emu.measure.progress import Progress
from emu.measure.results import Stored, read_folder
from emu.measure.running import LabDied
from emu.measure.sequential import Goal
from emu.measure.summary import summarise
from emu.model import Plan, Scenario
from tests.unit.measure_support import FakeLab, facts

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


LABS = ("bare", "l2:proxy_arp=controller", "control")
QUICK_BLOCKS = 6


def pings(argv: Sequence[str], after_ms: str) -> Completed:
    """Pings and their answers; every other command is one that says nothing."""
    if argv[0] != "ping" or "-c" not in argv:
        return Completed(tuple(argv), 0, "", "")
    count = int(argv[argv.index("-c") + 1])
    lines = [f"64 bytes from 10.0.3.2: icmp_seq={n} ttl=64 time={after_ms} ms" for n in range(1, count + 1)]
    return Completed(tuple(argv), 0, "\n".join(
        [*lines, f"{count} packets transmitted, {count} received, 0% packet loss, time 9ms"]), "")


class MadeUpLab(FakeLab):
    """A lab of a plan that answers pings. ``made`` has all there were, in order; ``events`` what became of them."""

    made: list[MadeUpLab]
    events: list[str]

    def __init__(self, plan: Plan) -> None:
        super().__init__(self.pinged, plan=plan)
        self.tree = SimpleNamespace(pid=os.getpid())
        self.set = len(self.made) // len(LABS)
        self.made.append(self)

    def pinged(self, argv: Sequence[str]) -> Completed:
        return pings(argv, "1.00")

    def __enter__(self) -> MadeUpLab:
        self.events.append(f"up {self.set}")
        return self

    def __exit__(self, *_: object) -> None:
        self.events.append(f"down {self.set}")

    def abort(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return facts()

    def run_together(self, commands: Sequence[tuple[str, Sequence[str]]], timeout_s: float) -> list[Completed]:
        self.events.append(f"measured {self.set}")
        return super().run_together(commands, timeout_s)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> type[MadeUpLab]:
    """What comparisons have for labs, on a machine of their own; nothing is drawn."""

    class OwnLab(MadeUpLab):
        made, events = [], []

    monkeypatch.setattr("emu.measure.labs.Lab", OwnLab)
    monkeypatch.setattr(comparing, "choose", lambda plan, tools: None)
    monkeypatch.setattr(comparing, "redraw", lambda path: None)
    monkeypatch.setattr(comparing, "measure_budget", refuse)
    seconds = count()
    monkeypatch.setattr(comparing, "look", lambda roots: Snapshot(next(seconds), 0, 0, 0, {}))  # nobody else is here
    return OwnLab


def refuse(*_: object) -> None:
    raise LabError("nothing is captured here")


def measure(out: Path, stream: io.StringIO | None = None, **options: Any) -> Stored:
    plans = plans_for(["bare", "l2"], Scenario(), [])
    asked = comparison_of(plans, ["ping"], "quick", out, **{"fresh_labs": True, **options})
    comparing.compare(asked, ["emu", "compare"], Progress(stream or io.StringIO(), lambda: 0))
    return read_folder(out)


def test_every_block_is_measured_in_labs_of_its_own(tmp_path: Path, lab: type[MadeUpLab]) -> None:
    stored = measure(tmp_path / "out")
    assert lab.events == [event for block in range(QUICK_BLOCKS) for what in ("up", "measured", "down")
                          for event in [f"{what} {block}"] * len(LABS)]
    assert stored.run["fresh_labs"]
    assert not stored.run["interrupted"]
    assert stored.run["unlike_labs"] == []
    assert stored.run["controller_errors"] == {name: [] for name in LABS}
    assert {sample.block for sample in stored.samples} == set(range(QUICK_BLOCKS))
    assert summarise(stored).verdict.trusted


def test_without_the_option_there_is_one_set(tmp_path: Path, lab: type[MadeUpLab]) -> None:
    assert not measure(tmp_path / "out", fresh_labs=False).run["fresh_labs"]
    assert len(lab.made) == len(LABS)


def test_a_lab_unlike_the_first_one_is_a_reason_against_its_design(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(self: MadeUpLab) -> dict[str, Any]:
        forwards = str(int(self.set in (2, 4) and self.plan.design == "l2"))
        return facts(sysctls={"ctr-1": {"net.ipv4.ip_forward": forwards}, "ctr-4": {"net.ipv4.ip_forward": "0"}})

    monkeypatch.setattr(lab, "facts", told)
    stored = measure(tmp_path / "out")
    (reason,) = summarise(stored).verdict.reasons
    assert reason.text == (
        f"{LABS[1]}: the lab brought up for block 3 (and 1 more) is not like the first one: "
        "sysctls: ctr-1: net.ipv4.ip_forward was 0 and is 1")
    assert reason.design == LABS[1]


def test_errors_of_all_labs_are_kept(tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "errors", lambda self: [f"of set {self.set}"] if self.set in (1, 5) else [])
    errors = measure(tmp_path / "out").run["controller_errors"]
    assert errors == {name: ["of set 1", "of set 5"] for name in LABS}


def test_labs_that_do_not_come_up_for_a_block_end_the_run_with_its_report(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    def enter(self: MadeUpLab) -> MadeUpLab:
        if self.set == 2 and self.plan.design == "l2":
            raise LabError("no switch")
        return MadeUpLab.__enter__(self)

    monkeypatch.setattr(lab, "__enter__", enter)
    drawn: list[Path] = []
    monkeypatch.setattr(comparing, "redraw", drawn.append)
    with pytest.raises(LabDied, match="no labs for block 3: no switch; what was measured before is in"):
        measure(tmp_path / "out")
    assert drawn == [tmp_path / "out"]
    assert lab.events.count("up 2") == lab.events.count("down 2")
    assert {sample.block for sample in read_folder(tmp_path / "out").samples} == {0, 1}


@pytest.mark.usefixtures("interruptible")
def test_a_signal_while_fresh_labs_come_up_leaves_none_and_keeps_all_samples(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    def enter(self: MadeUpLab) -> MadeUpLab:
        if self.set == 2 and self.plan.design == "l2":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return MadeUpLab.__enter__(self)

    monkeypatch.setattr(lab, "__enter__", enter)
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path / "out")
    assert lab.events.count("up 2") == lab.events.count("down 2")
    stored = read_folder(tmp_path / "out")
    assert stored.run["interrupted"]
    assert {sample.block for sample in stored.samples} == {0, 1}


def interrupt_at(lab: type[MadeUpLab], number: int, monkeypatch: pytest.MonkeyPatch, out: Path, **options: Any) -> None:
    """A run that is ended in the last trial of one of its blocks."""
    def run_together(self: MadeUpLab, *args: Any) -> list[Completed]:
        if self.events.count(f"measured {number}") == len(LABS) - 1:
            raise KeyboardInterrupt
        return MadeUpLab.run_together(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(lab, "run_together", run_together)
        with pytest.raises(KeyboardInterrupt):
            measure(out, **options)
    lab.events.clear()


def test_a_run_that_goes_on_measures_the_block_it_was_ended_in_anew(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    interrupt_at(lab, 2, monkeypatch, out)
    before = read_folder(out)
    assert len({sample.trial for sample in before.samples if sample.block == 2}) == len(LABS) - 1
    words = ["compare", "bare", "l2", "--workload", "ping", "--profile", "quick", "--resume", "--out", str(out)]
    assert main(words) == 2
    assert "--resume: fresh_labs was True when the run began and is False now" in capsys.readouterr().err

    stored = measure(out, resume=True)
    assert [event for event in lab.events if "measured" in event] == [
        f"measured {number}" for number in (3, 4, 5, 6) for _ in LABS]  # sets 0 to 2 were those of the first try
    assert [s for s in stored.samples if s.block < 2] == [s for s in before.samples if s.block < 2]
    assert len({sample.trial for sample in stored.samples}) == QUICK_BLOCKS * len(LABS)
    used = [(entry["block"], entry["wall_s"]) for entry in stored.run["usage"]]
    assert used == [(block, len(LABS)) for block in range(QUICK_BLOCKS)]  # a trial takes a second on this machine


@pytest.fixture
def never_the_same(lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch) -> None:
    """Labs of which no ratio is ever known well enough."""
    monkeypatch.setattr(lab, "pinged", lambda self, argv: pings(argv, f"1.{self.set}{len(self.plan.design)}"))


def looks(log: io.StringIO) -> list[str]:
    return re.findall(r"^(\d+) blocks: ", log.getvalue(), re.MULTILINE)


@pytest.mark.usefixtures("never_the_same")
@pytest.mark.parametrize(("ended_in", "rest"), [(2, ["6", "8", "10", "13"]), (7, ["8", "10", "13"]), (12, ["13"])])
def test_a_run_with_a_goal_goes_on_to_the_looks_it_had_not_come_to(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch, ended_in: int, rest: list[str]
) -> None:
    out, options = tmp_path / "out", {"goal": Goal(1e-9, 600)}
    monkeypatch.setattr(comparing, "MOST_BLOCKS", 13)
    interrupt_at(lab, ended_in, monkeypatch, out, **options)
    stored = measure(out, log := io.StringIO(), resume=True, **options)
    assert looks(log) == rest
    assert stored.run["precision"]["blocks"] == 13
    assert {sample.block for sample in stored.samples} == set(range(13))
    assert lab.events.count("measured 13") == len(LABS)  # one block was measured twice


@pytest.mark.usefixtures("never_the_same")
def test_the_time_a_run_took_before_it_was_ended_counts(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, options = tmp_path / "out", {"goal": Goal(1e-9, 600)}
    interrupt_at(lab, 7, monkeypatch, out, **options)
    run = json.loads((out / "run.json").read_text())
    assert run["precision"]["took_s"] > 0
    run["precision"]["took_s"] = 600
    (out / "run.json").write_text(json.dumps(run))
    stored = measure(out, log := io.StringIO(), resume=True, **options)
    assert looks(log) == ["8"]
    assert stored.run["precision"]["blocks"] == 8


def test_the_time_that_is_left_is_that_for_labs_too(
    tmp_path: Path, lab: type[MadeUpLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    renew = Labs.renew

    def slowly(self: Labs) -> None:
        renew(self)
        self.took_s = 600.0

    monkeypatch.setattr(Labs, "renew", slowly)
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    measure(tmp_path / "out", stream)
    steps = [step for step in stream.getvalue().split("\r\x1b[K") if "left" in step]
    sets = [int(step.partition("about ")[2].split(" min")[0]) // 10 if "min" in step else 0 for step in steps]
    in_labs = len(LABS) * [0]
    assert ["fresh labs" in step for step in steps] == [*map(bool, in_labs), *([True, *map(bool, in_labs)] * 5)]
    assert sets == [5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0]
