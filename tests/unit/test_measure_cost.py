"""What lies between two snapshots, divided by what was done; and how much of it can be told at all."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from emu.live import usage
from emu.live.process import wait_until
from emu.live.usage import LabUsage, softirq_apart
from emu.measure.blocks import Trial
from emu.measure.cost import costs
from emu.measure.metrics import METRICS
from emu.measure.results import ResultFolder
from emu.measure.running import Bench
from emu.measure.scripts import Lengths
from emu.measure.workloads import WORKLOADS
from tests.unit.measure_support import DATA, Completed, FakeLab

BEFORE = LabUsage({"client": 0, "switch": 100, "controller": 50, "softirq": 0}, {7: 10, 8: 5},
                  {"switch": 1 << 20, "controller": 1 << 21}, 1000, softirq_apart=False)
AFTER = LabUsage({"client": 400, "switch": 900, "controller": 50, "softirq": 600}, {7: 210, 8: 5},
                 {"switch": 1 << 20, "controller": 1 << 22}, 1210, softirq_apart=False)


def told(before: LabUsage, after: LabUsage, metric: str = "cpu_per_byte", count: int = 200) -> Mapping[str, float]:
    return {reading.metric: reading.value for reading in costs(metric, count, before, after)}


def test_every_part_is_divided_by_what_was_done() -> None:
    assert told(BEFORE, AFTER) == {
        "cpu_per_byte_client": 2, "cpu_per_byte_server": 1, "cpu_per_byte_switch": 4, "cpu_per_byte_controller": 0,
        "cpu_per_byte_softirq": 3, "cpu_per_byte": 7, "underlay_bytes": 1.05, "memory_switch": 1 << 20,
        "memory_controller": 1 << 22}
    assert told(BEFORE, AFTER, "cpu_per_transaction", 100)["cpu_per_transaction"] == 14
    assert set(told(BEFORE, AFTER)) <= set(METRICS)


@pytest.mark.parametrize(("apart", "whole"), [(True, 10), (False, 7), (None, None)])
def test_softirq_time_is_in_the_sum_once(apart: bool | None, whole: float | None) -> None:
    assert told(BEFORE, replace(AFTER, softirq_apart=apart)).get("cpu_per_byte") == whole


def test_what_is_not_known_is_absent_and_so_is_the_sum() -> None:
    blind = replace(AFTER, cpu_ns={"client": 400, "controller": 50})
    assert set(told(BEFORE, blind, "cpu_per_transaction")) == {
        "cpu_per_transaction_client", "cpu_per_transaction_server", "cpu_per_transaction_controller"}
    ended = replace(AFTER, servers_ns={8: 5})
    assert not {"cpu_per_byte_server", "cpu_per_byte"} & set(told(BEFORE, ended))
    assert told(BEFORE, AFTER, count=0) == {}


def test_the_kernel_s_own_configuration_says_where_softirq_time_is(tmp_path: Path) -> None:
    assert softirq_apart("6.1.0", tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/config.gz").write_bytes(gzip.compress(b"CONFIG_IRQ_TIME_ACCOUNTING=y\n"))
    assert softirq_apart("6.1.0", tmp_path) is True
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/config-6.1.0").write_text("# CONFIG_IRQ_TIME_ACCOUNTING is not set\n")
    assert softirq_apart("6.1.0", tmp_path) is False


def test_a_process_s_clock_is_its_own_and_one_that_is_gone_has_none() -> None:
    before = usage.take({"switch": os.getpid()}, [os.getpid()], 0)
    spun_until = time.process_time() + 0.01
    while time.process_time() < spun_until:
        pass
    after = usage.take({"switch": os.getpid(), "controller": 2**22 + 1}, [2**22 + 1], 0)
    assert after.cpu_ns["switch"] - before.cpu_ns["switch"] >= 10_000_000
    assert "controller" not in after.cpu_ns
    assert after.servers_ns == {}
    assert before.memory_bytes["switch"] > 1 << 20


def test_what_carries_packets_beside_the_switch_counts_with_it() -> None:
    """tincd and wireguard-go do the work that is a kernel's elsewhere."""
    with subprocess.Popen([sys.executable, "-c", "import time\nwhile time.process_time() < 0.05: pass\ninput()"],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as program:
        def has_worked() -> bool:
            return usage.take({}, [program.pid], 0).servers_ns.get(program.pid, 0) > 50_000_000

        wait_until("it has worked", has_worked)
        alone = usage.take({"switch": os.getpid()}, [], 0).cpu_ns["switch"]
        assert usage.take({"switch": os.getpid()}, [], 0, [program.pid]).cpu_ns["switch"] - alone > 50_000_000
        program.communicate(b"\n")


def test_a_trial_has_its_costs_and_warm_up_is_not_in_them(tmp_path: Path) -> None:
    lab = FakeLab(lambda argv: Completed((), 0, (DATA / "wrk.txt").read_text(), ""))
    bench = Bench(lab, Lengths(80, 0.4, 1, 3), ResultFolder.create(tmp_path / "run"))  # type: ignore[arg-type]
    samples = bench.measure(Trial(0, 0, 0, "l2:proxy_arp=controller", "tcp_rr"), WORKLOADS["tcp_rr"])
    assert {sample.metric for sample in samples} == set(WORKLOADS["tcp_rr"].all_metrics)
    requests = next(int(line.split()[2]) for line in (DATA / "wrk.txt").read_text().splitlines()
                    if line.startswith("emu requests"))
    # The fake lab's clocks go on by 1 ms a snapshot: two batches, of which the last counts.
    (switch,) = (s.value for s in samples if s.metric == "cpu_per_transaction_switch")
    assert switch == pytest.approx(1_000_000 / requests)
