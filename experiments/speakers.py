#!/usr/bin/env -S python3 -B
"""What stands beside the gateway and learns its routes: BIRD, the framework's own BGPSpeaker, or ExaBGP?

    BIRD, the peer  --- veth ---  the speaker  -> a Python process that wants to know every prefix

The peer announces so many prefixes and takes all of them back: how long until the Python process knows, and how much
CPU time does the announcement take on its side, the process included? BIRD writes to the kernel's table, which is
followed by netlink as the gateway's controller does it. ExaBGP is not among what `./run` installs, and left out where
it is missing:

    sudo .venv/bin/pip install exabgp==5.0.15
    sudo experiments/speakers.py
"""

import _environment  # isort: skip  (first: it re-executes this in the environment that ./run made)

import argparse
import contextlib
import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from ipaddress import IPv4Network
from itertools import islice
from pathlib import Path
from typing import Any

from _samples import each_whole, new_folder, parser_for, quantile, whole

from emu import __version__
from emu.errors import LabError, UsageError
from emu.live.mounts import private_mounts
from emu.live.process import wait_until
from emu.live.readings import read_machine, tree_command
from emu.measure.progress import Progress
from emu.measure.results import ResultFolder, Sample

SPEAKERS = ("bird", "ryu", "os-ken", "os-ken-native", "exabgp")
"""The frameworks' hub is eventlet, but for os-ken's own."""
UNITS = {"announced": "s", "withdrawn": "s", "cpu": "s"}
DEADLINE_S = 90.0
FOLDER = Path("/run/speakers")
US, PEER, AS, PEER_AS = "10.9.0.1", "10.9.0.2", 65000, 65001
MANY = IPv4Network("172.16.0.0/12")
SELF = [sys.executable, "-B", __file__]

PEER_CONFIG = f"""router id {PEER}; protocol device {{ }}
protocol static more {{
  ipv4;
include "{FOLDER}/routes";
}}
protocol bgp speaker {{ local {PEER} as {PEER_AS}; neighbor {US} as {AS}; connect retry time 1; error wait time 1, 1;
  ipv4 {{ import none; export all; }}; }}
"""
BIRD_CONFIG = f"""router id {US}; protocol device {{ }}
protocol kernel {{ merge paths yes limit 255; ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol bgp peer {{ local {US} as {AS}; neighbor {PEER} as {PEER_AS}; connect retry time 1; error wait time 1, 1;
  ipv4 {{ import all; export none; }}; }}
"""
EXABGP_CONFIG = f"""process take {{ run {" ".join(SELF)} --take exabgp; encoder json; }}
neighbor {PEER} {{ router-id {US}; local-address {US}; local-as {AS}; peer-as {PEER_AS}; family {{ ipv4 unicast; }}
  api {{ processes [ take ]; receive {{ parsed; update; }} }} }}
"""
EXABGP_SETTINGS = {"exabgp_daemon_user": "root", "exabgp_daemon_drop": "false", "exabgp_log_enable": "false",
                   "exabgp_api_cli": "false", "exabgp_api_ack": "false"}


def take(speaker: str) -> None:
    """Be the Python process: note when how many prefixes are known, whenever that is all or none again."""
    known: set[str] = set()
    wanted = int((FOLDER / "count").read_text())

    def tell(prefix: str, gone: bool) -> None:
        (known.discard if gone else known.add)(prefix)
        if len(known) in (0, wanted):
            with open(FOLDER / "told", "a", encoding="ascii") as told:
                told.write(f"{time.monotonic()} {len(known)}\n")

    if speaker == "exabgp":
        for line in sys.stdin:
            said = json.loads(line).get("neighbor", {}).get("message", {}).get("update", {})
            for via in said.get("announce", {}).get("ipv4 unicast", {}).values():
                for route in via:
                    tell(route["nlri"], False)
            for route in said.get("withdraw", {}).get("ipv4 unicast", []):
                tell(route["nlri"], True)
    elif speaker == "bird":
        from controllers import following

        hearing = following.changes()
        while True:
            for heard in following.read(hearing.recv(1 << 18)):
                if heard:
                    tell(str(heard.prefix), not heard.vias)
    else:
        by_framework(speaker, tell)


def by_framework(speaker: str, tell: Callable[[str, bool], None]) -> None:
    """Run the BGPSpeaker of Ryu or os-ken in this process."""
    os.environ["KUBENET_SDN"], os.environ["OSKEN_HUB_TYPE"] = speaker.removesuffix("-native"), "native"
    package = "ryu" if speaker == "ryu" else "os_ken"
    if not speaker.endswith("-native"):
        importlib.import_module("controllers.framework")  # sets the hub, and mends what Ryu misses
        importlib.import_module("eventlet").monkey_patch()  # os-ken's own hub.patch() leaves sockets blocking
    bgp: Any = importlib.import_module(f"{package}.services.protocols.bgp.bgpspeaker")
    server = bgp.BGPSpeaker(AS, US, best_path_change_handler=lambda event: tell(event.prefix, event.is_withdraw))
    server.neighbor_add(PEER, PEER_AS)
    hub: Any = importlib.import_module(f"{package}.lib.hub")
    while True:
        hub.sleep(1)


def trial(speaker: str, count: int) -> dict[str, float]:
    """In namespaces of its own: peer and speaker with a session; all prefixes announced, then all withdrawn."""
    private_mounts()
    FOLDER.mkdir()
    for name, text in {"count": str(count), "routes": "", "told": "", "peer": PEER_CONFIG, "bird": BIRD_CONFIG,
                       "exabgp": EXABGP_CONFIG}.items():
        (FOLDER / name).write_text(text)
    other = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    inside = ["nsenter", f"--net=/proc/{other.pid}/ns/net"]
    own = os.readlink("/proc/self/ns/net")
    wait_until("the peer's namespace", lambda: os.readlink(f"/proc/{other.pid}/ns/net") != own)
    run("ip", "link", "add", "us", "type", "veth", "peer", "name", "peer", "netns", str(other.pid))
    for entering, device, address in (([], "us", US), (inside, "peer", PEER)):
        run(*entering, "ip", "link", "set", "lo", "up")
        run(*entering, "ip", "address", "add", f"{address}/24", "dev", device)
        run(*entering, "ip", "link", "set", device, "up")
    peer = subprocess.Popen([*inside, "bird", "-f", "-c", FOLDER / "peer", "-s", FOLDER / "ctl"])
    ours = [] if speaker == "exabgp" else [subprocess.Popen([*SELF, "--take", speaker])]
    if speaker == "bird":
        ours.append(subprocess.Popen(["bird", "-f", "-c", FOLDER / "bird", "-s", FOLDER / "bird.ctl"]))
    if speaker == "exabgp":
        ours.append(subprocess.Popen([exabgp(), "server", FOLDER / "exabgp"], env={**os.environ, **EXABGP_SETTINGS}))
    wait_until("the session", lambda: "Established" in run("birdc", "-s", FOLDER / "ctl", "show", "protocols"), 30)
    time.sleep(1)  # what start-up takes is not of interest
    prefixes = list(islice(MANY.subnets(new_prefix=28), count))
    before_s = used_s({os.getpid(), other.pid, peer.pid})
    announced_s = change("".join(f"route {prefix} blackhole;\n" for prefix in prefixes), count)
    cpu_s = used_s({os.getpid(), other.pid, peer.pid}) - before_s
    return {"announced": announced_s, "withdrawn": change("", 0), "cpu": cpu_s}


def change(routes: str, count: int) -> float:
    """Have the peer announce these and no others; the seconds until ``count`` of them are known."""
    (FOLDER / "routes").write_text(routes)
    before, started_s = len((FOLDER / "told").read_text()), time.monotonic()
    run("birdc", "-s", FOLDER / "ctl", "configure")
    new: Callable[[], list[str]] = lambda: [  # noqa: E731
        line for line in (FOLDER / "told").read_text()[before:].splitlines(keepends=True)
        if line.endswith(f" {count}\n")]
    wait_until(f"{count} prefixes", lambda: bool(new()), DEADLINE_S)
    return float(new()[-1].split()[0]) - started_s


def used_s(others: set[int]) -> float:
    """CPU seconds of all processes in this process namespace but ``others``."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.parent.name) not in others:
                ticks += sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def run(*words: object) -> str:
    """What a command prints; ``LabError`` where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode and words[0] != "birdc":
        raise LabError(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout


def exabgp() -> str:
    """Where ExaBGP is; nothing where it is not."""
    return shutil.which("exabgp", path=f"{_environment.ENVIRONMENT}/bin:{os.environ['PATH']}") or ""


def version_of(speaker: str) -> str:
    """Of a speaker; nothing where it is not installed."""
    if speaker == "bird":
        return read_machine().tools.get("bird", "")
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(speaker.removesuffix("-native"))
    return ""


def table(samples: Sequence[Sample], counts: Sequence[int]) -> Iterator[str]:
    """Medians and ranges, a line a speaker and a number of prefixes."""
    yield f"{'speaker':<14}{'prefixes':>9}{'n':>4}" + "".join(f"{metric + ', s':>24}" for metric in UNITS) + "  failed"
    for speaker in dict.fromkeys(sample.design for sample in samples):
        for count in counts:
            mine = [s for s in samples if (s.design, s.workload) == (speaker, f"prefixes:{count}")]
            values = [[s.value for s in mine if s.metric == metric and s.value is not None] for metric in UNITS]
            cells = (f"{quantile(v, 0.5):.2f} ({quantile(v, 0):.2f} to {quantile(v, 1):.2f})" for v in values)
            yield (f"{speaker:<14}{count:>9}{len(values[0]):>4}" + "".join(f"{cell:>24}" for cell in cells)
                   + f"{sum(not s.ok for s in mine):>8}")


def main() -> int:
    """Every speaker that is installed, with every number of prefixes, in turn, so many rounds."""
    parser = parser_for(__doc__, 5)
    parser.add_argument("--prefixes", metavar="N,N", default="1000,10000", help="(default: %(default)s)")
    parser.add_argument("--take", help=argparse.SUPPRESS)
    parser.add_argument("--trial", help=argparse.SUPPRESS)
    options = parser.parse_args()
    problems: list[str] = []
    blocks = whole("--blocks", options.blocks, 1, problems)
    counts = each_whole("--prefixes", [word for word in options.prefixes.split(",") if word], problems, 1 << 16)
    if options.take:
        take(options.take)
    if options.trial:
        print(json.dumps(trial(options.trial, counts[0])))
        return 0
    out = new_folder(options.out, "speakers", problems)
    if problems:
        raise UsageError(*problems)
    versions = {speaker: version for speaker in SPEAKERS if (version := version_of(speaker))}
    samples: list[Sample] = []
    progress = Progress(sys.stderr)
    with ResultFolder.create(out) as folder:
        folder.write_json("run.json", {
            "format": "emu-experiment/1", "experiment": "speakers", "version": __version__, "argv": sys.argv,
            "blocks": blocks, "prefixes": counts, "versions": versions, "python": sys.version.split()[0],
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds")})
        for block, count, speaker in ((b, c, s) for b in range(blocks) for c in counts for s in versions):
            progress.stage(f"round {block + 1} of {blocks}: {speaker}, {count} prefixes")
            command = [*tree_command(os.geteuid() == 0), *SELF, "--trial", speaker, "--prefixes", str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = done.stdout.splitlines()
            error = None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no word"])[-1]
            values: dict[str, float | None] = dict.fromkeys(UNITS) if error else {**json.loads(lines[-1])}
            new = [Sample(speaker, {}, f"prefixes:{count}", metric, UNITS[metric], block, 0, len(samples), value,
                          error is None, error, time.time()) for metric, value in values.items()]
            folder.add_samples(new)
            samples += new
    progress.end()
    print("\n".join(table(samples, counts)))
    return 0


if __name__ == "__main__":
    _environment.run(main)
