"""The workloads: what runs on the second endpoint, what on the first, and how its output is read.

A workload is a small value. Measuring goes from the plan's first endpoint to its second; ``client`` gives the
command for the first, knowing the address of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from emu.live.servers import WEB_PORT, Server, web_server
from emu.measure.metrics import Reading
from emu.measure.parsers import (
    PING_WARMUP_PACKETS,
    PINNED_CONGESTION_CONTROL,
    WRK_SCRIPT,
    parse_iperf3,
    parse_ping,
    parse_single_ping,
    parse_wrk,
)

PING_INTERVAL_S = 0.002  # the shortest that ping allows anyone but root
WEB_WARMUP_S = 0.15  # a run of wrk whose output is thrown away
WEB_CONNECTIONS = 8
STREAM_PORT = 5201
_PING_TOOLS = {"ping": ("ping", "-V")}
_STREAM_TOOLS = {"iperf3": ("iperf3", "--version")}
_WEB_TOOLS = {"wrk": ("wrk", "--version"), "nginx": ("nginx", "-v")}
WRK_SCRIPT_PATH = "/run/emu/wrk.lua"


@dataclass(frozen=True)
class Lengths:
    """How long the trials of a profile are; warm-up comes on top."""

    ping_packets: int
    request_s: float
    stream_s: int
    first_packets: int


@dataclass(frozen=True)
class Workload:
    """One way of loading the path between the endpoints, and of reading what the tool says of it.

    ``expected_s`` is how long one call of the client takes. A ``cold`` workload has every cache emptied before
    each call and makes ``calls`` calls in a trial; the others make one. ``tools``: each with the command that
    prints its version.
    """

    name: str
    about: str
    metrics: tuple[str, ...]
    tools: Mapping[str, Sequence[str]]
    client: Callable[[str, Lengths], Sequence[str]]
    parse: Callable[[str, str, int], list[Reading]]
    expected_s: Callable[[Lengths], float]
    server: Callable[[str], Server] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    cold: bool = False
    calls: Callable[[Lengths], int] = lambda lengths: 1


def _ping(address: str, lengths: Lengths) -> list[str]:
    packets = lengths.ping_packets + PING_WARMUP_PACKETS
    return ["ping", "-n", "-c", str(packets), "-i", str(PING_INTERVAL_S), "-W", "1", address]


def _single_ping(address: str, lengths: Lengths) -> list[str]:
    return ["ping", "-n", "-c", "1", "-W", "5", address]


_SENT = """awk -F'[: ]+' '$2 == "eth0" { print "emu eth0", $11, "bytes", $12, "packets" }' /proc/net/dev"""


def _iperf3(address: str, lengths: Lengths) -> list[str]:
    iperf3 = (
        f"iperf3 -c {address} -p {STREAM_PORT} -t {lengths.stream_s} -i 0.1 -C {PINNED_CONGESTION_CONTROL}"
        " -J --get-server-output --connect-timeout 5000"
    )
    return ["sh", "-c", f"{_SENT}; {iperf3}; status=$?; {_SENT}; exit $status"]


def _wrk(connections: int) -> Callable[[str, Lengths], list[str]]:
    """wrk takes whole seconds only; an interrupt ends it earlier, and it then prints all the same."""

    def client(address: str, lengths: Lengths) -> list[str]:
        def run(seconds: float) -> str:
            limit = f"timeout --preserve-status --signal=INT --kill-after=5 {seconds:g}"
            return f"{limit} wrk -t1 -c{connections} -d1h -s {WRK_SCRIPT_PATH} http://{address}:{WEB_PORT}/"

        return ["sh", "-c", f"{run(WEB_WARMUP_S)} >/dev/null 2>&1; exec {run(lengths.request_s)}"]

    return client


def _iperf3_server(address: str) -> Server:
    argv = ("iperf3", "-s", "-B", address, "-p", str(STREAM_PORT), "-i", "0.1", "-J")
    return Server(argv, STREAM_PORT)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "ping",
            f"ICMP echo every {PING_INTERVAL_S * 1000:g} ms; each packet is a sample",
            ("rtt", "loss"), _PING_TOOLS, _ping, parse_ping,
            lambda lengths: 0.03 + (lengths.ping_packets + PING_WARMUP_PACKETS) * PING_INTERVAL_S,
        ),
        Workload(
            "tcp_rr",
            "one small request and its answer at a time over one kept TCP connection (wrk and nginx)",
            ("rate", "latency"), _WEB_TOOLS, _wrk(1), parse_wrk,
            lambda lengths: 0.08 + WEB_WARMUP_S + lengths.request_s, web_server, {WRK_SCRIPT_PATH: WRK_SCRIPT},
        ),
        Workload(
            "tcp_stream",
            f"one TCP flow as fast as it goes, {PINNED_CONGESTION_CONTROL}, counted at the receiver (iperf3)",
            ("throughput", "retransmits", "packet_size"), _STREAM_TOOLS, _iperf3, parse_iperf3,
            lambda lengths: 0.1 + lengths.stream_s, _iperf3_server,
        ),
        Workload(
            "http",
            f"GET / over {WEB_CONNECTIONS} kept connections in a closed loop (wrk and nginx)",
            ("rate", "latency"), _WEB_TOOLS, _wrk(WEB_CONNECTIONS), parse_wrk,
            lambda lengths: 0.08 + WEB_WARMUP_S + lengths.request_s, web_server, {WRK_SCRIPT_PATH: WRK_SCRIPT},
        ),
        Workload(
            "first_packet",
            "one ICMP echo after neighbors, datapath flows and what the controller learned have been emptied",
            ("latency",), _PING_TOOLS, _single_ping, parse_single_ping,
            lambda lengths: 0.05, cold=True, calls=lambda lengths: lengths.first_packets,
        ),
    )
}
"""All workloads by name, in the order in which tables and reports show them."""


UNBUILT_WORKLOADS = ("udp_rr", "tcp_crr", "udp_stream", "rr_under_load")
"""What the interface names and this version lacks."""


def trial_s(workload: Workload, lengths: Lengths) -> float:
    """How long one trial of ``workload`` is expected to take, in seconds."""
    return workload.expected_s(lengths) * workload.calls(lengths)
