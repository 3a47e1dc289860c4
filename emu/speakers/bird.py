"""BIRD 2 (bird.network.cz): on the nodes, and beside the gateway."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from emu.model import Node
from emu.programs import Process, Ready, symbol
from emu.speakers.base import BFD_INTERVAL_MS, BFD_MULTIPLIER, FOLDER, GATEWAY_AS, KEEPALIVES, Order, Timers, as_number

GATEWAY, SESSION = "gateway", "to_gateway"
_HEALTH = Timers(hold_s=9, bfd=True)
"""How clients find out that a bridge machine is silent."""


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
            (gateway,),
            ((_more(node.name), ""),),
        )

    def on_gateway(self, address: str, device: str, nodes: Sequence[Node], node_cidr: str, timers: Timers) -> Process:
        """The daemon beside the gateway: it takes what nodes announce, but never a node's own address or a default
        route, and writes it to its kernel's table, all of several equal routes for a prefix."""
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
{_sessions("node", ((node, as_number(node)) for node in nodes))}
""",
            tuple(node.address for node in nodes),
        )

    def on_bridge(self, bridge: Node, clients: Sequence[Node], pod_cidr: str, device: str) -> Process:
        """The daemon of a bridge machine: it announces all pods to its clients as long as the overlay's ``device`` is
        there. BFD tells them when the whole machine is gone."""
        return _process(
            bridge.name,
            f"""{_head(bridge.address, _HEALTH, "eth0")}
protocol static pods {{ ipv4; route {pod_cidr} via "{device}"; }}
template bgp a_client {{
  local {bridge.address} as {GATEWAY_AS};
  passive yes;
{_session(_HEALTH)}
  ipv4 {{ import none; next hop self; export where source = RTS_STATIC; }};
}}
{_sessions("a_client", ((client, as_number(client)) for client in clients))}
""",
            tuple(client.address for client in clients),
        )

    def behind_bridges(self, client: Node, bridges: Sequence[Node], pod_cidr: str) -> Process:
        """The daemon of a machine that comes to the pods by bridge machines: it writes to its kernel's table one route
        to all pods, by all of these that are alive."""
        process = _process(
            client.name,
            f"""{_head(client.address, _HEALTH, "eth0")}
protocol kernel {{ merge paths yes limit 255; ipv4 {{ import none; export filter {{
  if source != RTS_BGP then reject; krt_prefsrc = {client.address}; accept; }}; }}; }}
template bgp a_bridge {{
  local {client.address} as {as_number(client)};
{_session(_HEALTH)}
  connect delay time 1; connect retry time 1;
  ipv4 {{ import where net = {pod_cidr}; export none; }};
}}
{_sessions("a_bridge", ((bridge, GATEWAY_AS) for bridge in bridges))}
""",
            tuple(bridge.address for bridge in bridges),
        )
        there = Ready(("ip", "-4", "route", "show", pod_cidr), tuple(f"via {bridge.address} " for bridge in bridges))
        return replace(process, ready=(there,))

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
        return symbol(node.name)


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


def _sessions(template: str, neighbors: Iterable[tuple[Node, int]]) -> str:
    """Sessions after a template with machines and their AS numbers."""
    return "\n".join(f"protocol bgp {symbol(node.name)} from {template} {{ neighbor {node.address} as {number}; }}"
                     for node, number in neighbors)


def _more(name: str) -> str:
    return f"{FOLDER}/{name}.routes"


def _process(name: str, config: str, peers: tuple[str, ...], files: tuple[tuple[str, str], ...] = ()) -> Process:
    path = f"{FOLDER}/{name}"
    argv = ("bird", "-f", "-c", f"{path}.conf", "-s", f"{path}.ctl", "-P", f"{path}.pid")
    return Process(f"bird-{name}", argv, (*files, (f"{path}.conf", config)), _control(name, "show", "protocols"),
                   peers=peers)


def _control(name: str, *words: str) -> tuple[str, ...]:
    return ("birdc", "-s", f"{FOLDER}/{name}.ctl", *words)


SPEAKER = Bird()
