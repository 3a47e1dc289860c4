"""The gateway's routes as two others tell them: the switch's flow table, and the kernel beside it. Pure.

Both are told as next hops' addresses by prefix, so that they can be held against each other and against a plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from emu.control import Gateway

Routes = Mapping[str, tuple[str, ...]]

_ROUTE_TABLE = 2
_TO = re.compile(rf"table={_ROUTE_TABLE}, .*?priority=(\d+),ip,nw_dst=([\d./]+) actions=(.*)")
_HOP = re.compile(r"write_metadata:0x([0-9a-f]+)")
_SPREAD = re.compile(r"bundle_load\(.*?members:([\d,]*)\)")


def in_flow_table(lines: Iterable[str], gateway: Gateway) -> Routes:
    """The routes of a gateway's flow table, as ``ovs-ofctl dump-flows`` prints it: those that lead to a next hop."""
    by_number = {number: hop.ip for number, hop in enumerate(gateway.neighbors, start=1)}
    by_port = {str(hop.port): hop.ip for hop in gateway.neighbors}
    routes: dict[str, tuple[str, ...]] = {}
    for line in lines:
        found = _TO.search(line)
        if not found:
            continue
        prefix = found[2] if "/" in found[2] else f"{found[2]}/32"
        if hop := _HOP.search(found[3]):
            routes[prefix] = (by_number[int(hop[1], 16)],)
        elif spread := _SPREAD.search(found[3]):
            routes[prefix] = tuple(by_port[port] for port in spread[1].split(",") if port in by_port)
    return routes


def in_kernel(text: str) -> Routes:
    """The routes that ``ip -j route`` prints."""
    routes = {}
    for route in json.loads(text or "[]"):
        prefix = route["dst"] if "/" in route["dst"] else f"{route['dst']}/32"
        prefix = "0.0.0.0/0" if route["dst"] == "default" else prefix
        hops = route.get("nexthops") or [route]
        routes[prefix] = tuple(hop["gateway"] for hop in hops if "gateway" in hop)
    return routes
