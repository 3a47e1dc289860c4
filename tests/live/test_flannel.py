"""A real cluster's own files as a scenario: all claims hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.test_check import claims_of

pytestmark = pytest.mark.live

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.mark.parametrize("backend", [{"Type": "vxlan"}, {"Type": "vxlan", "DirectRouting": True, "VNI": 77},
                                     {"Type": "wireguard"}, {"Type": "host-gw"}])
def test_claims_hold_in_the_cluster_at_hand(backend: dict[str, object], tmp_path: Path) -> None:
    conf = tmp_path / "net-conf.json"
    conf.write_text(json.dumps({"Network": "10.244.0.0/16", "Backend": backend}))
    claims = claims_of("overlay", "--flannel", str(conf), "--kube-nodes", str(DATA / "nodes.json"), "--containers", "1")
    assert {claim["result"] for claim in claims} == {"holds"}
