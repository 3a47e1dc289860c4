"""What is done to a plan's machines once they are there: bridges filtered, tunnels and links suited to the switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from emu.live.links import tc_commands
from emu.live.linux import NAMESPACE_FOLDER
from emu.live.namespaces import OFFLOADS, Namespace
from emu.live.nftables import nat_ruleset, ruleset
from emu.live.process import run
from emu.model import SWITCH, UNSHAPED, Plan, Shape


def entering(machine: str, spaces: Path = NAMESPACE_FOLDER) -> tuple[str, ...]:
    """The words that have a command run in a machine, whose namespace has its name in ``spaces``; the switch's is where
    this process is."""
    return () if machine == SWITCH else ("nsenter", f"--net={spaces / machine}", "--")


def filter_bridges(plan: Plan, files: Path, spaces: Path = NAMESPACE_FOLDER) -> None:
    """The plan's ARP filters; ``files``: a folder for what nft is to read."""
    for machine in plan.machines:
        if machine.filters:
            _load(ruleset(machine.filters), machine.name, files / f"filters-{machine.name}.nft", spaces)


def masquerade(plan: Plan, files: Path, spaces: Path = NAMESPACE_FOLDER) -> None:
    """The plan's masquerading; ``files``: a folder for what nft is to read."""
    for machine in plan.machines:
        if machine.nat:
            _load(nat_ruleset(machine.nat), machine.name, files / f"nat-{machine.name}.nft", spaces)


def _load(rules: str, name: str, file: Path, spaces: Path) -> None:
    file.write_text(rules)
    run((*entering(name, spaces), "nft", "--file", str(file)))


def suit_userspace_datapath(plan: Plan, spaces: Mapping[str, Namespace]) -> None:
    """A userspace switch cannot finish what a device leaves to hardware inside a tunnel, neither segmentation nor
    checksums. So a tunnel device takes finished packets only: the kernel completes them before it."""
    for machine in plan.machines:
        for device in machine.devices:
            if device.tunnel:
                spaces[machine.name].set_offloads(device.name, OFFLOADS, on=False)


def shape_links(plan: Plan, netem: bool, files: Path, spaces: Path = NAMESPACE_FOLDER) -> None:
    """Both ends of every link that is not as fast as it goes. The switch comes first: it clears the egress filters of a
    device that it takes as a port. ``netem``: whether the kernel has that qdisc; ``files``: a folder for what tc is to
    read."""
    commands: dict[str, list[str]] = {}
    for name, device, shape in link_ends(plan):
        commands.setdefault(name, []).extend(tc_commands(shape, device, plan.switch.mtu, netem))
    for name, lines in commands.items():
        file = files / f"links-{name}.tc"
        file.write_text("\n".join(lines) + "\n")
        run((*entering(name, spaces), "tc", "-batch", str(file)))


def link_ends(plan: Plan) -> Iterator[tuple[str, str, Shape]]:
    """Machine, device and shape of both ends of every shaped link."""
    for port in plan.switch.ports:
        if port.shape != UNSHAPED:
            yield port.machine, port.machine_device, port.shape
            yield SWITCH, port.device, port.shape
