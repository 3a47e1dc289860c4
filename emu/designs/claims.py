"""Claims that several designs make in the same words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emu.claims import (
    Claim,
    KernelState,
    Ordered,
    Ping,
    Prints,
    Probe,
    Query,
    Reaches,
    Seen,
    Transfers,
    Uninvolved,
    Unseen,
)
from emu.model import BROADCAST_MAC, SWITCH, Hop, Plan
from emu.packets import (
    ARP_REPLY,
    ARP_REQUEST,
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP_HEADER_BYTES,
    IP_HEADER_BYTES,
    sealed_bytes,
)

TRANSFER_BYTES = 4 << 20
UNINVOLVED_PINGS = 20
PING_PACKET_BYTES = 84
"""An IPv4 packet of ``ping``'s own size."""
PING = ("ping", "-n", "-M", "do", "-c", "1")


def echo(hop: Hop, src: str, dst: str, icmp_type: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What picks the frame of a hop out of a capture, and what its fields must be there."""
    if hop.sealed:
        outer = dict(hop.outer or {})
        return {"dir": hop.direction, "udp.len": sealed_bytes(PING_PACKET_BYTES), "ip.src": outer["ip.src"]}, outer
    prefix = "" if hop.outer is None else "inner."
    ends = {f"{prefix}ip.src": hop.ip_src or src, f"{prefix}ip.dst": hop.ip_dst or dst}
    where = {"dir": hop.direction, f"{prefix}icmp.type": icmp_type, **ends}
    macs = {f"{prefix}eth.src": hop.eth_src, f"{prefix}eth.dst": hop.eth_dst}
    expect = {**({} if not hop.eth_src else macs), f"{prefix}ip.ttl": hop.ttl}
    return where, {**(hop.outer or {}), **expect}


def _fields_of(hop: Hop) -> str:
    """What can be read of a packet there, in words."""
    macs = f"{hop.eth_src} > {hop.eth_dst}, " if hop.eth_src else ""
    return "sealed," if hop.sealed else f"{macs}TTL {hop.ttl}"


def path_claims(
    plan: Plan, probe: Ping, there: Iterable[Hop], back: Iterable[Hop], source: str, needs: tuple[str, ...] = (),
    prefix: str = "",
) -> list[Claim]:
    """One claim a capture point: the request on its way there, the reply on its way back. ``prefix``: of their ids."""
    claims: list[Claim] = []
    ends = plan.address(probe.src), plan.address(probe.dst)
    journeys = (("request", there, ends, ECHO_REQUEST), ("reply", back, ends[::-1], ECHO_REPLY))
    for word, hops, (src, dst), icmp_type in journeys:
        for number, hop in enumerate(hops, 1):
            where, expect = echo(hop, src, dst, icmp_type)
            verb = "leaves by" if hop.direction == "out" else "comes in at"
            inside = " inside the tunnel" if hop.outer else ""
            claims.append(
                Claim(
                    id=f"{prefix}{word}-{number}",
                    text=f"the {word} {verb} {hop.point}, {_fields_of(hop)}{inside}",
                    source=source,
                    test=Seen(probe, (hop.point,), where, expect, count=1),
                    needs=(claims[-1].id,) if claims else needs,
                )
            )
    return claims


def arp_claims(
    probe: Probe,
    point: str,
    asker: tuple[str, str],
    target: str,
    answer_mac: str,
    source: str,
    what: str,
    needs: tuple[str, ...] = (),
) -> list[Claim]:
    """Who asks, in whose name, and which MAC the one answer gives. ``asker``: MAC and IPv4 address."""
    mac, address = asker
    request = {"arp.op": ARP_REQUEST, "arp.tpa": target, "arp.spa": address}
    reply = {"arp.op": ARP_REPLY, "arp.spa": target, "arp.tpa": address}
    return [
        Claim(
            "arp-request",
            f"{point} asks everybody who has {target}, from {mac}",
            source,
            Seen(
                probe, (point,), {**request, "dir": "out"}, {"eth.dst": BROADCAST_MAC, "eth.src": mac, "arp.sha": mac}
            ),
            needs,
        ),
        Claim(
            "arp-reply",
            f"{what}: {target} is at {answer_mac}, told to {mac} alone and once",
            source,
            Seen(
                probe,
                (point,),
                {**reply, "dir": "in"},
                {"eth.src": answer_mac, "eth.dst": mac, "arp.sha": answer_mac, "arp.tha": mac},
                count=1,
            ),
            needs=("arp-request",),
        ),
    ]


def order_claim(probe: Ping, point: str, target: str, src: str, dst: str, source: str) -> Claim:
    """First the question, then the answer, then the packet."""
    return Claim(
        "order",
        f"at {point} first the ARP request, then the reply, then the packet",
        source,
        Ordered(
            probe,
            point,
            (
                {"arp.op": ARP_REQUEST, "arp.tpa": target, "dir": "out"},
                {"arp.op": ARP_REPLY, "arp.spa": target, "dir": "in"},
                {"icmp.type": ECHO_REQUEST, "ip.src": src, "ip.dst": dst, "dir": "out"},
            ),
        ),
        needs=("arp-reply",),
    )


def bystanders(plan: Plan, *involved: str) -> tuple[str, ...]:
    """The uplinks of every node but those named."""
    return tuple(f"{node.name}:eth0" for node in plan.nodes if node.name not in involved)


def unseen_claim(
    claim_id: str,
    text: str,
    source: str,
    test: Unseen,
    needs: tuple[str, ...] = (),
) -> list[Claim]:
    """No frame like this at these points; no claim where there are no such points (two nodes only)."""
    return [Claim(claim_id, text, source, test, needs)] if test.points else []


def common_claims(plan: Plan, payload_mtu: int, needs: tuple[str, ...], path_mtu: int | None = None) -> list[Claim]:
    """What every design must do between its endpoints: reach everybody, carry full packets and TCP, and leave
    the controller out of established traffic. ``needs``: the claims without which none of it can be. ``payload_mtu``:
    of the endpoints' own interfaces; ``path_mtu``: where less fits through the path."""
    whom = "every other to which there is a way, and no other" if plan.others else "every other"
    claims = [
        Claim(
            "reach",
            f"every machine reaches {whom}, and the answers arrive with the TTL their path gives them",
            "the path each design declares",
            Reaches(),
            needs,
        )
    ]
    if plan.endpoints is None:
        return claims
    src, dst = plan.endpoints
    fits = path_mtu or payload_mtu
    headers = IP_HEADER_BYTES + ICMP_HEADER_BYTES
    claims += [
        Claim(
            "mtu-fits",
            f"{src} reaches {dst} with {fits} bytes that must not be fragmented",
            "RFC 791; underlay MTU less the overhead of the design",
            Prints(src, (*PING, "-W", "20", "-s", str(fits - headers), plan.address(dst)), 0),
            needs,
        ),
        Claim(
            "mtu-limit",
            f"{src} knows that {payload_mtu + 1} bytes do not fit, and sends nothing",
            "RFC 1191; the MTU is set on the container's own interface",
            # Refused by the sender's own kernel, at once; ping waits out its second all the same.
            Prints(
                src,
                (*PING, "-W", "1", "-s", str(payload_mtu - headers + 1), plan.address(dst)),
                1,
                ("essage too long", "100% packet loss"),
            ),
        ),
        Claim(
            "tcp",
            f"{TRANSFER_BYTES >> 20} MiB cross a TCP connection from {src} to {dst} unchanged",
            "RFC 9293: checksums and segment sizes are right on the whole way",
            Transfers(src, dst, TRANSFER_BYTES),
            needs,
        ),
        Claim(
            "controller-idle",
            f"{UNINVOLVED_PINGS} pings from {src} to {dst} take no packet to the controller",
            "flows for all the plan knows are installed beforehand",
            Uninvolved(src, dst, UNINVOLVED_PINGS),
            needs,
        ),
    ]
    return claims


def mtu_claim(plan: Plan, mtu: int, devices: Iterable[str], overhead: str) -> Claim:
    """The MTU of the first endpoint's interface, of its node's end of the link, and of these devices of the node."""
    assert plan.endpoints is not None
    container = plan.container_of[plan.endpoints[0]]
    places = ((container.name, "eth0"), *((container.node, name) for name in (f"veth-{container.name}", *devices)))
    return Claim(
        "mtu-devices",
        f"{', '.join(f'{machine}:{device}' for machine, device in places)} have an MTU of {mtu} bytes",
        f"MTU of the underlay, {plan.scenario.mtu}, less {overhead}",
        KernelState(tuple(Query(machine, ("ip", "-j", "link", "show", "dev", device), ({"mtu": mtu},))
                          for machine, device in places)),
    )


def switch_points(plan: Plan) -> tuple[str, ...]:
    """Every port of the switch."""
    return tuple(f"{SWITCH}:{port.device}" for port in plan.switch.ports)
