"""What a trial does, as scripts: generators that yield calls of tools and are sent what these printed.

A script touches nothing itself. It yields a batch of calls that are to run at the same time, gets what each of them
printed, may yield another batch that depends on it, and returns the trial's readings. So a search over many calls is
as pure, and as easily tested, as the reading of one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.live.servers import WEB_PORT
from emu.measure.metrics import Reading
from emu.measure.parsers import (
    PING_WARMUP_PACKETS,
    PINNED_CONGESTION_CONTROL,
    BadOutput,
    Printed,
    UdpProbe,
    parse_connects,
    parse_end,
    parse_loaded_ping,
    parse_streams,
    parse_udp_probe,
    parse_wrk,
)
from emu.measure.web_schedule import SCHEDULE_REST_S, SCHEDULE_WARMUP_S, web_schedule_parser
from emu.model import Plan

if TYPE_CHECKING:
    from emu.live.lab import Completed

STREAM_PORT = 5201
"""The first iperf3 server's; further ones listen on the ports after it."""

ECHO_PORT = 11111
PING_INTERVAL_S = 0.002  # the shortest that ping allows anyone but root
WEB_WARMUP_S = 0.15  # a run of wrk whose output is thrown away
WRK_SCRIPT_PATH, SCHEDULE_SCRIPT_PATH = "/run/emu/wrk.lua", "/run/emu/schedule.lua"
HUNG_S = 2.0
"""Beyond its length, how long a schedule goes on whose server answers nobody any more, before it is ended."""
LOAD_LEAD_S = 0.4
"""How long a stream runs before latency under load is looked at: it fills the link first."""

PROBE_S = 1
"""Length of one probe of the search for the loss-free rate; iperf3 takes whole seconds."""

MOST_LOST = 0.001
"""Share of datagrams that may be missing at a rate that is called loss-free."""

RATE_RESOLUTION = 0.05
"""The search ends when the rate that failed is no further above the one that passed, as a share of the former."""

LOWEST_RATE_BPS = 1e6
"""Below this no loss-free rate is looked for."""


@dataclass(frozen=True)
class Lengths:
    """How long the trials of a profile are; warm-up comes on top."""

    ping_packets: int
    request_s: float
    stream_s: int
    first_packets: int


@dataclass(frozen=True)
class Call:
    """A command for one machine of the lab."""

    machine: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Ends:
    """Between which machines a trial goes: ``address`` is the target's, ``senders`` are for incast."""

    source: str
    target: str
    address: str
    senders: tuple[str, ...] = ()


Script = Generator[Sequence[Call], "Sequence[Completed]", list[Reading]]
Client = Callable[[str, Lengths], Sequence[str]]
Parser = Callable[[str, str, int], list[Reading]]


def _printed(done: Completed) -> Printed:
    return done.stdout, done.stderr, done.returncode


def senders(plan: Plan, count: int) -> tuple[str, ...]:
    """Up to ``count`` machines of the endpoints' kind on other nodes than the second endpoint's, spread over nodes: the
    first container of each node, then the second of each. The first endpoint is always the first of them."""
    if plan.endpoints is None:
        return ()
    source, target = plan.endpoints
    if count == 1:
        return (source,)
    others = [node for node in plan.nodes if node is not plan.node_of[target]]
    if source in plan.container_of:
        ranked = sorted(((rank, node.name, container.name) for node in others
                         for rank, container in enumerate(node.containers)), key=lambda item: item[0])
        names = [name for _, _, name in ranked]
    else:
        names = [node.name for node in others]
    return (source, *(name for name in names if name != source))[:count]


def once(client: Client, parse: Parser) -> Callable[[Ends, Lengths], Script]:
    """One call on the first endpoint, which knows the address of the second."""

    def script(ends: Ends, lengths: Lengths) -> Script:
        (done,) = yield [Call(ends.source, tuple(client(ends.address, lengths)))]
        return parse(*_printed(done))

    return script


def ping(address: str, lengths: Lengths) -> list[str]:
    """Pings at a short interval, the warm-up included."""
    packets = lengths.ping_packets + PING_WARMUP_PACKETS
    return ["ping", "-n", "-c", str(packets), "-i", str(PING_INTERVAL_S), "-W", "1", address]


def single_ping(address: str, lengths: Lengths) -> list[str]:
    """One ping, which has time for a cold start."""
    return ["ping", "-n", "-c", "1", "-W", "5", address]


def web(connections: int, path: str) -> Callable[[Ends, Lengths], Script]:
    """wrk, after a run of it that does not count. It takes whole seconds only; an interrupt ends it earlier, and it
    then prints all the same."""

    def script(ends: Ends, lengths: Lengths) -> Script:
        url = f"http://{ends.address}:{WEB_PORT}{path}"
        yield [Call(ends.source, _wrk(WEB_WARMUP_S, connections, url))]
        (done,) = yield [Call(ends.source, _wrk(lengths.request_s, connections, url))]
        return parse_wrk(*_printed(done))

    return script


def web_schedule(connections: int, path: str, per_second: int) -> Callable[[Ends, Lengths], Script]:
    """wrk at a fixed schedule, which ends itself. Were no connection answered any more, none could: then an interrupt
    does, and wrk prints all the same."""

    def script(ends: Ends, lengths: Lengths) -> Script:
        seconds = SCHEDULE_WARMUP_S + lengths.request_s + SCHEDULE_REST_S
        (done,) = yield [Call(ends.source, (
            *ended_after(seconds + HUNG_S), "wrk", f"-t{connections}", f"-c{connections}", "-d1h",
            "-s", SCHEDULE_SCRIPT_PATH, f"http://{ends.address}:{WEB_PORT}{path}",
            "--", str(per_second), str(connections), f"{seconds:g}"))]
        return web_schedule_parser(per_second, connections, lengths.request_s)(*_printed(done))

    return script


def web_connects(path: str) -> Callable[[Ends, Lengths], Script]:
    """wrk with a connection for each request, between two readings of how many the kernel has opened."""

    def script(ends: Ends, lengths: Lengths) -> Script:
        url = f"http://{ends.address}:{WEB_PORT}{path}"
        words = " ".join(_wrk(lengths.request_s, 1, url)) + " -H 'Connection: close'"
        opened = "grep ^Tcp: /proc/net/snmp"
        (done,) = yield [Call(ends.source, ("sh", "-c", f"{opened}; {words}; status=$?; {opened}; exit $status"))]
        return parse_connects(*_printed(done))

    return script


def _wrk(seconds: float, connections: int, url: str) -> tuple[str, ...]:
    return (*ended_after(seconds), *("wrk", "-t1", f"-c{connections}", "-d1h", "-s", WRK_SCRIPT_PATH, url))


def ended_after(seconds: float) -> tuple[str, ...]:
    """What has a command interrupted after so long; its own status stays. Once more a second later: wrk misses an
    interrupt that comes before its main thread sleeps. What does not end then is killed.

    In the foreground timeout(1) passes on an interrupt that it is sent itself, and leaves the command in our process
    group; else it hears none after its own, and what it killed would be itself.
    """
    interrupt = ("timeout", "--foreground", "--preserve-status", "--signal=INT")
    return *interrupt, f"{seconds + 1:g}", *interrupt, "--kill-after=5", f"{seconds:g}"


ECHO_LOG = "/run/emu/echo.csv"
_HISTOGRAM = ("awk -F, '/^[0-9]/ { n[int(($3 - $2) * 1e7 + 0.5)]++ }"
              """ END { for (v in n) printf "emu latency_us %.1f %d\\n", v / 10, n[v] }'""")


def ping_pong(size: int) -> Client:
    """sockperf's ping-pong over UDP: one message and its answer at a time. Of its full log, which is long, every
    distinct time is printed with how often it occurred."""

    def client(address: str, lengths: Lengths) -> list[str]:
        sockperf = (f"sockperf ping-pong -i {address} -p {ECHO_PORT} -m {size} -t {_whole(lengths.request_s)}"
                    f" --full-rtt --full-log {ECHO_LOG}")
        return ["sh", "-c", f"rm -f {ECHO_LOG}; {sockperf} && {_HISTOGRAM} {ECHO_LOG}"]

    return client


def under_load(size: int, per_second: int) -> Client:
    """sockperf sending at a fixed schedule, whatever the answers do; its full log is printed as it is."""

    def client(address: str, lengths: Lengths) -> list[str]:
        sockperf = (f"sockperf under-load -i {address} -p {ECHO_PORT} -m {size} -t {_whole(lengths.request_s)}"
                    f" --mps {per_second} --reply-every 1 --full-rtt --full-log {ECHO_LOG}")
        return ["sh", "-c", f"rm -f {ECHO_LOG}; {sockperf} && cat {ECHO_LOG}"]

    return client


def _whole(seconds: float) -> int:
    """sockperf takes whole seconds, and does not count the first 0.4."""
    return max(1, round(seconds))


_SENT = """awk -F'[: ]+' '$2 == "eth0" { print "emu eth0", $11, "bytes", $12, "packets" }' /proc/net/dev"""


END_CLOCK = "date '+emu ended %s.%N'"


def _stream(machine: str, address: str, port: int, seconds: int, then: str = "true") -> Call:
    iperf3 = (
        f"iperf3 -c {address} -p {port} -t {seconds} -i 0.1 -C {PINNED_CONGESTION_CONTROL}"
        " -J --get-server-output --connect-timeout 5000"
    )
    return Call(machine, ("sh", "-c", f"{_SENT}; {iperf3}; status=$?; {then}; {_SENT}; exit $status"))


def streams(flows: int) -> Callable[[Ends, Lengths], Script]:
    """TCP flows side by side, a process each: iperf3 before 3.16 serves all its flows from one thread."""

    def script(ends: Ends, lengths: Lengths) -> Script:
        done = yield [_stream(ends.source, ends.address, STREAM_PORT + flow, lengths.stream_s) for flow in range(flows)]
        return parse_streams([_printed(each) for each in done])

    return script


def incast(ends: Ends, lengths: Lengths) -> Script:
    """A TCP flow from each sender to the second endpoint, all at once."""
    done = yield [_stream(sender, ends.address, STREAM_PORT + flow, lengths.stream_s)
                  for flow, sender in enumerate(ends.senders)]
    return parse_streams([_printed(each) for each in done])


def rr_under_load(ends: Ends, lengths: Lengths) -> Script:
    """Pings while a TCP stream fills the link. Pings begin when it does, and those answered after it has ended, by
    the machine's clock, do not count."""
    pings = (*ended_after(lengths.stream_s - LOAD_LEAD_S),
             "ping", "-D", "-n", "-i", str(PING_INTERVAL_S), "-W", "1", ends.address)
    stream = _stream(ends.source, ends.address, STREAM_PORT, lengths.stream_s, END_CLOCK)
    loaded, echo = yield [stream, Call(ends.source, ("sh", "-c", f"sleep {LOAD_LEAD_S}; exec {' '.join(pings)}"))]
    throughput = next(reading for reading in parse_streams([_printed(loaded)]) if reading.metric == "throughput")
    return [*parse_loaded_ping(*_printed(echo), parse_end(loaded.stdout)), throughput]


def udp_search(size: int) -> Callable[[Ends, Lengths], Script]:
    """The highest rate that arrives whole, by bisection (after RFC 2544, section 26.1; ``MOST_LOST`` is for its zero).

    The first probe sends as fast as the sender can. If that is lost in part, rates between none and that are halved
    until ``RATE_RESOLUTION`` is reached. What is given is the rate that the receiver counted in the best probe.
    """

    def script(ends: Ends, lengths: Lengths) -> Script:
        best = yield from _probe(ends, size, 0)
        lossless, lossy_bps = (best, 0.0) if best.loss <= MOST_LOST else (None, best.sent_bps)
        low_bps = 0.0
        while lossy_bps - low_bps > RATE_RESOLUTION * lossy_bps:
            asked_bps = (low_bps + lossy_bps) / 2
            if asked_bps < LOWEST_RATE_BPS:
                raise BadOutput(f"more than {MOST_LOST:.1%} was lost even at {lossy_bps / 1e6:.3g} Mbit/s")
            probe = yield from _probe(ends, size, asked_bps)
            if probe.loss <= MOST_LOST:
                lossless, low_bps = probe, asked_bps
            else:
                lossy_bps = asked_bps
        assert lossless is not None
        return [Reading("throughput", lossless.received_bps)]

    return script


def _probe(ends: Ends, size: int, rate_bps: float) -> Generator[Sequence[Call], Sequence[Completed], UdpProbe]:
    argv = ("iperf3", "-u", "-c", ends.address, "-p", str(STREAM_PORT), "-b", f"{rate_bps:.0f}", "-l", str(size),
            "-t", str(PROBE_S), "-i", "0.1", "-J", "--get-server-output", "--connect-timeout", "5000")
    (done,) = yield [Call(ends.source, argv)]
    return parse_udp_probe(*_printed(done))
