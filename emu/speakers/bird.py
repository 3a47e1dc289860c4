"""BIRD 2 (bird.network.cz): on the nodes, and beside the gateway."""

from __future__ import annotations

from collections.abc import Iterable

from emu.model import Node, Process
from emu.speakers.base import BFD_INTERVAL_MS, BFD_MULTIPLIER, FOLDER, GATEWAY_AS, KEEPALIVES, Order, Timers, as_number

GATEWAY, SESSION = "gateway", "to_gateway"


class Bird:
    """See the module."""

    name = "bird"

    def on_node(self, node: Node, gateway: str, timers: Timers) -> Process:
        """See ``base.Speaker``. The pod subnet is announced as long as cbr0 has it. BIRD takes the gateway for a
        neighbor only if eth0's address says that it is at the other end."""
        return _process(
            node.name,
            f"""{_head(node.address, timers, "eth0")}
protocol direct pods {{ ipv4; interface "cbr0"; }}
protocol static more {{
  ipv4;
include "{_more(node.name)}";
}}
protocol bgp {SESSION} {{
  local {node.address} as {as_number(node)};
  neighbor {gateway} as {GATEWAY_AS};
  interface "eth0";
{_session(timers)}
  connect delay time 1; connect retry time 1;
  ipv4 {{ import none; export where source ~ [ RTS_DEVICE, RTS_STATIC ]; }};
}}
""",
            ((_more(node.name), ""),),
        )

    def on_gateway(self, address: str, device: str, nodes: Iterable[Node], node_cidr: str, timers: Timers) -> Process:
        """The daemon beside the gateway: it takes what nodes announce, but never a node's own address or a default
        route, and writes it to its kernel's table, all of several equal routes for a prefix."""
        sessions = "\n".join(
            f"protocol bgp {_word(node.name)} from node {{ neighbor {node.address} as {as_number(node)}; }}"
            for node in nodes
        )
        return _process(
            GATEWAY,
            f"""{_head(address, timers, device)}
protocol kernel {{ merge paths yes limit 255; ipv4 {{ import none; export where source = RTS_BGP; }}; }}
template bgp node {{
  local {address} as {GATEWAY_AS};
  passive yes;
{_session(timers)}
  ipv4 {{
    import where net.len > 0 && ! (net ~ [ {node_cidr}+ ]);
    export none;
  }};
}}
{sessions}
""",
        )

    def announce(self, node: Node, prefixes: Iterable[str]) -> Order:
        text = "".join(f"route {prefix} blackhole;\n" for prefix in prefixes)
        return Order(((_more(node.name), text),), (_control(node.name, "configure"),))

    def stop(self, node: Node) -> Order:
        return Order((), (_control(node.name, "disable", SESSION),))

    def resume(self, node: Node) -> Order:
        return Order((), (_control(node.name, "enable", SESSION),))

    def sessions(self, node: Node) -> tuple[str, ...]:
        return _control(node.name, "show", "protocols", SESSION)

    def pid_file(self, node: Node) -> str:
        return f"{FOLDER}/{node.name}.pid"

    def gateway_sessions(self) -> tuple[str, ...]:
        """The command that tells of the gateway's sessions, in the order of nodes."""
        return _control(GATEWAY, "show", "protocols")

    def session_name(self, node: Node) -> str:
        """What the gateway calls its session with a node."""
        return _word(node.name)


def sessions(text: str) -> list[dict[str, str]]:
    """The BGP sessions that ``birdc show protocols`` tells of: name, state, since when."""
    rows = (line.split() for line in text.splitlines())
    return [
        {"name": words[0], "state": words[5] if len(words) > 5 else words[3], "since": words[4]}
        for words in rows
        if len(words) > 4 and words[1] == "BGP"
    ]


def _head(router_id: str, timers: Timers, device: str) -> str:
    bfd = f'interface "{device}" {{ interval {BFD_INTERVAL_MS} ms; multiplier {BFD_MULTIPLIER}; }};'
    return "\n".join((
        "log stderr { warning, error, auth, fatal, bug };",
        f"router id {router_id};",
        "protocol device { }",
        *((f"protocol bfd {{ {bfd} }}",) if timers.bfd else ()),
    ))  # fmt: skip


def _session(timers: Timers) -> str:
    # After an error BIRD would not speak to a neighbor for a minute and more.
    keepalive_s = max(1, timers.hold_s // KEEPALIVES)
    bfd = "\n  bfd yes;" if timers.bfd else ""
    times = f"hold time {timers.hold_s}; keepalive time {keepalive_s}; error wait time 1, 1;"
    return f"  {times} graceful restart off;{bfd}"


def _word(name: str) -> str:
    """A symbol of BIRD's configuration for a name with hyphens."""
    return name.replace("-", "_")


def _more(name: str) -> str:
    return f"{FOLDER}/{name}.routes"


def _process(name: str, config: str, files: tuple[tuple[str, str], ...] = ()) -> Process:
    path = f"{FOLDER}/{name}"
    argv = ("bird", "-f", "-c", f"{path}.conf", "-s", f"{path}.ctl", "-P", f"{path}.pid")
    return Process(f"bird-{name}", argv, (*files, (f"{path}.conf", config)), _control(name, "show", "protocols"))


def _control(name: str, *words: str) -> tuple[str, ...]:
    return ("birdc", "-s", f"{FOLDER}/{name}.ctl", *words)


SPEAKER = Bird()
