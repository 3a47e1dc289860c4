"""Makes a plan real on the machine's own Open vSwitch, and ends; all that it makes bears the mark of ``emu.live.wide``.

``emu.live.deck`` runs it as ``python -m emu.live.wide_build`` in the project's Python, which has what Mininet's need
not have (netlink), with a pickled plan on standard input. It has the lock by an inherited descriptor: as long as it
runs, the lab has an owner.
"""

from __future__ import annotations

import os
import pickle
import sys

from emu.errors import LabError, MissingError
from emu.live import namespaces
from emu.live.fitting import filter_bridges, shape_links, suit_userspace_datapath
from emu.live.lab import choose, this_machine
from emu.live.namespaces import Namespace
from emu.live.vswitch import BRIDGE, VSwitch
from emu.live.wide import FOLDER, MARK, SPACES, plainly, vswitch_runs
from emu.model import SWITCH, Plan


def build(plan: Plan) -> None:
    """All of the plan but its controller. ``MissingError`` names all that this machine lacks, ``LabError`` what is in
    the way; what was made until then is left to whoever has the lock."""
    if not vswitch_runs():
        raise MissingError("the machine's own Open vSwitch is not running; mend: sudo systemctl start"
                           " openvswitch-switch")
    datapath, _ = choose(plan)
    if datapath == "netdev" and plan.scenario.offload == "on":
        raise MissingError("--offload on: a switch in user space takes super-packets only where all of the machine's"
                           " Open vSwitch is set to; mend: --offload off, or a kernel datapath")
    home = Namespace(SWITCH, os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    wanted = [BRIDGE, *(port.device for port in plan.switch.ports)]
    taken = [name for name in wanted if home.route.link_lookup(ifname=name)]
    if taken:
        raise LabError(f"this machine has interfaces already that the lab would make: {', '.join(taken)}")
    spaces = namespaces.realise(plan, home, SPACES)
    for port in plan.switch.ports:
        home.route.link("set", index=home.index(port.device), ifalias=MARK)
    filter_bridges(plan, FOLDER, SPACES)
    VSwitch(datapath, machine_wide=True).build(plan, controller=None, mark=MARK)
    if datapath == "netdev":
        suit_userspace_datapath(plan, spaces)
    shape_links(plan, "netem" in this_machine().qdiscs, FOLDER, SPACES)


if __name__ == "__main__":
    with plainly():
        build(pickle.load(sys.stdin.buffer))
