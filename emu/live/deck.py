"""A plan as a topology of Mininet's own command, on the machine's own Open vSwitch.

Runs in Mininet's Python, which need not have what the project's own Python has: standard library and Mininet alone.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from mininet.topo import Topo

from emu.errors import MissingError, UsageError
from emu.live import wide
from emu.live.hosts import LabHost, LabInterface, LabLink, LabSwitch
from emu.live.vswitch import BRIDGE, VSwitch
from emu.live.wide import plainly
from emu.model import Machine, Plan

PROJECT = Path(__file__).resolve().parents[2]


class WideLab:
    """A machine-wide lab. It comes up when its first node is made, and ends with this process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.vswitch = VSwitch("", machine_wide=True)
        self._lock: int | None = None

    def up(self) -> None:
        """Make the plan real, unless it is already. Ends the program where that cannot be."""
        if self._lock is not None:
            return
        with plainly():
            if os.geteuid() != 0:
                raise MissingError("machine-wide mode needs root; mend: sudo mn ..., or emu up, which does not")
            self._lock = wide.claim()
            atexit.register(self.end)
            for number in (signal.SIGHUP, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, _end)
            wide.remove()  # what a lab left that was killed
            argv = [_projects_python(), "-B", "-m", "emu.live.wide_build"]
            done = subprocess.run(argv, cwd=PROJECT, input=pickle.dumps(self.plan), pass_fds=[self._lock], check=False)
        if done.returncode:
            raise SystemExit(done.returncode)

    def end(self) -> None:
        """Remove all of it, unless that is done already. Signals wait. What cannot be removed is told; the exit status
        is settled by then."""
        if self._lock is None:
            return
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        lock, self._lock = self._lock, None
        with suppress(SystemExit), plainly():
            try:
                wide.remove()
            finally:
                wide.release(lock)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _projects_python() -> str:
    """The Python that ``./run`` has made, or this one where the project was installed for it."""
    own = PROJECT / ".venv/bin/python"
    if own.exists():
        return str(own)
    if importlib.util.find_spec("pyroute2") is None:
        raise MissingError("the project's Python environment is not there yet; mend: sudo ./run doctor")
    return sys.executable


class DeckHost(LabHost):
    """A node or container; the first one brings its lab up."""

    def __init__(self, name: str, lab: WideLab, machine: Machine, **params: Any) -> None:
        lab.up()
        super().__init__(machine, wide.SPACES)


class DeckSwitch(LabSwitch):
    """The lab's bridge, which is up already and has its ports; Mininet's controller is the one it connects to."""

    def __init__(self, name: str, lab: WideLab, dpid: str, **params: Any) -> None:
        super().__init__(name, dpid=dpid, inNamespace=False)
        self._vswitch = lab.vswitch
        self._flows_before = 0

    def start(self, controllers: Sequence[Any]) -> None:
        """Connect to the controller."""
        for controller in controllers:
            self._vswitch.connect(f"{controller.IP()}:{controller.port}")

    def connected(self) -> bool:
        """Whether the controller is there and has come to rest: as many flows as when this was asked before. Of one
        that sends none the database tells, up to five seconds late."""
        before, self._flows_before = self._flows_before, len(self._vswitch.flows())
        return before == self._flows_before if self._flows_before else self._vswitch.connected()

    @classmethod
    def batchStartup(cls, switches: Sequence[Any], run: Any = None) -> Sequence[Any]:
        """Nothing is left to be done."""
        return switches

    @classmethod
    def batchShutdown(cls, switches: Sequence[Any], run: Any = None) -> Sequence[Any]:
        """Nothing: the bridge ends with its lab."""
        return switches


class DeckLink(LabLink):
    """A link of the plan: two interfaces that exist. Those of machines are known already, the switch's are not."""

    def __init__(self, node1: Any, node2: Any, device1: str, device2: str, **params: Any) -> None:
        super().__init__(*(node.nameToIntf.get(device) or LabInterface(device, node, None, None)
                           for node, device in ((node1, device1), (node2, device2))))


class Deck(Topo):
    """Everything in a plan, as Mininet's command builds it."""

    def build(self, plan: Plan) -> None:
        """Called by Mininet's constructor. Names only: nothing is made yet."""
        lab = WideLab(plan)
        self.addSwitch(BRIDGE, cls=DeckSwitch, lab=lab, dpid=f"{plan.switch.dpid:x}")
        for machine in plan.machines:
            self.addHost(machine.name, cls=DeckHost, lab=lab, machine=machine)
        for port in plan.switch.ports:
            self.addLink(port.machine, BRIDGE, cls=DeckLink, device1=port.machine_device, device2=port.device)
        for link in plan.links:
            ends = {"device1": link.device_a, "device2": link.device_b}
            self.addLink(link.machine_a, link.machine_b, cls=DeckLink, **ends)
        self.lab = lab


def refuse_others(options: Any) -> None:
    """End the program if Mininet's options ask for what a plan has already, or cannot have."""
    default = {"switch": "default", "host": "proc", "link": "default", "ipbase": "10.0.0.0/8", "mac": False,
               "arp": False, "innamespace": False, "pin": False, "cluster": None, "nat": False, "listenport": 6654}
    problems = [f"--{name}: the topology deck has its plan's own, and takes no other"
                for name, value in default.items() if getattr(options, name, value) not in (value, None)]
    # "default", which is what Mininet has where nobody says --controller, is a switch's controller, or nobody
    if len(options.controller) != 1 or options.controller[0].partition(",")[0] in ("default", "none"):
        problems = ["the topology deck wants one controller: --controller remote, and emu controller in another"
                    " terminal"]
    with plainly():
        if problems:
            raise UsageError(*problems)


def clean() -> None:
    """In the stead of Mininet's own clean-up, which ends processes by their names and deletes every bridge of the
    machine: end what a lab that is no more has left. (This process's own ends with it.)"""
    with plainly():
        wide.clean()
