"""Whose an address is: the one thing that colour and glyph say in every picture."""

from __future__ import annotations

from collections.abc import Iterator

from emu.model import BROADCAST_MAC, Machine, Plan

NODE, POD, OUTSIDE, ALL, NOBODY = "node", "pod", "outside", "all", ""
"""The realms. ``NOBODY``: an address that the plan gives to nobody (``00:00:00:00:00:00`` in an ARP request)."""

GLYPHS = {NODE: "■", POD: "●", OUTSIDE: "◆", ALL: "◎", NOBODY: ""}

Owner = tuple[str, str]
"""Realm and name: of a machine where the address is its own one, ``node-a:flannel.1`` for another of its devices."""

EVERYBODY: Owner = (ALL, "everybody")
UNKNOWN: Owner = (NOBODY, "")

_REALM_OF_KIND = {"node": NODE, "container": POD}


class Realms:
    """The owners of all addresses of a plan.

    All addresses and MACs of a node are the node's, those of its bridge and its overlay device too, though these
    stand in the pod network. The L3 gateway counts as a node called ``gateway``.
    """

    def __init__(self, plan: Plan) -> None:
        self._of_ip: dict[str, Owner] = {"255.255.255.255": EVERYBODY}
        self._of_mac: dict[str, Owner] = {BROADCAST_MAC: EVERYBODY}
        for machine in plan.machines:
            for address, mac, owner in _owned(machine):
                if address:
                    self._of_ip[address] = owner
                if mac:
                    self._of_mac.setdefault(mac, owner)
        gateway = plan.control.gateway
        if gateway:
            self._of_ip[gateway.ip] = self._of_mac[gateway.mac] = (NODE, "gateway")

    def of_ip(self, address: str) -> Owner:
        """Realm and owner of an IPv4 address in dotted notation; ``UNKNOWN`` if the plan gives it to nobody."""
        return self._of_ip.get(address, UNKNOWN)

    def of_mac(self, mac: str) -> Owner:
        """Realm and owner of a MAC address, as in ``12:22:33:44:55:01``; ``UNKNOWN`` likewise."""
        return self._of_mac.get(mac, UNKNOWN)

    def of(self, address: str) -> Owner:
        """Realm and owner of an address of either kind."""
        return self.of_mac(address) if ":" in address else self.of_ip(address)


def _owned(machine: Machine) -> Iterator[tuple[str, str, Owner]]:
    """(IPv4 address or "", MAC or "", owner) of everything that is the machine's; its own device comes first."""
    realm = _REALM_OF_KIND.get(machine.kind, OUTSIDE)
    main = next((a.device for a in machine.addresses if a.address == machine.address), "")
    for device in sorted(machine.devices, key=lambda device: device.name != main):
        yield "", device.mac, (realm, machine.name if device.name == main else f"{machine.name}:{device.name}")
    for address in machine.addresses:
        own = address.device == main and address.address == machine.address
        yield address.address, "", (realm, machine.name if own else f"{machine.name}:{address.device}")
