"""Routes that change in a running lab: a node's routing daemon told what to do, and a service that several announce."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import pairwise

from emu.errors import LabError, UsageError
from emu.live.lab import Lab, LabMachine, Process
from emu.live.process import wait_until
from emu.speakers import speaker_of
from emu.speakers.base import Order

SERVICE, SERVICE_ADDRESS = "10.250.0.0/24", "10.250.0.1"
"""A prefix that several nodes announce, and an address in it that each of them has."""

CONVERGED_S = 600.0
"""No route takes so long to change, but for hold times that nobody would set: it detects a hang."""


class BgpNode:
    """The daemon of one node of a lab with ``routes=bgp``."""

    def __init__(self, lab: Lab, name: str) -> None:
        """``UsageError`` where the lab has no such node, or its nodes have no daemons."""
        node = next((node for node in lab.plan.nodes if node.name == name), None)
        if node is None or not lab.plan.by_name[name].processes:
            raise UsageError(f"{lab.plan.spec} has no node '{name}' with a routing daemon")
        self._lab, self._node = lab, node
        self._speaker = speaker_of(lab.plan.params)

    @property
    def _machine(self) -> LabMachine:
        return self._lab[self._node.name]

    def announce(self, prefixes: Iterable[str]) -> None:
        """Announce these prefixes besides the pod subnet, and no others from now on. ``UsageError`` names each that is
        none; the gateway takes no other node's address and no default route, and all else."""
        wanted = tuple(prefixes)
        wrong = [prefix for prefix in wanted if not _is_prefix(prefix)]
        if wrong:
            raise UsageError(*(f"'{prefix}' is no IPv4 prefix, such as {SERVICE}" for prefix in wrong))
        self._obey(self._speaker.announce(self._node, wanted))

    def stop(self) -> None:
        """End the session by the administrator's will (RFC 4271, section 8.1.2, ManualStop): the gateway is told."""
        self._obey(self._speaker.stop(self._node))

    def resume(self) -> None:
        """Take up again what ``stop`` ended."""
        self._obey(self._speaker.resume(self._node))

    def kill(self) -> None:
        """End the daemon by SIGKILL; its kernel closes the connection."""
        number = self._machine.must(("cat", self._speaker.pid_file(self._node))).strip()
        self._machine.must(("kill", "-KILL", number))

    def start(self) -> None:
        """Start the daemon again after ``kill``."""
        (process,) = self._lab.plan.by_name[self._node.name].processes
        self._machine.spawn(process.argv)

    def silence(self) -> None:
        """Lose every frame to and from the node. Its link stays up: nobody is told."""
        self._machine.silence()

    def speak(self) -> None:
        """End what ``silence`` began."""
        self._machine.speak()

    def _obey(self, order: Order) -> None:
        for path, text in order.files:
            self._lab.write(path, text)
        for command in order.commands:
            self._machine.must(command)


def _is_prefix(text: str) -> bool:
    """An address with a length, and no bit set beyond it: daemons take nothing else, and do not all say so."""
    try:
        return str(IPv4Network(text)) == text
    except ValueError:
        return False


@dataclass(frozen=True)
class Answers:
    """What a probe has seen: the longest time without an answer of the service or of ICMP, 0 where none is missing."""

    outage_ms: float
    output: str


class Probe:
    """Echo requests at a fixed rate."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def output(self) -> str:
        """What it has printed so far."""
        return self._process.output()

    def end(self) -> Answers:
        """End it when it has been told something once more; what it has seen. So an outage that lasts is never taken
        for none: ``LabError`` then."""
        told = self.output().count("icmp_seq=")
        wait_until("an answer after the change", lambda: self.output().count("icmp_seq=") > told + 1, CONVERGED_S)
        self._process.stop()
        output = self._process.output()
        return Answers(outage_ms(output), output)


def longest_gap(output: str) -> int:
    """How many requests in a row nobody answered, neither the one asked nor ICMP, in what ``ping`` printed.

    Those after the last answer do not count: they may have been under way.
    """
    told = sorted({int(number) for number in re.findall(r"icmp_seq=(\d+)", output)})
    return max((later - sooner - 1 for sooner, later in zip([0, *told], told, strict=False)), default=0)


def outage_ms(output: str) -> float:
    """The longest time between two answers, of the one asked or of ICMP, with unanswered requests between them, in what
    ``ping -D`` printed; 0 where there are none. (Unanswered, ping does not keep its rate: counting would tell less.)"""
    told = [(int(number), float(time_s)) for time_s, number in
            re.findall(r"^\[([\d.]+)\] .*icmp_seq=(\d+)", output, re.MULTILINE)]
    gaps = (later_s - sooner_s for (sooner, sooner_s), (later, later_s) in pairwise(told) if later > sooner + 1)
    return 1000 * max(gaps, default=0.0)


class Service:
    """An address that several nodes have, in a prefix that they announce."""

    def __init__(self, lab: Lab, names: Sequence[str]) -> None:
        self._lab = lab
        self.names = tuple(names)
        for name in names:
            lab[name].run(("ip", "address", "replace", f"{SERVICE_ADDRESS}/32", "dev", "lo"))

    def announce(self, names: Sequence[str]) -> None:
        """Have these nodes announce the prefix, and the others not; returns when the gateway goes by it."""
        for name in self.names:
            BgpNode(self._lab, name).announce([SERVICE] if name in names else [])
        self.await_routes(names)

    def await_routes(self, names: Sequence[str]) -> None:
        """Return when the switch's route to the service is by these nodes, for packets of flows that it knows, too."""
        vias = {self._lab.plan.address(name) for name in names}
        wait_until(f"the service by {', '.join(names) or 'nobody'}",
                   lambda: set(self._lab.routes().get(SERVICE, ())) == vias, CONVERGED_S)
        self._lab.settled_flows()  # until then the datapath's cache may go by what was before

    def await_session(self, name: str) -> None:
        """Return when the gateway has a node's pod subnet again."""
        node = next(node for node in self._lab.plan.nodes if node.name == name)
        wait_until(f"the session with {name}", lambda: node.pod_subnet in self._lab.routes(), CONVERGED_S)

    def answering(self, src: str, address: str = "") -> str:
        """The node that answers what ``src`` asks, from one of its addresses: flows are spread, and each stays where it
        is."""
        capture = self._lab.capture([f"{name}:eth0" for name in self.names])
        source = ("-I", address) if address else ()
        done = self._lab[src].run(("ping", "-n", "-q", "-c", "1", "-W", "5", *source, SERVICE_ADDRESS))
        frames = self._lab.captured(capture)
        asked = {frame.machine for frame in frames if frame.fields.get("ip.dst") == SERVICE_ADDRESS}
        if done.returncode or len(asked) != 1:
            raise LabError(f"{src}'s ping of {SERVICE_ADDRESS} came to {sorted(asked)}, status {done.returncode}")
        return asked.pop()

    def probe(self, src: str, interval_ms: int) -> Probe:
        """Ask the service at a fixed rate; returns when it has answered a few times."""
        words = ("ping", "-n", "-D", "-i", f"{interval_ms / 1000:g}", "-W", "1", SERVICE_ADDRESS)
        process = self._lab[src].spawn(words)
        wait_until("the first answers", lambda: "icmp_seq=10 " in process.output())
        return Probe(process)
