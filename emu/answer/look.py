"""What is looked at in a running lab: who reaches whom, taken for whom; how large a packet may be; what is held."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import ceil, log
from typing import Any

from emu.laws import FDB, NEIGHBORS, ROUTES
from emu.live.lab import Completed, Lab
from emu.model import INITIAL_TTL, Plan, Scenario
from emu.packets import ECHO_REQUEST, ICMP_HEADER_BYTES, IP_HEADER_BYTES

_HEADERS = IP_HEADER_BYTES + ICMP_HEADER_BYTES
_LINKS = 8
"""Links that a ping and its answer cross at most: to a bridge machine and on to the node, and the same way back."""

_MISTAKE = 1e-4
"""The chance that all pings of one question are lost where each could have been answered."""

_FEWEST, _MOST = 3, 40
_REFUSED = re.compile("too long|frag needed", re.IGNORECASE)


@dataclass(frozen=True)
class Patience:
    """How a question is asked by ping: so many ``times``, until one is answered, each with ``wait_s`` for it."""

    times: int
    wait_s: int


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


def patience(plan: Plan) -> Patience:
    """The patience that the links of a plan ask for: what they lose, and how late all of them together make a ping."""
    shapes = [port.shape for port in plan.switch.ports]
    passes = (1 - max(shape.loss for shape in shapes) / 100) ** _LINKS
    times = _FEWEST if passes >= 1 else _MOST if passes <= 0 else ceil(log(_MISTAKE) / log(1 - passes))
    frame_ms = max(_frame_ms(plan.scenario, shape.bw) for shape in shapes)
    late_ms = max(shape.delay + shape.jitter for shape in shapes) + frame_ms
    return Patience(min(max(times, _FEWEST), _MOST), 1 + ceil(_LINKS * late_ms / 1000))


def _frame_ms(scenario: Scenario, bw: float | None) -> float:
    return scenario.mtu * 8 / (bw * 1000) if bw else 0.0


def look(lab: Lab) -> tuple[dict[str, Any], list[str]]:
    """Look at all of it; as ``answer.json`` has it, and what went wrong."""
    plan = lab.plan
    assert plan.endpoints is not None
    src, dst = plan.endpoints
    pairs = [(src, dst), (dst, src)]
    spoke = [speak(lab, *pair) for pair in pairs]
    of_kinds = {machine.kind: machine.name for machine in reversed(plan.machines)}
    census = lab.census()
    held = [Held(name, kind, *(census[name][what] for what in (ROUTES, NEIGHBORS, FDB)))
            for kind, name in of_kinds.items()]
    largest, problem = largest_packet(lab, src, dst) if spoke[0].answered else (None, "")
    looked = {
        "spec": plan.spec,
        "from": "outside" if plan.by_name[src].kind == "outside" else "inside",
        "endpoints": [src, dst],
        "nodes": len(plan.nodes),
        "containers": len(plan.container_of),
        "spoke": [asdict(each) for each in spoke],
        "largest_packet_bytes": largest,
        "held": [asdict(each) for each in held],
        "flows": len(lab.flows()),
        "kernel_wireguard": kernel_wireguard(lab),
    }
    return looked, [f"{plan.spec}: {problem}"] if problem else []


def kernel_wireguard(lab: Lab) -> bool | None:
    """Whether the kernel's own WireGuard enciphers, or a program does; ``None`` in a design without WireGuard."""
    devices = [(machine.name, device.name) for machine in lab.plan.machines for device in machine.devices
               if device.kind == "wireguard"]
    if not devices:
        return None
    machine, device = devices[0]
    shown = lab[machine].must(("ip", "-d", "link", "show", "dev", device))
    return re.search(r"^ +wireguard", shown, re.MULTILINE) is not None


def speak(lab: Lab, src: str, dst: str) -> Spoke:
    """A ping from cold caches, watched where it arrives; more of them where the first is lost."""
    lab.cool()
    address, patient = lab.plan.address(dst), patience(lab.plan)
    number = lab.capture([f"{dst}:eth0"])
    wait_s = 4 + patient.wait_s  # somebody has to be asked for a MAC first, on each link
    for _ in range(patient.times):
        done = lab[src].run(("ping", "-n", "-c", "1", "-W", str(wait_s), address))
        if done.returncode == 0:
            break
    frames = [frame.inner for frame in lab.captured(number) if frame.direction == "in"]
    own = {a.address for a in lab.plan.by_name[src].addresses}
    requests = [f for f in frames if f.get("icmp.type") == ECHO_REQUEST and f.get("ip.dst") == address]
    source = str(requests[0]["ip.src"]) if requests else ""
    said = re.search(r"^From .*|^ping: .*|.*100% packet loss.*", done.stdout + done.stderr, re.MULTILINE)
    return Spoke(src, dst, done.returncode == 0, source, source in own,
                 INITIAL_TTL - requests[0]["ip.ttl"] if requests else None,
                 said[0] if said and done.returncode else "")


def largest_packet(lab: Lab, src: str, dst: str) -> tuple[int | None, str]:
    """The size of the largest IPv4 packet that comes from ``src`` to ``dst`` whole and is answered, in bytes, or why it
    cannot be told. What a router tells of the path's MTU counts, as for any sender (RFC 1191)."""
    patient = patience(lab.plan)

    def ping(size: int) -> Completed:
        return lab[src].run(("ping", "-n", "-M", "do", "-c", "1", "-W", str(patient.wait_s), "-s",
                             str(size - _HEADERS), lab.plan.address(dst)))

    return largest(lambda size: _passes(size, patient.times, ping), lab.plan.scenario.mtu)


def _passes(size: int, times: int, ping: Callable[[int], Completed]) -> bool:
    """Whether a packet of a size is answered, asked up to so many times: one may be lost, but where a machine on the
    way says that it is too large, it is."""
    for _ in range(times):
        done = ping(size)
        if done.returncode == 0:
            return True
        if _REFUSED.search(done.stdout + done.stderr):
            return False
    return False


def largest(passes: Callable[[int], bool], most: int) -> tuple[int | None, str]:
    """The largest size, up to ``most``, that passes, found by halving; or why it cannot be told: that size and the next
    are asked for anew at the end, since what comes and goes has no largest size."""
    low, high = _HEADERS, most + 1
    while high - low > 1:
        size = (low + high) // 2
        low, high = (size, high) if passes(size) else (low, size)
    if not passes(low):
        return None, f"no largest packet can be told: one of {low} bytes is not answered every time"
    if passes(low + 1):
        return None, f"no largest packet can be told: one of {low + 1} bytes is answered now and then"
    return low, ""


def spoke_of(looked: Mapping[str, Any]) -> tuple[Spoke, Spoke]:
    """The two pings of what was looked at in a lab, there and back, as read from ``answer.json``."""
    there, back = (Spoke(**each) for each in looked["spoke"])
    return there, back
