"""One real request in a running lab, captured at every interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emu.frames import Frame
from emu.live.explain import explain
from emu.live.lab import Lab
from emu.live.process import wait_until
from emu.live.servers import WEB_PORT, start, web_server
from emu.packets import ICMP_HEADER_BYTES, IP_HEADER_BYTES
from emu.walk.join import in_order, join
from emu.walk.model import Walk
from emu.walk.tell import Journeys, tell
from emu.walk.topology import Topology, topology

REQUESTS = ("http", "ping", "full-ping", "arp")
TOOLS = ("curl", "ping", "nginx")
"""Commands that tracing uses, besides those every lab needs."""

_PATIENCE_S = 5
"""How long a request may go unanswered. Answers take milliseconds, in an emulated machine a tenth of a second."""


@dataclass(frozen=True)
class Recording:
    """Every frame of the lab while a request was made, in order, and why it had no answer (empty if it had)."""

    frames: Sequence[Frame]
    problem: str


def trace(lab: Lab, src: str, dst: str, request: str) -> tuple[Walk, Recording]:
    """Make a request from ``src`` to ``dst`` (names of machines) in a cold lab and tell its walk."""
    there = topology(lab.plan)
    recording = _record(lab, there, src, dst, request)
    journeys = Journeys(lab.plan, there, join(there, recording.frames))
    answers = explain(lab, journeys.questions())
    return tell(journeys, request, (src, dst), lab.round_trips(src, dst), answers, recording.problem), recording


def _record(lab: Lab, there: Topology, src: str, dst: str, request: str) -> Recording:
    """Make a request from cold caches and capture it at every interface of the lab."""
    server = start(lab, dst, web_server(lab.plan.address(dst))) if request == "http" else None
    number = lab.capture(there.points())  # from before: a routing daemon may be first to ask for its gateway's MAC
    try:
        lab.cool()
        problem = _SEND[request](lab, src, dst)
        lab.settle(number, there.peer)
    finally:
        frames = lab.captured(number)
        if server:
            server.stop()
    return Recording(in_order(there, frames), problem)


def _http(lab: Lab, src: str, dst: str) -> str:
    """``GET /`` over a connection of its own; returns when both ends have closed it."""
    url = f"http://{lab.plan.address(dst)}:{WEB_PORT}/"
    patience = ("--connect-timeout", str(_PATIENCE_S), "--max-time", str(2 * _PATIENCE_S))
    done = lab[src].run(["curl", "-q", "-sS", "--noproxy", "*", "-o", "/dev/null", *patience, url])
    if done.returncode:
        return done.stderr.strip().removeprefix("curl: ") or f"curl ended with status {done.returncode}"
    wait_until("both ends to close the connection", lambda: not any(_connections(lab, name) for name in (src, dst)))
    return ""


def _connections(lab: Lab, name: str) -> str:
    """HTTP connections of a machine that are not over (one in TIME-WAIT has had its last packet)."""
    states = ("exclude", "listening", "exclude", "time-wait", "exclude", "closed")
    return lab[name].run(["ss", "-Htan", *states, f"( sport = :{WEB_PORT} or dport = :{WEB_PORT} )"]).stdout.strip()


def _full_ping(lab: Lab, src: str, dst: str) -> str:
    """A ping as large as the sender's own interface takes, which nobody may fragment."""
    mtu = lab.plan.by_name[src].device("eth0").mtu
    return _ping(lab, src, dst, "-M", "do", "-s", str(mtu - IP_HEADER_BYTES - ICMP_HEADER_BYTES))


def _ping(lab: Lab, src: str, dst: str, *options: str) -> str:
    done = lab[src].run(["ping", "-n", "-c", "1", "-W", str(_PATIENCE_S), *options, lab.plan.address(dst)])
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith(("From", "ping:"))]
    return (said or [f"ping gave up after {_PATIENCE_S} s"])[0] if done.returncode else ""


def _arp(lab: Lab, src: str, dst: str) -> str:
    """Have the kernel of ``src`` resolve its next hop to ``dst``, as if it had a packet to send."""
    route = json.loads(lab[src].run(["ip", "-j", "route", "get", lab.plan.address(dst)]).stdout or "[{}]")[0]
    target, device = route.get("gateway", lab.plan.address(dst)), route.get("dev", "")
    if "PERMANENT" in _neighbor_state(lab, src, target, device):
        return f"{src} asks nobody: its neighbor {target} on {device} is a permanent entry"
    lab[src].run(["ip", "neigh", "replace", target, "dev", device, "use"])
    wait_until(f"{src} to be done with asking for {target}", lambda: not _asking(lab, src, target, device))
    return "" if "FAILED" not in _neighbor_state(lab, src, target, device) else f"nobody has answered for {target}"


def _neighbor_state(lab: Lab, name: str, address: str, device: str) -> list[str]:
    found = json.loads(lab[name].run(["ip", "-j", "neigh", "show", "to", address, "dev", device]).stdout or "[]")
    return list(found[0]["state"]) if found else []


def _asking(lab: Lab, name: str, address: str, device: str) -> bool:
    return _neighbor_state(lab, name, address, device) in ([], ["INCOMPLETE"], ["NONE"])


_SEND: Mapping[str, Callable[[Lab, str, str], str]] = {
    "http": _http,
    "ping": _ping,
    "full-ping": _full_ping,
    "arp": _arp,
}
"""Makes a request; why it had no answer, or nothing."""
