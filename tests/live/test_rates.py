"""TCP works at rate in every design, with offloads on and off: no trap of checksums or super-packets.

Such a trap costs orders of magnitude (a userspace switch between ends that leave checksums to hardware passes
pings and next to no TCP), so a tenth of the bare switch's rate tells it from working, on any machine. What each
design does cost is measured by ``emu compare``, not here.
"""

from __future__ import annotations

import json

import pytest

from emu import Lab

pytestmark = pytest.mark.alone

SEGMENT_BYTES = 1448
MOST_RESENT = 0.01


def stream(design: str, offload: str) -> tuple[float, float]:
    """The rate of one TCP stream counted at its receiver (bit/s), and the share of segments sent again."""
    with Lab(design, offload=offload) as lab:
        assert lab.plan.endpoints
        src, dst = lab.plan.endpoints
        lab[dst].spawn(["iperf3", "-s"])
        lab[dst].wait_listening(5201)
        done = lab[src].run(["iperf3", "-J", "-C", "cubic", "-t", "2", "-c", lab.plan.address(dst)])
        end = json.loads(done.stdout)["end"]
        assert end["receiver_tcp_congestion"] == end["sender_tcp_congestion"] == "cubic"
        assert lab.facts()["congestion_control"][src] == ["cubic"]
    sent = end["sum_sent"]
    return end["sum_received"]["bits_per_second"], sent["retransmits"] / (sent["bytes"] / SEGMENT_BYTES)


@pytest.fixture(scope="module")
def bare_rate_bps() -> float:
    return stream("bare", "off")[0]


@pytest.mark.parametrize("offload", ["on", "off"])
@pytest.mark.parametrize("design", ["l2", "routed", "overlay"])
def test_tcp_at_rate(design: str, offload: str, bare_rate_bps: float) -> None:
    rate_bps, resent = stream(design, offload)
    assert rate_bps > bare_rate_bps / 10
    assert resent < MOST_RESENT
