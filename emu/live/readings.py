"""Reading this machine: what is installed, and what its kernel does when tried, in a throw-away namespace."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from emu.live.links import lossy

DEADLINE_S = 60  # for all trials together; they take some hundredths of a second, 30 times that in a software emulation

# Tool -> how to ask its version. All come with the packages that ./run installs.
TOOLS: Mapping[str, tuple[str, ...]] = {
    "ovs-vswitchd": ("--version",),
    "ovsdb-server": ("--version",),
    "ovsdb-tool": ("--version",),
    "ovs-vsctl": ("--version",),
    "ovs-ofctl": ("--version",),
    "ovs-appctl": ("--version",),
    "mnexec": ("-v",),
    "unshare": ("--version",),
    "nsenter": ("--version",),
    "ip": ("-V",),
    "tc": ("-V",),
    "ethtool": ("--version",),
    "ping": ("-V",),
    "iperf3": ("--version",),
    "sockperf": ("--version",),
    "wrk": ("--version",),
    "nginx": ("-v",),
    "curl": ("--version",),
    "tcpdump": ("--version",),
    "traceroute": ("--version",),
    "bird": ("--version",),
    "/usr/lib/frr/bgpd": ("--version",),
    "nft": ("--version",),
    "tincd": ("--version",),
    "wg": ("--version",),
    "wireguard-go": ("--version",),
}
DISTRIBUTIONS = ("ryu", "os-ken", "mininet", "pyroute2", "numpy", "matplotlib")

# Name -> command that shows whether the lab's kernel can do it, run in a lab's kind of namespaces.
TRIALS: Mapping[str, str] = {
    "kernel": "ovs-dpctl add-dp probe",
    "openvswitch module": "modinfo -n openvswitch",
    "netdev": "ip tuntap add mode tap name probe0",
    "afxdp": 'grep -q "^XDP " /proc/net/protocols',
    "vxlan": "ip link add probe1 type vxlan id 1 dstport 4789",
    "geneve": "ip link add probe2 type geneve id 1 remote 127.0.0.1",
    "wireguard": "ip link add probe3 type wireguard",
    "tun": "ip tuntap add mode tun name probe4",
    "gre": "modinfo -n ip_gre",
    "ipip": "modinfo -n ipip",
    "netem": "tc qdisc replace dev lo root netem delay 1ms",
    "tbf": "tc qdisc replace dev lo root tbf rate 1mbit burst 1540 limit 3000",
    "clsact": f"tc qdisc add dev lo clsact && tc {lossy(10, 'lo')}",
    "nftables": "nft add table bridge probe && nft add chain bridge probe c { type filter hook forward priority 0 \\; }"
                " && nft add rule bridge probe c arp operation request arp daddr ip { 192.0.2.1 } counter drop",
    "nat": "nft add table ip probe && nft add chain ip probe c { type nat hook postrouting priority srcnat \\; }"
           " && nft add rule ip probe c ip saddr 192.0.2.0/24 masquerade fully-random",
    "cubic": "ip link set lo up && ip route add 192.0.2.0/24 dev lo congctl cubic",
}
# Trying GRE or IPIP would load modules that put devices into every namespace, the machine's own included;
# trying AF_XDP takes a running switch.
ONLY_LOOKED_UP = frozenset({"gre", "ipip", "afxdp"})

SETTINGS = {
    "arp_limit": "net/ipv4/neigh/default/gc_thresh3",
    "congestion_control": "net/ipv4/tcp_congestion_control",
    "rmem_default": "net/core/rmem_default",
    "rmem_max": "net/core/rmem_max",
    "apparmor_userns": "kernel/apparmor_restrict_unprivileged_userns",
    "userns_clone": "kernel/unprivileged_userns_clone",
    "max_userns": "user/max_user_namespaces",
}


@dataclass(frozen=True)
class Readings:
    """What was read, before any judgement."""

    is_root: bool
    system: str
    kernel: str
    python: tuple[int, int, int]
    tree_error: str  # why a lab's namespaces cannot be made; empty where they can
    trials: Mapping[str, str]  # of TRIALS: empty where it worked, else its error
    tools: Mapping[str, str]  # version of each of TOOLS that is there; "present" where it tells none
    distributions: Mapping[str, str]  # version of each of DISTRIBUTIONS that is there
    settings: Mapping[str, str]  # of SETTINGS, those that this kernel has


def tree_command(is_root: bool) -> list[str]:
    """The command prefix that makes a lab's kind of namespace tree: with root's rights, or an ordinary user's."""
    own_user = [] if is_root else ["--user", "--map-root-user"]
    return ["unshare", *own_user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def read_machine() -> Readings:
    """Read everything the judgement needs."""
    is_root = os.geteuid() == 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        trying = pool.submit(_try_all, is_root)
        versions = list(pool.map(_tool_version, TOOLS))
        tree_error, trials = trying.result()
    return Readings(
        is_root=is_root,
        system=_system_name(),
        kernel=platform.release(),
        python=sys.version_info[:3],
        tree_error=tree_error,
        trials=trials,
        tools={name: version for name, version in zip(TOOLS, versions, strict=True) if version},
        distributions={name: version for name in DISTRIBUTIONS if (version := _distribution_version(name))},
        settings={name: value for name, path in SETTINGS.items() if (value := _setting(path))},
    )


def _try_all(is_root: bool) -> tuple[str, dict[str, str]]:
    script = ["echo tree"]
    for name, command in TRIALS.items():
        script.append(f"if error=$({{ {command}; }} 2>&1); then error=; else error=${{error:-failed}}; fi")
        script.append(f"printf '%s\\t%s\\n' '{name}' \"$(echo \"$error\" | tail -n 1)\"")
    try:
        done = subprocess.run([*tree_command(is_root), "sh", "-c", "\n".join(script)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except FileNotFoundError:
        return "unshare is not installed", {}
    except subprocess.TimeoutExpired:
        return f"no answer within {DEADLINE_S} s", {}
    return parse_trials(done.stdout, done.stderr)


def parse_trials(stdout: str, stderr: str) -> tuple[str, dict[str, str]]:
    """What the trial script printed -> why the tree could not be made (or ""), and each trial's error (or "")."""
    lines = stdout.splitlines()
    if lines[:1] != ["tree"]:
        return (stderr.strip().splitlines() or ["unshare failed without a word"])[-1], {}
    trials = dict(line.split("\t", 1) for line in lines[1:])
    return "", {name: re.sub(r"^\S+\|\d+\|\w+\|\w+\|", "", error) for name, error in trials.items()}


def _tool_version(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *TOOLS[name]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=DEADLINE_S, check=False)
    except PermissionError:  # it is there, and wants capabilities that this process was started without
        return "present"
    return parse_version(done.stdout)


def parse_version(output: str) -> str:
    """The first version number in what a tool prints of itself; "present" where there is none."""
    found = re.search(r"(?<!\w)v?(\d+(?:\.\d+)*)", output)
    return found.group(1) if found else "present"


def _distribution_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _setting(path: str) -> str:
    try:
        return Path("/proc/sys", path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


