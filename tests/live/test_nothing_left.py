"""Nothing is left on the machine, however a lab ends."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.machine import (
    CHECKOUT,
    Snapshot,
    assert_nothing_left,
    descendants,
    emu,
    emu_command,
    wait_for,
    words_of,
)

pytestmark = pytest.mark.live

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts anything for all to see")
SLEEPER = ["up", "l2", "--exec", "ctr-1 sleep 1000"]


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        emu_command(*words),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def sleeping(emu: subprocess.Popen[bytes]) -> bool:
    assert emu.poll() is None, f"emu ended with status {emu.returncode}"
    return any(words_of(pid).startswith("sleep 1000") for pid in descendants(emu.pid))


def itself(emu: subprocess.Popen[bytes]) -> int:
    return emu.pid


def unshare(emu: subprocess.Popen[bytes]) -> int:
    return next(pid for pid in descendants(emu.pid) if words_of(pid).startswith("unshare "))


def init(emu: subprocess.Popen[bytes]) -> int:
    return next(pid for pid in descendants(unshare(emu)) if "emu.live.agent" in words_of(pid) and pid != unshare(emu))


def agent(emu: subprocess.Popen[bytes]) -> int:
    return [pid for pid in descendants(init(emu)) if "emu.live.agent" in words_of(pid)][1]


@pytest.mark.parametrize(("command", "undo", "seen"), [
    # In a session, with an environment and with a parent of its own.
    ("setsid -f env -i sleep 1000", "true", {"processes"}),
    ("setsid -f unshare --user --net sleep 1000", "true", {"processes", "namespaces"}),
    ("touch /tmp/left-behind", "rm /tmp/left-behind", {"files"}),
    pytest.param("mount -t tmpfs left-behind /mnt", "umount /mnt", {"mounts"}, marks=needs_root),
])
def test_what_is_left_is_found(command: str, undo: str, seen: set[str]) -> None:
    before = Snapshot.take()
    subprocess.run(command.split(), check=True)
    try:
        wait_for(f"{command} to be found", lambda: before.leftovers().keys() >= seen)
        for process in before.leftovers().get("processes", ()):
            os.kill(int(process.split()[0]), signal.SIGKILL)
    finally:
        subprocess.run(undo.split(), check=True)
    assert_nothing_left(before)


@pytest.mark.parametrize("victim", [itself, unshare, init, agent])
def test_kill_of_one_process(victim: Callable[[subprocess.Popen[bytes]], int]) -> None:
    before = Snapshot.take()
    emu = start(*SLEEPER)
    wait_for("the lab's command to run", lambda: sleeping(emu))
    os.kill(victim(emu), signal.SIGKILL)
    emu.wait()
    assert_nothing_left(before)


@pytest.mark.stock
def test_kill_of_the_group() -> None:
    before = Snapshot.take()
    emu = start(*SLEEPER)
    wait_for("the lab's command to run", lambda: sleeping(emu))
    os.killpg(emu.pid, signal.SIGKILL)
    emu.wait()
    assert_nothing_left(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's labs have a keeper")
def test_kill_of_the_keeper() -> None:
    before = Snapshot.take()
    emu = start(*SLEEPER)
    wait_for("the lab's command to run", lambda: sleeping(emu))
    keeper = next(pid for pid in descendants(emu.pid) if "emu.live.buffers" in words_of(pid))
    os.kill(keeper, signal.SIGKILL)
    emu.terminate()
    assert emu.wait() == 128 + signal.SIGTERM
    assert_nothing_left(before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_lab_in_order(number: signal.Signals) -> None:
    before = Snapshot.take()
    emu = start(*SLEEPER)
    wait_for("the lab's command to run", lambda: sleeping(emu))
    emu.send_signal(number)
    assert emu.wait() == 128 + number
    assert_nothing_left(before)


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_kill_at_any_moment_of_the_start(fraction: float) -> None:
    begun = time.monotonic()
    subprocess.run(emu_command("up", "bare", "--exec", "node-a true"), check=True)
    usual_s = time.monotonic() - begun
    before = Snapshot.take()
    emu = start("up", "bare", "--exec", "node-a true")
    time.sleep(fraction * usual_s)  # the moment is the parameter; nothing is waited for
    os.killpg(emu.pid, signal.SIGKILL)
    emu.wait()
    assert_nothing_left(before)


@pytest.mark.stock
def test_success_and_failure_leave_nothing() -> None:
    before = Snapshot.take()
    for words, status in ((["check", "bare"], 0), (["up", "bare", "--exec", "node-a false"], 1)):
        assert emu(*words).returncode == status
        assert_nothing_left(before)


@pytest.mark.stock
def test_two_labs_do_not_see_each_other() -> None:
    code = (
        "from emu import Lab\n"
        "with Lab('bare') as one, Lab('bare') as two:\n"
        "    one['node-a'].spawn(['sleep', '1000'])\n"
        "    before = two.controller()['counters'], two.flows().__len__()\n"
        "    assert one['node-a'].run(['ping', '-c1', '192.168.1.3']).returncode == 0\n"
        "    assert (two.controller()['counters'], two.flows().__len__()) == before\n"
        "    assert all('n_packets=0' in flow for flow in two.flows()), two.flows()\n"
        "    assert 'sleep' not in two['node-a'].run(['ps', '-e']).stdout\n"
        "    assert 'sleep' in one['node-b'].run(['ps', '-e']).stdout\n"
    )
    before = Snapshot.take()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert_nothing_left(before)


@pytest.mark.stock
@pytest.mark.skipif(not shutil.which("sudo") or os.geteuid() != 0, reason="needs sudo, and root to use it unasked")
@pytest.mark.parametrize("on_terminal", [False, True])
def test_kill_of_sudo(on_terminal: bool) -> None:
    """sudo cannot pass SIGKILL on, and with ``use_pty`` there are two of them; the command must end all the same."""
    before = Snapshot.take()
    ours, theirs = pty.openpty()
    end = theirs if on_terminal else subprocess.DEVNULL
    command = ["sudo", "-n", str(CHECKOUT / "run"), *SLEEPER]
    sudo = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, start_new_session=True)
    os.close(theirs)
    wait_for("the lab's command to run", lambda: sleeping(sudo))
    sudo.kill()
    sudo.wait()
    assert_nothing_left(before)
    os.close(ours)


def test_clean_ends_a_lab_that_cannot_end_itself() -> None:
    before = Snapshot.take()
    owner = start(*SLEEPER)
    wait_for("the lab's command to run", lambda: sleeping(owner))
    lab_init = init(owner)
    os.kill(agent(owner), signal.SIGSTOP)  # it does not hear that its owner is gone
    owner.kill()
    owner.wait()
    assert words_of(lab_init)
    done = emu("clean")
    assert (done.returncode, "whose owner is gone" in done.stdout) == (0, True)
    assert_nothing_left(before)


@pytest.mark.stock
def test_a_comparison_that_is_killed_keeps_its_samples(tmp_path: Path) -> None:
    before = Snapshot.take()
    out = tmp_path / "out"
    comparison = start("compare", "bare", "overlay", "--workload", "ping", "--profile", "quick", "--out", str(out))
    samples = out / "samples.jsonl"
    wait_for("samples", lambda: samples.exists() and samples.read_text().count("\n") > 100)
    os.killpg(comparison.pid, signal.SIGKILL)
    comparison.wait()
    assert_nothing_left(before)
    kept = samples.read_text().count("\n")
    done = emu("report", str(out))
    assert done.returncode == 0, done.stderr
    assert "interrupted" in done.stdout
    assert samples.read_text().count("\n") == kept
    assert (out / "report.html").exists()
