"""Links held against what was asked of them, in every lab, before the first block.

Measured is from the node of the first endpoint to that of the second, over two links each way and the switch, which is
the same in every design. Asked are values of one link; what they make of these two is what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, inf, lgamma, log, log1p, sqrt
from statistics import StatisticsError, median, quantiles
from typing import TYPE_CHECKING, Any

from emu.errors import LabError
from emu.live.links import burst_ms
from emu.measure.departures import SHARE, late_at_most_us
from emu.measure.parsers import BadOutput, parse_ping
from emu.model import Shape
from emu.packets import ETHERNET_HEADER_BYTES, IP_HEADER_BYTES, UDP_HEADER_BYTES

if TYPE_CHECKING:
    from emu.measure.running import Bench

RATE_BOUND = 0.05
"""How far from the rate asked for a link may be; two frames, where they are more."""
ROUND_TRIP_BOUND, STACK_US = 0.05, 1000.0
"""How far from four times the delay a median round trip may be, and what stacks and switch may add to it."""
JITTER_BOUND = 0.25
"""How far the spread of round trips may be from what was asked: some five standard errors of ``PINGS``."""
LOSS_CHANCE = 1e-4
"""How often a link that loses just what was asked may be told otherwise."""

PINGS, PING_INTERVAL_S, PING_BYTES, PING_SHARE = 500, 0.002, 98, 0.1
"""Pings of a check; frames of the interval's pings take a tenth of a link at the most."""
FLOOD_S, LONGEST_FLOOD_S, FLOOD_FRAMES, OFFERED = 1.5, 15.0, 100, 1.2
"""How long a rate is measured: longer where that is not so many frames, up to a limit. Offered is a fifth more."""
FIRST_PINGS = 20
LOST_PINGS = "loss of pings"
LATENESS = f"lateness of {SHARE:.0%} of departures"

QUARTILES_APART = 1.349
"""How far the quartiles of a normal distribution are apart, in standard deviations."""
PATIENCE_S = 30.0
"""Beyond its expected time, how long ping may take."""


@dataclass(frozen=True)
class LinkCheck:
    """One quantity of a design's links. ``achieved`` is ``None``, and ``error`` told, where it could not be measured.

    ``asked``: what the links of the path are to make of it together; ``low`` to ``high`` is as asked.
    """

    design: str
    src: str
    dst: str
    quantity: str
    unit: str
    asked: float
    low: float
    high: float
    achieved: float | None = None
    error: str | None = None


def arriving_bps(first: Shape, second: Shape) -> float:
    """What comes in, in bit/s of frames, of more than two links carry; infinite where neither has a rate."""
    rates = [inf if shape.bw is None else shape.bw * 1e6 for shape in (first, second)]
    return min(rates[0] * (1 - second.loss / 100), rates[1]) if second.loss < 100 else 0.0


def expected(first: Shape, second: Shape, mtu: int) -> Iterator[tuple[str, str, float, float, float]]:
    """Quantity, unit, asked, low and high of all that two links are asked for; pure."""
    if first.bw is not None or second.bw is not None:
        rate_bps = arriving_bps(first, second)
        bound = max(RATE_BOUND, 2 / (flood_s(rate_bps, mtu) * _frames_per_s(rate_bps, mtu))) if rate_bps else 0.0
        yield "rate", "bit/s", rate_bps, rate_bps * (1 - bound), rate_bps * (1 + bound)
        if rate_bps and not second.loss:  # what the second link loses leaves gaps that are none of the schedule's
            yield LATENESS, "us", 0.0, 0.0, burst_ms(rate_bps / 1e6, mtu) * 1000
    if first.delay or second.delay:
        late_us = (first.delay + second.delay) * 1000 * 2
        yield ("round trip", "us", late_us, late_us * (1 - ROUND_TRIP_BOUND),
               late_us * (1 + ROUND_TRIP_BOUND) + STACK_US)
    if first.jitter or second.jitter:
        each_us = 1000 * sqrt((first.jitter**2 + second.jitter**2) / 2)
        yield "jitter", "us", each_us, each_us * (1 - JITTER_BOUND), each_us * (1 + JITTER_BOUND)
    if first.loss or second.loss:
        lost = 1 - ((1 - first.loss / 100) * (1 - second.loss / 100)) ** 2
        fewest, most = binomial_range(PINGS, lost, LOSS_CHANCE)
        yield LOST_PINGS, "1", lost, fewest / PINGS, most / PINGS


def flood_s(rate_bps: float, mtu: int) -> float:
    """How long a rate is measured, in seconds."""
    return min(max(FLOOD_S, FLOOD_FRAMES / _frames_per_s(rate_bps, mtu)), LONGEST_FLOOD_S)


def _frames_per_s(rate_bps: float, mtu: int) -> float:
    return rate_bps / 8 / (mtu + ETHERNET_HEADER_BYTES)


def binomial_range(count: int, chance: float, outside: float) -> tuple[int, int]:
    """The range that so many draws leave, to either side, with a probability of half of ``outside`` at the most."""
    if chance >= 1:
        return count, count

    def probability(k: int) -> float:
        return exp(lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) + k * log(chance)
                   + (count - k) * log1p(-chance))

    low, below = 0, probability(0)
    while below <= outside / 2:
        low += 1
        below += probability(low)
    high, above = count, probability(count)
    while above <= outside / 2:
        high -= 1
        above += probability(high)
    return low, high


def jitter_us(rtts_us: Sequence[float]) -> float:
    """The jitter, in us, that spreads round trips so if each of the four links on the way has it.

    A link's delay is evenly within its jitter: 1/sqrt(3) of it is the standard deviation, that of four links' sum twice
    as much. It is told from the quartiles, since one stall of the machine would make the standard deviation its own.
    """
    first, _, third = quantiles(rtts_us, n=4)
    return (third - first) / QUARTILES_APART * sqrt(3) / 2


def check_links(bench: Bench, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """All that the scenario asks of a design's links, measured, as ``run.json`` keeps it; empty if it asks nothing.
    ``tell`` is told if there is something to measure, which takes seconds."""
    plan = bench.lab.plan
    src, dst = (plan.node_of[name].name for name in bench.endpoints)
    shapes = plan.port_of[src].shape, plan.port_of[dst].shape
    checks = [LinkCheck(plan.spec, src, dst, *each) for each in expected(*shapes, plan.scenario.mtu)]
    if not checks:
        return []
    tell(f"measuring the links of {bench.spec}")
    measured = _pinged(bench, src, dst, shapes)  # first: neighbors are known afterwards
    if any(check.quantity == "rate" for check in checks):
        measured |= _flooded(bench, src, dst, shapes)
    return [asdict(replace(check, achieved=found) if isinstance(found := measured[check.quantity], float)
                   else replace(check, error=found)) for check in checks]


def _pinged(bench: Bench, src: str, dst: str, shapes: tuple[Shape, Shape]) -> dict[str, float | str]:
    """What pings tell of links: a value, or why there is none."""
    address = bench.lab.plan.address(dst)
    interval_s = max(PING_INTERVAL_S, *(PING_BYTES * 8 / (PING_SHARE * shape.bw * 1e6) for shape in shapes if shape.bw))
    argv = ["ping", "-n", "-c", str(PINGS), "-i", f"{interval_s:.3f}", "-W", "2", address]
    try:
        for _ in range(FIRST_PINGS):  # until neighbors are known: ARP may be lost, and is asked again after a second
            if not bench.lab[src].run(["ping", "-n", "-c", "1", "-W", "2", address], timeout_s=PATIENCE_S).returncode:
                break
        done = bench.lab[src].run(argv, timeout_s=PINGS * interval_s + PATIENCE_S)
        bench.keep("links-ping", src, done)
        readings = parse_ping(done.stdout, done.stderr, done.returncode)
        rtts_us = [reading.value for reading in readings if reading.metric == "rtt"]
        lost = next(reading.value for reading in readings if reading.metric == "loss")
        return {"round trip": median(rtts_us), "jitter": jitter_us(rtts_us), LOST_PINGS: lost}
    except (BadOutput, LabError, StatisticsError) as error:
        return dict.fromkeys(("round trip", "jitter", LOST_PINGS), str(error))


def _flooded(bench: Bench, src: str, dst: str, shapes: tuple[Shape, Shape]) -> dict[str, float | str]:
    """What a flood tells of links, its rate in bit/s of frames: a value, or why there is none."""
    mtu, rate_bps = bench.lab.plan.scenario.mtu, arriving_bps(*shapes)
    kept = (1 - shapes[0].loss / 100) * (1 - shapes[1].loss / 100)
    if not kept:
        return dict.fromkeys(("rate", LATENESS), "with all frames lost there is nothing to measure")
    try:
        payload_bytes = mtu - IP_HEADER_BYTES - UDP_HEADER_BYTES
        flooded = bench.lab.flood(src, dst, payload_bytes, rate_bps * OFFERED / kept, flood_s(rate_bps, mtu))
    except LabError as error:
        return dict.fromkeys(("rate", LATENESS), str(error))
    arrivals = "\n".join(f"{t_ns} {size}" for t_ns, size in flooded.arrivals)
    bench.folder.add_call("links-flood", {"design": bench.spec, "from": src, "to": dst, **asdict(flooded),
                                          "arrivals": arrivals})
    late = late_at_most_us(flooded.arrivals, rate_bps) if flooded.arrivals else "no frame came in"
    return {"rate": flooded.received_bytes * 8 / flooded.seconds, LATENESS: late}


def link_faults(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Designs whose links were not as asked for, each with what was measured. A run of a version that did not measure
    its links has none."""
    return [(check["design"], f"{check['design']}: {_told(check)}") for check in run.get("links", ())
            if check["achieved"] is None or not check["low"] <= check["achieved"] <= check["high"]]


def lost_pings(run: Mapping[str, Any]) -> float:
    """The share of pings that links were asked to lose, there and back; 0 where they are to lose none."""
    return max((check["asked"] for check in run.get("links", ()) if check["quantity"] == LOST_PINGS), default=0.0)


def links_text(run: Mapping[str, Any]) -> str:
    """What links were asked to be, and were, in one line; empty where nothing was measured."""
    return "; ".join(f"{check['design']}: {_told(check)}" for check in run.get("links", ()))


def _told(check: Mapping[str, Any]) -> str:
    scale, unit = {"bit/s": (1e-6, " Mbit/s"), "us": (1e-3, " ms"), "1": (100.0, " %")}[check["unit"]]
    where = f"{check['quantity']} from {check['src']} to {check['dst']}"
    if check["achieved"] is None:
        return f"{where} could not be measured: {check['error']}"
    asked, achieved = (f"{check[name] * scale:.4g}{unit}" for name in ("asked", "achieved"))
    return f"{where}: {asked} asked for, {achieved} measured"
