"""Parsers on what the tools really printed, and on what they print when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest

from emu.measure.metrics import Reading, spread_evenly
from emu.measure.parsers import (
    VALUES_PER_TRIAL,
    BadOutput,
    parse_iperf3,
    parse_ping,
    parse_single_ping,
    parse_wrk,
)
from tests.unit.measure_support import DATA

Parser = Callable[[str, str, int], list[Reading]]


def read(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def values(readings: list[Reading], metric: str) -> list[float]:
    return [reading.value for reading in readings if reading.metric == metric]


def test_ping_gives_each_round_trip_after_the_warm_up() -> None:
    readings = parse_ping(read("ping.txt"), "", 0)
    assert len(values(readings, "rtt")) == 80
    assert min(values(readings, "rtt")) == 31
    assert values(readings, "loss") == [0]


def test_ping_counts_lost_packets_and_ignores_duplicates() -> None:
    lines = read("ping.txt").splitlines()
    lost = next(i for i, line in enumerate(lines) if "icmp_seq=50 " in line)
    lines[lost] = lines[lost + 1] + " (DUP!)"
    text = "\n".join(lines).replace("90 received, 0%", "89 received, 1.1%")
    readings = parse_ping(text, "", 0)
    assert len(values(readings, "rtt")) == 79
    assert values(readings, "loss") == pytest.approx([1 / 90])


def test_a_single_ping_is_a_latency() -> None:
    (latency,) = parse_single_ping(read("ping_single.txt"), "", 0)
    assert latency.metric == "latency"
    assert 1 < latency.value < 1000


def test_wrk_gives_the_rate_and_evenly_ranked_latencies() -> None:
    text = read("wrk.txt")
    readings = parse_wrk(text, "", 0)
    printed = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("Requests/sec:"))
    assert values(readings, "rate") == pytest.approx([printed], rel=1e-3)
    latencies = values(readings, "latency")
    assert len(latencies) == VALUES_PER_TRIAL
    assert latencies == sorted(latencies)


def test_iperf3_counts_at_the_receiver_without_the_warm_up() -> None:
    text = read("iperf3.txt")
    document = json.loads(text[text.index("{") : text.rindex("}") + 1])
    counted = [i["sum"] for i in document["server_output_json"]["intervals"] if i["sum"]["start"] > 0.15]
    expected = sum(i["bytes"] for i in counted) * 8 / sum(i["end"] - i["start"] for i in counted)
    readings = parse_iperf3(text, "", 0)
    assert values(readings, "throughput") == pytest.approx([expected])
    assert values(readings, "throughput")[0] != pytest.approx(document["end"]["sum_received"]["bits_per_second"])
    assert values(readings, "retransmits") == [0]
    assert values(readings, "packet_size") == pytest.approx([1463.5], abs=0.1)


def test_iperf3_retransmits_are_a_share_of_the_segments() -> None:
    text = read("iperf3.txt")
    sent = json.loads(text[text.index("{") : text.rindex("}") + 1])
    segments = sent["end"]["sum_sent"]["bytes"] / sent["start"]["tcp_mss_default"]
    sent["end"]["sum_sent"]["retransmits"] = 10
    assert values(parse_iperf3(json.dumps(sent), "", 0), "retransmits") == pytest.approx([10 / segments])


def test_iperf3_with_another_congestion_control_is_no_measurement() -> None:
    text = read("iperf3.txt").replace('"sender_tcp_congestion":\t"cubic"', '"sender_tcp_congestion":\t"bbr"')
    with pytest.raises(BadOutput, match="bbr, not cubic"):
        parse_iperf3(text, "", 0)


@pytest.mark.parametrize(
    ("parser", "stdout", "stderr", "says"),
    [
        (parse_ping, read("ping_unanswered.txt"), "", "none was answered"),
        (parse_ping, "", "ping: connect: Network is unreachable", "Network is unreachable"),
        (parse_ping, "PING 10.0.3.2 (10.0.3.2) 56(84) bytes of data.\n", "", "no summary"),
        (parse_single_ping, read("ping_unanswered.txt"), "", "not answered"),
        (parse_wrk, read("wrk_errors.txt"), "", "10677 status"),
        (parse_wrk, "", "unable to connect to 10.0.3.2:80 Connection refused", "Connection refused"),
        (parse_wrk, read("wrk.txt").split("emu latency_us")[0], "", "answers in"),
        (parse_iperf3, read("iperf3_refused.txt"), "", "Connection refused"),
        (parse_iperf3, read("iperf3.txt")[:5000], "", "no JSON"),
        (parse_iperf3, read("iperf3.txt").replace("server_output_json", "other"), "", "lacks"),
        (parse_iperf3, "emu eth0 1 bytes 1 packets\n[]\n", "", "no JSON"),
    ],
)
def test_broken_output_is_a_failure_with_a_reason(parser: Parser, stdout: str, stderr: str, says: str) -> None:
    with pytest.raises(BadOutput, match=says):
        parser(stdout, stderr, 0)


@pytest.mark.parametrize("parser", [parse_ping, parse_single_ping, parse_wrk, parse_iperf3])
@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir()))
def test_output_cut_anywhere_never_does_anything_but_fail_or_read(parser: Parser, name: str) -> None:
    text = read(name)
    for end in range(0, len(text), 97):
        with suppress(BadOutput):
            assert parser(text[:end], "", 1)


def test_spread_evenly_keeps_small_histograms_whole_and_quantiles_of_large_ones() -> None:
    assert spread_evenly([(3.0, 2), (1.0, 1)], 10) == [1.0, 3.0, 3.0]
    kept = spread_evenly([(float(i), 10) for i in range(1000)], 100)
    assert len(kept) == 100
    assert kept[50] == pytest.approx(505, abs=6)
    assert kept[98] == pytest.approx(985, abs=6)
    with pytest.raises(ValueError, match="empty"):
        spread_evenly([(1.0, 0)], 5)
