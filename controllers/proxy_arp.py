"""Proxy ARP for the containers of a plan, beside `l2_switch` on the same switch. Decisions: `controllers.answering`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if not __package__:  # loaded by its file name, as ryu-manager does: the package is not on the path then
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controllers import answering
from controllers.pipeline import Flow, Owner, PacketIn, Send
from controllers.switches import SwitchApp

# Read by the framework: loads the switch whose tables this application's is one of.
_REQUIRED_APP = ["controllers.l2_switch"]


class ProxyArp(SwitchApp):
    """Answers on the plan's switch; silent without a plan."""

    OWNER = Owner.PROXY_ARP

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        proxy_arp = self.switches.control.proxy_arp
        self._bindings = {} if proxy_arp is None else {binding.ip: binding for binding in proxy_arp.bindings}

    def planned(self, dpid: int) -> list[Flow]:
        """The flows that answer requests, bring them here, or end them."""
        control = self.switches.control
        if control.proxy_arp is None or dpid != control.dpid:
            return []
        return answering.flows(control.proxy_arp.networks, control.proxy_arp.bindings, control.proxy_arp.by)

    def known(self) -> dict[str, list[dict[str, Any]]]:
        """The addresses that are answered for."""
        bindings = self._bindings.values()
        return {"bindings": [{"ip": each.ip, "mac": each.mac, "port": each.port} for each in bindings]}

    def packet_in(self, dpid: int, packet: PacketIn, now_s: float) -> list[Send]:
        """A request for an address of the networks."""
        reply = answering.answer(self._bindings, packet.in_port, packet.frame)
        return [] if reply is None else [reply]
