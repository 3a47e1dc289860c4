"""Proxy ARP three ways, and what becomes of ARP that contradicts the plan; host-gw, which needs none of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emu import Lab
from emu.live import preflight
from tests.live.machine import CHECKOUT, emu, emu_command
from tests.live.test_scale import WITHOUT_ROOT

pytestmark = pytest.mark.live

MACHINE = preflight.examine()
ANSWERERS = ("controller", "switch", "node")
BROADCAST, NOBODY = "ff:ff:ff:ff:ff:ff", "0e:00:00:00:00:77"
CTR_1, CTR_4, NODE_C = "aa:bb:cc:dd:e1:01", "aa:bb:cc:dd:e3:02", "12:22:33:44:55:03"

SEND = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind(("eth0", 0))
    for frame in sys.argv[1:]:
        sock.send(bytes.fromhex(frame))
"""


def arp(op: int, eth_src: str, sha: str, spa: str, tpa: str) -> str:
    """A broadcast ARP message in hexadecimal."""
    sender, target = ("".join(f"{int(part):02x}" for part in address.split(".")) for address in (spa, tpa))
    head = (BROADCAST + eth_src).replace(":", "") + "0806" + f"00010800060400{op:02x}"
    return head + sha.replace(":", "") + sender + "00" * 6 + target


# What ctr-1, behind port 1 with 10.0.1.2, must not be able to say.
FORGED = {
    "another's port": arp(1, CTR_4, CTR_4, "10.0.3.2", "10.0.3.3"),
    "another's MAC": arp(1, CTR_1, CTR_4, "10.0.1.2", "10.0.3.3"),
    "nobody's MAC": arp(2, NOBODY, NOBODY, "10.0.1.2", "10.0.3.3"),
    "another's address": arp(2, CTR_1, CTR_1, "10.0.3.2", "10.0.3.3"),
    "a node's address": arp(1, CTR_1, CTR_1, "192.168.1.3", "10.0.3.3"),
    "nobody's address": arp(1, CTR_1, CTR_1, "10.0.7.7", "10.0.3.3"),
    "gratuitous, another's": arp(1, CTR_1, CTR_1, "10.0.3.2", "10.0.3.2"),
}


@pytest.fixture(scope="module", params=ANSWERERS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab(f"l2:proxy_arp={request.param}") as running:
        yield running


@pytest.mark.stock
@pytest.mark.parametrize(("framework", "scenario"), [
    ("ryu", ()),
    ("os-ken", ("--nodes", "3", "--containers", "2", "--pod-cidr", "172.20.0.0/16", "--node-cidr", "10.9.0.0/24")),
])
def test_every_claim_holds_under_both_frameworks(framework: str, scenario: tuple[str, ...]) -> None:
    if framework not in MACHINE.sdn:
        pytest.skip(f"{framework} is not installed here")
    done = emu("check", "l2:proxy_arp=switch", "l2:proxy_arp=node", "hostgw", "--sdn", framework, *scenario, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    claims = {(claim["design"], claim["id"]): claim for claim in json.loads(done.stdout)["claims"]}
    assert {claim["result"] for claim in claims.values()} == {"holds"}
    for spec, own in (("l2:proxy_arp=switch", "arp-not-by-node"), ("l2:proxy_arp=node", "arp-by-kernel")):
        assert claims[spec, "packet-ins"]["seen"] == "status 0, 0 packets to the controller"
        assert (spec, own) in claims


@pytest.mark.parametrize("prefix", [WITHOUT_ROOT])
def test_filters_of_bridges_work_without_root(prefix: tuple[str, ...]) -> None:
    command = [*prefix, *emu_command("check", "l2:proxy_arp=node", "--nodes", "2", "--containers", "1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def neighbors(lab: Lab) -> dict[str, dict[str, str]]:
    """Who has which MAC, as the kernels outside of node-a believe."""
    told = {name: json.loads(lab[name].run(["ip", "-j", "neigh"]).stdout) for name in ("node-b", "node-c", "ctr-4")}
    return {name: {entry["dst"]: entry.get("lladdr", "") for entry in entries} for name, entries in told.items()}


def test_spoofed_arp_is_dropped_counted_and_believed_by_nobody(lab: Lab) -> None:
    assert lab["ctr-4"].run(["ping", "-n", "-c", "1", "10.0.1.2"]).returncode == 0
    elsewhere = [f"{m.name}:eth0" for m in lab.plan.machines if lab.plan.node_of[m.name].name != "node-a"]
    believed, before = neighbors(lab), lab.drops()["spoofed"]
    assert believed["ctr-4"]["10.0.1.2"] == "12:22:33:44:55:01"
    capture = lab.capture([*elsewhere, "node-a:eth0"])
    sent = lab["ctr-1"].run(["/usr/bin/python3", "-c", SEND, *FORGED.values()])
    assert sent.returncode == 0, sent.stderr
    # Behind the last of them by the same port: when this is answered, all have been through the switch.
    assert lab["ctr-1"].run(["ping", "-n", "-c", "1", "10.0.3.2"]).returncode == 0
    frames = lab.captured(capture)
    forged = {bytes.fromhex(frame) for frame in FORGED.values()}
    left = [frame.data[:42] for frame in frames if frame.at == "node-a:eth0" and frame.direction == "out"]
    assert forged <= {*left}, "what was not sent cannot be dropped"
    assert [frame.at for frame in frames if frame.at != "node-a:eth0" and frame.data[:42] in forged] == []
    assert lab.drops()["spoofed"] == before + len(FORGED)
    assert {name: {**known, **neighbors(lab)[name]} for name, known in believed.items()} == neighbors(lab)
    assert neighbors(lab)["ctr-4"]["10.0.1.2"] == believed["ctr-4"]["10.0.1.2"]
    status = lab.controller()
    assert (status["learned"], status["errors"]) == ([], [])


def test_honest_arp_is_not_counted(lab: Lab) -> None:
    before = lab.drops()["spoofed"]
    lab.cool()
    assert lab.sweep()[1] == []
    assert lab.drops()["spoofed"] == before


@pytest.mark.parametrize(("answerer", "where", "note", "because"), [
    ("controller", "switch", "by the controller", "to the controller"),
    ("switch", "switch", "by a flow of the switch itself", "set_field:12:22:33:44:55:03->arp_sha"),
    ("node", "node-c", "by node-c's kernel", "proxy_arp_pvlan is 1 on cbr0; route 10.0.3.0/24 dev cbr0"),
])
def test_a_walk_tells_who_answered_and_why(
    answerer: str, where: str, note: str, because: str, tmp_path: Path
) -> None:
    words = ("--request", "ping", "--out", str(tmp_path / "walk"))
    done = emu("trace", f"l2:proxy_arp={answerer}", "ctr-1", "ctr-4", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    walk: dict[str, Any] = json.loads((tmp_path / "walk" / "walk.json").read_text())
    reply = next(packet for packet in walk["packets"] if packet["title"] == f"10.0.3.2 is at {NODE_C}")
    made = walk["steps"][reply["steps"][0] - 1]
    assert (reply["src"], made["node"]) == (where, where)
    assert made["note"] == f"answered by proxy ARP with node-c's MAC: {note}"
    assert because in made["decided_by"]
    asked = [step for step in walk["steps"] if step["packet"] == 1]
    dropped = {step["node"]: step["note"] for step in asked if step["fate"] == "dropped"}
    filtered = {name for name, why in dropped.items() if "nftables, bridge input: not for this node" in why}
    assert filtered == ({"node-b", "node-d"} if answerer == "node" else set())


def test_the_experiment_counts_what_each_way_costs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = str(CHECKOUT / "experiments" / "proxy_arp.py")
    words = ("--containers", "2", "--nodes", "3", "--blocks", "1", "--storm", "500", "--out", str(out))
    done = subprocess.run([script, *words], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]

    def values(answerer: str, workload: str, metric: str) -> list[float]:
        return [s["value"] for s in samples if s["params"] == {"proxy_arp": answerer}
                and (s["workload"], s["metric"]) == (f"{workload}:containers=2", metric)]

    asked = {answerer: values(answerer, "footprint", "packet_ins") for answerer in ANSWERERS}
    assert asked == {"controller": [2], "switch": [0], "node": [0]}
    heard = {answerer: values(answerer, "footprint", "arp_frames")[0] for answerer in ANSWERERS}
    # Both questions go to the two other nodes as well, and to nobody else.
    assert heard["switch"] == heard["controller"] == heard["node"] - 2 * 2
    stormy = {answerer: values(answerer, "storm", "packet_in_rate")[0] for answerer in ANSWERERS}
    assert stormy["switch"] == stormy["node"] == 0 < stormy["controller"]
    for answerer in ANSWERERS:
        assert values(answerer, "storm", "rtt")
        assert values(answerer, "first_packet", "latency")
    assert {path.name for path in (out / "plots").iterdir()} == {"proxy-arp.png", "proxy-arp.pdf"}
    assert str(out / "plots") in done.stdout
    bad = [script, *words, "--nodes", "2", "--sdn", "pox"]
    refused = subprocess.run(bad, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    for said in ("--nodes 2: a number of 3 or more", "--sdn", "exists already"):
        assert said in refused.stderr


def test_without_nft_one_line_says_so_before_anything_is_built(tmp_path: Path) -> None:
    nft = shutil.which("nft")
    if nft is None:
        pytest.skip("nft is not installed here, so that it cannot be hidden")
    hide = f'mount --bind /dev/null {nft}; exec "$@"'
    own = ["unshare", "--mount", "--map-root-user"] if not MACHINE.is_root else ["unshare", "--mount"]
    command = [*own, "sh", "-ec", hide, "-", *emu_command("check", "l2:proxy_arp=node", "l2")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == "emu: filter nftables: nft is not installed; mend: sudo ./run doctor\n"
    assert done.stdout == ""
