"""Every workload that the default comparison leaves out, on real labs: it measures what it says it does."""

from __future__ import annotations

import io
import os
import statistics
import time
from collections import Counter

import pytest

from emu import Lab
from emu.designs import plans_for
from emu.live.servers import NGINX_FOLDER, start, web_server
from emu.measure.asked import comparison_of
from emu.measure.blocks import PROFILES, Profile
from emu.measure.compare import compare
from emu.measure.cost import PROCESSES, spent_ns
from emu.measure.progress import Progress
from emu.measure.results import Sample, read_folder
from emu.measure.scripts import Ends, Lengths
from emu.measure.trust import CONTROL
from emu.measure.workloads import DEFAULT_WORKLOADS, WORKLOADS, parse_workload
from emu.model import Scenario

pytestmark = pytest.mark.alone

SPECS = ["bare", "overlay:backend=vxlan,outside=none"]
NAMES = [*(name for name in WORKLOADS if name not in DEFAULT_WORKLOADS), "udp_rr:size=1500,per_second=500",
         "tcp_rr:size=1500", "http:size=512", "http:per_second=500", "tcp_stream:flows=3"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    with pytest.MonkeyPatch.context() as patch:
        lengths = Lengths(ping_packets=20, request_s=0.3, stream_s=1, first_packets=1)
        patch.setitem(PROFILES, "tiny", Profile("tiny", 1, lengths))
        plans, out = plans_for(["bare", "overlay"], Scenario(), []), tmp_path_factory.mktemp("run") / "out"
        folder = compare(comparison_of(plans, NAMES, "tiny", out), ["emu"], Progress(io.StringIO()))
    return read_folder(folder).samples


def test_every_workload_gives_its_metrics_in_both_designs(samples: tuple[Sample, ...]) -> None:
    assert [sample.error for sample in samples if not sample.ok] == []
    workloads = [parse_workload(name) for name in NAMES]
    assert set(Counter((s.spec, s.workload, s.metric) for s in samples)) == {
        (spec, workload.name, metric)
        for spec in (*SPECS, CONTROL)
        for workload in workloads
        for metric in workload.all_metrics
    }
    for sample in samples:
        assert sample.value is not None
        assert sample.value > 0 or sample.metric.endswith(("loss", "retransmits", "_controller", "_softirq"))


def test_a_full_link_makes_packets_wait(samples: tuple[Sample, ...]) -> None:
    """Against the echo over an idle link: a queue is many times a round trip."""
    def median(*key: str) -> float:
        return statistics.median(s.value or 0 for s in samples if (s.spec, s.workload, s.metric) == key)

    for spec in SPECS:
        assert median(spec, "rr_under_load", "rtt") > 2 * median(spec, "udp_rr", "latency")


@pytest.mark.parametrize("design", ["bare", "overlay"])
def test_a_stall_of_the_server_is_in_the_tail_of_a_schedule_as_often_as_requests_were_due_in_it(design: str) -> None:
    """A server that stands still for 0.2 s: of 500 requests a second, those due in its first 0.15 s are late by 50 ms
    or more, whatever else goes on. In a closed loop there are as many as connections, which are eight."""
    workload = parse_workload("http:per_second=500")
    with Lab(design) as lab:
        assert lab.plan.endpoints
        src, dst = lab.plan.endpoints
        start(lab, dst, web_server(lab.plan.address(dst)))
        for path, text in workload.files.items():
            lab.write(path, text)
        script = workload.script(Ends(src, dst, lab.plan.address(dst)), Lengths(20, 1.0, 1, 1))
        (call,) = next(script)
        nginx = f"$(cat {NGINX_FOLDER}/nginx.pid)"
        stall = f"sleep 0.6; kill -STOP {nginx}; sleep 0.2; kill -CONT {nginx}"
        done = lab.run_together([(call.machine, call.argv), (dst, ("sh", "-c", stall))], 60)
    with pytest.raises(StopIteration) as end:
        script.send(done[:1])
    latencies = [reading.value for reading in end.value.value if reading.metric == "latency"]
    assert len(latencies) == 100  # of 500, evenly ranked
    assert sum(latency_us >= 50_000 for latency_us in latencies) >= 0.15 * 100 - 1


@pytest.mark.parametrize("design", ["bare", "overlay"])
def test_the_parts_of_a_lab_are_busy_and_no_busier_than_the_machine_allows(design: str) -> None:
    with Lab(design) as lab:
        assert lab.plan.endpoints
        src, dst = lab.plan.endpoints
        address = lab.plan.address(dst)
        lab[dst].spawn(["iperf3", "-s"])
        lab[dst].wait_listening(5201)
        started = time.monotonic()
        before = lab.usage()
        done = lab[src].run(["iperf3", "-J", "-c", address, "-n", "50M"])
        after = lab.usage()
        datapath = lab.facts()["datapath"]
        wall_ns = (time.monotonic() - started) * 1e9
    assert done.returncode == 0
    spent = spent_ns(before, after)
    assert set(spent) == {"client", "server", "switch", "controller", "softirq"}
    busy = ("client", "server") if datapath == "kernel" else ("client", "server", "switch")
    assert all(spent[part] > 0 for part in busy)
    assert min(spent.values()) >= 0
    assert sum(spent[part] for part in PROCESSES) <= wall_ns * (os.cpu_count() or 1)
    assert after.sent_bytes - before.sent_bytes > 50 << 20
    assert min(after.memory_bytes.values()) > 1 << 20
