"""The verdict on a run: what speaks against its figures, which of them, and what is only noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from emu.measure.blocks import PROFILES
from emu.measure.results import Sample, read_folder
from emu.measure.summary import summarise
from tests.unit.measure_support import facts, page_of, run_json, samples, store

DESIGNS = ["bare", "l2", "routed", "overlay"]


def verdict_of(tmp_path: Path, run: dict[str, Any], **changed: float) -> list[str]:
    """The reasons of a run whose metrics named in ``changed`` have other values in l2."""
    taken = [replace(s, value=changed[s.metric]) if s.design == "l2" and s.metric in changed else s
             for s in samples(DESIGNS)]
    return [reason.text for reason in summarise(read_folder(store(tmp_path / "run", run, taken))).verdict.reasons]


def test_a_sound_run_has_no_reasons(tmp_path: Path) -> None:
    assert verdict_of(tmp_path, run_json(DESIGNS)) == []


def test_of_many_links_that_differ_one_is_told(tmp_path: Path) -> None:
    run = run_json(DESIGNS)
    for number, design in enumerate(run["designs"]):
        links = {"node-a:eth0": 100, "node-b:eth0": 50 + number, "node-c:eth0": 50 + number}
        design["facts"] = facts(links={device: [f"rate {bw}Mbit"] for device, bw in links.items()})
    run["control"] = None
    (reason,) = [reason for reason in verdict_of(tmp_path, run) if "links do" in reason]
    assert "l2:proxy_arp=controller: {'node-b:eth0': ['rate 51Mbit']}" in reason
    assert "node-a" not in reason
    assert "node-c" not in reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"underlay_mtu": [9000]}, "underlay's MTU differs"),
        ({"congestion_control": {"a": ["bbr"], "b": ["cubic"]}}, "congestion control"),
        ({"datapath": "kernel"}, "the datapath differs"),
        ({"links": {"node-a:eth0": ["qdisc tbf 2: root rate 50Mbit"]}}, "what links do differs"),
        ({"sdn": "os-ken 4.2.2"}, "controller framework differs"),
        ({"sysctls": {"a": {"net.ipv4.ip_forward": "1"}, "b": {}}}, "net.ipv4.ip_forward is"),
        ({"socket_buffers": {"rmem_max": 212992, "rmem_default": 212992}}, "212,992 bytes"),
    ],
)
def test_a_lab_set_otherwise_than_the_others_is_a_reason(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    run = run_json(DESIGNS)
    run["designs"][1]["facts"] = facts(**change)
    reasons = verdict_of(tmp_path, run)
    assert reasons
    assert any(says in reason for reason in reasons)


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"retransmits": 0.0011}, "0.11% of the segments"), ({"packet_size": 9000.0}, "above the MTU")],
)
def test_drops_and_super_packets_are_reasons(tmp_path: Path, changed: dict[str, float], says: str) -> None:
    (reason,) = verdict_of(tmp_path, run_json(DESIGNS), **changed)
    assert says in reason
    assert "l2" in reason


@pytest.mark.parametrize(
    ("shaped", "are_no_reason"),
    [({"bw": 50.0}, True), ({"loss": 1.0}, True), ({"jitter": 0.5, "delay": 2.0}, True), ({"delay": 2.0}, False),
     ({"links": {"node-c": {"loss": 1.0}}}, True), ({"links": {"node-c": {"delay": 5.0}}}, False)],
)
def test_drops_are_no_reason_only_on_links_that_make_them(
    tmp_path: Path, shaped: dict[str, object], are_no_reason: bool
) -> None:
    run = run_json(DESIGNS)
    run["scenario"] |= shaped
    assert (verdict_of(tmp_path, run, retransmits=0.02) == []) == are_no_reason


def test_super_packets_are_expected_with_offloads_on(tmp_path: Path) -> None:
    assert verdict_of(tmp_path, with_offloads_on(), packet_size=9000.0) == []


OFF, ON = ({"tso": value, "gso": value, "gro": value, "tx": value} for value in (False, True))


def with_offloads_on() -> dict[str, Any]:
    run = run_json(DESIGNS)
    run["scenario"]["offload"] = "on"
    for design in run["designs"]:
        design["facts"] = facts(offloads={"a": ON, "b": ON}, path_offloads={"a:eth0": ON, "node-a:eth0": ON})
    return run


@pytest.mark.parametrize("change", [{"offloads": {"a": OFF | {"tso": True}, "b": OFF}},
                                    {"path_offloads": {"a:eth0": OFF, "node-a:eth0": OFF | {"tso": True}}}])
def test_offloads_that_are_on_unasked_are_a_reason(tmp_path: Path, change: dict[str, Any]) -> None:
    run = run_json(DESIGNS)
    run["designs"][3].update(tunnels=["node-a:eth0"], facts=facts(**change))
    (reason,) = verdict_of(tmp_path, run)
    assert reason.startswith("overlay:backend=vxlan: offloads off were asked for, on are tso at ")


def test_offloads_that_are_off_unasked_are_a_reason_but_for_tunnel_devices(tmp_path: Path) -> None:
    run = with_offloads_on()
    run["designs"][3].update(tunnels=["node-a:vxlan1"], facts=facts(
        offloads={"a": ON, "b": ON}, path_offloads={"a:eth0": ON, "node-a:vxlan1": OFF, "node-a:cbr0": ON}))
    verdict = summarise(read_folder(store(tmp_path / "tunnel", run, samples(DESIGNS)))).verdict
    assert verdict.trusted
    (note,) = (note for note in verdict.notes if "tunnel device" in note)
    assert "tso, gso, gro, tx off at node-a:vxlan1" in note
    run["designs"][3]["facts"]["path_offloads"]["node-a:cbr0"] = ON | {"gro": False}
    assert verdict_of(tmp_path, run) == [
        "overlay:backend=vxlan: offloads on were asked for, off are gro at node-a:cbr0"]


def cut(taken: Sequence[Sample], design: str, workload: str, blocks: int) -> list[Sample]:
    """``taken`` without what a pair of design and workload has beyond so many blocks."""
    return [s for s in taken if (s.design, s.workload) != (design, workload) or s.block < blocks]


def test_a_pair_with_too_few_blocks_is_not_trusted_whatever_the_others_have(tmp_path: Path) -> None:
    taken = cut(samples(DESIGNS), "overlay", "tcp_stream", 3)
    summary = summarise(read_folder(store(tmp_path / "run", run_json(DESIGNS), taken)))
    assert [reason.text for reason in summary.verdict.reasons] == [
        "overlay:backend=vxlan, tcp_stream: 3 of the 6 blocks planned; below 6 there are no intervals"]
    assert summary.verdict.doubts("overlay:backend=vxlan", "tcp_stream")
    assert not summary.verdict.doubts("overlay:backend=vxlan", "ping")
    assert not summary.verdict.doubts("bare", "tcp_stream")


def test_a_pair_without_any_sample_is_not_trusted(tmp_path: Path) -> None:
    taken = cut(samples(DESIGNS), "l2", "http", 0)
    summary = summarise(read_folder(store(tmp_path / "run", run_json(DESIGNS), taken)))
    assert [reason.text for reason in summary.verdict.reasons] == [
        "l2:proxy_arp=controller, http: 0 of the 6 blocks planned; below 6 there are no intervals"]


def test_blocks_that_were_never_run_are_a_reason_even_where_enough_are_left(tmp_path: Path) -> None:
    run = run_json(DESIGNS)
    run["profile"]["blocks"] = 9
    taken = cut(samples(DESIGNS, blocks=9), "routed", "ping", 7)
    broken = ("bare", "http", 4)
    failed = [replace(s, ok=False, value=None, error="x") if (s.design, s.workload, s.block) == broken else s
              for s in taken]
    reasons = [r.text for r in summarise(read_folder(store(tmp_path / "run", run, failed))).verdict.reasons]
    assert reasons[0] == "routed:routes=static, ping: 7 of the 9 blocks planned were run"
    assert [reason for reason in reasons[1:] if "failed" not in reason] == []


@pytest.mark.parametrize("state", [{"interrupted": True}, {"ended": None}])
def test_an_interrupted_run_is_not_trusted_and_reported_as_that(tmp_path: Path, state: dict[str, Any]) -> None:
    path = store(tmp_path / "run", run_json(DESIGNS, **state), samples(DESIGNS))
    assert [reason.text for reason in summarise(read_folder(path)).verdict.reasons] == [
        "the run was interrupted; what it had measured until then is here"]
    page = page_of(path)
    assert "Not trusted." in page
    assert "(interrupted)" in page


def test_the_switch_s_own_cost_is_noted_in_user_space_only(tmp_path: Path) -> None:
    def notes(name: str, datapath: str) -> list[str]:
        run = run_json(DESIGNS, datapath=datapath)
        for design in run["designs"]:
            design["facts"] = facts(datapath=datapath)
        return list(summarise(read_folder(store(tmp_path / name, run, samples(DESIGNS)))).verdict.notes)

    assert [note.split(":")[0] for note in notes("user", "netdev")] == ["userspace datapath"]
    assert notes("kernel", "kernel") == []


def test_controller_errors_are_a_reason(tmp_path: Path) -> None:
    run = run_json(DESIGNS, controller_errors={"bare": [], "routed:routes=static": ["KeyError: 7", "another"]})
    (reason,) = verdict_of(tmp_path, run)
    assert "2 controller errors" in reason
    assert "KeyError: 7" in reason


def test_failed_trials_touch_only_their_own_figures(tmp_path: Path) -> None:
    taken = samples(DESIGNS)
    broken = replace(next(s for s in taken if s.design == "l2" and s.workload == "http"), value=None, ok=False,
                     error="wrk counted errors: 3 timeout")
    summary = summarise(read_folder(store(tmp_path / "run", run_json(DESIGNS), [*taken, broken])))
    assert [reason.text for reason in summary.verdict.reasons] == [
        "l2:proxy_arp=controller, http: 1 trials failed, the first: wrk counted errors: 3 timeout"]
    assert summary.verdict.doubts("l2:proxy_arp=controller", "http")
    assert not summary.verdict.doubts("l2:proxy_arp=controller", "ping")
    assert not summary.verdict.doubts("bare", "http")


@pytest.mark.parametrize(
    ("failed", "lost", "error", "excused"),
    [
        (1, 0.02, "nothing was answered (ping status 1): 1 packets transmitted, 0 received", True),
        (20, 0.02, "nothing was answered (ping status 1): 1 packets transmitted, 0 received", False),
        (1, 0.02, "wrk (status -9) printed no totals: it printed nothing", False),
        (1, 0.0, "nothing was answered (ping status 1): 1 packets transmitted, 0 received", False),
    ],
)
def test_trials_without_an_answer_are_no_fault_where_links_are_to_lose_so_much(
    tmp_path: Path, failed: int, lost: float, error: str, excused: bool
) -> None:
    check = {"design": "bare", "src": "a", "dst": "b", "quantity": "loss of pings", "unit": "1", "asked": lost,
             "low": 0.0, "high": 0.05, "achieved": lost, "error": None}
    taken = samples(DESIGNS, blocks=10)
    broken = [replace(next(s for s in taken if s.design == "l2" and s.workload == "http" and s.block == number % 10),
                      trial=10_000 + number, value=None, ok=False, error=error) for number in range(failed)]
    run = run_json(DESIGNS, links=[check] if lost else [])
    run["profile"] = asdict(PROFILES["standard"])
    verdict = summarise(read_folder(store(tmp_path / "run", run, [*taken, *broken]))).verdict
    (told,) = [text for text in (*verdict.notes, *(r.text for r in verdict.reasons)) if "trials failed" in text]
    assert verdict.trusted == excused
    assert (told in verdict.notes) == excused


def with_retransmits(tmp_path: Path, name: str, **shares: float) -> list[str]:
    taken = [replace(s, value=shares.get(s.design, 0.0)) if s.metric == "retransmits" else s for s in samples(DESIGNS)]
    return [r.text for r in summarise(read_folder(store(tmp_path / name, run_json(DESIGNS), taken))).verdict.reasons]


def test_retransmits_far_from_the_others_are_a_reason(tmp_path: Path) -> None:
    assert with_retransmits(tmp_path, "far", l2=0.0005, bare=0.00004) == [
        "l2:proxy_arp=controller, tcp_stream: 0.050% of the segments were sent again, 0.004% or fewer in all others"]


def test_drops_are_what_incast_is_about(tmp_path: Path) -> None:
    shares = {"l2": 0.0005, "bare": 0.00004}
    taken = [replace(s, workload="incast:senders=3", value=shares[s.design]) for s in samples(["bare", "l2"])
             if s.metric == "retransmits"]
    run = run_json(["bare", "l2"], ["incast:senders=3"])
    assert summarise(read_folder(store(tmp_path / "run", run, taken))).verdict.trusted


def test_retransmits_like_the_others_and_single_ones_are_none(tmp_path: Path) -> None:
    assert with_retransmits(tmp_path, "like", l2=0.0005, bare=0.0001) == []
    assert with_retransmits(tmp_path, "single", l2=0.0001) == []
