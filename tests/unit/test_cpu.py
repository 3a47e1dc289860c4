"""Who used the CPUs, from pasted /proc texts, and what that says of a run."""

from __future__ import annotations

from typing import Any

import pytest

from emu.live.cpu import CpuTime, Process, parse_process, snapshot
from emu.measure.blocks import Trial
from emu.measure.usage import notes, reasons, record

STAT = "cpu  {user} 100 2000 90000 500 30 {softirq} {steal} 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1\n"
TICKS_PER_S = 100


@pytest.fixture(autouse=True)
def usual_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emu.live.cpu._TICKS_PER_S", TICKS_PER_S)


def test_a_process_is_read_whatever_its_name() -> None:
    line = ("4711 (a) R 1 (b) S 37 4711 4711 0 -1 4194560 1200 340000 0 12 250 50 700 300 20 0 4 0 100 2400000 "
            "900 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n")
    assert parse_process(line) == Process(parent=37, own=300, ended=1000)


def test_what_is_neither_a_lab_s_nor_ours_nor_the_kernel_s_is_others() -> None:
    def at(seconds: float, lab: int, ended: int, own: int, kernel: int, other: int) -> Any:
        processes = {
            1: Process(0, 5, 99999), 7: Process(2, kernel, 0), 50: Process(1, own, 12345), 70: Process(50, other, 0),
            60: Process(50, 0, 0), 61: Process(60, 10, ended), 62: Process(61, lab, 0)}
        user = lab + ended + own + kernel + other
        return snapshot(seconds, STAT.format(user=user, softirq=lab, steal=ended // 10), processes, own=50, roots=[60])

    used = at(12.0, lab=150, ended=300, own=20, kernel=9, other=80).since(at(10.0, 50, 200, 10, 7, 30))
    assert used == CpuTime(wall_s=2.0, busy_s=pytest.approx(3.62), outside_s=pytest.approx(0.5),
                           steal_s=pytest.approx(0.1))


def entry(workload: str = "ping", block: int = 0, **seconds: float) -> dict[str, Any]:
    return {"block": block, "workload": workload, "wall_s": 10.0, "busy_s": 5.0, "outside_s": 0.2, "steal_s": 0.0,
            **seconds}


def test_trials_of_one_workload_in_one_block_share_an_entry() -> None:
    entries: list[dict[str, Any]] = []
    for index, (block, workload) in enumerate([(0, "ping"), (0, "ping"), (0, "http"), (1, "http")]):
        record(entries, Trial(index, block, 0, "bare", workload), CpuTime(1.0, 0.5, 0.1, 0.0))
    assert [(e["block"], e["workload"], e["wall_s"], e["outside_s"]) for e in entries] == [
        (0, "ping", 2.0, 0.2), (0, "http", 1.0, 0.1), (1, "http", 1.0, 0.1)]


def test_a_quiet_machine_is_no_reason() -> None:
    assert reasons([entry(), entry("http", outside_s=-0.4), entry(block=1)]) == []
    assert reasons([]) == []


def test_cpus_used_by_others_are_a_reason() -> None:
    (reason,) = reasons([entry(), entry("http", outside_s=9.8)])
    assert reason.text == "processes outside the labs used 0.50 CPUs while trials ran"
    assert reason.concerns("bare", "ping")


def test_steal_is_a_reason() -> None:
    (reason,) = reasons([entry(steal_s=0.1), entry(steal_s=0.5)])
    assert reason.text == "the hypervisor took 0.03 CPUs away while trials ran (steal)"


def test_labs_that_use_all_cpus_are_noted_and_others_are_not_taken_for_them() -> None:
    entries = [entry(), entry("tcp_stream", busy_s=19.0), entry("http", busy_s=19.0, outside_s=9.0)]
    assert notes(entries, cpus=2) == ["CPU-bound: the labs kept all CPUs busy under tcp_stream (94%)"]
    assert notes(entries, cpus=4) == []
    assert notes(entries, cpus=None) == []
    assert reasons(entries[:2]) == []
