"""A made-up run to summarise and draw, and a fake lab that answers as a real one would."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from emu.errors import LabError
from emu.live.lab import Completed
from emu.live.usage import LabUsage
from emu.measure.metrics import METRICS
from emu.measure.report import render, subject_of
from emu.measure.results import ResultFolder, Sample, read_folder, spec_of

DATA = Path(__file__).resolve().parents[1] / "data" / "measure"

PARAMS: Mapping[str, dict[str, str]] = {
    "bare": {},
    "l2": {"proxy_arp": "controller"},
    "routed": {"routes": "static"},
    "overlay": {"backend": "vxlan"},
}
# What each design's figures are about: (round trip in us, latency of a request in us, rate, bit/s).
TRUTH = {"bare": (40, 80, 12e3, 1.2e9), "l2": (50, 90, 11e3, 1.0e9), "routed": (55, 95, 10e3, 0.9e9),
         "overlay": (60, 120, 8e3, 0.6e9)}
WORKLOADS = ("ping", "tcp_rr", "tcp_stream", "http", "first_packet")


def facts(**changes: Any) -> dict[str, Any]:
    """The facts of a lab with nothing to complain of."""
    off = {"tso": False, "gso": False, "gro": False, "tx": False}
    return {
        "ovs_version": "3.1.0", "datapath": "netdev", "sdn": "ryu 4.34", "kernel": "6.1.0", "root": True,
        "congestion_control": {"a": ["cubic"], "b": ["cubic"]}, "mtu": {"a": 1500, "b": 1500}, "underlay_mtu": [1500],
        "offloads": {"a": dict(off), "b": dict(off)},
        "sysctls": {"a": {"net.ipv4.ip_forward": "0"}, "b": {"net.ipv4.ip_forward": "0"}},
        "socket_buffers": {"rmem_max": 33554432, "rmem_default": 33554432}, **changes,
    }


def run_json(designs: Sequence[str], workloads: Sequence[str] = WORKLOADS, **changes: Any) -> dict[str, Any]:
    """A ``run.json``."""
    return {
        "format": "emu-run/1", "seed": 1, "nodes": 4, "argv": ["emu", "compare"],
        "scenario": {"nodes": None, "containers": None, "mtu": 1500, "offload": "off", "seed": 1},
        "profile": {"name": "quick", "blocks": 6, "lengths": {"ping_packets": 20}},
        "workloads": list(workloads), "fresh_labs": False,
        "designs": [{"spec": spec_of(name, PARAMS[name]), "design": name, "params": PARAMS[name],
                     "endpoints": ["a", "b"], "facts": facts()} for name in designs],
        "version": "0.1.0", "revision": None, "started": "2025-01-31T09:30:00+00:00",
        "ended": "2025-01-31T09:31:00+00:00", "interrupted": False, "kernel": "6.1.0", "cpu": "a CPU", "cpus": 2,
        "virtualisation": "none seen", "ovs_version": "3.1.0", "datapath": "netdev", "sdn": "ryu 4.34", "root": True,
        "tools": {"ping": "ping from iputils 20221126"}, "controller_errors": {}, "warnings": [], **changes,
    }


def samples(designs: Sequence[str], blocks: int = 6, workloads: Sequence[str] = WORKLOADS,
            seed: int = 1) -> list[Sample]:
    """Samples scattered by 2 % around ``TRUTH``."""
    generator = random.Random(seed)
    made: list[Sample] = []

    def add(name: str, workload: str, metric: str, block: int, value: float) -> None:
        made.append(Sample(name, PARAMS[name], workload, metric, METRICS[metric].unit, block, 0, len(made),
                           value * generator.gauss(1, 0.02), True, None, 1738315800.0 + len(made)))

    for block in range(blocks):
        for name in designs:
            rtt, latency, rate, throughput = TRUTH[name]
            wanted = [("ping", "rtt", rtt, 20), ("ping", "loss", 0, 1), ("tcp_rr", "rate", rate, 1),
                      ("tcp_rr", "latency", latency, 20), ("tcp_stream", "throughput", throughput, 1),
                      ("tcp_stream", "retransmits", 0, 1), ("tcp_stream", "packet_size", 1400, 1),
                      ("tcp_stream", "cpu_per_byte", 8e9 / throughput, 1),
                      ("tcp_stream", "cpu_per_byte_switch", 5e9 / throughput, 1),
                      ("http", "rate", 2 * rate, 1), ("http", "latency", 4 * latency, 20),
                      ("first_packet", "latency", 10 * rtt, 3)]
            for workload, metric, value, count in wanted:
                for _ in range(count if workload in workloads else 0):
                    add(name, workload, metric, block, value)
    return made


def store(path: Path, run: Mapping[str, Any], taken: Sequence[Sample]) -> Path:
    """A result folder as an interrupted program would leave it: facts and samples."""
    with ResultFolder.create(path) as folder:
        folder.write_json("run.json", run)
        folder.add_samples(taken)
    return path


def page_of(path: Path) -> str:
    """The report on a result folder, but for its figures, which take seconds to draw."""
    stored = read_folder(path)
    return render(stored, subject_of(stored), ())


@dataclass
class FakeProcess:
    """A server that runs until it is stopped."""

    stopped: bool = False

    def alive(self) -> bool:
        return not self.stopped

    def stop(self) -> None:
        self.stopped = True

    def output(self) -> str:
        return ""


@dataclass
class FakeLab:
    """A lab whose clients answer what ``answer(argv)`` says; ``log`` keeps what it was asked, in order."""

    answer: Callable[[Sequence[str]], Completed]
    dead: bool = False
    changed: list[str] = field(default_factory=list)
    clock_ns: int = 0
    log: list[str] = field(default_factory=list)
    plan: Any = field(default_factory=lambda: SimpleNamespace(
        spec="l2:proxy_arp=controller", design="l2", params={"proxy_arp": "controller"}, endpoints=("ctr-1", "ctr-4"),
        address={"ctr-1": "10.0.1.2", "ctr-4": "10.0.3.2"}.__getitem__))

    def __getitem__(self, name: str) -> FakeLab:
        return self

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        self.log.append(f"run {argv[0]}")
        return replace(self.answer(argv), argv=tuple(argv))  # as of a real lab

    def run_together(self, commands: Sequence[tuple[str, Sequence[str]]], timeout_s: float) -> list[Completed]:
        return [self.run(argv, timeout_s) for _, argv in commands]

    def usage(self) -> LabUsage:
        self.clock_ns += 1_000_000
        parts = dict.fromkeys(("client", "switch", "controller", "softirq"), self.clock_ns)
        return LabUsage(parts, {7: self.clock_ns}, {"switch": 2**24, "controller": 2**25}, 1000 * self.clock_ns, False)

    def spawn(self, argv: Sequence[str]) -> FakeProcess:
        self.log.append(f"spawn {argv[0]}")
        return FakeProcess()

    def wait_listening(self, port: int, protocol: str) -> None:
        self.log.append(f"listening {port}")

    def write(self, path: str, text: str) -> None:
        self.log.append(f"write {path}")

    def cool(self) -> None:
        self.log.append("cool")

    def errors(self) -> list[str]:
        if self.dead:
            raise LabError("lab l2-1234 has died")
        return []

    def differences(self) -> list[str]:
        return [*self.changed, *self.errors()]
