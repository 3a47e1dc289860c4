"""100,000 mutated frames through the controllers, as a switch would hand them over: nothing escapes, nothing hangs, and
memory does not grow. ``tests/data/frames.txt`` has the frames of real labs that they are made from."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controllers import learning
from controllers.learning import STATIONS_MAX
from controllers.pipeline import Cookie, Kind, Owner
from controllers.wire import ETHERNET_BYTES, checksum
from emu.designs import plans_for
from emu.live import usage
from emu.live.controller import Controller
from emu.live.openflow import FLOW_MOD, PACKET_OUT, Switch, free_address, packet_in
from emu.live.process import wait_until
from emu.model import Plan, Scenario
from tests.live.machine import CHECKOUT, skip_without_framework

FRAMES = [bytes.fromhex(line) for line in (CHECKOUT / "tests/data/frames.txt").read_text().splitlines()
          if not line.startswith("#")]
ALL_FRAMES, BATCH = 100_000, 500
STRANGERS = STATIONS_MAX + 1000
WARM, MOST_GROWTH_BYTES = 0.4, 2 << 20
"""The table of stations and the queues of packets are bounded, and full by then. What an interpreter's heap may take
from there to the end: less than the 15,000 frames would if they were kept."""
DEADLINE_S = 600.0
EDGES = (0, 1, 0x7F, 0x80, 0xFF)


def mutated(generator: random.Random) -> bytes:
    """A frame with bits turned, bytes set, parts cut out, doubled or those of another; half of them with an IPv4
    checksum that is right, without which nothing reads on."""
    frame = bytearray(generator.choice(FRAMES))
    for _ in range(generator.randint(1, 4)):
        at, end = sorted(generator.randrange(len(frame) + 1) for _ in range(2))
        kind = generator.randrange(7)
        if kind == 0 and at < len(frame):
            frame[at] ^= 1 << generator.randrange(8)
        elif kind == 1 and at < len(frame):
            frame[at] = generator.choice(EDGES)
        elif kind == 2:
            del frame[at:end]
        elif kind == 3:
            frame[at:at] = frame[at:end]
        elif kind == 4:
            frame[at:] = generator.choice(FRAMES)[at:]
        elif kind == 5:
            del frame[generator.randrange(60):]
        else:
            frame[6:12] = generator.randbytes(6)
    header = bytes(frame[ETHERNET_BYTES:ETHERNET_BYTES + 20])
    if generator.random() < 0.5 and len(header) == 20:
        struct.pack_into("!H", frame, ETHERNET_BYTES + 10, checksum(header[:10] + bytes(2) + header[12:]))
    return bytes(frame)


def handed_over(generator: random.Random, owners: tuple[Owner, ...]) -> bytes:
    """A mutated frame as a switch hands it over: for flows of every kind, and for some that no application made."""
    cookie = Cookie(generator.choice(owners), generator.choice(list(Kind))).value
    return packet_in(
        in_port=generator.choice((*range(8), 0xFFFFFFFE, generator.getrandbits(32))),
        frame=mutated(generator),
        cookie=cookie if generator.random() < 0.98 else generator.getrandbits(64),
        metadata=generator.choice((*range(8), generator.getrandbits(64))),
    )


def stranger(number: int) -> bytes:
    """A frame of a station that nobody knows, handed over by the flow for such."""
    frame = bytes(6) + b"\x02\x77" + number.to_bytes(4, "big") + b"\x08\x00" + bytes(46)
    return packet_in(1, frame, learning.PLANNED.value)


@contextmanager
def running(plan: Plan, sdn: str, folder: Path) -> Iterator[tuple[Controller, Switch]]:
    """The plan's controller by itself, and a switch that is nothing but a connection to it."""
    address = free_address()
    controller = Controller(plan, sdn, folder, f"{address[0]}:{address[1]}")
    try:
        controller.wait_listening()
        with Switch(address, plan.control.dpid or 0) as switch:
            controller.wait_ready()
            yield controller, switch
    finally:
        controller.kill()


@pytest.mark.parametrize("sdn", ["ryu", "os-ken"])
@pytest.mark.parametrize(
    ("spec", "owners"),
    [("l2:proxy_arp=controller", (Owner.L2_SWITCH, Owner.PROXY_ARP)),
     ("routed:neighbors=arp,egress_mtu=1300", (Owner.L3_GATEWAY,))],
)
def test_mutated_frames_are_survived(spec: str, owners: tuple[Owner, ...], sdn: str, tmp_path: Path) -> None:
    skip_without_framework(sdn)
    (plan,) = plans_for([spec], Scenario(), [])
    frames, generator = ALL_FRAMES // 4, random.Random(f"{spec} {sdn}")
    with running(plan, sdn, tmp_path) as (controller, switch):
        before, warm_bytes = switch.received.copy(), 0
        for sent in range(BATCH, frames + 1, BATCH):
            switch.send(b"".join(handed_over(generator, owners) for _ in range(BATCH)))
            if sent == frames * WARM:
                answers = switch.received - before
                switch.send(b"".join(map(stranger, range(STRANGERS))))
                warm_bytes = settled_bytes(controller, sent + STRANGERS)
                if Owner.L2_SWITCH in owners:
                    assert len(controller.ask("status")["learned"]) == STATIONS_MAX
        grown_bytes = settled_bytes(controller, frames + STRANGERS) - warm_bytes
        assert controller.ask("status")["errors"] == []
        assert controller.ask("status")["ready"]
    assert answers[PACKET_OUT] + answers[FLOW_MOD] > frames / 1000  # they came as far as to where decisions are made
    assert grown_bytes <= MOST_GROWTH_BYTES


def settled_bytes(controller: Controller, handed: int) -> int:
    """The controller's memory when it has seen so many frames."""
    wait_until("the controller to have seen all frames",
               lambda: controller.ask("status")["counters"]["packet_in"] == handed, DEADLINE_S)
    return usage.take({"controller": controller.pid}, (), 0).memory_bytes["controller"]
