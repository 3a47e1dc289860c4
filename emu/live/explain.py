"""What the kernels and the switch of a running lab say of the frames they sent on: their own look-ups, in words.

Routes by ``ip route get fibmatch`` (the entry of the routing table that is matched, iproute2), neighbors and bridge
entries by ``ip neigh`` and ``bridge fdb``, OpenFlow rules by ``ofproto/trace`` (ovs-vswitchd(8)), which sends a frame
through the tables without sending it anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.live.lab import Lab
from emu.live.nftables import TABLE, counted
from emu.live.process import objects
from emu.model import ANY_MAC
from emu.walk.questions import (
    BRIDGE_ENTRY,
    FILTER,
    FLOW,
    NO_WAY_BACK,
    PROXY,
    REFUSAL,
    ROUTE,
    TUNNEL_ENTRY,
    Question,
)


def explain(lab: Lab, questions: Iterable[Question]) -> dict[Question, str]:
    """Ask the lab every question; the answers in words. What a kernel has no entry for, the answer says so."""
    flows = lab.settled_flows()
    ask: Mapping[str, Callable[[Question], str]] = {
        ROUTE: lambda question: _route(lab, question),
        BRIDGE_ENTRY: lambda question: _bridge_entry(lab, question),
        TUNNEL_ENTRY: lambda question: _tunnel_entry(lab, question),
        REFUSAL: lambda question: _refusal(lab, question),
        NO_WAY_BACK: lambda question: _no_way_back(lab, question),
        PROXY: lambda question: _proxy(lab, question),
        FILTER: lambda question: _filter(lab, question),
        FLOW: lambda question: flow_words(lab.trace_flow(int(question.words[0]), question.words[1]), flows),
    }
    return {question: ask[question.kind](question) for question in questions}


def _ask(lab: Lab, machine: str, *argv: str) -> tuple[list[dict[str, Any]], str]:
    """The objects that a JSON-printing command prints, and what it complains of."""
    done = lab[machine].run(argv)
    complaint = done.stderr.strip().removeprefix("RTNETLINK answers: ").splitlines()
    return [] if done.returncode else objects(done.stdout), complaint[0] if complaint else ""


def _route(lab: Lab, question: Question) -> str:
    destination, source, came_by = question.words
    limits = (*(("from", source) if source else ()), *(("iif", came_by) if came_by else ()))
    found, complaint = _ask(lab, question.machine, "ip", "-j", "route", "get", "fibmatch", destination, *limits)
    if not found:
        return f"no route to {destination}: {complaint}"
    route = found[0]
    if "nexthops" in route:
        return route_words(route)
    device, next_hop = route.get("dev", ""), route.get("gateway", destination)
    neighbors, _ = _ask(lab, question.machine, "ip", "-j", "neigh", "show", "to", next_hop, "dev", device)
    return f"{route_words(route)}; {neighbor_words(next_hop, neighbors)}"


def _refusal(lab: Lab, question: Question) -> str:
    destination, source, came_by = question.words
    machine = question.machine
    found, complaint = _ask(lab, machine, "ip", "-j", "route", "get", destination, "from", source, "iif", came_by)
    if found:
        return ""
    # What the kernel complains of differs between its versions: its settings tell more.
    back, _ = _ask(lab, machine, "ip", "-j", "route", "get", source)
    way_back = back[0]["dev"] if back else "no device"
    if way_back != came_by and max(_setting(lab, machine, which, "rp_filter") for which in ("all", came_by)) == 1:
        return f"rp_filter: it came in by {came_by}, and the way back to {source} is by {way_back}"
    if not _setting(lab, machine, came_by, "forwarding"):
        return f"{machine} does not forward what comes in by {came_by} (forwarding is 0)"
    return f"no route to {destination}: {complaint}"


def _proxy(lab: Lab, question: Question) -> str:
    device, target, asker = question.words
    machine = question.machine
    on = [name for name in ("proxy_arp", "proxy_arp_pvlan") if _setting(lab, machine, device, name)]
    found, _ = _ask(lab, machine, "ip", "-j", "route", "get", "fibmatch", target, "from", asker, "iif", device)
    settings = ", ".join(f"{name} is 1 on {device}" for name in on) or f"no proxy ARP on {device}"
    return f"{settings}; {route_words(found[0]) if found else f'no route to {target}'}"


def _filter(lab: Lab, question: Question) -> str:
    hook, why = question.words
    listing = lab[question.machine].run(["nft", "list", "chain", "bridge", TABLE, hook]).stdout
    count = counted(listing, why)
    return "" if count is None else f"nftables, bridge {hook}: {why} ({count} dropped)"


def _setting(lab: Lab, machine: str, device: str, name: str) -> int:
    """A setting of an interface, or of ``all`` (Documentation/networking/ip-sysctl.rst; for rp_filter the larger of
    both counts)."""
    return int(lab[machine].run(["cat", f"/proc/sys/net/ipv4/conf/{device}/{name}"]).stdout)


def _no_way_back(lab: Lab, question: Question) -> str:
    destination, source, _ = question.words
    own, _ = _ask(lab, question.machine, "ip", "-j", "route", "get", destination)
    if not own or own[0].get("type") != "local":
        return ""
    found, complaint = _ask(lab, question.machine, "ip", "-j", "route", "get", source, "from", destination)
    return "" if found else f"no route back to {source}: {complaint}"


def route_words(route: Mapping[str, Any]) -> str:
    """A route of ``ip -j`` as ``ip`` prints it: ``route 10.0.3.0/24 via 10.0.3.0 dev flannel.1 onlink``."""
    words = ["route", route["dst"]]
    words += [word for key, name in (("gateway", "via"), ("dev", "dev")) if key in route for word in (name, route[key])]
    ways = [f"via {hop.get('gateway', 'nobody')} dev {hop.get('dev', 'none')}" for hop in route.get("nexthops", ())]
    words += [f"by one of {len(ways)} next hops:", ", ".join(ways)] if ways else []
    words += ["encap to", route["dst.2"]] if "dst.2" in route else []
    words += route.get("flags", [])
    words += ["table", str(route["table"])] if "table" in route else []
    return " ".join(words)


def neighbor_words(address: str, found: Sequence[Mapping[str, Any]]) -> str:
    """A neighbor entry as ``ip -j`` has it: ``neighbor 10.0.3.0 at 0a:58:0a:00:03:00 (permanent)``."""
    if not found:
        return f"no neighbor {address}"
    state = " ".join(found[0].get("state", [])).lower()
    return f"neighbor {address} {'at ' + found[0]['lladdr'] if 'lladdr' in found[0] else 'unresolved'} ({state})"


def _bridge_entry(lab: Lab, question: Question) -> str:
    bridge, mac = question.words
    entries, _ = _ask(lab, question.machine, "bridge", "-j", "fdb", "show", "br", bridge)
    port = next((e["ifname"] for e in entries if e["mac"] == mac and e.get("master") == bridge), None)
    return f"{bridge} has {mac} at {port}" if port else f"{bridge} does not know {mac}: to every port"


def _tunnel_entry(lab: Lab, question: Question) -> str:
    device, mac = question.words
    if lab.plan.by_name[question.machine].device(device).kind != "vxlan":
        return ""  # it goes by what the route says
    entries, _ = _ask(lab, question.machine, "bridge", "-j", "fdb", "show", "dev", device)
    far = {wanted: [e["dst"] for e in entries if e["mac"] == wanted and "dst" in e] for wanted in (mac, ANY_MAC)}
    if far[mac]:
        return f"FDB of {device}: {mac} behind {far[mac][0]}"
    unknown = f"{device} has no FDB entry for {mac}"
    return f"{unknown}: a copy to {', '.join(far[ANY_MAC])}, its default entries" if far[ANY_MAC] else unknown


@dataclass(frozen=True)
class _Rule:
    table: int
    match: str
    priority: int | None  # None: no rule of the table matches
    cookie: str
    actions: str


_RULE = re.compile(r"^ *(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$")
_MISS = re.compile(r"^ *(\d+)\. No match")


def flow_words(trace: str, flows: Sequence[str]) -> str:
    """The rules that a frame meets, from what ``ofproto/trace`` prints and from the flow table with its counters.

    Rules that match anything only pass a frame on from table to table and are left out, unless nothing else is met.
    """
    met = _rules(trace)
    telling = [rule for rule in met if rule.match] or met
    if met and met[-1] not in telling:
        telling.append(met[-1])  # what became of it in the end
    return "; then ".join(_rule_words(rule, flows) for rule in telling)


def _rules(trace: str) -> list[_Rule]:
    found: list[_Rule] = []
    for line in trace.splitlines():
        rule = _RULE.match(line)
        if rule:
            table, match, priority, cookie = rule.groups()
            found.append(_Rule(int(table), match or "", int(priority), cookie or "0x0", ""))
        elif line.strip().startswith("->"):  # the value a copied field has now
            continue
        elif miss := _MISS.match(line):
            found.append(_Rule(int(miss.group(1)), "", None, "", ""))
        elif found and line.startswith("    ") and line.strip():
            last = found[-1]
            actions = f"{last.actions},{line.strip()}".strip(",")
            found[-1] = _Rule(last.table, last.match, last.priority, last.cookie, actions)
        elif found and not line.strip():
            break
    return found


def _rule_words(rule: _Rule, flows: Sequence[str]) -> str:
    if rule.priority is None:
        return f"table {rule.table} has no rule for it: {rule.actions}"
    actions = rule.actions.replace("CONTROLLER:65535", "to the controller").replace("output:", "to port ")
    counted = f", {count} packets" if (count := _counter(rule, flows)) is not None else ""
    match = rule.match or "anything"
    return f"table {rule.table} priority {rule.priority} {match} (cookie {rule.cookie}{counted}): {actions or 'drop'}"


def _counter(rule: _Rule, flows: Sequence[str]) -> int | None:
    wanted = f"priority={rule.priority}{',' + rule.match if rule.match else ''} actions="
    for flow in flows:
        if f"table={rule.table}," in flow and wanted in flow:
            count = re.search(r"n_packets=(\d+)", flow)
            return int(count.group(1)) if count else None
    return None
