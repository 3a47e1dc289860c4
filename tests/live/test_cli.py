"""The command line: bad input, running labs seen from another terminal, and the Python interface."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from emu import Lab
from emu.errors import LabError
from tests.live.machine import CHECKOUT, Snapshot, assert_nothing_left, emu, emu_alone, emu_command, wait_for

pytestmark = pytest.mark.live

DEADLINE_S = 120.0
"""Far beyond what any command here takes: it detects a hang."""

FIVE_MISTAKES = "nodes: many\ncolour: red\noffload: maybe\noutside: some\nmtu: 1\n"


@pytest.mark.parametrize(
    ("words", "complaints"),
    [
        (["check", "star"], ["no design 'star'"]),
        (["up", "bare", "--nodes", "0"], ["--nodes 0"]),
        (
            ["compare", "bare", "star", "--nodes", "x", "--outside", "some", "--workload", "juggling",
             "--profile", "slow"],
            ["no design 'star'", "--nodes takes N", "--outside takes K", "juggling", "slow"],
        ),
        (
            ["check", "routed:routes=bgp,bgp=frr,bfd=on", "overlay:outside=tunnel"],
            ["bfd=on does not go with bgp=frr", "outside takes none|route|bridge|client"],
        ),
        (["check", "--pod-cidr", "192.168.0.0/20"], ["overlap"]),
        (["check", "--bananas", "--nodes", "1"], ["'--bananas'", "--nodes 1"]),
        (["compare", "bare", "--resume"], ["--resume takes up the run in a folder that has to be named: --out DIR"]),
        (["diff", "/nowhere", "/proc", "--fail-above", "x"], ["/nowhere is not", "/proc is not", "--fail-above takes"]),
        (["check", "round", "--seed", "-1"], ["there is no design 'round'", "--seed -1"]),
        (["juggle"], ["juggle"]),
        (["report", "/nowhere/at/all"], ["/nowhere/at/all"]),
        (["exec", "node-a", "--", "true"], ["no lab is running"]),
        (
            ["up", "l2", "--exec", "ctr-99 true", "--exec", "ctr-1", "--exec", "ctr-1 'x"],
            ["no machine 'ctr-99'", "wants a name and a command", "closing quotation"],
        ),
    ],
)
def test_bad_input_is_named_at_once_and_builds_nothing(words: list[str], complaints: list[str], tmp_path: Path) -> None:
    before = Snapshot.take()
    command = emu_alone(*words) if words[0] == "exec" else emu_command(*words)
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert all(any(complaint.lower() in line.lower() for line in done.stderr.splitlines()) for complaint in complaints)
    assert "Traceback" not in done.stderr
    assert all(line.startswith("emu: ") for line in done.stderr.splitlines())
    assert list(tmp_path.iterdir()) == []
    assert_nothing_left(before)


def test_a_scenario_file_with_five_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(FIVE_MISTAKES)
    done = emu("check", "bare", "star", "--scenario", str(file))
    assert done.returncode == 2
    named = [line for line in done.stderr.splitlines() if line.startswith(f"emu: {file}:")]
    assert len(named) == 5, done.stderr
    assert "no design 'star'" in done.stderr


def test_an_output_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    done = emu("compare", "bare", "--out", str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to hide a tool in a mount namespace")
@pytest.mark.parametrize(("tool", "verb"), [("ovs-vswitchd", "check"), ("wrk", "compare"), ("nginx", "compare")])
def test_a_missing_tool_is_named_with_its_mending(tool: str, verb: str, tmp_path: Path) -> None:
    path = shutil.which(tool, path="/usr/bin:/usr/sbin")
    assert path
    hidden = ["unshare", "--mount", "sh", "-c", f'mount --bind /dev/null "{path}" && exec "$@"', "-"]
    command = [*hidden, *emu_command(verb, "bare"), *(["--out", str(tmp_path / "out")] if verb == "compare" else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert [line for line in done.stderr.splitlines() if f"tool {tool}" in line and "./run" in line]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.stock
def test_labs_exec_and_clean_from_another_terminal() -> None:
    with Lab("l2") as lab:
        listed = json.loads(emu("labs", "--json").stdout)
        assert lab.lab_id in [row["id"] for row in listed["labs"]]
        words = ["exec", "--lab", lab.lab_id, "ctr-1", "--"]
        done = emu(*words, "ip", "-4", "-br", "address", "show", "eth0")
        assert done.returncode == 0
        assert "10.0.1.2/24" in done.stdout
        done = emu(*words, "sh", "-c", "exit 7")
        assert (done.returncode, "status 7" in done.stderr) == (1, True)
        done = emu("exec", "--lab", lab.lab_id, "ctr-99", "--", "true")
        assert (done.returncode, "no machine 'ctr-99'" in done.stderr) == (2, True)
        assert emu("clean").returncode == 0
        assert lab["ctr-1"].run(["ping", "-c1", "10.0.3.2"]).returncode == 0, "clean ended a lab in use"


@pytest.mark.stock
def test_mininets_cli_on_a_terminal() -> None:
    terminal, theirs = pty.openpty()
    command = ["setsid", "--ctty", "--wait", *emu_command("up", "l2")]  # so that Ctrl-C is a signal, as for a person
    cli = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)

    def shown_until(text: str) -> str:
        shown = ""
        while text not in shown:
            ready, _, _ = select.select([terminal], [], [], DEADLINE_S)
            assert ready, f"no '{text}' in: {shown}"
            shown += os.read(terminal, 4096).decode(errors="replace")
        return shown

    def type_in(text: bytes) -> None:
        os.write(terminal, text)

    shown_until("emu> ")
    type_in(b"ctr-1 ping -c1 ctr-4\n")
    assert "1 received" in shown_until("emu> ")
    type_in(b"ctr-1 ping ctr-4\n")
    shown_until("icmp_seq=2")
    type_in(b"\x03")
    assert "packets transmitted" in shown_until("emu> ")
    type_in(b"pingall\n")
    assert "0% dropped" in shown_until("emu> ")
    type_in(b"exit\n")
    assert cli.wait() == 0
    os.close(terminal)


@pytest.mark.stock
def test_the_python_interface() -> None:
    with Lab("overlay:backend=vxlan", nodes=4, containers=3) as lab:
        done = lab["ctr-1"].run(["ping", "-c1", "10.0.3.2"])
        assert (done.returncode, "ttl=62" in done.stdout) == (0, True)
        assert lab["ctr-1"].run(["sh", "-c", "echo out; echo err >&2; exit 5"]) == type(done)(
            ("sh", "-c", "echo out; echo err >&2; exit 5"), 5, "out\n", "err\n"
        )
        with pytest.raises(LabError, match="did not end within"):
            lab["ctr-1"].run(["sleep", "1000"], timeout_s=0.2)
        with pytest.raises(KeyError):
            lab["ctr-99"]
        server = lab["ctr-4"].spawn(["iperf3", "-s"])
        lab["ctr-4"].wait_listening(5201)
        assert server.alive()
        server.stop()
        assert not server.alive()
        assert "listening" in server.output()
        assert lab.errors() == []
    with pytest.raises(LabError, match="not running"):
        lab["ctr-1"]


def test_a_lab_that_dies_is_reported_as_that() -> None:
    with Lab("bare") as lab:
        done = subprocess.run(
            ["pgrep", "-f", f"emu.live.agent .*{lab.lab_id}"], capture_output=True, text=True, check=True
        )
        os.kill(int(done.stdout.split()[-1]), 9)
        with pytest.raises(LabError, match="has died"):
            lab["node-a"].run(["true"])


def test_designs_and_doctor_print_json() -> None:
    designs = json.loads(emu("designs", "--json").stdout)
    assert [row["name"] for row in designs["designs"]][:4] == ["bare", "l2", "routed", "overlay"]
    assert json.loads(emu("doctor", "--json").stdout)["format"] == "emu-doctor/1"


@pytest.mark.stock
def test_a_cold_lab_is_cold() -> None:
    with Lab("l2") as lab:
        ping = ["ping", "-n", "-q", "-c", "1", "10.0.3.2"]
        lab["ctr-1"].run(ping)
        assert lab["ctr-1"].run(["ip", "neigh"]).stdout.strip()
        lab.cool()
        assert lab["ctr-1"].run(["ip", "neigh"]).stdout.strip() == ""
        before = lab.controller()["counters"]["packet_in"]
        lab["ctr-1"].run(ping)
        assert lab.controller()["counters"]["packet_in"] - before == 2  # each side's question, asked anew


def test_two_openings_end_in_any_order() -> None:
    one, two = Lab("bare"), Lab("bare")
    before = Snapshot.take()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert two["node-a"].run(["ping", "-c1", "192.168.1.3"]).returncode == 0
    two.__exit__(None, None, None)
    wait_for("both to be gone", lambda: not before.leftovers())


@pytest.mark.parametrize("script", sorted(path.name for path in (CHECKOUT / "experiments").glob("[!_]*.py")))
def test_every_experiment_runs_by_its_own_name(script: str) -> None:
    """With whatever python3 the machine has: it finds the environment that ``./run`` made."""
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PATH")}
    done = subprocess.run([CHECKOUT / "experiments" / script, "--help"], capture_output=True, text=True, check=False,
                          env={**env, "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
