"""Spoofed ARP: messages that contradict the plan about who speaks for an address end at the switch, counted. Pure.

ARP has no proof of who speaks (RFC 826): whoever hears a message believes it. So a message passes only if its port, the
MACs in its frame and in itself, and its sender address are one station's of the plan. The flows stand in table SOURCE
before all others, so that a forged sender is neither learned nor shown to the controller; each counts what it drops.

Stations that the plan gives no addresses, and strangers with addresses of their own, are free to speak.
"""

from __future__ import annotations

from collections.abc import Iterable

from controllers.learning import PLANNED
from controllers.pipeline import Cookie, Fields, Flow, Kind, L2Table, Owner, match
from controllers.plan import Station
from controllers.wire import ETH_TYPE_ARP, NO_ADDRESS

SPOOFED = Cookie(Owner.L2_SWITCH, Kind.SPOOFED)

_TRUE, _OTHERS_ADDRESS, _OTHERS_MAC, _IN_ANOTHERS_NAME = 800, 700, 600, 500


def flows(stations: Iterable[Station]) -> list[Flow]:
    """The flows for all stations that have addresses: what each may say, and that nobody else may say it.

    A probe has no sender address (RFC 5227) and is allowed to every station.
    """
    table, result = L2Table.SOURCE, []
    claimed: set[str] = set()
    for station in stations:
        if not station.speaks_for:
            continue
        speaks: Fields = {"eth_type": ETH_TYPE_ARP, "arp_sha": station.mac}
        own = {"in_port": station.port, "eth_src": station.mac, **speaks}
        for ip in (*station.speaks_for, NO_ADDRESS):
            said = match(arp_spa=ip, **own)
            result.append(Flow(table, _TRUE, said, PLANNED, goto=L2Table.ARP, purpose="it may speak for this address"))
        claimed.update(station.speaks_for)
        says, sends = match(**speaks), match(eth_type=ETH_TYPE_ARP, eth_src=station.mac)
        result.append(Flow(table, _OTHERS_MAC, says, SPOOFED, purpose="spoofed: its MAC, not its port or address"))
        result.append(Flow(table, _IN_ANOTHERS_NAME, sends, SPOOFED, purpose="spoofed: says another MAC than it has"))
    for ip in sorted(claimed):
        said = match(eth_type=ETH_TYPE_ARP, arp_spa=ip)
        result.append(Flow(table, _OTHERS_ADDRESS, said, SPOOFED, purpose="spoofed: its address, not its MAC or port"))
    return result
