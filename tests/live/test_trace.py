"""`emu trace`: the walk of a real request in every design, and what becomes of bad input and broken labs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from emu import Lab
from emu.designs import DEFAULT_DESIGNS, make_plan, parse_design
from emu.errors import LabError
from emu.faults import fault_for
from emu.guide.journey import chapter_of
from emu.live import preflight
from emu.live.tracing import trace
from emu.model import Plan, Scenario
from emu.show import write_walk
from emu.walk.model import DROPPED
from tests.live.machine import Snapshot, assert_nothing_left, emu, emu_command
from tests.live.test_scale import ORDINARY_USER, WITHOUT_ROOT

FRAMEWORKS = preflight.examine().sdn
FILES = {"walk.html", "walk.json", "walk.pcapng", "walk.svg"}
TTL = {"bare": 64, "l2": 63, "routed": 61, "overlay": 62}
"""What the deck's packet has left of its 64 at its end."""


def plan_of(spec: str) -> Plan:
    return make_plan(parse_design(spec), Scenario())


def ends_of(spec: str) -> tuple[str, str]:
    ends = plan_of(spec).endpoints
    assert ends is not None
    return ends


def walk_of(spec: str, folder: Path, *words: str) -> dict[str, Any]:
    done = emu("trace", spec, *ends_of(spec), "--out", str(folder), *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "as declared" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith("walk: "))
    assert {path.name for path in folder.iterdir()} == FILES
    document: dict[str, Any] = json.loads((folder / "walk.json").read_text())
    assert document["format"] == "emu-walk/1"
    return document


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Path]]:
    """The walk of GET / in every default design, and its folder."""
    folder = tmp_path_factory.mktemp("walks")
    return {spec: (walk_of(spec, folder / spec), folder / spec) for spec in DEFAULT_DESIGNS}


@pytest.mark.stock
@pytest.mark.parametrize("spec", DEFAULT_DESIGNS)
def test_the_request_goes_as_declared_and_is_told_step_by_step(
    spec: str, walks: dict[str, tuple[dict[str, Any], Path]]
) -> None:
    document, _ = walks[spec]
    src, dst = ends_of(spec)
    plan = plan_of(spec)
    get = next(packet for packet in document["packets"] if packet["title"] == "GET /")
    assert (get["src"], get["dst"]) == (src, dst)
    steps = [document["steps"][index - 1] for index in get["steps"]]
    path = parse_design(spec).design.path(plan, src, dst)
    assert [(f"{s['node']}:{s['interface']}", s["direction"]) for s in steps] == [(h.point, h.direction) for h in path]
    assert [step["fate"] for step in steps] == ["forwarded"] * (len(steps) - 1) + ["delivered"]
    assert steps[-1]["frame"]["ip"]["ttl"] == TTL[spec]
    assert all(after["t_us"] >= before["t_us"] for before, after in pairwise(steps))
    answer = next(packet for packet in document["packets"] if packet["title"] == "200 OK")
    assert answer["answers"] == get["number"]
    assert document["differences"] == []
    assert document["problem"] == ""


def test_what_changed_and_what_decided_it(walks: dict[str, tuple[dict[str, Any], Path]]) -> None:
    """The issue's own examples, from the kernels' and the switch's own tables."""
    overlay, _ = walks["overlay"]
    get = next(packet for packet in overlay["packets"] if packet["title"] == "GET /")
    by_point = {
        (s["node"], s["interface"], s["direction"]): s for s in overlay["steps"] if s["packet"] == get["number"]
    }
    routed = by_point["node-a", "flannel.1", "out"]
    assert routed["note"] == "routed: TTL 64 -> 63, MACs rewritten"
    assert set(routed["changed"]) == {"ip.ttl", "eth.src", "eth.dst"}
    assert routed["decided_by"].startswith("route 10.0.3.0/24 via 10.0.3.0 dev flannel.1 onlink; neighbor 10.0.3.0 at ")
    wrapped = by_point["node-a", "eth0", "out"]
    assert wrapped["note"] == "encapsulated: VXLAN VNI 1, outer 192.168.1.1 -> 192.168.1.3"
    assert wrapped["changed"] == ["encap"]
    assert wrapped["frame"]["encap"]["kind"] == "vxlan"
    assert wrapped["frame"]["encap"]["inner"]["ip"]["dst"] == "10.0.3.2"
    assert "FDB of flannel.1: " in wrapped["decided_by"]
    assert "behind 192.168.1.3" in wrapped["decided_by"]
    switched = by_point["switch", "node-c-eth0", "out"]["decided_by"]
    assert re.search(r"dl_dst=12:22:33:44:55:03 \(cookie 0x[0-9a-f]+, [1-9]\d* packets\): to port 3$", switched)
    assert by_point["node-c", "veth-ctr-4", "out"]["decided_by"] == "cbr0 has aa:bb:cc:dd:e3:02 at veth-ctr-4"
    l2, _ = walks["l2"]
    proxied = next(step for step in l2["steps"] if "proxy ARP" in step["note"])
    assert proxied["note"] == "answered by proxy ARP with node-c's MAC: by the controller"
    assert proxied["frame"]["arp"]["sha"] == "12:22:33:44:55:03"
    assert "arp_tpa=10.0.3.2" in proxied["decided_by"]
    gateway, _ = walks["routed"]
    get = next(packet for packet in gateway["packets"] if packet["title"] == "GET /")
    passed = next(s for s in gateway["steps"] if s["packet"] == get["number"] and s["interface"] == "node-c-eth0")
    assert passed["note"] == "routed: TTL 63 -> 62, MACs rewritten"
    assert "nw_dst=10.0.3.0/24" in passed["decided_by"]


def test_bystanders_hear_the_broadcast_and_keep_silent(walks: dict[str, tuple[dict[str, Any], Path]]) -> None:
    bare, _ = walks["bare"]
    asks = bare["packets"][0]
    assert asks["title"] == "who has 192.168.1.3?"
    ends = {s["node"]: s["fate"] for s in bare["steps"] if s["packet"] == asks["number"] and s["fate"] != "forwarded"}
    assert ends == {"node-b": "dropped", "node-c": "answered", "node-d": "dropped"}


@pytest.mark.parametrize("spec", DEFAULT_DESIGNS)
def test_the_capture_has_an_interface_a_point_and_a_comment_a_frame(
    spec: str, walks: dict[str, tuple[dict[str, Any], Path]]
) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed here")
    document, folder = walks[spec]
    fields = ("frame.number", "frame.interface_name", "frame.comment")
    argv = ["tshark", "-r", str(folder / "walk.pcapng"), "-T", "fields", *(w for f in fields for w in ("-e", f))]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = {int(number): (name, comment) for number, name, comment in (line.split("\t") for line in lines)}
    assert len(rows) >= len(document["steps"])
    for step in document["steps"]:
        name, comment = rows[step["pcap_frame"]]
        assert name == f"{step['node']}:{step['interface']}"
        assert comment.startswith(f"step {step['index']} of {len(document['steps'])}, packet {step['packet']} ")
        assert step["note"] in comment
    described = subprocess.run(
        ["capinfos", "-M", str(folder / "walk.pcapng")], capture_output=True, text=True, check=True
    )
    plan = plan_of(spec)
    assert f"Number of interfaces in file: {2 * len(plan.links) + 2 * len(plan.switch.ports) + _devices(plan)}" in (
        described.stdout
    )


def _devices(plan: Plan) -> int:
    """Bridges and tunnel devices, which are no end of a link."""
    return sum(device.kind != "veth" for machine in plan.machines for device in machine.devices)


@pytest.mark.parametrize("spec", DEFAULT_DESIGNS)
def test_pictures_are_whole_and_need_nothing_from_elsewhere(
    spec: str, walks: dict[str, tuple[dict[str, Any], Path]]
) -> None:
    _, folder = walks[spec]
    ElementTree.fromstring((folder / "walk.svg").read_text())
    page = (folder / "walk.html").read_text()
    assert "GET / from" in page
    assert not re.search(r'(src|href)="(?!#)', page)


PAIRS = {
    "bare": [("node-d", "node-b", "ping"), ("node-b", "node-a", "arp"), ("node-a", "node-c", "full-ping")],
    "l2": [("ctr-1", "ctr-2", "http"), ("node-a", "ctr-4", "ping"), ("ctr-4", "node-a", "ping"),
           ("ctr-1", "ctr-4", "arp")],
    "routed": [("node-b", "ctr-6", "http"), ("ctr-4", "node-c", "ping"), ("ctr-1", "ctr-4", "arp")],
    "overlay": [("ctr-6", "node-d", "ping"), ("node-a", "ctr-4", "ping"), ("ctr-4", "ctr-5", "http"),
                ("ctr-4", "ctr-1", "full-ping")],
    "flat": [("ctr-6", "node-d", "ping"), ("node-a", "ctr-4", "http"), ("ctr-4", "ctr-1", "arp")],
}  # fmt: skip


@pytest.mark.parametrize("framework", ["ryu", "os-ken"])
@pytest.mark.parametrize("spec", list(PAIRS))
def test_any_pair_of_machines_with_any_request_offloads_and_framework(spec: str, framework: str) -> None:
    if framework not in FRAMEWORKS:
        pytest.skip(f"{framework} is not installed here")
    with Lab(spec, sdn=framework, offload="on" if framework == "ryu" else "off") as lab:
        for src, dst, request in (*PAIRS[spec], (*ends_of(spec), "http")):
            walk, recording = trace(lab, src, dst, request)
            assert walk.problem == "", (src, dst, request)
            assert walk.differences == (), (src, dst, request)
            first = {"http": "SYN", "arp": "who has"}.get(request, "ping")
            assert any(packet.title.startswith(first) and packet.src == src for packet in walk.packets)
            assert len(walk.steps) == len(recording.frames)
        assert lab.errors() == []


def test_a_machine_is_called_by_its_address_too(tmp_path: Path) -> None:
    done = emu("trace", "l2", "10.0.3.2", "192.168.1.1", "--request", "ping", "--out", str(tmp_path / "walk"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    document = json.loads((tmp_path / "walk" / "walk.json").read_text())
    assert (document["src"], document["dst"]) == ("ctr-4", "node-a")


def test_more_nodes_than_the_decks(tmp_path: Path) -> None:
    document = walk_of("bare", tmp_path / "walk", "--nodes", "20", "--containers", "0")
    silent = [step for step in document["steps"] if step["fate"] == "dropped"]
    assert len(silent) == 18


def test_a_walk_that_leaves_the_declared_path_fails(tmp_path: Path) -> None:
    """A node that has lost the route to the other's pods: the packet ends there, and the walk says so."""
    plan = plan_of("overlay")
    machines = tuple(
        replace(m, routes=tuple(r for r in m.routes if r.destination != "10.0.3.0/24")) if m.name == "node-a" else m
        for m in plan.machines
    )
    with Lab(replace(plan, machines=machines)) as lab:
        walk, _ = trace(lab, "ctr-1", "ctr-4", "http")
    assert walk.problem
    assert not walk.holds
    assert any("declared next: node-a:flannel.1 out" in sentence for sentence in walk.differences)
    ended = [step for step in walk.steps if walk.packet(step.packet).title == "SYN" and step.fate == DROPPED]
    assert {step.point for step in ended} == {"node-a:cbr0"}


# Bad input


@pytest.mark.parametrize(
    ("words", "complaints"),
    [
        (("bare", "ctr-1", "node-x"), ["no machine 'ctr-1'", "no machine 'node-x'"]),
        (("l2", "ctr-1", "10.0.1.2"), ["SRC and DST are both ctr-1"]),
        (("l2", "ctr-1", "ctr-4", "--request", "gopher"), ["--request takes http|ping"]),
        (("nosuch", "a", "b", "--nodes", "1"), ["--nodes 1", "no design 'nosuch'"]),
        (("overlay:backend=pigeon", "a", "b"), ["pigeon"]),
        (("l2", "ctr-1", "ctr-4", "--nodes", "x", "--out", "/proc/nowhere"), ["--nodes takes N", "cannot make"]),
    ],
)
def test_every_mistake_is_named_at_once(words: tuple[str, ...], complaints: list[str]) -> None:
    before = Snapshot.take()
    done = emu("trace", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == len(complaints)
    assert all(any(complaint in line for line in lines) for complaint in complaints), done.stderr
    assert_nothing_left(before)


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "walk.json").write_text("mine")
    done = emu("trace", "bare", "node-a", "node-c", "--out", str(tmp_path / "mine"))
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (tmp_path / "mine" / "walk.json").read_text() == "mine"


@contextmanager
def breaking(what: tuple[str, ...]) -> Iterator[Lab]:
    """A lab in which a command runs at once, from within, whenever the captures have begun."""
    with Lab("overlay") as lab:
        original = lab.capture

        def capture(points: Any) -> int:
            number = original(points)
            assert lab[what[0]].run(what[1:]).returncode == 0
            return number

        lab.capture = capture  # type: ignore[method-assign]
        yield lab


def test_an_interface_that_vanishes_in_mid_capture_is_named() -> None:
    with breaking(("node-b", "ip", "link", "del", "eth0")) as lab, pytest.raises(LabError) as caught:
        trace(lab, "ctr-1", "ctr-4", "ping")
    assert "node-b:eth0 went away during the capture" in caught.value.problems


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a capability away")
def test_without_leave_to_capture_nothing_is_written(tmp_path: Path) -> None:
    argv = ["setpriv", "--bounding-set=-net_raw", *emu_command("trace", "bare", "node-a", "node-c")]
    done = subprocess.run([*argv, "--out", str(tmp_path / "walk")], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("emu: capturing needs CAP_NET_RAW")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("prefix", [WITHOUT_ROOT])
def test_an_ordinary_user_traces_too(prefix: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: ordinary users may not enter that
        os.chown(folder, ORDINARY_USER, ORDINARY_USER)
        out = Path(folder) / "walk"
        argv = [*prefix, *emu_command("trace", "overlay", "ctr-1", "ctr-4", "--out", str(out))]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert {path.name for path in out.iterdir()} == FILES
        assert {path.stat().st_uid for path in out.iterdir()} == {ORDINARY_USER}


def test_a_killed_trace_leaves_nothing(tmp_path: Path) -> None:
    before = Snapshot.take()
    out = tmp_path / "walk"
    with subprocess.Popen(
        emu_command("trace", "overlay", "ctr-1", "ctr-4", "--out", str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not before.leftovers() and process.poll() is None:
            pass
        process.kill()
    assert_nothing_left(before)
    assert not out.exists()


def test_a_request_that_sends_nothing_says_so(tmp_path: Path) -> None:
    """A node's neighbor on the tunnel device is permanent: there is nobody to ask."""
    done = emu("trace", "overlay", "node-a", "ctr-4", "--request", "arp", "--out", str(tmp_path / "walk"))
    assert done.returncode == 1
    assert "permanent" in done.stdout
    assert {path.name for path in (tmp_path / "walk").iterdir()} == FILES
    assert "Not answered." in (tmp_path / "walk" / "walk.html").read_text()


@pytest.mark.parametrize(
    ("spec", "fault", "where"),
    [("overlay", "missing-fdb", "flannel.1 has no FDB entry"), ("l2", "proxy-mac", "network unreachable")],
)
def test_the_page_of_a_failed_walk_shows_where_it_failed(spec: str, fault: str, where: str, tmp_path: Path) -> None:
    plan = plan_of(spec)
    broken = fault_for(plan, fault)
    with Lab(broken.apply(plan)) as lab:
        walk, recording = trace(lab, *broken.probe(plan), broken.request)
        write_walk(tmp_path / "walk", walk, recording.frames, {})
    page = (tmp_path / "walk" / "walk.html").read_text()
    assert 'class="cross' in page
    assert where in page
    assert "Not answered." in page
    assert "not as declared" in page.lower()


def test_the_frame_is_drawn_where_it_was_seen(tmp_path: Path) -> None:
    """The dot that means "here is the frame" stands on a line of the slide, or at the point itself."""
    with Lab("overlay") as lab:
        walk, _ = trace(lab, "ctr-1", "node-a", "ping")
    for slide in chapter_of(walk).slides:
        if slide.step is not None:
            drawn = {point for leg in slide.scene.legs for point in leg.points}
            assert slide.scene.envelope_at in drawn
            assert not any(point.startswith("switch:") for point in drawn)


def test_two_traces_in_one_second_have_a_folder_each() -> None:
    argv = emu_command("trace", "bare", "node-a", "node-c", "--request", "ping")
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = []
    for process in both:
        out, _ = process.communicate()
        assert process.returncode == 0
        folders.append(Path(next(line for line in out.splitlines() if line.startswith("walk: ")).split()[1]).parent)
    assert folders[0] != folders[1]
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == FILES
        shutil.rmtree(folder)
