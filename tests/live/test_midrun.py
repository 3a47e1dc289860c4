"""What fails while it is measured is reported as what it is, and never as a figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.designs import plans_for
from emu.live.tree import enter
from emu.measure import compare as comparing
from emu.measure.asked import comparison_of
from emu.measure.blocks import PROFILES, Profile
from emu.measure.results import read_folder
from emu.measure.scripts import Lengths
from emu.measure.summary import summarise
from emu.model import Scenario
from tests.live.machine import our_labs
from tests.live.test_trust import AtFirstTrial

pytestmark = pytest.mark.live

TUNNEL, ROUTES, GATEWAY = "overlay:backend=udp,outside=none", "hostgw", "routed:routes=static"
FLAPPED, UNUSED, BRIDGED = "flat", "overlay:backend=vxlan,outside=none", "l2:proxy_arp=node"
FAILURES = {
    TUNNEL: (("node-a", "sh", "-c", "kill -KILL $(cat /run/emu/tinc/node_a/pid)"),
             "tincd of node-a ended with status -9"),
    ROUTES: (("node-c", "ip", "link", "set", "eth0", "mtu", "1400"), "node-c: eth0 has MTU 1400, planned was 1500"),
    GATEWAY: (("node-c", "ip", "link", "set", "eth0", "down"), "node-c: eth0 is down"),
    FLAPPED: (("node-c", "sh", "-c", "ip link set eth0 down && ip link set eth0 up"), "node-c: eth0 has been down"),
    UNUSED: (("node-a", "sh", "-c", "ip route del 10.0.2.0/24 && ip neigh del 10.0.2.0 dev flannel.1"
                                    " && ip route change 10.0.4.0/24 dev eth0"),
             "node-a: route to 10.0.2.0/24 is gone; node-a: route to 10.0.4.0/24 has changed; node-a: neighbor 10.0.2.0"
             " is gone"),
    BRIDGED: (("node-a", "nft", "flush", "ruleset"), "node-a: what nft lists has changed"),
}
"""By design: what is done to a machine of it, and how that is told. Some of it leaves all traffic as it was."""


def test_failures_in_mid_run_are_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = Lengths(ping_packets=10, request_s=0.2, stream_s=1, first_packets=1)
    monkeypatch.setitem(PROFILES, "brief", Profile("brief", 2, lengths))
    monkeypatch.setattr(comparing.Measuring, "_budget", lambda self, bench: None)  # it would wait for answers
    plans = plans_for(["bare", *FAILURES], Scenario(), [])
    asked = comparison_of(plans, ["ping"], "brief", tmp_path / "out")

    def break_all() -> None:
        for tree in our_labs():
            if tree.spec in FAILURES:
                machine, *command = FAILURES[tree.spec][0]
                assert enter(tree, machine, command).wait() == 0

    stored = read_folder(comparing.compare(asked, ["emu", "compare"], AtFirstTrial(break_all)))
    summary = summarise(stored)
    for spec, (_, told) in FAILURES.items():
        samples = [sample for sample in stored.samples if sample.spec == spec]
        assert samples
        assert all(sample.value is None for sample in samples)
        assert [sample.error for sample in samples if told not in (sample.error or "")] == []
        assert summary.cell(spec, "ping", "rtt") is None
        assert any(told in reason.text for reason in summary.verdict.reasons)
    assert summary.cell("bare", "ping", "rtt")
    report = (tmp_path / "out" / "report.html").read_text()
    assert all(told in report for _, told in FAILURES.values())
