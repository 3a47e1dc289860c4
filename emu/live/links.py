"""Links with a rate, a delay and losses, by ``tc``: the same class of link in every design.

A link is the veth pair between a node's uplink and its port of the switch. Each end shapes what leaves by it, so both
directions are shaped, at the same two devices in every design:

    to the network  ->  loss and delay (netem)  ->  rate (TBF, its queue in bytes)  ->  the other end

- **Rate**: TBF, not HTB: there is one class, and TBF alone states rate, burst and queue in one line and in bytes. HTB
  would take a class and a queue of another qdisc, counted in packets, to say the same (tc-tbf(8), tc-htb(8)).
- **Delay, jitter, loss**: netem (tc-netem(8)). That it comes before the rate changes nothing for frames that are all
  late by the same time: what TBF sends is what it would have sent, that time later.
- **Loss without netem**: a filter of four classic BPF instructions at the device's egress (tc-bpf(8)), which need no
  rights beyond those over the namespace. As with netem, whoever sent the frame is told that it went well. nftables'
  drop at egress tells a sender on the node itself that it failed, so that TCP there would keep the segment for later
  and count no loss, while a container's TCP behind the same uplink would lose it (``nf_hook_egress``,
  ``tcp_transmit_skb``); and at ingress it comes after the packet sockets by which a userspace switch reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from emu.model import Shape
from emu.packets import ETHERNET_HEADER_BYTES

_SEED = re.compile(r" seed \d+")

QUEUE_MS, LEAST_QUEUE_FRAMES = 50.0, 10
"""What waits for a link of a given rate: so many milliseconds of it, and room for so many frames at the least."""

BURST_MS, LEAST_BURST_FRAMES = 4.0, 2
"""What may leave at once after a pause. It makes up for a timer that fires late, by a jiffy of 4 ms here, after
tc-tbf(8): rate / HZ at the least. What is later still, as on a machine short of CPU, is lost rate."""

DELAYED_FRAMES = 100_000
"""How many frames netem may hold. They are on the way, not in a queue: there must always be room."""

_LOAD_RANDOM = "32 0 0 4294963256"  # A = a random 32-bit number: BPF_LD|BPF_W|BPF_ABS at SKF_AD_OFF + SKF_AD_RANDOM
_GREATER, _RETURN = 37, 6  # BPF_JMP|BPF_JGT|BPF_K, BPF_RET|BPF_K (include/uapi/linux/filter.h, bpf_common.h)
_GO_ON, _STOLEN = 0xFFFFFFFF, 4  # TC_ACT_UNSPEC, TC_ACT_STOLEN (include/uapi/linux/pkt_cls.h)


def queue_bytes(bw: float, mtu: int) -> int:
    """How many bytes of frames can wait for a link of ``bw`` Mbit/s."""
    return max(_bytes_in(bw, QUEUE_MS), LEAST_QUEUE_FRAMES * (mtu + ETHERNET_HEADER_BYTES))


def queue_ms(bw: float, mtu: int) -> float:
    """How long a frame waits behind a full queue."""
    return queue_bytes(bw, mtu) * 8 / (bw * 1000)


def burst_bytes(bw: float, mtu: int) -> int:
    """How many bytes of frames may leave at once after a pause."""
    return max(_bytes_in(bw, BURST_MS), LEAST_BURST_FRAMES * (mtu + ETHERNET_HEADER_BYTES))


def burst_ms(bw: float, mtu: int) -> float:
    """By how much a link may be behind its rate and still make up for it."""
    return burst_bytes(bw, mtu) * 8 / (bw * 1000)


def _bytes_in(bw: float, duration_ms: float) -> int:
    return round(bw * 1000 / 8 * duration_ms)


def tc_commands(shape: Shape, device: str, mtu: int, netem: bool) -> list[str]:
    """What ``tc -batch`` is to do for one end of a link; ``netem``: whether the kernel has it."""
    commands, parent = [], "root"
    if netem and (shape.delay or shape.loss):
        spread = f" {shape.jitter:g}ms" if shape.jitter else ""
        delay = f" delay {shape.delay:g}ms{spread}" if shape.delay else ""
        loss = f" loss {shape.loss:g}%" if shape.loss else ""
        commands.append(f"qdisc add dev {device} root handle 1: netem limit {DELAYED_FRAMES}{delay}{loss}")
        parent = "parent 1:1"
    elif shape.loss:
        commands += [f"qdisc add dev {device} clsact", lossy(shape.loss, device)]
    if shape.bw is not None:
        commands.append(f"qdisc add dev {device} {parent} handle 2: tbf rate {round(shape.bw * 1e6)}bit"
                        f" burst {burst_bytes(shape.bw, mtu)} limit {queue_bytes(shape.bw, mtu)}")
    return commands


def lossy(percent: float, device: str) -> str:
    """The filter at a device's egress that has ``percent`` of the frames vanish, each for itself."""
    largest_lost = max(round(percent / 100 * 2**32) - 1, 0)
    program: Sequence[str] = (
        _LOAD_RANDOM, f"{_GREATER} 0 1 {largest_lost}", f"{_RETURN} 0 0 {_GO_ON}", f"{_RETURN} 0 0 {_STOLEN}")
    return f"filter add dev {device} egress bpf da bytecode '{len(program)},{','.join(program)}'"


def settings(printed: Iterable[str]) -> list[str]:
    """What ``tc`` printed of a device's qdiscs and filters, a line each, but for what is drawn anew for each of them:
    netem's seed, which iproute2 prints from 6.6 on."""
    return [_SEED.sub("", line.strip()) for text in printed for line in text.splitlines() if line.strip()]
