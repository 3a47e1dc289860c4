"""From what a tool printed to readings. Pure functions; output that gives no measurement raises ``BadOutput``.

The tools' formats change from version to version, so each parser asks only for what it needs and ignores the
rest. A failure is never turned into a number: iperf3, for one, exits 0 when it could not connect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from emu.measure.metrics import Reading, spread_evenly

PING_WARMUP_PACKETS = 10
"""Packets at the start of a ping trial that do not count: they resolve addresses and fill caches."""

STREAM_WARMUP_S = 0.2
"""Seconds at the start of a TCP stream that do not count: slow start."""

VALUES_PER_TRIAL = 100
"""Of a tool's full latency histogram so many evenly ranked values are kept as samples; ``raw/`` has it all."""

PINNED_CONGESTION_CONTROL = "cubic"
"""The congestion control every design is measured with (RFC 9438); kernels differ in their default."""


class BadOutput(Exception):
    """A tool's output holds no measurement; the text says why in one line."""


def _last_words(stdout: str, stderr: str) -> str:
    """The last line a tool printed, preferably on standard error, for a message to a person."""
    for text in (stderr, stdout):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return lines[-1][:200]
    return "it printed nothing"


_ECHO = re.compile(r"icmp_seq=(\d+) .*?\btime=([\d.]+) ms(?P<duplicate> \(DUP!\))?")
_PING_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")


def echo_times_us(stdout: str) -> dict[int, float]:
    """Sequence number -> round trip in us, of every answer that iputils' ping printed; duplicates are left out."""
    return {int(m[1]): float(m[2]) * 1000 for m in _ECHO.finditer(stdout) if not m["duplicate"]}


def parse_ping(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """iputils' ``ping -n -c N``: ``rtt`` of every packet after the warm-up, and ``loss`` over all packets.

    Resolution: ping prints three digits below 1 ms, so 1 us there.
    """
    summary = _PING_SUMMARY.search(stdout)
    if summary is None:
        raise BadOutput(f"ping (status {returncode}) printed no summary: {_last_words(stdout, stderr)}")
    sent, received = int(summary[1]), int(summary[2])
    if sent == 0 or received == 0:
        raise BadOutput(f"ping sent {sent} packets and none was answered")
    rtts_us = [rtt_us for sequence, rtt_us in echo_times_us(stdout).items() if sequence > PING_WARMUP_PACKETS]
    if not rtts_us:
        raise BadOutput(f"ping: {received} of {sent} packets were answered, none after the warm-up")
    return [*(Reading("rtt", rtt_us) for rtt_us in rtts_us), Reading("loss", max(0.0, 1 - received / sent))]


def parse_single_ping(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """iputils' ``ping -n -c 1``: the time from sending one packet to its answer, as ``latency``."""
    answer = _ECHO.search(stdout)
    if answer is None:
        raise BadOutput(f"the packet was not answered (ping status {returncode}): {_last_words(stdout, stderr)}")
    return [Reading("latency", float(answer[2]) * 1000)]


_WRK_TOTALS = re.compile(r"^emu requests (\d+) duration_us (\d+) connect (\d+) read (\d+) write (\d+) status (\d+)"
                         r" timeout (\d+)$", re.MULTILINE)
_WRK_LATENCY = re.compile(r"^emu latency_us (\d+) (\d+)$", re.MULTILINE)

WRK_SCRIPT = """\
-- Printed when wrk has ended: totals, and the whole histogram of latencies (value in us, count).
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("emu requests %d duration_us %d connect %d read %d write %d status %d timeout %d\\n",
    summary.requests, summary.duration, e.connect, e.read, e.write, e.status, e.timeout))
  for i = 1, #latency do
    local value, count = latency(i)
    io.write(string.format("emu latency_us %d %d\\n", value, count))
  end
end
"""


def parse_wrk(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """wrk with ``WRK_SCRIPT``: ``rate`` of answered requests and their ``latency`` (resolution 1 us).

    Any error that wrk counted fails the trial. wrk itself fills in requests that a stall of its closed loop
    kept from being sent ("coordinated omission"), which raises the tail and leaves the median.
    """
    totals = _WRK_TOTALS.search(stdout)
    if totals is None:
        raise BadOutput(f"wrk (status {returncode}) printed no totals: {_last_words(stdout, stderr)}")
    requests, duration_us = int(totals[1]), int(totals[2])
    errors = dict(zip(("connect", "read", "write", "status", "timeout"), map(int, totals.groups()[2:]), strict=True))
    if any(errors.values()):
        raise BadOutput("wrk counted errors: " + ", ".join(f"{n} {kind}" for kind, n in errors.items() if n))
    histogram = [(float(value), int(count)) for value, count in _WRK_LATENCY.findall(stdout)]
    if requests == 0 or duration_us == 0 or not histogram:
        raise BadOutput(f"wrk had {requests} answers in {duration_us / 1e6:.2f} s")
    latencies = spread_evenly(histogram, VALUES_PER_TRIAL)
    return [Reading("rate", requests / duration_us * 1e6), *(Reading("latency", value) for value in latencies)]


_NETDEV = re.compile(r"^emu eth0 (\d+) bytes (\d+) packets$", re.MULTILINE)


def parse_iperf3(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """``iperf3 -J --get-server-output`` between two counters of the sending interface (see ``workloads``).

    ``throughput``: bytes the *receiver* counted after the warm-up, by its own clock. ``retransmits``: of the
    whole stream, warm-up included, as a share of the segments sent. ``packet_size``: from the counters.
    """
    start, end = stdout.find("{"), stdout.rfind("}")
    try:
        document = json.loads(stdout[start : end + 1]) if 0 <= start < end else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BadOutput(f"iperf3 (status {returncode}) printed no JSON: {_last_words(stdout, stderr)}")
    if document.get("error"):
        raise BadOutput(f"iperf3: {document['error']}")
    try:
        readings = _read_stream(document)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BadOutput(f"iperf3's JSON lacks what is needed ({type(error).__name__}: {error})") from None
    counters = [(int(size), int(packets)) for size, packets in _NETDEV.findall(stdout)]
    if len(counters) == 2 and counters[1][1] > counters[0][1]:
        sent_bytes, sent_packets = (after - before for before, after in zip(*counters, strict=True))
        readings.append(Reading("packet_size", sent_bytes / sent_packets))
    return readings


def _read_stream(document: Mapping[str, Any]) -> list[Reading]:
    control = document["end"]["sender_tcp_congestion"]
    if control != PINNED_CONGESTION_CONTROL:
        raise BadOutput(f"iperf3 used the congestion control {control}, not {PINNED_CONGESTION_CONTROL}")
    intervals = [interval["sum"] for interval in document["server_output_json"]["intervals"]]
    counted = [interval for interval in intervals if interval["start"] >= STREAM_WARMUP_S - 0.01]
    seconds = sum(float(interval["end"]) - float(interval["start"]) for interval in counted)
    received_bytes = sum(int(interval["bytes"]) for interval in counted)
    if seconds <= 0 or received_bytes <= 0:
        raise BadOutput(f"iperf3: the receiver counted {received_bytes} bytes after the warm-up")
    sent = document["end"]["sum_sent"]
    segments = int(sent["bytes"]) / int(document["start"]["tcp_mss_default"])
    return [
        Reading("throughput", received_bytes * 8 / seconds),
        Reading("retransmits", int(sent["retransmits"]) / segments),
    ]
