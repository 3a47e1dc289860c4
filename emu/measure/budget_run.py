"""Taking a latency budget in a running lab: batches of exchanges, captured and not, in turn."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from emu.errors import LabError, UsageError
from emu.live.lab import Completed, Lab, choose
from emu.live.servers import WEB_PORT, start, web_server
from emu.measure.budget import REQUESTS, Batch, Budget, RoundTrip, account, exchanges
from emu.measure.parsers import PING_WARMUP_PACKETS as WARMUP
from emu.measure.parsers import echo_times_us
from emu.measure.scripts import PING_INTERVAL_S
from emu.walk.join import in_order, join
from emu.walk.topology import Topology, topology

BLOCKS = 8
"""Blocks of a budget: enough for an interval, few enough that starting and ending captures takes no longer than
pinging."""

CAPTURE_PAUSE_S = 0.01
"""Of the reader of a capture: it wakes once in five pings. By then some 200 frames (of curl) wait at a socket, and for
these there is room without root, too."""

_PATIENCE_S = 30
"""How long a batch, or one request of curl, may take; it takes milliseconds, in an emulated machine a second."""


def measure_budget(lab: Lab, src: str, dst: str, request: str, repeats: int,
                   keep: Callable[[Completed], None] = lambda done: None) -> Budget:
    """Make ``repeats`` captured requests (``ping`` or ``http``) from ``src`` to ``dst``, and as many uncaptured ones.

    Captured and uncaptured batches alternate, in an order drawn anew in each block from the scenario's seed; each
    begins with ten exchanges that do not count. ``keep`` is given every call of a tool. ``UsageError`` for a request
    that has no budget, ``LabError`` if one was not answered, a packet left its declared way or a frame was lost.
    """
    if request not in REQUESTS:
        raise UsageError(f"a latency budget is of {' or '.join(REQUESTS)}, not of '{request}'")
    if repeats < 1:
        raise UsageError(f"a latency budget takes one request at least, not {repeats}")
    trips = lab.round_trips(src, dst)
    if len(trips) != 1:
        raise LabError(f"{lab.plan.spec}: {len(trips) or 'no'} ways from {src} to {dst}, and a budget is of one")
    trip = RoundTrip(*trips[0])
    bench = _Bench(lab, src, dst, request, trip, topology(lab.plan), keep)
    order = random.Random(f"budget {lab.plan.scenario.seed}")
    batches: list[Batch] = []
    with ExitStack() as stack:
        if request == "http":
            stack.callback(start(lab, dst, web_server(lab.plan.address(dst))).stop)
        bench.exchange(0)  # resolves addresses and fills caches
        for block, count in enumerate(_shares(repeats)):
            for is_captured in order.sample([True, False], 2):
                batches.append((bench.captured if is_captured else bench.uncaptured)(block, count))
    return account(lab.plan, (src, dst), request, trip.legs, batches, choose(lab.plan)[0])


def _shares(repeats: int) -> list[int]:
    """``repeats`` divided among the blocks, as evenly as can be."""
    blocks = min(BLOCKS, repeats)
    return [repeats // blocks + (block < repeats % blocks) for block in range(blocks)]


@dataclass(frozen=True)
class _Bench:
    """Two machines of a running lab, and the way between them."""

    lab: Lab
    src: str
    dst: str
    request: str
    trip: RoundTrip
    there: Topology
    keep: Callable[[Completed], None]

    def captured(self, block: int, count: int) -> Batch:
        """``count`` exchanges, seen at every capture point of their way."""
        number = self.lab.capture(self.trip.points, CAPTURE_PAUSE_S)
        try:
            round_trips_us = self.exchange(count)
            self.lab.settle(number, self.there.peer)
        finally:
            frames = self.lab.captured(number)
        seen = exchanges(self.request, join(self.there, in_order(self.there, frames)))
        unseen = round_trips_us.keys() - seen.keys()
        if unseen:
            raise LabError(f"{self.lab.plan.spec}: {len(unseen)} of {count} exchanges were not captured")
        legs_us = [self.trip.times_us(*seen[name]) for name in round_trips_us]
        return Batch(block, list(round_trips_us.values()), legs_us)

    def uncaptured(self, block: int, count: int) -> Batch:
        """``count`` exchanges that nobody looks at."""
        return Batch(block, list(self.exchange(count).values()))

    def exchange(self, count: int) -> Mapping[int, float]:
        """Have ``count`` requests answered, after those that warm up; their round trips by the tool's clock, in us, by
        the names that ``exchanges`` has for them."""
        command, read = _TOOLS[self.request]
        done = self.lab[self.src].run(command(self.lab.plan.address(self.dst), WARMUP + count))
        self.keep(done)
        times_us = read(done.stdout)
        if done.returncode or len(times_us) < WARMUP + count:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise LabError(f"{self.lab.plan.spec}: {len(times_us)} of {WARMUP + count} requests by {done.argv[0]} were"
                           f" answered: {' '.join(said)}")
        return dict(list(times_us.items())[WARMUP : WARMUP + count])


def _ping(address: str, count: int) -> list[str]:
    """With ``-w`` it goes on until so many answers have come; without, it gives the last one two milliseconds."""
    return ["ping", "-n", "-c", str(count), "-i", str(PING_INTERVAL_S), "-w", str(_PATIENCE_S), address]


def _curl(address: str, count: int) -> list[str]:
    """Requests for ``/``, each over a connection of its own; what follows ``#`` curl keeps to itself."""
    said = "%{local_port} %{time_pretransfer} %{time_starttransfer}\n"
    options = ("-q", "-sS", "--fail-early", "--noproxy", "*", "-H", "Connection: close", "-o", "/dev/null", "-w", said)
    return ["curl", *options, "--max-time", str(_PATIENCE_S), f"http://{address}:{WEB_PORT}/#[1-{count}]"]


def _curl_times_us(stdout: str) -> dict[int, float]:
    """From the moment a connection was ready for a request to the first byte of its answer."""
    rows = (line.split() for line in stdout.splitlines())
    return {int(port): (float(first) - float(ready)) * 1e6 for port, ready, first in rows if float(first)}


_TOOLS: Mapping[str, tuple[Callable[[str, int], list[str]], Callable[[str], dict[int, float]]]] = {
    "ping": (_ping, echo_times_us),
    "http": (_curl, _curl_times_us),
}
"""How an address is asked so many times, one request after the other, and what the output says each took."""
