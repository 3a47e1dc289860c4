"""Claims held against frames written by hand, and against frames that are handed to the judge."""

from __future__ import annotations

from typing import cast

import pytest

from emu.claims import Claim, Ordered, Request, Seen, Test, Unseen
from emu.evidence import judge_frames
from emu.frames import Frame
from emu.live.judge import judge
from emu.live.lab import Lab
from emu.packets import arp_request

REQUEST = Request("ctr-1", "ctr-4", "arp")
MAC = "aa:bb:cc:dd:e1:01"
ASKS_FOR_2 = {"arp.op": 1, "arp.tpa": "10.0.3.2"}
ASKS_FOR_3 = {"arp.op": 1, "arp.tpa": "10.0.3.3"}
FRAMES = (
    Frame("a:eth0", "out", 1, arp_request(MAC, "10.0.1.2", "10.0.3.2")),
    Frame("b:eth0", "in", 2, arp_request(MAC, "10.0.1.2", "10.0.3.2")),
    Frame("a:eth0", "out", 3, arp_request(MAC, "10.0.1.2", "10.0.3.3")),
)


@pytest.mark.parametrize(
    ("test", "finding"),
    [
        (Seen(REQUEST, ("a:eth0", "b:eth0"), ASKS_FOR_2, {"arp.sha": MAC}), (True, f"arp.sha {MAC}", f"arp.sha {MAC}")),
        (
            Seen(REQUEST, ("a:eth0", "b:eth0"), ASKS_FOR_2, {"arp.sha": MAC, "dir": "out"}),
            (False, f"arp.sha {MAC}, dir out", "at b:eth0 dir in"),
        ),
        (
            Seen(REQUEST, ("b:eth0",), ASKS_FOR_3, {"arp.sha": MAC}),
            (False, f"arp.sha {MAC}", "at b:eth0 no frame with arp.op 1, arp.tpa 10.0.3.3"),
        ),
        (
            Seen(REQUEST, ("a:eth0",), {"arp.op": 1}, {"arp.sha": MAC}, count=1),
            (False, "1 such frame", "at a:eth0 2"),
        ),
        (
            Unseen(REQUEST, ("b:eth0", "c:eth0"), ASKS_FOR_3),
            (True, "no frame with arp.op 1, arp.tpa 10.0.3.3", "none in 1 frame"),
        ),
        (
            Unseen(REQUEST, ("a:eth0", "b:eth0"), {"arp.op": 2}),
            (True, "no frame with arp.op 2", "none in 3 frames"),
        ),
        (
            Unseen(REQUEST, ("c:eth0", "a:eth0"), {"arp.op": 1}),
            (False, "no frame with arp.op 1", "2 at a:eth0"),
        ),
        (
            Ordered(REQUEST, "a:eth0", (ASKS_FOR_2, ASKS_FOR_3)),
            (True, "arp.op 1, arp.tpa 10.0.3.2; then arp.op 1, arp.tpa 10.0.3.3", "frames [0, 1] of 2"),
        ),
        (
            Ordered(REQUEST, "a:eth0", (ASKS_FOR_3, ASKS_FOR_2)),
            (False, "arp.op 1, arp.tpa 10.0.3.3; then arp.op 1, arp.tpa 10.0.3.2", "frames [1, 0] of 2"),
        ),
        (
            Ordered(REQUEST, "b:eth0", (ASKS_FOR_2, ASKS_FOR_3)),
            (False, "arp.op 1, arp.tpa 10.0.3.2; then arp.op 1, arp.tpa 10.0.3.3", "frames [0, None] of 1"),
        ),
    ],
)
def test_frames_against_a_claim(test: Seen | Unseen | Ordered, finding: tuple[bool, str, str]) -> None:
    assert judge_frames(test, FRAMES) == finding


def claim(test: Test) -> Claim:
    return Claim("one", "a sentence", "RFC 826", test)


NO_LAB = cast(Lab, None)


def test_frames_that_are_handed_in_need_no_lab() -> None:
    seen = Seen(REQUEST, ("b:eth0",), ASKS_FOR_2, {"dir": "in"})
    (verdict,) = judge(NO_LAB, [claim(seen)], {REQUEST: FRAMES})
    assert (verdict.result, verdict.seen) == ("holds", "dir in")


def test_a_request_without_its_frames_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="one: the frames of Request"):
        judge(NO_LAB, [claim(Unseen(REQUEST, ("a:eth0",), ASKS_FOR_2))])
