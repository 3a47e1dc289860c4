"""The workloads: what runs on the second endpoint, what the clients do, and how that is read.

A workload is a small value, made from its name and parameters (``udp_rr``, ``udp_rr:size=512``). Measuring goes from
the plan's first endpoint to its second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emu.errors import UsageError
from emu.live.servers import ANSWER_BYTES, Server, web_server
from emu.measure import scripts
from emu.measure.cost import Amount
from emu.measure.metrics import PER_BYTE, PER_TRANSACTION
from emu.measure.parsers import (
    PING_WARMUP_PACKETS,
    PINNED_CONGESTION_CONTROL,
    WRK_SCRIPT,
    echoes_of,
    parse_ping,
    parse_ping_pong,
    parse_single_ping,
    received_bytes_of,
    requests_of,
    schedule_parser,
)
from emu.measure.scripts import (
    ECHO_PORT,
    PING_INTERVAL_S,
    SCHEDULE_SCRIPT_PATH,
    STREAM_PORT,
    WEB_WARMUP_S,
    WRK_SCRIPT_PATH,
    Ends,
    Lengths,
    Script,
)
from emu.measure.web_schedule import SCHEDULE_REST_S, SCHEDULE_SCRIPT, SCHEDULE_WARMUP_S

WEB_CONNECTIONS = 8
LONGEST_SEARCH = 8
"""About how many probes the search for a loss-free rate takes, for the time left that is told."""

_PING_TOOLS = {"ping": ("ping", "-V")}
_STREAM_TOOLS = {"iperf3": ("iperf3", "--version")}
_WEB_TOOLS = {"wrk": ("wrk", "--version"), "nginx": ("nginx", "-v")}
_ECHO_TOOLS = {"sockperf": ("sockperf", "--version")}
_WRK_FILES = {WRK_SCRIPT_PATH: WRK_SCRIPT}

BYTES = Amount(PER_BYTE, lambda done: sum(received_bytes_of(each.stdout) for each in done))
REQUESTS = Amount(PER_TRANSACTION, lambda done: sum(requests_of(each.stdout) for each in done))
ECHOES = Amount(PER_TRANSACTION, lambda done: sum(echoes_of(each.stdout) for each in done))


@dataclass(frozen=True)
class Workload:
    """One way of loading the path between the endpoints, and of reading what the tools say of it.

    ``expected_s`` is how long one run of the script takes. A ``cold`` workload has every cache emptied before each
    run and makes ``calls`` runs in a trial; the others make one. ``tools``: each with the command that prints its
    version. ``servers`` run on the second endpoint. ``senders``: how many machines send. ``amount``: what its costs
    are divided by; without one they are not measured.
    """

    name: str
    about: str
    metrics: tuple[str, ...]
    tools: Mapping[str, Sequence[str]]
    script: Callable[[Ends, Lengths], Script]
    expected_s: Callable[[Lengths], float]
    servers: Callable[[str], Sequence[Server]] = lambda address: ()
    files: Mapping[str, str] = field(default_factory=dict)
    cold: bool = False
    calls: Callable[[Lengths], int] = lambda lengths: 1
    senders: int = 1
    amount: Amount | None = None

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """Its metrics and those of its costs."""
        return (*self.metrics, *(self.amount.metrics if self.amount else ()))

    @property
    def kind(self) -> str:
        """Its name without parameters."""
        return self.name.partition(":")[0]

    @property
    def parameters(self) -> str:
        """Its parameters as written; empty where all are the default."""
        return self.name.partition(":")[2]


def _web_servers(address: str) -> list[Server]:
    return [web_server(address)]


def _iperf3_servers(count: int) -> Callable[[str], list[Server]]:
    def servers(address: str) -> list[Server]:
        ports = range(STREAM_PORT, STREAM_PORT + count)
        return [Server(("iperf3", "-s", "-B", address, "-p", str(port), "-i", "0.1", "-J"), port) for port in ports]

    return servers


def _echo_servers(address: str) -> list[Server]:
    return [Server(("sockperf", "server", "-i", address, "-p", str(ECHO_PORT)), ECHO_PORT, protocol="udp")]


def _path(size: int) -> str:
    """Where nginx answers with so many bytes."""
    return "/" if size == ANSWER_BYTES[0] else f"/{size}"


def _request_s(lengths: Lengths) -> float:
    return 0.1 + WEB_WARMUP_S + lengths.request_s


def _echo_s(lengths: Lengths) -> float:
    return 2.3 + max(1, round(lengths.request_s))  # sockperf sleeps two seconds first


def _stream_s(lengths: Lengths) -> float:
    return 0.1 + lengths.stream_s


def _ping(name: str) -> Workload:
    return Workload(
        name, f"ICMP echo every {PING_INTERVAL_S * 1000:g} ms; each packet is a sample", ("rtt", "loss"),
        _PING_TOOLS, scripts.once(scripts.ping, parse_ping),
        lambda lengths: 0.03 + (lengths.ping_packets + PING_WARMUP_PACKETS) * PING_INTERVAL_S,
    )


def _tcp_rr(name: str, size: int) -> Workload:
    return Workload(
        name, f"one small request and its answer of {size} bytes at a time over one kept TCP connection (wrk and "
        "nginx)", ("rate", "latency"), _WEB_TOOLS, scripts.web(1, _path(size)), _request_s, _web_servers, _WRK_FILES,
        amount=REQUESTS,
    )


def _udp_rr(name: str, size: int, per_second: int) -> Workload:
    if per_second:
        return Workload(
            name, f"a message of {size} bytes over UDP {per_second} times a second, whatever the echoes do; latency "
            "counts from when the message was to be sent (sockperf)", ("latency", "loss"), _ECHO_TOOLS,
            scripts.once(scripts.under_load(size, per_second), schedule_parser(per_second)), _echo_s, _echo_servers,
        )
    return Workload(
        name, f"one message of {size} bytes and its echo at a time over UDP (sockperf)", ("rate", "latency", "loss"),
        _ECHO_TOOLS, scripts.once(scripts.ping_pong(size), parse_ping_pong), _echo_s, _echo_servers,
        amount=ECHOES,
    )


def _tcp_crr(name: str, size: int) -> Workload:
    return Workload(
        name, f"a TCP connection for each request and its answer of {size} bytes, one at a time (wrk and nginx)",
        ("rate",), _WEB_TOOLS, scripts.web_connects(_path(size)), lambda lengths: 0.1 + lengths.request_s,
        _web_servers, _WRK_FILES, amount=REQUESTS,
    )


def _tcp_stream(name: str, flows: int) -> Workload:
    counted = "one TCP flow" if flows == 1 else f"{flows} TCP flows, a process each,"
    return Workload(
        name, f"{counted} as fast as it goes, {PINNED_CONGESTION_CONTROL}, counted at the receiver (iperf3)",
        ("throughput", "retransmits", "packet_size"), _STREAM_TOOLS, scripts.streams(flows), _stream_s,
        _iperf3_servers(flows), amount=BYTES,
    )


def _udp_stream(name: str, size: int) -> Workload:
    return Workload(
        name, f"the highest rate of UDP datagrams of {size} bytes of which at most {scripts.MOST_LOST:.1%} are lost, "
        f"by bisection to {scripts.RATE_RESOLUTION:.0%} with probes of {scripts.PROBE_S} s (iperf3)",
        ("throughput",), _STREAM_TOOLS, scripts.udp_search(size),
        lambda lengths: LONGEST_SEARCH * (scripts.PROBE_S + 0.1), _iperf3_servers(1),
    )


def _http(name: str, size: int, per_second: int) -> Workload:
    if per_second:
        return Workload(
            name, f"GET {_path(size)} {per_second} times a second in turns over {WEB_CONNECTIONS} kept connections, "
            f"whatever the answers of {size} bytes do; latency counts from when a request was due (wrk and nginx)",
            ("latency", "loss"), _WEB_TOOLS, scripts.web_schedule(WEB_CONNECTIONS, _path(size), per_second),
            lambda lengths: 0.2 + SCHEDULE_WARMUP_S + lengths.request_s + SCHEDULE_REST_S, _web_servers,
            {SCHEDULE_SCRIPT_PATH: SCHEDULE_SCRIPT},
        )
    return Workload(
        name, f"GET {_path(size)} over {WEB_CONNECTIONS} kept connections in a closed loop, answers of {size} bytes "
        "(wrk and nginx)", ("rate", "latency"), _WEB_TOOLS, scripts.web(WEB_CONNECTIONS, _path(size)), _request_s,
        _web_servers, _WRK_FILES, amount=REQUESTS,
    )


def _first_packet(name: str) -> Workload:
    return Workload(
        name, "one ICMP echo after neighbors, datapath flows and what the controller learned have been emptied",
        ("latency",), _PING_TOOLS, scripts.once(scripts.single_ping, parse_single_ping), lambda lengths: 0.05,
        cold=True, calls=lambda lengths: lengths.first_packets,
    )


def _rr_under_load(name: str) -> Workload:
    return Workload(
        name, f"ICMP echo every {PING_INTERVAL_S * 1000:g} ms while one TCP flow fills the link (ping and iperf3)",
        ("rtt", "loss", "throughput"), {**_PING_TOOLS, **_STREAM_TOOLS}, scripts.rr_under_load,
        lambda lengths: 0.1 + lengths.stream_s, _iperf3_servers(1),
    )


def _incast(name: str, senders: int) -> Workload:
    return Workload(
        name, f"a TCP flow from each of {senders} machines on other nodes to one, all at once (iperf3)",
        ("throughput", "retransmits", "packet_size"), _STREAM_TOOLS, scripts.incast, _stream_s,
        _iperf3_servers(senders), senders=senders, amount=BYTES,
    )


@dataclass(frozen=True)
class Kind:
    """Workloads of one name: ``make`` takes the name and each of ``parameters``, whose first value is the default."""

    make: Callable[..., Workload]
    parameters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


MESSAGE_BYTES = (64, 512, 1500)
DATAGRAM_BYTES = (1400, 64, 512, 1500)
"""1400 bytes fit one packet in every design; 1500 do not, and are cut into fragments."""

SCHEDULES_PER_S = (0, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Messages or requests a second at a fixed schedule; 0: none, the next one waits for the last one's answer."""

KINDS: Mapping[str, Kind] = {
    "ping": Kind(_ping),
    "tcp_rr": Kind(_tcp_rr, {"size": ANSWER_BYTES}),
    "udp_rr": Kind(_udp_rr, {"size": MESSAGE_BYTES, "per_second": SCHEDULES_PER_S}),
    "tcp_crr": Kind(_tcp_crr, {"size": ANSWER_BYTES}),
    "tcp_stream": Kind(_tcp_stream, {"flows": tuple(range(1, 17))}),
    "udp_stream": Kind(_udp_stream, {"size": DATAGRAM_BYTES}),
    "http": Kind(_http, {"size": ANSWER_BYTES, "per_second": SCHEDULES_PER_S}),
    "first_packet": Kind(_first_packet),
    "rr_under_load": Kind(_rr_under_load),
    "incast": Kind(_incast, {"senders": tuple(range(2, 17))}),
}
"""All workloads by name, in the order in which tables and reports show them."""

DEFAULT_WORKLOADS = ("ping", "tcp_rr", "tcp_stream", "http", "first_packet")
"""What a comparison runs when it is not told."""


def parse_workload(text: str) -> Workload:
    """``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE``; ``UsageError`` names all mistakes. The workload's own name holds the
    parameters that are not the default, in their own order, so that one thing has one name."""
    name, _, rest = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"there is no workload '{name}'; there are: {', '.join(KINDS)}")
    values = {key: offered[0] for key, offered in kind.parameters.items()}
    problems: list[str] = []
    given: set[str] = set()
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        offered = kind.parameters.get(key, ())
        if not offered:
            known = ", ".join(kind.parameters) or "none"
            problems.append(f"workload {name}: '{item}' is no KEY=VALUE of its parameters ({known})")
        elif key in given:
            problems.append(f"workload {name}: '{key}' is given twice")
        elif value not in map(str, offered):
            problems.append(not_offered(name, key, value))
        else:
            values[key] = int(value)
        given.add(key)
    if problems:
        raise UsageError(*problems)
    named = ",".join(f"{key}={value}" for key, value in values.items() if value != kind.parameters[key][0])
    return kind.make(f"{name}:{named}" if named else name, *values.values())


def not_offered(kind: str, key: str, value: object) -> str:
    """The complaint about a value that a parameter of a workload does not take."""
    return f"workload {kind}: {key} takes {'|'.join(map(str, KINDS[kind].parameters[key]))}, not '{value}'"


WORKLOADS: Mapping[str, Workload] = {name: parse_workload(name) for name in KINDS}
"""All workloads with their default parameters, by name."""


def in_order(workloads: Iterable[Workload]) -> dict[str, Workload]:
    """Workloads by their names, in the order in which tables and reports show them."""
    kinds = list(KINDS)
    return {workload.name: workload for workload in sorted(workloads, key=lambda w: kinds.index(w.kind))}


def workloads_named(names: Iterable[str]) -> dict[str, Workload]:
    """The workloads of a stored run, ``in_order``; those that this version does not know are left out."""
    found = []
    for name in names:
        try:
            found.append(parse_workload(name))
        except UsageError:
            continue
    return in_order(found)


def trial_s(workload: Workload, lengths: Lengths) -> float:
    """How long one trial of ``workload`` is expected to take, in seconds."""
    return workload.expected_s(lengths) * workload.calls(lengths)
