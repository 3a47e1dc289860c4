"""Flow tables for readers. `python -m controllers.describe` prints an example's, which `docs/controllers.md` shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import IntEnum
from ipaddress import IPv4Network

from controllers import answering, guarding, learning, resolving, routing
from controllers.pipeline import (
    CONTROLLER,
    FLOOD,
    IN_PORT,
    NO_MEMBER,
    Action,
    CheckLarger,
    Flow,
    GatewayTable,
    L2Table,
    MatchValue,
    Move,
    Output,
    SetField,
    Spread,
)
from controllers.plan import BY_CONTROLLER, BY_SWITCH, Binding, EgressMtu, Gateway, Neighbor, Route, Station
from controllers.rib import Rib

_PORTS = {IN_PORT: "the port it came from", FLOOD: "all other ports", CONTROLLER: "the controller"}


def draw(flows: Iterable[Flow], tables: type[IntEnum]) -> str:
    """Flows as a Markdown table, in the order a packet meets them."""
    lines = ["| table | priority | match | does | what for |", "|---|---|---|---|---|"]
    for flow in sorted(flows, key=lambda flow: (flow.table, -flow.priority)):
        matched = ", ".join(f"{field}={_value(value)}" for field, value in flow.match) or "anything"
        does = [_action(action) for action in flow.actions]
        does += [] if flow.metadata is None else [f"metadata={flow.metadata}"]
        does += [] if flow.goto is None else [f"go to {tables(flow.goto).name}"]
        table = f"{flow.table} {tables(flow.table).name}"
        lines.append(f"| {table} | {flow.priority} | {matched} | {', '.join(does) or 'drop'} | {flow.purpose} |")
    return "\n".join(lines) + "\n"


def _value(value: MatchValue) -> str:
    if isinstance(value, tuple):
        return f"{value[0]}/{value[1]}"
    return f"{value:#06x}" if isinstance(value, int) and value > 0xFF else str(value)


def _action(action: Action) -> str:
    if isinstance(action, Output):
        return f"to {_PORTS.get(action.port, f'port {action.port}')}"
    if isinstance(action, SetField):
        return f"{action.field}={action.value}"
    if isinstance(action, Move):
        return f"{action.target}={action.source}"
    if isinstance(action, CheckLarger):
        return f"reg0=1 if longer than {action.size_bytes} bytes, else 0"
    if isinstance(action, Spread):
        return f"reg1={' or '.join(str(port) for port in action.ports if port != NO_MEMBER)}, as the flow hashes"
    return "TTL - 1"


def switch_example() -> str:
    """The layer-2 tables with one planned station that has an address, one learned one, and one proxy ARP binding."""
    binding = Binding("10.0.3.2", "12:22:33:44:55:03", 3)
    return draw(
        [
            *learning.standing_flows(),
            *guarding.flows([Station("node-a", "12:22:33:44:55:01", 1, ("192.168.1.1",))]),
            *learning.planned_flows({"12:22:33:44:55:01": 1}),
            *learning.station_flows("0a:58:0a:00:02:02", 2, learning.LEARNED, learning.AGEING_S),
            *answering.flows([IPv4Network("10.0.0.0/16")], [binding], BY_CONTROLLER),
        ],
        L2Table,
    )


def responder_example() -> str:
    """The one flow that differs where the switch answers by proxy ARP itself."""
    binding = Binding("10.0.3.2", "12:22:33:44:55:03", 3)
    flows = answering.flows([], [binding], BY_SWITCH)
    return draw([flow for flow in flows if flow.actions], L2Table)


def gateway_example() -> str:
    """The gateway's tables with one port, whose egress MTU is 1300, one neighbor with two routes, and one that is to be
    asked for."""
    neighbor, unknown = Neighbor("192.168.1.3", "12:22:33:44:55:03", 3), Neighbor("192.168.1.4", None, 3)
    routes = tuple(Route(IPv4Network(prefix), neighbor.ip) for prefix in ("192.168.1.3/32", "10.0.3.0/24"))
    gateway = Gateway("192.168.0.1", "12:22:33:44:55:fe", (3,), (neighbor, unknown), routes, (EgressMtu(3, 1300),))
    return draw([*routing.flows(gateway), *resolving.standing_flows(gateway)], GatewayTable)


def learning_example() -> str:
    """What is there besides, in a gateway with two neighbors, for a speaker and two learned routes."""
    neighbors = tuple(Neighbor(f"192.168.1.{n}", f"12:22:33:44:55:0{n}", n) for n in (1, 3))
    gateway = Gateway("192.168.0.1", "12:22:33:44:55:fe", (1, 3), neighbors, ())
    learned = replace(gateway, speaker=5)
    rib = Rib(learned)
    rib.heard(IPv4Network("10.0.3.0/24"), ["192.168.1.3"])
    rib.heard(IPv4Network("10.250.0.0/24"), ["192.168.1.1", "192.168.1.3"])
    before = set(routing.flows(gateway))
    return draw([flow for flow in (*routing.flows(learned), *rib.all_flows()) if flow not in before], GatewayTable)


if __name__ == "__main__":
    print(switch_example(), responder_example(), gateway_example(), learning_example(), sep="\n")
