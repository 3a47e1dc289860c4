"""From what a tool printed to readings. Pure functions; output that gives no measurement raises ``BadOutput``.

The tools' formats change from version to version, so each parser asks only for what it needs and ignores the
rest. A failure is never turned into a number: iperf3, for one, exits 0 when it could not connect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


UNANSWERED = "nothing was answered"
"""How the text begins where packets got lost, or must have been."""


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


_LOADED_ECHO = re.compile(r"^\[(\d+\.\d+)\] .*\bicmp_seq=(\d+) .*?\btime=([\d.]+) ms$", re.MULTILINE)
_ENDED = re.compile(r"^emu ended (\d+\.\d+)$", re.MULTILINE)


def parse_end(stdout: str) -> float:
    """When a stream had ended, in seconds since the epoch (see ``scripts``)."""
    ended = _ENDED.search(stdout)
    if ended is None:
        raise BadOutput("it is not known when the stream ended")
    return float(ended[1])


def parse_loaded_ping(stdout: str, stderr: str, returncode: int, until_s: float) -> list[Reading]:
    """iputils' ``ping -D``: ``rtt`` of every packet after the warm-up that was answered by ``until_s`` (seconds since
    the epoch), and ``loss`` among these and those before them: what was on its way then is not lost."""
    rtts_us = {int(m[2]): float(m[3]) * 1000 for m in _LOADED_ECHO.finditer(stdout) if float(m[1]) <= until_s}
    counted = {sequence: rtt_us for sequence, rtt_us in rtts_us.items() if sequence > PING_WARMUP_PACKETS}
    if not counted:
        raise BadOutput(f"no ping was answered under load (status {returncode}): {_last_words(stdout, stderr)}")
    loss = 1 - len(counted) / (max(counted) - PING_WARMUP_PACKETS)
    return [*(Reading("rtt", rtt_us) for rtt_us in counted.values()), Reading("loss", loss)]


def parse_single_ping(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """iputils' ``ping -n -c 1``: the time from sending one packet to its answer, as ``latency``."""
    answer = _ECHO.search(stdout)
    if answer is None:
        raise BadOutput(f"{UNANSWERED} (ping status {returncode}): {_last_words(stdout, stderr)}")
    return [Reading("latency", float(answer[2]) * 1000)]


_WRK_TOTALS = re.compile(r"^emu requests (\d+) duration_us (\d+) connect (\d+) read (\d+) write (\d+) status (\d+)"
                         r" timeout (\d+)$", re.MULTILINE)
_LATENCY = re.compile(r"^emu latency_us (\d+(?:\.\d+)?) (\d+)$", re.MULTILINE)

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
    requests, duration_us = wrk_totals(stdout, stderr, returncode)
    histogram = [(float(value), int(count)) for value, count in _LATENCY.findall(stdout)]
    if requests == 0 or duration_us == 0 or not histogram:
        raise BadOutput(f"{UNANSWERED if requests == 0 else 'no times were printed'}: wrk had {requests} answers in "
                        f"{duration_us / 1e6:.2f} s")
    latencies = spread_evenly(histogram, VALUES_PER_TRIAL)
    return [Reading("rate", requests / duration_us * 1e6), *(Reading("latency", value) for value in latencies)]


def wrk_totals(stdout: str, stderr: str, returncode: int) -> tuple[int, int]:
    """How many requests wrk had answered, and in how many us; ``BadOutput`` if it counted an error, or says nothing."""
    totals = _WRK_TOTALS.search(stdout)
    if totals is None:
        raise BadOutput(f"wrk (status {returncode}) printed no totals: {_last_words(stdout, stderr)}")
    errors = dict(zip(("connect", "read", "write", "status", "timeout"), map(int, totals.groups()[2:]), strict=True))
    if any(errors.values()):
        raise BadOutput("wrk counted errors: " + ", ".join(f"{n} {kind}" for kind, n in errors.items() if n))
    return int(totals[1]), int(totals[2])


_TCP_COUNTERS = re.compile(r"^Tcp: (.+)$", re.MULTILINE)


def parse_connects(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """wrk with a connection for each request, between two readings of ``/proc/net/snmp`` (RFC 4022's
    ``tcpActiveOpens``): ``rate``. If the kernel opened fewer connections than there were answers, some were kept.

    wrk's latencies are left out: it starts its clock when a connection is there.
    """
    rate = next(reading for reading in parse_wrk(stdout, stderr, returncode) if reading.metric == "rate")
    lines = [line.split() for line in _TCP_COUNTERS.findall(stdout)]
    if len(lines) != 4 or "ActiveOpens" not in lines[0] or not {len(line) for line in lines} == {len(lines[0])}:
        raise BadOutput("the kernel's count of connections is missing")
    column = lines[0].index("ActiveOpens")
    opened = int(lines[3][column]) - int(lines[1][column])
    if opened < requests_of(stdout):
        raise BadOutput(f"{requests_of(stdout)} requests were answered over {opened} connections")
    return [rate]


def requests_of(stdout: str) -> int:
    """How many requests wrk had answered; 0 if it does not say."""
    totals = _WRK_TOTALS.search(stdout)
    return int(totals[1]) if totals else 0


_ECHO_COUNTS = re.compile(r"\[Valid Duration\] RunTime=([\d.]+) sec; SentMessages=(\d+); ReceivedMessages=(\d+)")
_ECHO_TOTAL = re.compile(r"\[Total Run\] .*ReceivedMessages=(\d+)")
_ECHO_FAULTS = re.compile(r"# dropped messages = (\d+); # duplicated messages = (\d+)")
_ECHO_ROW = re.compile(r"^\d+, (\d+\.\d+), (\d+\.\d+)\b", re.MULTILINE)


def parse_ping_pong(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    """sockperf's ping-pong and the times of its full log, counted (see ``scripts``): ``rate``, ``loss`` and
    ``latency``, from before a message is sent until its echo has been read (resolution here 0.1 us)."""
    seconds, answered, loss, _ = _echo_counts(stdout, stderr, returncode)
    histogram = [(float(value), int(count)) for value, count in _LATENCY.findall(stdout)]
    if sum(count for _, count in histogram) != answered:
        raise BadOutput(f"sockperf: {answered} messages were answered, and its log has another number of times")
    latencies = spread_evenly(histogram, VALUES_PER_TRIAL)
    return [Reading("rate", answered / seconds), Reading("loss", loss), *(Reading("latency", v) for v in latencies)]


def echoes_of(stdout: str) -> int:
    """How many messages sockperf had answered, its warm-up included; 0 if it does not say."""
    total = _ECHO_TOTAL.search(stdout)
    return int(total[1]) if total else 0


def schedule_parser(per_second: int) -> Callable[[str, str, int], list[Reading]]:
    """A parser of sockperf's under-load with its full log: ``latency`` and ``loss``."""

    def parse(stdout: str, stderr: str, returncode: int) -> list[Reading]:
        _, answered, loss, dropped = _echo_counts(stdout, stderr, returncode)
        rows = [(float(sent), float(received)) for sent, received in _ECHO_ROW.findall(stdout)]
        if len(rows) != answered:
            raise BadOutput(f"sockperf: {answered} messages were answered, its log has {len(rows)}")
        latencies = [(value, 1) for value in since_intended_us(rows, 1 / per_second, dropped)]
        return [Reading("loss", loss), *(Reading("latency", v) for v in spread_evenly(latencies, VALUES_PER_TRIAL))]

    return parse


def since_intended_us(rows: Sequence[tuple[float, float]], period_s: float, dropped: int) -> list[float]:
    """From when each message was to be sent until its answer was read, in us; ``rows``: (sent, read) in seconds.

    sockperf keeps an absolute schedule: late messages are sent at once until it has caught up, and none is sent before
    its time. So the schedule is the earliest that no message precedes. Its log leaves out what was lost (``dropped`` in
    all) without a gap in the numbering; a message that was sent late counts from the latest slot it can have had.
    """
    start = min((sent - rank * period_s for rank, (sent, _) in enumerate(rows)), default=0.0)
    latencies = []
    for rank, (sent, read) in enumerate(rows):
        slot = min(rank + dropped, int((sent - start) / period_s + 1e-6))
        latencies.append((read - start - max(slot, rank) * period_s) * 1e6)
    return latencies


def _echo_counts(stdout: str, stderr: str, returncode: int) -> tuple[float, int, float, int]:
    """Of sockperf: seconds that count, messages answered in them, share of messages lost, and how many that is."""
    counts, faults = _ECHO_COUNTS.search(stdout), _ECHO_FAULTS.search(stdout)
    if counts is None or faults is None:
        raise BadOutput(f"sockperf (status {returncode}) printed no result: {_last_words(stdout, stderr)}")
    seconds, sent, answered, dropped = float(counts[1]), int(counts[2]), int(counts[3]), int(faults[1])
    if not (seconds > 0 and sent > 0 and answered > 0):
        raise BadOutput(f"sockperf: of {sent} messages {answered} were answered in {seconds:g} s")
    return seconds, answered, dropped / sent, dropped


_NETDEV = re.compile(r"^emu eth0 (\d+) bytes (\d+) packets$", re.MULTILINE)
Printed = tuple[str, str, int]
"""What a tool printed: standard output, standard error, status."""


def parse_streams(flows: Sequence[Printed]) -> list[Reading]:
    """``iperf3 -J --get-server-output`` of TCP flows that ran side by side, each between two readings of the counters
    of its sending interface (see ``scripts``).

    ``throughput``: bytes the *receivers* counted after the warm-up, by their own clocks, summed over the flows.
    ``retransmits``: of the whole streams, warm-up included, as a share of the segments sent. ``packet_size``: from
    the counters.
    """
    documents = [_document(*printed) for printed in flows]
    try:
        throughput_bps = sum(_received_bps(document) for document in documents)
        again = sum(int(document["end"]["sum_sent"]["retransmits"]) for document in documents)
        segments = sum(int(d["end"]["sum_sent"]["bytes"]) / int(d["start"]["tcp_mss_default"]) for d in documents)
    except (KeyError, TypeError, IndexError, ValueError, ZeroDivisionError) as error:
        raise _lacking(error) from None
    if segments <= 0:
        raise BadOutput("iperf3 sent nothing")
    readings = [Reading("throughput", throughput_bps), Reading("retransmits", again / segments)]
    sent_bytes = sent_packets = 0
    for stdout, _, _ in flows:
        counters = [(int(size), int(packets)) for size, packets in _NETDEV.findall(stdout)]
        if len(counters) == 2:
            sent_bytes += counters[1][0] - counters[0][0]
            sent_packets += counters[1][1] - counters[0][1]
    if sent_packets > 0:
        readings.append(Reading("packet_size", sent_bytes / sent_packets))
    return readings


def _document(stdout: str, stderr: str, returncode: int) -> Mapping[str, Any]:
    """The JSON that iperf3 printed."""
    start, end = stdout.find("{"), stdout.rfind("}")
    try:
        document = json.loads(stdout[start : end + 1]) if 0 <= start < end else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BadOutput(f"iperf3 (status {returncode}) printed no JSON: {_last_words(stdout, stderr)}")
    if document.get("error"):
        raise BadOutput(f"iperf3: {document['error']}")
    return document


def _lacking(error: Exception) -> BadOutput:
    return BadOutput(f"iperf3's JSON lacks what is needed ({type(error).__name__}: {error})")


def _received_bps(document: Mapping[str, Any]) -> float:
    control = document["end"]["sender_tcp_congestion"]
    if control != PINNED_CONGESTION_CONTROL:
        raise BadOutput(f"iperf3 used the congestion control {control}, not {PINNED_CONGESTION_CONTROL}")
    intervals = [interval["sum"] for interval in document["server_output_json"]["intervals"]]
    counted = [interval for interval in intervals if interval["start"] >= STREAM_WARMUP_S - 0.01]
    seconds = sum(float(interval["end"]) - float(interval["start"]) for interval in counted)
    received_bytes = sum(int(interval["bytes"]) for interval in counted)
    if seconds <= 0 or received_bytes <= 0:
        raise BadOutput(f"iperf3: the receiver counted {received_bytes} bytes after the warm-up")
    return received_bytes * 8 / seconds


def received_bytes_of(stdout: str) -> int:
    """How many bytes iperf3's receiver counted, warm-up included; 0 if it does not say."""
    try:
        intervals = _document(stdout, "", 0)["server_output_json"]["intervals"]
        return sum(int(interval["sum"]["bytes"]) for interval in intervals)
    except (BadOutput, KeyError, TypeError, ValueError):
        return 0


@dataclass(frozen=True)
class UdpProbe:
    """Datagrams at one rate: what was sent, what of it was received, and the share that was lost on the way."""

    sent_bps: float
    received_bps: float
    loss: float


def parse_udp_probe(stdout: str, stderr: str, returncode: int) -> UdpProbe:
    """``iperf3 -u -J --get-server-output``. Lost is what is missing before the last datagram that the receiver has
    read; what it had not read when it was told that the test is over counts neither way."""
    document = _document(stdout, stderr, returncode)
    try:
        sender = document["end"]["streams"][0]["udp"]
        seconds, sent_bytes, sent = float(sender["seconds"]), int(sender["bytes"]), int(sender["packets"])
        receiver = document["server_output_json"]["end"]["streams"][0]["udp"]
        due, lost = int(receiver["packets"]), int(receiver["lost_packets"])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise _lacking(error) from None
    if not (seconds > 0 and sent_bytes > 0 and 0 < due <= sent and 0 <= lost < due):
        raise BadOutput(f"iperf3: of {sent} datagrams the receiver missed {lost} among {due}")
    sent_bps = sent_bytes * 8 / seconds
    return UdpProbe(sent_bps, sent_bps * (due - lost) / sent, lost / due)
