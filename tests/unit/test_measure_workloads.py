"""Workloads by their names, and scripts fed with what tools would print: no lab, no tool."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from emu.designs import plans_for
from emu.errors import UsageError
from emu.live.lab import Completed
from emu.measure.metrics import METRICS, Reading
from emu.measure.parsers import BadOutput
from emu.measure.scripts import MOST_LOST, RATE_RESOLUTION, Call, Ends, Lengths, Script, ended_after, senders
from emu.measure.words import questions
from emu.measure.workloads import DEFAULT_WORKLOADS, KINDS, in_order, parse_workload, workloads_named
from emu.model import Scenario

ENDS = Ends("ctr-1", "ctr-4", "10.0.3.2", ("ctr-1", "ctr-2"))
LENGTHS = Lengths(ping_packets=80, request_s=0.4, stream_s=2, first_packets=3)


def play(script: Script, answer: Callable[[Call], str]) -> tuple[list[Reading], list[Sequence[Call]]]:
    """What a script returns, and the batches it asked for."""
    batches: list[Sequence[Call]] = []
    batch = next(script)
    while True:
        batches.append(batch)
        try:
            batch = script.send([Completed(call.argv, 0, answer(call), "") for call in batch])
        except StopIteration as end:
            return end.value, batches


def link_of(capacity_bps: float, sender_bps: float = 4e9) -> Callable[[Call], str]:
    """iperf3 over a link that drops what is above its capacity."""

    def answer(call: Call) -> str:
        asked_bps = float(call.argv[call.argv.index("-b") + 1]) or sender_bps
        sent = int(asked_bps / 8 / 1400)
        lost = int(sent * max(0.0, 1 - capacity_bps / asked_bps))
        udp = {"seconds": 1.0, "bytes": sent * 1400, "packets": sent, "lost_packets": lost}
        document = {"end": {"streams": [{"udp": udp}]}}
        return json.dumps({**document, "server_output_json": document})

    return answer


@pytest.mark.parametrize("capacity_bps", [3e6, 100e6, 951e6, 3.9e9])
def test_the_search_ends_below_the_capacity_and_no_further_than_its_resolution(capacity_bps: float) -> None:
    (reading,), batches = play(parse_workload("udp_stream").script(ENDS, LENGTHS), link_of(capacity_bps))
    assert reading.metric == "throughput"
    assert capacity_bps * (1 - RATE_RESOLUTION - 0.01) <= reading.value <= capacity_bps * (1 + MOST_LOST)
    assert all(len(batch) == 1 for batch in batches)


def test_a_sender_that_loses_nothing_at_its_fastest_is_asked_once() -> None:
    (reading,), batches = play(parse_workload("udp_stream").script(ENDS, LENGTHS), link_of(10e9))
    assert reading.value == pytest.approx(4e9, rel=1e-3)
    assert len(batches) == 1


def test_a_link_that_always_loses_has_no_loss_free_rate() -> None:
    with pytest.raises(BadOutput, match="was lost even at"):
        play(parse_workload("udp_stream").script(ENDS, LENGTHS), link_of(0.9e6))


def test_names_are_canonical_and_parameters_reach_the_tools() -> None:
    assert parse_workload("udp_rr:size=64").name == "udp_rr"
    workload = parse_workload("udp_rr:per_second=1000,size=512")
    assert (workload.name, workload.kind) == ("udp_rr:size=512,per_second=1000", "udp_rr")
    (call,) = next(workload.script(ENDS, LENGTHS))
    assert "-m 512 " in call.argv[-1]
    assert "--mps 1000 " in call.argv[-1]
    web = parse_workload("http:per_second=500,size=64")
    (call,) = next(web.script(ENDS, LENGTHS))
    assert call.argv[-5:] == ("http://10.0.3.2:80/64", "--", "500", "8", "0.8")  # warm-up and rest beside 0.4 s
    flows = next(parse_workload("tcp_stream:flows=3").script(ENDS, LENGTHS))
    assert [f"-p {port} " in call.argv[-1] for call, port in zip(flows, (5201, 5202, 5203), strict=True)] == [True] * 3
    assert [call.machine for call in next(parse_workload("incast").script(ENDS, LENGTHS))] == ["ctr-1", "ctr-2"]


def test_everything_wrong_with_a_name_is_told() -> None:
    with pytest.raises(UsageError) as wrong:
        parse_workload("udp_rr:size=63,sizes=64,per_second")
    assert [problem.split(": ", 1)[1] for problem in wrong.value.problems] == [
        "size takes 64|512|1500, not '63'", "'sizes=64' is no KEY=VALUE of its parameters (size, per_second)",
        "per_second takes 0|100|200|500|1000|2000|5000|10000, not ''"]
    with pytest.raises(UsageError, match=r"'flows=2' is no KEY=VALUE of its parameters \(none\)"):
        parse_workload("ping:flows=2")
    with pytest.raises(UsageError, match="'size' is given twice"):
        parse_workload("http:size=64,size=64")
    with pytest.raises(UsageError, match="there is no workload 'pong'; there are: ping, tcp_rr, udp_rr"):
        parse_workload("pong")


def test_what_a_run_answers_is_named_with_its_parameters() -> None:
    names = ["tcp_stream:flows=4", "ping", "tcp_stream", "of another version"]
    assert list(workloads_named(names)) == ["ping", "tcp_stream:flows=4", "tcp_stream"]
    assert [question.heading for question in questions(names)] == [
        "Round trip", "TCP streams (flows=4)", "One TCP stream"]
    assert questions(names)[1].noun == "TCP throughput (flows=4)"
    assert [(question.workload, question.metric, question.heading) for question in
            questions(["http", "http:per_second=500"])] == [
        ("http", "rate", "HTTP, eight connections"),
        ("http:per_second=500", "latency", "HTTP at a schedule (per_second=500)")]
    assert list(in_order([parse_workload("ping"), parse_workload("http")])) == ["ping", "http"]


@pytest.mark.parametrize("name", KINDS)
def test_every_workload_has_known_metrics_and_says_what_it_is(name: str) -> None:
    workload = parse_workload(name)
    assert workload.name == workload.kind == name
    assert set(workload.metrics) <= set(METRICS)
    assert workload.expected_s(LENGTHS) > 0
    assert questions([name])
    assert name in DEFAULT_WORKLOADS or questions([name])[0].workload == name


def test_senders_stand_on_other_nodes_and_are_spread_over_them() -> None:
    bare, deck = plans_for(["bare", "overlay"], Scenario(), [])
    assert senders(bare, 2) == ("node-a", "node-b")
    assert senders(deck, 2)[0] == deck.endpoints[0]  # type: ignore[index]
    (wide,) = plans_for(["overlay"], Scenario(nodes=4, containers=2), [])
    assert wide.endpoints
    chosen = senders(wide, 6)
    assert len(set(chosen)) == 6
    nodes = [wide.node_of[name].name for name in chosen]
    assert wide.node_of[wide.endpoints[1]].name not in nodes
    assert len(set(nodes[:3])) == 3


DEAF = """import os, signal, sys, time
heard = 0
def hear(number, frame):
    global heard
    heard += 1
    print(heard, flush=True)
    if heard == int(sys.argv[1]):
        sys.exit(3)
signal.signal(signal.SIGINT, hear)
print(os.getpid(), flush=True)
while True:
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("hears", "status"), [(1, 3), (2, 3), (0, 137)])
def test_what_does_not_hear_an_interrupt_is_sent_another_and_then_killed(
    hears: int, status: int, tmp_path: Path
) -> None:
    words = [*ended_after(0.5), sys.executable, "-c", DEAF, str(hears)]
    with open(tmp_path / "said", "w") as said:  # a file: an orphan would hold a pipe open
        done = subprocess.run(words, stdout=said, check=False, start_new_session=True)
    number, *interrupts = (tmp_path / "said").read_text().split()
    try:
        assert (done.returncode, interrupts) == (status, ["1", "2"][: hears or 2])
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)
