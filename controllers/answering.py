"""Proxy ARP: which requests are answered, for whom, and the flows that do, or that ask the controller to. Pure.

A binding says that an address is behind a port, reached through a MAC that is not its own: a container's address, its
node's MAC, its node's port. Requests for all other addresses of the networks are dropped by the switch: nothing is
ever flooded for an address in them, and nothing is answered that the plan does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from controllers.pipeline import (
    CONTROLLER,
    IN_PORT,
    Action,
    Cookie,
    Fields,
    Flow,
    L2Table,
    Move,
    Output,
    Owner,
    Send,
    SetField,
    match,
)
from controllers.plan import BY_SWITCH, Binding
from controllers.wire import (
    ARP_REPLY,
    ARP_REQUEST,
    ETH_TYPE_ARP,
    NO_ADDRESS,
    arp_reply,
    is_unicast_mac,
    parse_arp,
    parse_ethernet,
)

PLANNED = Cookie(Owner.PROXY_ARP)

_PROBE, _GRATUITOUS, _LOCAL, _KNOWN, _NETWORK = 600, 500, 400, 300, 200


def flows(networks: Iterable[IPv4Network], bindings: Iterable[Binding], by: str) -> list[Flow]:
    """Requests to be answered are, or go to the controller, as `by` says; every other one for an address in the
    networks ends right here."""
    result = []
    for network in networks:
        asked: Fields = {"eth_type": ETH_TYPE_ARP, "arp_op": ARP_REQUEST, "arp_tpa": _range(network)}
        probe = match(arp_spa=NO_ADDRESS, **asked)
        result.append(Flow(L2Table.ARP, _PROBE, probe, PLANNED, purpose="is this address free? Not ours to say"))
        result.append(Flow(L2Table.ARP, _NETWORK, match(**asked), PLANNED, purpose="nobody the plan knows: silence"))
    for binding in bindings:
        asked = {"eth_type": ETH_TYPE_ARP, "arp_op": ARP_REQUEST, "arp_tpa": binding.ip}
        local = match(in_port=binding.port, **asked)
        claimed = match(arp_spa=binding.ip, **asked)
        does = arp_reply_actions(binding.ip, binding.mac) if by == BY_SWITCH else (Output(CONTROLLER),)
        result.append(Flow(L2Table.ARP, _GRATUITOUS, claimed, PLANNED, purpose="its own address is nobody's question"))
        result.append(Flow(L2Table.ARP, _LOCAL, local, PLANNED, purpose="the target is on the asker's own side"))
        result.append(Flow(L2Table.ARP, _KNOWN, match(**asked), PLANNED, does, purpose="a request to be answered"))
    return result


def arp_reply_actions(ip: str, mac: str) -> tuple[Action, ...]:
    """A request made its own reply: the asker becomes the target; `ip` at `mac` is the sender."""
    return (
        Move("eth_src", "eth_dst", 48),
        SetField("eth_src", mac),
        SetField("arp_op", ARP_REPLY),
        Move("arp_sha", "arp_tha", 48),
        Move("arp_spa", "arp_tpa", 32),
        SetField("arp_sha", mac),
        SetField("arp_spa", ip),
        Output(IN_PORT),
    )


def _range(network: IPv4Network) -> tuple[str, str]:
    return str(network.network_address), str(network.netmask)


def answer(bindings: Mapping[str, Binding], in_port: int, frame: bytes) -> Send | None:
    """The reply to a frame that came in by a port, or None.

    None for anything but a request, an unknown target, a target behind the asking port, a probe (sender 0.0.0.0), the
    asker's own address (gratuitous ARP), and an asker whose ARP message and frame disagree on who it is.
    """
    eth, arp = parse_ethernet(frame), parse_arp(frame)
    if eth is None or arp is None or arp.op != ARP_REQUEST:
        return None
    binding = bindings.get(arp.tpa)
    if binding is None or binding.port == in_port:
        return None
    if arp.spa in (NO_ADDRESS, arp.tpa) or arp.sha != eth.src or not is_unicast_mac(arp.sha):
        return None
    return Send(in_port, arp_reply(arp, binding.mac))
