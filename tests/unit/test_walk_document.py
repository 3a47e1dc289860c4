"""walk.json: the keys of the contract, one step and one packet after the other, and nothing JSON cannot say."""

from __future__ import annotations

import json

import pytest

from emu.frames import Frame
from emu.packets import headers
from emu.walk.document import document, nested
from emu.walk.model import LOST
from tests.unit.walk_support import GET, Builder, encapsulated, ethernet, http_walk, ipv4, lost_walk

STEP_KEYS = {
    *("index", "packet", "previous", "t_us", "took_us", "node", "interface", "direction", "frame", "changed", "was"),
    *("decided_by", "fate", "pcap_frame", "note"),
}


@pytest.mark.parametrize("spec", ["bare", "l2", "routed", "overlay"])
def test_a_walk_survives_json_with_all_its_steps_and_packets(spec: str) -> None:
    walk = http_walk(spec)
    written = document(walk)
    assert json.loads(json.dumps(written)) == written
    assert (written["format"], written["design"], written["request"]) == ("emu-walk/1", walk.plan.spec, "http")
    assert (written["src"], written["dst"]) == walk.plan.endpoints
    assert [step["index"] for step in written["steps"]] == [step.index for step in walk.steps]
    assert all(set(step) == STEP_KEYS for step in written["steps"])
    assert {index for packet in written["packets"] for index in packet["steps"]} == set(range(1, len(walk.steps) + 1))


def test_a_routed_step_names_what_changed_and_what_it_was() -> None:
    walk = http_walk("routed")
    step = next(step for step in document(walk)["steps"] if "ip.ttl" in step["changed"])
    assert (step["node"], step["interface"], step["direction"]) == ("node-a", "eth0", "out")
    assert step["was"]["ip.ttl"] == 64
    assert step["frame"]["ip"]["ttl"] == 63
    assert step["was"]["eth.src"] == walk.plan.container_of["ctr-1"].mac
    assert step["took_us"] == pytest.approx(walk.step(step["index"]).took_us, abs=0.0005)


def test_an_encapsulated_frame_nests_the_inner_one() -> None:
    steps = document(http_walk())["steps"]
    step = next(step for step in steps if "encap" in step["changed"])
    frame = step["frame"]
    assert frame["ip"]["src"] == "192.168.1.1"
    assert frame["udp"]["dport"] == 8472
    assert (frame["encap"]["kind"], frame["encap"]["vni"]) == ("vxlan", 1)
    assert frame["encap"]["inner"]["ip"]["dst"] == "10.0.3.2"
    assert frame["encap"]["inner"]["tcp"]["dport"] == 80
    assert step["was"]["encap"] is None
    taken_off = next(step for step in steps[step["index"] :] if "encap" in step["changed"])
    assert "encap" not in taken_off["frame"]
    assert taken_off["was"]["encap"].startswith("VXLAN VNI 1")


def test_an_arp_frame_and_the_broadcast_address() -> None:
    frame = document(http_walk())["steps"][0]["frame"]
    assert (frame["eth_dst"], frame["type"]) == ("ff:ff:ff:ff:ff:ff", 0x0806)
    assert (frame["arp"]["op"], frame["arp"]["spa"], frame["arp"]["tpa"]) == (1, "10.0.1.2", "10.0.1.1")


def test_what_an_icmp_error_quotes_does_not_hide_the_error_itself() -> None:
    quoted = ipv4("10.0.1.2", "10.9.9.9", 63, 17, bytes(8))
    error = ipv4("10.0.1.1", "10.0.1.2", 64, 1, b"\x03\x00" + bytes(6) + quoted)
    icmp = nested(headers(ethernet("0a:58:0a:00:01:01", "aa:bb:cc:dd:e1:01", 0x0800, error)))["icmp"]
    assert (icmp["type"], icmp["code"], icmp["quoted"]["dst"]) == (3, 0, "10.9.9.9")


def test_frames_that_are_cut_off_are_written_as_far_as_they_go() -> None:
    outer = Builder().hops("ctr-1", "ctr-4")[4].outer
    assert outer is not None
    inner = ethernet("0a:58:0a:00:01:00", "0a:58:0a:00:03:00", 0x0800, ipv4("10.0.1.2", "10.0.3.2", 63, 6, GET))
    whole = encapsulated(outer, inner)
    for length in range(len(whole)):
        json.dumps(nested(Frame("node-a:eth0", "out", 0, whole[:length]).headers))


def test_a_failed_walk_says_so() -> None:
    written = document(lost_walk(LOST))
    assert written["problem"] == "no answer in 1 s"
    assert len(written["differences"]) == 1
    assert written["steps"][-1]["fate"] == "lost"
