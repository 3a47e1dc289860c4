"""The scenario of next hops that the gateway asks for, run by `controllers_lab.py`. It judges nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live.controllers_lab import PLAN, REPOSITORY, STATUS, Port, ask, make_switch, wait_until
from tests.live.controllers_scenarios import (
    GATEWAY_MAC,
    MACS,
    OTHER_MAC,
    arp_reply,
    connect,
    ethernet,
    gateway_control,
    udp,
)


def next_hops(sdn: str) -> dict[str, Any]:
    """Behind ports 2 and 3 are next hops without a MAC; 2 answers ARP where the scenario says so, 3 never does."""
    control = gateway_control()
    for neighbor in control["gateway"]["neighbors"][1:]:
        del neighbor["mac"]
    Path(PLAN).write_text(json.dumps({"control": control}), encoding="utf-8")
    environment = {**os.environ, "KUBENET_SDN": sdn, "KUBENET_STATUS": STATUS, "KUBENET_PLAN": PLAN}
    argv = [sys.executable, "-m", "tests.live.controllers_hasty", "6653"]
    process = subprocess.Popen(argv, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL)
    ports = make_switch(3)
    wait_until("the status socket", Path(STATUS).is_socket)
    connect()
    wait_until("the switch", lambda: ask("status")["ready"])
    sender, far, silent = ports

    def hear(port: Port, what: str, fits: Callable[[bytes], bool], meanwhile: Callable[[], object] = bool) -> bytes:
        """The first frame that fits; `meanwhile` is called again and again."""

        def heard() -> bytes | None:
            meanwhile()
            return next(filter(fits, port.receive()), None)

        found: bytes = wait_until(what, heard)
        return found

    def is_question(frame: bytes) -> bool:
        return frame[12:14] == b"\x08\x06"

    def is_poll(frame: bytes) -> bool:
        return is_question(frame) and frame[:6] != b"\xff" * 6

    def is_packet(frame: bytes) -> bool:
        return frame[12:14] == b"\x08\x00"

    def answer(mac: str) -> None:
        far.send(arp_reply(mac, "192.168.1.2", GATEWAY_MAC, "192.168.0.1"))

    def send(dst: str) -> None:
        sender.send(ethernet(GATEWAY_MAC, MACS[1], 0x0800, udp("192.168.1.1", dst)))

    # Asked for as soon as the switch is there; not answered, it is asked for again when a packet comes.
    seen: dict[str, Any] = {"at once": hear(far, "a question", is_question).hex()}
    send("10.0.9.9")
    send("10.0.9.9")
    hear(far, "a question because of a packet", is_question)
    answer(MACS[2])
    seen["held"] = [hear(far, "a packet that was held", is_packet).hex() for _ in range(2)]
    before = ask("status")["counters"]
    send("10.0.9.9")
    seen["known"] = hear(far, "a packet for a known next hop", is_packet).hex()
    after = ask("status")["counters"]
    seen["packet-ins"] = [each["packet_in"] - each["arp_answer"] for each in (before, after)]
    seen["learned"] = ask("status")["learned"]
    seen["polled"] = hear(far, "to be polled", is_poll).hex()
    answer(OTHER_MAC)

    def is_moved(frame: bytes) -> bool:
        return is_packet(frame) and frame[:6].hex(":") == OTHER_MAC

    # Again and again: a switch goes on for a moment by what it has in its cache.
    seen["moved"] = hear(far, "a packet for the other MAC", is_moved, lambda: send("10.0.9.9")).hex()
    wait_until("a silent next hop to be forgotten", lambda: not ask("status")["learned"])
    send("10.0.3.2")
    seen["unreachable"] = hear(sender, "to be told", is_packet).hex()
    seen["asked in vain"] = [frame.hex() for frame in silent.receive()]
    seen["drops"] = ask("drops")["drops"]
    seen["errors"] = ask("status")["errors"]
    process.terminate()
    return seen
