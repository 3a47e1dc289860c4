"""The one evaluator of claims: what each asks for is done in a running lab, and what is seen is held against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.claims import (
    ArpRequests,
    Claim,
    Datagrams,
    Dropped,
    Forged,
    KernelState,
    Learned,
    Ordered,
    PacketIns,
    Prints,
    Probe,
    Reaches,
    Refused,
    Request,
    Seen,
    Stream,
    Test,
    Transfers,
    Uninvolved,
    Unseen,
)
from emu.errors import LabError
from emu.evidence import Finding, judge_frames
from emu.frames import Frame
from emu.live.lab import Lab
from emu.live.process import objects
from emu.packets import echo_request

COMMANDS = ("ping", "traceroute")
"""Commands that claims are tested with, besides those every lab needs."""

_MISSES_SHOWN = 3


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: ``holds``, ``fails`` or ``not judged``, and why."""

    claim: Claim
    result: str
    expected: str
    seen: str
    because: str = ""


FrameTest = Seen | Unseen | Ordered


def judge(lab: Lab, claims: Sequence[Claim], known: Mapping[Probe, Sequence[Frame]] | None = None) -> list[Verdict]:
    """Judge every claim in order. One whose needs do not all hold is not judged: it names the first such need.

    ``known``: the frames of probes that were sent already, in order of time; they are not sent again. ``ValueError``
    if those of a ``Request`` are not there.
    """
    captures = _Captures(lab, claims, known or {})
    results: dict[str, str] = {}
    verdicts = []
    for claim in claims:
        blocker = next((need for need in claim.needs if results[need] != "holds"), None)
        if blocker is not None:
            verdict = Verdict(claim, "not judged", "", "", f"it rests on {blocker}")
        else:
            verdict = _verdict(claim, lab, captures)
        results[claim.id] = verdict.result
        verdicts.append(verdict)
    return verdicts


def _verdict(claim: Claim, lab: Lab, captures: _Captures) -> Verdict:
    try:
        holds, expected, seen = _TESTS[type(claim.test)](claim.test, lab, captures)
    except LabError as error:
        return Verdict(claim, "fails", "an outcome", "none", str(error))
    return Verdict(claim, "holds" if holds else "fails", expected, seen)


class _Captures:
    """The frames of each probe. A probe is sent once, from a cold lab, with all points captured that any claim
    about it looks at."""

    def __init__(self, lab: Lab, claims: Iterable[Claim], known: Mapping[Probe, Sequence[Frame]]) -> None:
        self._lab = lab
        self._frames = dict(known)
        self._points: dict[Probe, set[str]] = {}
        for claim in claims:
            test = claim.test
            if isinstance(test, FrameTest):
                if isinstance(test.probe, Request) and test.probe not in known:
                    raise ValueError(f"{claim.id}: the frames of {test.probe} were not handed in")
                points = (test.point,) if isinstance(test, Ordered) else test.points
                self._points.setdefault(test.probe, set()).update(points)

    def of(self, probe: Probe) -> Sequence[Frame]:
        """The frames of ``probe`` in order of time."""
        if probe not in self._frames:
            self._frames[probe] = self._send(probe)
        return self._frames[probe]

    def _send(self, probe: Probe) -> list[Frame]:
        # Captured from before: where a routing daemon speaks, it may be that who asks for the gateway's MAC.
        capture = self._lab.capture(sorted(self._points[probe]))
        try:
            self._lab.cool()
            put(self._lab, probe)
        finally:
            frames = self._lab.captured(capture)
        return frames


def put(lab: Lab, probe: Probe) -> None:
    """Put a probe on the wire; returns when it is where it was to go, or lost."""
    if isinstance(probe, ArpRequests):
        requests = [(request.sender, request.target, request.mac) for request in probe.requests]
        lab.tree.request("ask_arp", name=probe.src, requests=requests)
        return
    address = lab.plan.address(probe.dst)
    if isinstance(probe, Stream):
        lab.tree.request("transfer", src=probe.src, dst=probe.dst, size_bytes=probe.size_bytes)
        return
    if isinstance(probe, Datagrams):
        lab.tree.request("send_datagrams", name=probe.src, address=address, count=probe.count)
    if isinstance(probe, Forged):
        packet = echo_request(probe.claimed, address, probe.size_bytes)
        lab.tree.request("forge", name=probe.src, packet=packet, address=address)
    lab[probe.src].run(["ping", "-n", "-q", "-c", "1", "-W", "5", address])


def _frames(test: FrameTest, lab: Lab, captures: _Captures) -> Finding:
    return judge_frames(test, captures.of(test.probe))


def _reaches(test: Reaches, lab: Lab, captures: _Captures) -> Finding:
    pairs, misses = lab.sweep()
    shown = ", ".join(
        f"{src} to {dst}: {'no answer' if ttl is None else f'TTL {ttl}'}" for src, dst, ttl in misses[:_MISSES_SHOWN]
    )
    return not misses, f"{pairs} pairs", f"{pairs - len(misses)} pairs{'; ' + shown if shown else ''}"


def _prints(test: Prints, lab: Lab, captures: _Captures) -> Finding:
    done = lab[test.machine].run(test.argv)
    printed = done.stderr + done.stdout
    place, missing = 0, []
    for line in test.lines:
        found = printed.find(line, place)
        if found < 0:
            missing.append(line)
        else:
            place = found + len(line)
    expected = f"status {test.returncode}" + "".join(f", '{line.strip()}'" for line in test.lines)
    seen = expected
    if missing or done.returncode != test.returncode:
        seen = f"status {done.returncode}: {' | '.join(printed.split(chr(10)))}"
    return done.returncode == test.returncode and not missing, expected, seen


def _kernel_state(test: KernelState, lab: Lab, captures: _Captures) -> Finding:
    entries = 0
    for query in test.queries:
        done = lab[query.machine].run(query.argv)
        what = f"{query.machine}: {' '.join(query.argv)}"
        if done.returncode:
            return False, f"{what}: status 0", f"status {done.returncode}: {done.stderr.strip()}"
        answered = objects(done.stdout)
        rest = list(answered)
        for wanted in query.expected:
            match = next((item for item in rest if _includes(item, wanted)), None)
            if match is None:
                return False, f"{what}: {wanted}", f"{answered}"[:600]
            rest.remove(match)
        if rest:
            return False, f"{what}: {len(query.expected)} entries", f"besides them {rest}"[:600]
        entries += len(query.expected)
    return True, f"{entries} entries", f"all {entries} as expected"


def _includes(item: Any, wanted: Any) -> bool:
    """Whether ``item`` has all of ``wanted``, which may be nested and leave keys out."""
    if isinstance(wanted, Mapping):
        return isinstance(item, Mapping) and all(key in item and _includes(item[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(item) == len(wanted) and all(_includes(a, b) for a, b in zip(item, wanted, strict=True))
    return bool(item == wanted)


def _transfers(test: Transfers, lab: Lab, captures: _Captures) -> Finding:
    arrived = lab.tree.request("transfer", src=test.src, dst=test.dst, size_bytes=test.size_bytes)
    words = f"{test.size_bytes} bytes unchanged"
    return arrived, words, words if arrived else "not so"


def _uninvolved(test: Uninvolved, lab: Lab, captures: _Captures) -> Finding:
    ping = ["ping", "-n", "-q", "-i", "0.002", "-W", "5", "-c"]
    address = lab.plan.address(test.dst)
    lab[test.src].run([*ping, "1", address])  # ARP is done with before counting begins
    before = _handed_over(lab)
    done = lab[test.src].run([*ping, str(test.count), address])
    packets = _handed_over(lab) - before
    said = f"status {done.returncode}, {packets} packets to the controller"
    return done.returncode == 0 and packets == 0, "status 0, 0 packets to the controller", said


def _handed_over(lab: Lab) -> int:
    """What was handed to the controller so far, but for next hops' answers, which come in their own time."""
    counters = lab.controller()["counters"]
    return int(counters["packet_in"] - counters["arp_answer"])


def _learned(test: Learned, lab: Lab, captures: _Captures) -> Finding:
    gateway = lab.plan.control.gateway
    wanted = dict(test.routes)
    in_switch = {**wanted, **({route.prefix: (route.via,) for route in gateway.routes} if gateway else {})}
    rib, flows = dict(lab.rib()), dict(lab.routes())
    words = f"{len(wanted)} in the kernel, {len(in_switch)} in the flow table"
    holds = (rib, flows) == (wanted, in_switch)
    return holds, words, words if holds else f"kernel {rib}, flow table {flows}"


def _dropped(test: Dropped, lab: Lab, captures: _Captures) -> Finding:
    count = _dropped_of(lab, test.probe, test.reason)
    return count == test.count, f"{test.count} dropped: {test.reason}", f"{count} dropped"


def _dropped_of(lab: Lab, probe: Probe, reason: str) -> int:
    """How many packets more are counted as dropped for a reason, when a probe is sent from a cold lab."""
    lab.cool()
    before = lab.drops()[reason]
    put(lab, probe)
    return lab.drops()[reason] - before


def _packet_ins(test: PacketIns, lab: Lab, captures: _Captures) -> Finding:
    lab.cool()
    before = _handed_over(lab)
    done = lab[test.src].run(["ping", "-n", "-q", "-c", "1", "-W", "5", lab.plan.address(test.dst)])
    packets = _handed_over(lab) - before
    said = f"status {done.returncode}, {packets} packets to the controller"
    return done.returncode == 0 and packets == test.count, f"status 0, {test.count} packets to the controller", said


def _refused(test: Refused, lab: Lab, captures: _Captures) -> Finding:
    effect = {"spoofed": _dropped_of(lab, test.probe, "spoofed"), "learned": lab.controller()["learned"]}
    words = "{spoofed} dropped and counted, learned: {learned}"
    wanted = {"spoofed": len(test.probe.requests) - 1, "learned": []}
    return effect == wanted, words.format(**wanted), words.format(**effect)


_TESTS: Mapping[type[Test], Callable[[Any, Lab, _Captures], Finding]] = {
    Seen: _frames,
    Unseen: _frames,
    Ordered: _frames,
    Reaches: _reaches,
    Prints: _prints,
    KernelState: _kernel_state,
    Transfers: _transfers,
    Uninvolved: _uninvolved,
    Learned: _learned,
    Dropped: _dropped,
    PacketIns: _packet_ins,
    Refused: _refused,
}
