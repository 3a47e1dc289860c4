"""Overlay back ends: every claim of each, under every datapath and offload setting there is here, or what it lacks."""

from __future__ import annotations

import pytest

from emu.backends import all_backends
from emu.live import preflight
from tests.live.machine import emu
from tests.live.test_check import claims_of

pytestmark = pytest.mark.live

MACHINE = preflight.examine()
NEEDS = {"udp": "tun"}
OTHERS = [name for name in all_backends() if name != "vxlan"]  # which the tests of all designs check


@pytest.mark.parametrize("offload", ["on", "off"])
@pytest.mark.parametrize("backend", OTHERS)
def test_every_claim_holds_or_what_lacks_is_told(backend: str, offload: str) -> None:
    words = (f"overlay:backend={backend}", "--nodes", "3", "--containers", "1", "--offload", offload)
    if NEEDS.get(backend, backend) in MACHINE.tunnels:
        claims = claims_of(*words)
        assert {claim["result"] for claim in claims} == {"holds"}
        assert {"tunnel-state", "mtu-devices", "mtu-fits", "mtu-limit", "tcp", "reach"} <= {c["id"] for c in claims}
        return
    done = emu("check", *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"tunnel {backend}: this kernel cannot" in done.stderr


@pytest.mark.parametrize("words", [("overlay:backend=udp,outside=bridge",), ("overlay:backend=udp,outside=client",),
                                   ("overlay:backend=wireguard,outside=bridge,snat=on",), ("flat",)])
def test_ways_from_outside_and_the_flat_network(words: tuple[str, ...]) -> None:
    assert {claim["result"] for claim in claims_of(*words)} == {"holds"}


def test_a_peer_that_takes_only_its_own_addresses_needs_a_bridge_machine_that_masquerades() -> None:
    done = emu("check", "overlay:backend=wireguard,outside=bridge")
    assert (done.returncode, done.stdout) == (2, "")
    assert "takes snat=on" in done.stderr
