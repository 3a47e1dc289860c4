"""Parsers on what the tools really printed, and on what they print when something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress

import pytest

from emu.measure.metrics import Reading, spread_evenly
from emu.measure.parsers import (
    VALUES_PER_TRIAL,
    BadOutput,
    parse_connects,
    parse_end,
    parse_loaded_ping,
    parse_ping,
    parse_ping_pong,
    parse_single_ping,
    parse_streams,
    parse_udp_probe,
    parse_wrk,
    schedule_parser,
    since_intended_us,
)
from emu.measure.web_schedule import SCHEDULE_WARMUP_S, web_schedule_parser
from tests.unit.measure_support import DATA

Parser = Callable[[str, str, int], object]


def read(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def parse_iperf3(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    return parse_streams([(stdout, stderr, returncode)])


def loaded_ping(stdout: str, stderr: str, returncode: int) -> list[Reading]:
    return parse_loaded_ping(stdout, stderr, returncode, 1e12)


PARSERS = (parse_ping, parse_single_ping, loaded_ping, parse_wrk, parse_connects, parse_iperf3, parse_udp_probe,
           parse_ping_pong, schedule_parser(1000), web_schedule_parser(200, 8, 0.3))


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


def test_flows_side_by_side_are_summed_and_their_retransmits_shared() -> None:
    text = read("iperf3.txt")
    one, two = parse_streams([(text, "", 0)]), parse_streams([(text, "", 0)] * 2)
    assert values(two, "throughput")[0] == pytest.approx(2 * values(one, "throughput")[0])
    assert values(two, "retransmits") == values(one, "retransmits")
    assert values(two, "packet_size") == pytest.approx(values(one, "packet_size"))


def test_one_broken_flow_makes_all_of_them_no_measurement() -> None:
    with pytest.raises(BadOutput, match="refused"):
        parse_streams([(read("iperf3.txt"), "", 0), (read("iperf3_refused.txt"), "", 1)])


def test_a_connection_a_request_gives_the_rate_alone() -> None:
    text = read("wrk_connects.txt")
    (rate,) = parse_connects(text, "", 0)
    printed = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("Requests/sec:"))
    assert (rate.metric, rate.value) == ("rate", pytest.approx(printed, rel=1e-3))


def test_sockperf_gives_rate_loss_and_evenly_ranked_latencies() -> None:
    text = read("sockperf.txt")
    readings = parse_ping_pong(text, "", 0)
    latencies = values(readings, "latency")
    assert len(latencies) == VALUES_PER_TRIAL
    printed = float(re.findall(r"percentile 50.000 = +([\d.]+)", text)[0])
    assert latencies[50] == pytest.approx(printed, rel=0.02)
    # One message at a time: the rate is what the mean echo time allows, or less.
    assert 0 < values(readings, "rate")[0] <= 1e6 / float(re.findall(r"avg-rtt=([\d.]+)", text)[0])
    assert values(readings, "loss") == [0]


def test_a_schedule_s_latencies_are_never_below_those_from_the_actual_sending() -> None:
    text = read("sockperf_schedule.txt")
    latencies = values(schedule_parser(1000)(text, "", 0), "latency")
    assert len(latencies) == VALUES_PER_TRIAL
    printed = float(re.findall(r"percentile 50.000 = +([\d.]+)", text)[0])
    assert latencies[50] >= printed


def test_a_late_message_counts_from_when_it_was_to_be_sent() -> None:
    # Due at 0, 1, 2, 3, 4 ms; a stall held the third back until 4 ms, and the fourth with it. Each takes 0.1 ms.
    sent = [0.0, 0.001, 0.004, 0.00401, 0.00402]
    latencies = since_intended_us([(at, at + 0.0001) for at in sent], 0.001, dropped=0)
    assert latencies == pytest.approx([100, 100, 2100, 1110, 120])


def test_a_lost_message_is_no_stall() -> None:
    sent = [0.0, 0.002, 0.003]  # the one due at 1 ms was lost, and is not in the log
    assert since_intended_us([(at, at + 0.0001) for at in sent], 0.001, dropped=1) == pytest.approx([100, 100, 100])
    assert since_intended_us([(at, at + 0.0001) for at in sent], 0.001, dropped=0) == pytest.approx([100, 1100, 1100])


def test_a_web_schedule_counts_each_request_of_it_once_and_none_of_the_warm_up() -> None:
    text = read("wrk_schedule.txt")
    readings = web_schedule_parser(200, 8, 0.3)(text, "", 0)
    latencies = values(readings, "latency")
    counted = [float(line.split()[4]) for line in text.splitlines()
               if line.startswith("emu answer") and 30 <= int(line.split()[2]) < 90]
    assert latencies == sorted(counted)
    assert len(latencies) == 60
    assert values(readings, "loss") == [0]


def keep(per_second: int, duration_s: float, service_us: float, stall: tuple[float, float] = (0, 0)) -> str:
    """What wrk prints of a schedule over eight connections to a server that takes ``service_us`` for an answer on any
    of them, and answers nobody for a while (from, to, in s)."""
    lines, free_us = [], [0.0] * 8
    for number in range(8, round((SCHEDULE_WARMUP_S + duration_s) * per_second)):
        due_us = number * 1e6 / per_second
        sent_us = max(due_us, free_us[number % 8])
        begun_us = stall[1] * 1e6 if stall[0] * 1e6 <= sent_us < stall[1] * 1e6 else sent_us
        free_us[number % 8] = begun_us + service_us
        lines.append(f"emu answer {number} {sent_us - due_us:.1f} {begun_us + service_us - due_us:.1f}")
    return "\n".join([*lines, TOTALS.format(0)])


TOTALS = "emu requests 500 duration_us 1000000 connect 0 read 0 write 0 status {} timeout 0\n"


def test_a_stall_makes_every_request_late_that_was_due_in_it() -> None:
    text = keep(100, 1, 100, stall=(0.5, 0.7))
    latencies = values(web_schedule_parser(100, 8, 1)(text, "", 0), "latency")
    assert len(latencies) == 100
    assert latencies[-20:] == pytest.approx(range(10_000, 200_001, 10_000), abs=400)  # each 10 ms before the next
    assert max(latencies[:80]) < 400


def test_a_request_without_an_answer_is_lost() -> None:
    text = re.sub(r"^emu answer (30|60|90) .*\n", "", keep(100, 1, 100), flags=re.MULTILINE)
    readings = web_schedule_parser(100, 8, 1)(text, "", 0)
    assert values(readings, "loss") == pytest.approx([0.03])
    assert len(values(readings, "latency")) == 97


def test_a_server_too_slow_for_the_schedule_makes_no_measurement_and_one_just_fast_enough_does() -> None:
    assert values(web_schedule_parser(500, 8, 1)(keep(500, 1, 15_900), "", 0), "loss") == [0]
    with pytest.raises(BadOutput, match="of 500 requests at 500 a second 0 were not answered and 500 were sent"):
        web_schedule_parser(500, 8, 1)(keep(500, 1, 18_000), "", 0)


def test_under_load_what_was_answered_after_the_stream_does_not_count_and_what_is_missing_is_lost() -> None:
    text = read("ping_loaded.txt")
    everything = parse_loaded_ping(text, "", 0, 1e12)
    assert len(values(everything, "rtt")) == 45  # 55 answers, the first 10 being warm-up
    assert values(everything, "loss") == [0]  # packets on their way when ping ended are not lost
    gone = "\n".join(line for line in text.splitlines() if "icmp_seq=30 " not in line)
    assert values(parse_loaded_ping(gone, "", 0, 1e12), "loss") == pytest.approx([1 / 45])
    answered = [float(m) for m in re.findall(r"^\[([\d.]+)\]", text, re.MULTILINE)]
    assert len(values(parse_loaded_ping(text, "", 0, answered[19]), "rtt")) == 10
    assert parse_end("x\nemu ended 1738315800.25\n") == 1738315800.25


def test_a_udp_probe_counts_what_is_missing_up_to_the_last_datagram_read() -> None:
    probe = parse_udp_probe(read("iperf3_udp.txt"), "", 0)
    assert probe.loss == pytest.approx(6279 / 48807)
    assert probe.sent_bps == pytest.approx(548.4e6, rel=1e-3)
    assert probe.received_bps == pytest.approx(548.4e6 * (48807 - 6279) / 48970, rel=1e-3)


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
        (parse_single_ping, read("ping_unanswered.txt"), "", "nothing was answered"),
        (parse_wrk, read("wrk_errors.txt"), "", "10677 status"),
        (parse_wrk, "", "unable to connect to 10.0.3.2:80 Connection refused", "Connection refused"),
        (parse_wrk, read("wrk.txt").split("emu latency_us")[0], "", "answers in"),
        (parse_iperf3, read("iperf3_refused.txt"), "", "Connection refused"),
        (parse_iperf3, read("iperf3.txt")[:5000], "", "no JSON"),
        (parse_iperf3, read("iperf3.txt").replace("server_output_json", "other"), "", "lacks"),
        (parse_iperf3, "emu eth0 1 bytes 1 packets\n[]\n", "", "no JSON"),
        (parse_ping_pong, read("sockperf_down.txt"), "sockperf: No messages were received", "No messages"),
        (parse_ping_pong, read("sockperf.txt").rpartition("emu latency_us")[0], "", "another number of times"),
        (schedule_parser(1000), read("sockperf_down.txt"), "sockperf: No messages were received", "No messages"),
        (schedule_parser(1000), read("sockperf_schedule.txt").rpartition("\n4")[0], "", "its log has"),
        (web_schedule_parser(200, 8, 0.3), read("wrk_schedule.txt").rpartition("emu requests")[0], "", "no totals"),
        (web_schedule_parser(200, 8, 0.3), "", "schedule.lua: module 'ffi' not found", "'ffi' not found"),
        (web_schedule_parser(200, 8, 0.3), TOTALS.format(3), "", "3 status"),
        (web_schedule_parser(200, 8, 0.3), TOTALS.format(0), "", "not kept: .* 60 were not answered"),
        (parse_connects, read("wrk.txt"), "", "count of connections"),
        (parse_connects, re.sub(r"^(Tcp: 1 200 120000 -1) \d+", r"\1 0", read("wrk_connects.txt"), flags=re.M), "",
         "requests were answered over 0 connections"),
        (parse_udp_probe, read("iperf3_refused.txt"), "", "Connection refused"),
        (parse_udp_probe, read("iperf3_udp.txt").replace("server_output_json", "other"), "", "lacks"),
        (parse_udp_probe, read("iperf3_udp.txt").replace('"packets":\t48807', '"packets":\t0'), "", "receiver missed"),
        (parse_udp_probe, read("iperf3.txt"), "", "lacks"),
        (loaded_ping, read("ping_unanswered.txt"), "", "no ping was answered"),
        (loaded_ping, read("ping.txt"), "", "no ping was answered"),
    ],
)
def test_broken_output_is_a_failure_with_a_reason(parser: Parser, stdout: str, stderr: str, says: str) -> None:
    with pytest.raises(BadOutput, match=says):
        parser(stdout, stderr, 0)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("name", sorted(path.name for path in DATA.iterdir()))
def test_output_cut_anywhere_never_does_anything_but_fail_or_read(parser: Parser, name: str) -> None:
    text = read(name)
    for end in range(0, len(text), max(97, len(text) // 60)):
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
