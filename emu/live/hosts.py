"""A plan's machines as Mininet nodes, in namespaces that exist already.

Mininet starts a shell on a pseudo-terminal for every node it makes, which is most of the time it takes to
start. Here a node's shell starts when something first uses it; everything else is Mininet as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any

from mininet.cli import CLI
from mininet.link import Intf, Link
from mininet.net import Mininet
from mininet.node import Node, OVSSwitch

from emu.live.linux import NAMESPACE_FOLDER, network_namespace
from emu.live.vswitch import BRIDGE
from emu.model import Machine, Plan

# The first Mininet object would otherwise raise limits of the whole machine, and leave them so.
Mininet.inited = True


class LazyShell:
    """Mixed into a Mininet node: its shell starts on first use."""

    _shell: Any = None
    _starting = True

    @property
    def shell(self) -> Any:
        if self._shell is None and not self._starting:
            self._starting = True
            self._begin()
            self._starting = False
        return self._shell

    @shell.setter
    def shell(self, value: Any) -> None:
        self._shell = value

    def startShell(self, mnopts: str | None = None) -> None:
        """Called by Mininet's constructor; from then on the shell may start."""
        self._starting = False

    def _begin(self) -> None:
        Node.startShell(self)

    def terminate(self) -> None:
        """Only a shell that was used needs ending."""
        if self._shell is not None:
            Node.terminate(self)


class LabHost(LazyShell, Node):
    """A node or container: a Mininet node whose namespace was made by netlink and has its name in ``spaces``."""

    def __init__(self, machine: Machine, spaces: Path) -> None:
        self._space = spaces / machine.name
        self._address = machine.address
        super().__init__(machine.name, inNamespace=False)
        self.inNamespace = True
        addresses = {item.device: item.address for item in reversed(machine.addresses)}
        for device in sorted(machine.devices, key=lambda d: addresses.get(d.name) != machine.address):
            LabInterface(device.name, self, device.mac, addresses.get(device.name))

    def _begin(self) -> None:
        self.inNamespace = False  # no new namespace: the shell inherits this thread's
        space = os.open(self._space, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with network_namespace(space):
                super()._begin()
        finally:
            os.close(space)
        self.inNamespace = True

    def popen(self, *args: Any, **kwargs: Any) -> Popen[str]:
        """A process in the node's namespace, with ``subprocess.Popen``'s own arguments."""
        enter = ["nsenter", f"--net={self._space}", "--"]
        process: Popen[str] = Node.popen(self, *args, **{"mncmd": enter, **kwargs})
        return process

    def IP(self, intf: Any = None) -> str:
        """The address of the plan."""
        return self._address

    def configDefault(self, **params: Any) -> None:
        """Nothing: all is configured, by the plan."""


class LabSwitch(LazyShell, OVSSwitch):
    """The lab's bridge, which is up already."""

    def start(self, controllers: Sequence[Any]) -> None:
        """Nothing: the bridge was made in one transaction with all its ports."""


class LabInterface(Intf):
    """An interface that exists, has its address, and is not to be moved."""

    def __init__(self, name: str, node: Node, mac: str | None, address: str | None) -> None:
        super().__init__(name, node=node, mac=mac, moveIntfFn=lambda *_: None)
        self.ip = address

    def updateIP(self) -> str | None:
        """The address of the plan: interfaces do not change it."""
        return self.ip

    updateAddr = updateIP


class LabLink(Link):
    """A veth pair that exists, and is not Mininet's to delete."""

    def __init__(self, near: Intf, far: Intf) -> None:
        self.intf1, self.intf2 = near, far
        near.link = far.link = self

    def stop(self) -> None:
        """Nothing: it ends with its lab."""


class LabCLI(CLI):
    """Mininet's CLI for names with a hyphen, leaving no history file behind."""

    identchars = CLI.identchars + "-"
    prompt = "emu> "

    def initReadline(self) -> None:
        """No history file in the user's home."""


def mininet_of(plan: Plan) -> Mininet:
    """A Mininet network of everything in the plan."""
    net = Mininet(topo=None, build=False, controller=None)
    switch = LabSwitch(BRIDGE, dpid=f"{plan.switch.dpid:x}", inNamespace=False)
    net.switches.append(switch)
    net.nameToNode[BRIDGE] = switch
    for machine in plan.machines:
        host = LabHost(machine, NAMESPACE_FOLDER)
        net.hosts.append(host)
        net.nameToNode[machine.name] = host
    for port in plan.switch.ports:
        near = LabInterface(port.device, switch, None, None)
        net.links.append(LabLink(net[port.machine].nameToIntf[port.machine_device], near))
    for link in plan.links:
        ends = (net[link.machine_a].nameToIntf[link.device_a], net[link.machine_b].nameToIntf[link.device_b])
        net.links.append(LabLink(*ends))
    return net
