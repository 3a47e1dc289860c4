"""Runs in a namespace tree of its own, which stands for a machine with an Open vSwitch of its own, one scenario of
Mininet's own command with the designs, and prints what was seen.

    unshare --net --mount --pid --fork --kill-child --mount-proc python -m tests.live.machine_wide_lab SCENARIO WORD...
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.live.controllers_lab import (
    DEADLINE_S,
    REPOSITORY,
    prepare,
    run,
    start_database,
    start_vswitchd,
    wait_until,
)

CUSTOM = str(REPOSITORY / "emu/mn.py")
NOISE = Path("/run/mn.log")


def mn_command(topology: str, *words: str) -> list[str]:
    return ["mn", "--custom", CUSTOM, "--topo", topology, "--controller", "remote", *words]


def mn(topology: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Mininet's own command until its end."""
    return subprocess.run(mn_command(topology, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False, cwd="/")


def emu_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "emu", *words]


@contextmanager
def controller(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``emu controller`` once it listens."""
    with subprocess.Popen(emu_command("controller", *words), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        yield process
        process.send_signal(signal.SIGTERM)


@contextmanager
def running(topology: str, *words: str, until: bytes = b"Starting CLI") -> Iterator[subprocess.Popen[bytes]]:
    """Mininet's own command, waiting at its prompt or elsewhere; killed in the end, unless it has ended."""
    argv = mn_command(topology, *words)
    with open(NOISE, "wb") as noise:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=noise, stderr=noise, cwd="/")
    wait_until("Mininet to wait", lambda: until in NOISE.read_bytes())
    yield process
    process.kill()
    process.wait()


def machine() -> dict[str, Any]:
    """What there is on this machine: interfaces, bridges with their ports, names of namespaces, what was put into /run,
    processes but for the dead and this one's own tools."""
    processes = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in (os.getpid(), 1):
            processes.append((folder / "cmdline").read_text().replace("\0", " ").strip())
    return {
        "links": sorted(link["ifname"] for link in json.loads(run("ip", "-j", "link"))),
        "bridges": {name: run("ovs-vsctl", "list-ports", name).split() for name in run("ovs-vsctl", "list-br").split()},
        "namespaces": sorted(path.name for path in Path("/run/netns").iterdir()) if Path("/run/netns").exists() else [],
        "run": sorted(path.name for path in Path("/run").iterdir() if path != NOISE),
        "processes": sorted(filter(None, processes)),
    }


def bystanders() -> None:
    """What others have on this machine: a bridge with a port, a namespace with somebody in it."""
    run("ip", "netns", "add", "theirs")
    run("ip", "link", "add", "their-eth0", "type", "veth", "peer", "name", "eth0", "netns", "theirs")
    run("ovs-vsctl", "add-br", "their-br", "--", "set", "Bridge", "their-br", "datapath_type=netdev",
        "--", "add-port", "their-br", "their-eth0")
    somebody = Path(f"/proc/{subprocess.Popen(['ip', 'netns', 'exec', 'theirs', 'sleep', '3600']).pid}/cmdline")
    wait_until("somebody to be there, and no longer called ip", lambda: somebody.read_text().startswith("sleep\0"))


def pingall(design: str, scenario: str, src: str, dst: str) -> dict[str, Any]:
    """Every pair pings; then one more ping is shown."""
    before = machine()
    post = Path("/tmp/post")
    post.write_text(f"{src} ping -c1 {dst}\n")
    options = dict(item.split("=") for item in scenario.split(",") if item)
    with controller(design, *(word for key, value in options.items() for word in (f"--{key}", value))):
        words = design.replace(":", ",", 1) + "".join(f",{key}={value}" for key, value in options.items())
        done = mn(f"deck,design={words}", "--test", "pingall", "--post", str(post))
    return {"status": done.returncode, "said": done.stdout + done.stderr, "before": before, "after": machine()}


def killed() -> dict[str, Any]:
    """A lab whose owner is killed; what others have; a second one meanwhile."""
    bystanders()
    before = machine()
    seen: dict[str, Any] = {"before": before}
    with running("deck,design=l2,nodes=2,containers=1") as process:
        seen["up"] = machine()
        subprocess.Popen(["nsenter", "--net=/run/kubenet-emu-mn/netns/ctr-1", "sleep", "3600"])
        second = mn("deck,design=bare,nodes=2")
        seen["second"] = {"status": second.returncode, "said": second.stderr}
        seen["clean while it runs"] = run(*emu_command("clean"))
        seen["still up"] = machine()
        process.kill()
        process.wait()
        seen["left"] = machine()
        seen["clean"] = run(*emu_command("clean"))
        seen["after"] = machine()
        seen["clean again"] = run(*emu_command("clean"))
    with running("deck,design=bare,nodes=2") as process:
        process.kill()
        process.wait()
        third = mn("deck,design=overlay,nodes=2,containers=1", "--test", "none")
        seen["third"] = {"status": third.returncode, "said": third.stderr, "after": machine()}
    return seen


def signalled() -> dict[str, Any]:
    """A lab's end by signals, and by an error of Mininet's own, which would have it delete every bridge."""
    bystanders()
    seen: dict[str, Any] = {"before": machine()}
    waiting = {"until": b"Waiting for switches"}  # at the prompt, Mininet takes SIGINT for the command that runs
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        with running("deck,design=bare,nodes=2", "--test", "pingall", **waiting) as process:
            process.send_signal(number)
            seen[number.name] = {"status": process.wait(DEADLINE_S), "after": machine()}
    with controller("bare", "--nodes", "2"):
        failed = mn("deck,design=bare,nodes=2", "--test", "nonesuch")
    seen["failed"] = {"said": failed.stderr, "after": machine()}
    return seen


def in_the_way() -> dict[str, Any]:
    """An interface of somebody else's that is called as one of the lab's."""
    run("ip", "link", "add", "node-a-eth0", "type", "bridge")
    before = machine()
    done = mn("deck,design=bare,nodes=2")
    return {"status": done.returncode, "said": done.stderr, "before": before, "after": machine()}


def daemon(name: str) -> int:
    """The process number of one of this machine's Open vSwitch daemons."""
    return next(int(folder.name) for folder in Path("/proc").iterdir()
                if folder.name.isdigit() and (folder / "comm").read_text().strip() == name)


def ill() -> dict[str, Any]:
    """A lab's end, and what a killed one left, while the switch's daemon does not answer, and while its database is
    dead, whose socket stays."""
    before = machine()
    seen: dict[str, Any] = {"before": before}
    for name, restart, number in (("ovs-vswitchd", start_vswitchd, signal.SIGTERM),
                                  ("ovsdb-server", start_database, signal.SIGKILL)):
        with running("deck,design=bare,nodes=2") as process:
            os.kill(daemon(name), signal.SIGKILL)
            process.send_signal(number)
            process.wait(DEADLINE_S)
            ended = NOISE.read_text().partition("emu> ")[2]
            done = subprocess.run(emu_command("clean"), capture_output=True, text=True, check=False)
            links = [link["ifname"] for link in json.loads(run("ip", "-j", "link"))]
            left = Path("/run/kubenet-emu-mn").exists() or "node-a-eth0" in links
            restart()
            again = subprocess.run(emu_command("clean"), capture_output=True, text=True, check=False)
            seen[name] = {"ended": ended, "status": done.returncode, "said": done.stderr, "left": left,
                          "again": again.returncode, "said again": again.stdout, "after": machine()}
    return seen


def refused(*commands: str) -> dict[str, Any]:
    """Command lines that cannot be."""
    before = machine()
    answers = []
    for words in commands:
        topology, *options = words.split()
        done = mn(topology, *options)
        answers.append({"status": done.returncode, "said": done.stderr.splitlines()})
    return {"answers": answers, "before": before, "after": machine()}


def main(scenario: str, *words: str) -> None:
    prepare()
    os.chdir("/")
    print(json.dumps(globals()[scenario](*words)))


if __name__ == "__main__":
    main(*sys.argv[1:])
