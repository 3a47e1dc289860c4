"""What is looked at in a running lab: who reaches whom, taken for whom; how large a packet may be; what is held."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from emu.laws import FDB, NEIGHBORS, ROUTES
from emu.live.lab import Lab
from emu.model import INITIAL_TTL
from emu.packets import ECHO_REQUEST, ICMP_HEADER_BYTES, IP_HEADER_BYTES

_HEADERS = IP_HEADER_BYTES + ICMP_HEADER_BYTES
_PATIENCE_S = "5"


@dataclass(frozen=True)
class Spoke:
    """A ping. ``source``: the address it arrived from, empty if it did not; ``routers``: how many routed it on its way;
    ``reason``: what ``ping`` said where there was no answer."""

    src: str
    dst: str
    answered: bool
    source: str
    kept: bool
    routers: int | None
    reason: str


@dataclass(frozen=True)
class Held:
    """Entries of a machine's kernel that somebody has put there (``emu.laws``)."""

    machine: str
    kind: str
    routes: int
    neighbors: int
    fdb: int

    @property
    def entries(self) -> int:
        return self.routes + self.neighbors + self.fdb


def look(lab: Lab) -> dict[str, Any]:
    """Look at all of it; as ``answer.json`` has it."""
    plan = lab.plan
    assert plan.endpoints is not None
    src, dst = plan.endpoints
    pairs = [(src, dst), (dst, src)]
    spoke = [speak(lab, *pair) for pair in pairs]
    of_kinds = {machine.kind: machine.name for machine in reversed(plan.machines)}
    census = lab.census()
    held = [Held(name, kind, *(census[name][what] for what in (ROUTES, NEIGHBORS, FDB)))
            for kind, name in of_kinds.items()]
    return {
        "spec": plan.spec,
        "from": "outside" if plan.by_name[src].kind == "outside" else "inside",
        "endpoints": [src, dst],
        "nodes": len(plan.nodes),
        "containers": len(plan.container_of),
        "spoke": [asdict(each) for each in spoke],
        "largest_packet_bytes": largest_packet(lab, src, dst) if spoke[0].answered else None,
        "held": [asdict(each) for each in held],
        "flows": len(lab.flows()),
    }


def speak(lab: Lab, src: str, dst: str) -> Spoke:
    """One ping from cold caches, watched where it arrives."""
    lab.cool()
    address = lab.plan.address(dst)
    number = lab.capture([f"{dst}:eth0"])
    done = lab[src].run(("ping", "-n", "-c", "1", "-W", _PATIENCE_S, address))
    frames = [frame.inner for frame in lab.captured(number) if frame.direction == "in"]
    own = {a.address for a in lab.plan.by_name[src].addresses}
    requests = [f for f in frames if f.get("icmp.type") == ECHO_REQUEST and f.get("ip.dst") == address]
    source = str(requests[0]["ip.src"]) if requests else ""
    said = re.search(r"^From .*|^ping: .*|.*100% packet loss.*", done.stdout + done.stderr, re.MULTILINE)
    return Spoke(src, dst, done.returncode == 0, source, source in own,
                 INITIAL_TTL - requests[0]["ip.ttl"] if requests else None,
                 said[0] if said and done.returncode else "")


def largest_packet(lab: Lab, src: str, dst: str) -> int:
    """The size of the largest IPv4 packet that comes from ``src`` to ``dst`` whole and is answered, in bytes, found by
    halving; what a router tells of the path's MTU counts, as for any sender (RFC 1191)."""
    low, high = _HEADERS, lab.plan.scenario.mtu + 1
    while high - low > 1:
        size = (low + high) // 2
        argv = ("ping", "-n", "-q", "-M", "do", "-c", "1", "-W", "1", "-s", str(size - _HEADERS), lab.plan.address(dst))
        low, high = (size, high) if lab[src].run(argv).returncode == 0 else (low, size)
    return low


def spoke_of(looked: Mapping[str, Any]) -> tuple[Spoke, Spoke]:
    """The two pings of what was looked at in a lab, there and back, as read from ``answer.json``."""
    there, back = (Spoke(**each) for each in looked["spoke"])
    return there, back
