"""Captures of running labs: whole, on one clock, ready in time; and ``emu capture`` from another terminal."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from emu import Lab
from emu.errors import LabError, UsageError
from emu.live.readings import tree_command
from emu.packets import ECHO_REQUEST
from tests.live.machine import CHECKOUT, emu, emu_command, wait_for
from tests.live.test_scale import WITHOUT_ROOT

pytestmark = pytest.mark.live

DEADLINE_S = 300.0
POINTS = ("ctr-1:eth0", "node-a:eth0", "switch:node-a-eth0", "switch:node-c-eth0", "ctr-4:eth0")
MARK = bytes.fromhex("c0ffee")
PING = ("ping", "-n", "-q", "-c", "1", "-p", MARK.hex(), "10.0.3.2")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up rights, or to become another user")
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed here")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("l2") as lab:
        yield lab


@contextmanager
def capturing(lab: Lab, *points: str) -> Iterator[subprocess.Popen[bytes]]:
    """``emu capture`` once it is ready, with pipes as its output and error."""
    command = emu_command("capture", "--lab", lab.lab_id, *points)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            kinds = f"{len(points)} interface{'s' * (len(points) > 1)}"
            assert process.stderr.readline().decode() == f"capturing {kinds} of {lab.lab_id}; Ctrl-C ends it\n"
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[bytes], text: bytes, times: int = 1) -> bytes:
    assert process.stdout is not None
    read = b""
    while read.count(text) < times:
        piece = os.read(process.stdout.fileno(), 1 << 16)
        assert piece, f"the capture ended after {len(read)} bytes"
        read += piece
    return read


def taps_in(lab: Lab) -> int:
    return lab["node-a"].run(["ps", "-eo", "args"]).stdout.count("-m emu.live.tap")


def error_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return process.stderr.read().decode()


def ping_is_seen_while_the_capture_goes_on() -> None:
    """Also run by an ordinary user, in a process of its own."""
    with Lab("l2") as lab, capturing(lab, "ctr-4:eth0", "node-c:veth-ctr-4") as process:
        for _ in range(2):
            assert lab["ctr-1"].run(PING).returncode == 0
            read_until(process, MARK * 2)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 128 + signal.SIGINT


@pytest.mark.stock
@pytest.mark.parametrize("prefix", [pytest.param((), id="as-started"), WITHOUT_ROOT])
def test_a_ping_is_seen_while_the_capture_goes_on(prefix: Sequence[str]) -> None:
    code = f"from {__name__} import *; ping_is_seen_while_the_capture_goes_on()"
    done = subprocess.run([*prefix, sys.executable, "-B", "-c", code], capture_output=True, cwd=CHECKOUT, check=False)
    assert done.returncode == 0, done.stderr.decode()


@needs_tshark
def test_tshark_shows_the_frames_that_a_lab_captures(lab: Lab, tmp_path: Path) -> None:
    number = lab.capture(POINTS)
    with capturing(lab, *POINTS) as process:
        lab["ctr-1"].run(PING)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 128 + signal.SIGINT
        assert process.stdout is not None
        (tmp_path / "live.pcapng").write_bytes(process.stdout.read())
        assert error_of(process) == ""
    frames = lab.captured(number)
    assert {frame.at for frame in frames} == {*POINTS}
    fields = ("interface_name", "packet_flags_direction", "time_epoch", "len")
    shown = subprocess.run(
        ["tshark", "-r", str(tmp_path / "live.pcapng"), "-T", "fields", *(f"-eframe.{field}" for field in fields)],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    flags = {"in": "0x00000001", "out": "0x00000002"}
    assert sorted(shown) == sorted(
        f"{frame.at}\t{flags[frame.direction]}\t{frame.t_ns // 10**9}.{frame.t_ns % 10**9:09}\t{len(frame.data)}"
        for frame in frames
    )


def test_what_a_time_stamp_means() -> None:
    """As the docstring of ``emu.live.capture`` has it."""
    with Lab("overlay") as lab:
        way = (
            ("ctr-1:eth0", "out"), ("node-a:veth-ctr-1", "in"), ("node-a:cbr0", "in"), ("node-a:flannel.1", "out"),
            ("node-a:eth0", "out"), ("switch:node-a-eth0", "in"), ("switch:node-c-eth0", "out"), ("node-c:eth0", "in"),
            ("node-c:flannel.1", "in"), ("node-c:cbr0", "out"), ("node-c:veth-ctr-4", "out"), ("ctr-4:eth0", "in"),
        )  # fmt: skip
        lab.cool()
        number = lab.capture([point for point, _ in way])
        lab["ctr-1"].run(PING)
        requests = [frame for frame in lab.captured(number) if frame.inner.get("icmp.type") == ECHO_REQUEST]
    times = {(frame.at, frame.direction): frame.t_ns for frame in requests}
    assert len(requests) == len(way)
    assert [*sorted(times.values())] == [times[step] for step in way]
    assert times["node-a:veth-ctr-1", "in"] == times["node-a:cbr0", "in"]
    assert times["node-c:eth0", "in"] == times["node-c:flannel.1", "in"]
    assert len({*times.values()}) == len(way) - 2


@pytest.mark.parametrize("change", ["down", "del"])
def test_an_interface_that_vanishes(change: str) -> None:
    words = {"down": ["set", "eth0", "down"], "del": ["del", "eth0"]}[change]
    with Lab("l2") as lab, capturing(lab, "node-a:eth0", "node-b:eth0") as process:
        number = lab.capture(["node-a:eth0", "node-b:eth0"])
        lab["node-b"].run(["ip", "link", *words])
        assert process.wait(DEADLINE_S) == 1
        assert error_of(process) == "emu: node-b:eth0 went away during the capture\n"
        with pytest.raises(LabError, match=r"^node-b:eth0 went away during the capture$"):
            lab.captured(number)
        done = emu("capture", "--lab", lab.lab_id, "node-b:eth0")
        assert (done.returncode, "node-b:eth0: " in done.stderr) == (2, True)
        assert taps_in(lab) == 0


def test_a_reader_that_goes_away_ends_it_without_a_word(lab: Lab) -> None:
    with capturing(lab, "node-d:eth0") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(DEADLINE_S) == 1
        assert error_of(process) == ""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_reader_that_does_not_read_holds_nothing_up(lab: Lab, number: signal.Signals, status: int) -> None:
    with capturing(lab, "ctr-1:eth0") as process:
        assert taps_in(lab) == 1
        lab["ctr-1"].run(["ping", "-n", "-q", "-i", "0.001", "-c", "1000", "10.0.3.2"])  # more than a pipe takes
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == status
        wait_for("the half inside to end", lambda: taps_in(lab) == 0)


def test_a_lab_that_ends() -> None:
    lab = Lab("bare")
    with lab:
        lab_id = lab.lab_id
        with capturing(lab, "node-a:eth0") as process:
            lab.__exit__(None, None, None)
            assert process.wait(DEADLINE_S) == 1
            assert error_of(process) == f"emu: lab {lab_id} has ended\n"


def test_mistakes_are_named_at_once(lab: Lab) -> None:
    done = emu("capture", "--lab", lab.lab_id, "node-a:eth0", "eth0", "ctr-99:eth0", "node-a:eth9", ":eth0")
    assert done.returncode == 2
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [
        "'eth0' is no capture point; they are written NAME:INTERFACE, as in node-a:eth0",
        "ctr-99:eth0: the lab has no machine 'ctr-99'",
        "node-a:eth9: node-a has no interface 'eth9'",
        "':eth0' is no capture point; they are written NAME:INTERFACE, as in node-a:eth0",
    ]
    done = emu("capture", "--lab", "l2-none", "node-a:eth0", "eth0")
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 2, "")
    assert "no lab l2-none" in done.stderr
    with pytest.raises(UsageError, match="node-a:eth9: node-a has no interface"):
        lab.capture(["node-a:eth0", "node-a:eth9"])


def test_a_terminal_is_spared(lab: Lab) -> None:
    ours, theirs = pty.openpty()
    command = emu_command("capture", "--lab", lab.lab_id, "node-a:eth0")
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, "no text for a terminal" in done.stderr) == (2, True)


@needs_root
def test_without_permission(lab: Lab) -> None:
    command = ["setpriv", "--bounding-set=-net_raw", *emu_command("capture", "--lab", lab.lab_id, "node-a:eth0")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("emu: capturing needs CAP_NET_RAW")
    assert "mend: " in done.stderr


@needs_root
def test_a_lab_of_another_user(lab: Lab) -> None:
    command = ["setpriv", "--reuid=65534", "--clear-groups", *emu_command("capture", "--lab", lab.lab_id, "node-a:x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if "No module" in done.stderr:
        pytest.skip("ordinary users may not read this checkout")
    assert (done.returncode, done.stderr) == (2, f"emu: lab {lab.lab_id} belongs to another user\n")


def in_a_tree(code: str) -> str:
    """What a program prints in network namespaces of its own."""
    command = [*tree_command(is_root=os.geteuid() == 0), sys.executable, "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


SENDS_TO_ITSELF = """
import os, socket, subprocess, time
from emu.errors import LabError
from emu.live import capture
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
home = {"here": os.open("/proc/self/ns/net", os.O_RDONLY)}
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
"""


def test_the_first_frame_is_stamped_when_it_passes_not_when_it_is_read() -> None:
    code = """
taps = capture.Taps(home, ["here:lo"])
sock.sendto(bytes(100), sock.getsockname())
passed_ns = time.time_ns()
frames = taps.rest()
print(len(frames), all(t_ns <= passed_ns for _, _, t_ns, _ in frames))
"""
    assert in_a_tree(SENDS_TO_ITSELF + code) == "2 True\n"  # it leaves by lo and comes in there


def test_frames_that_wait_when_the_end_comes_are_not_lost() -> None:
    code = """
taps = capture.Taps(home, ["here:lo"])
sock.sendto(bytes(100), sock.getsockname())
end, ender = socket.socketpair()
ender.send(b"x")
taps.watch(end.fileno())
print(sum(map(len, taps.turns())), len(taps.rest()))
"""
    assert in_a_tree(SENDS_TO_ITSELF + code) == "2 0\n"


def test_lost_frames_are_told_and_counted_once() -> None:
    code = """
capture._BUFFER_BYTES = 1
taps = capture.Taps(home, ["here:lo"])
for _ in range(500):
    sock.sendto(bytes(1000), sock.getsockname())
try:
    taps.complain()
except LabError as error:
    print(error)
print(len(taps.rest()))
taps.complain()
"""
    told, received = in_a_tree(SENDS_TO_ITSELF + code).splitlines()
    assert told == f"here:lo: the capture lost {1000 - int(received)} frames"
