"""Nodes that leave a running cluster and join it again: what all others hold for them is removed, and entered.

As flannel does it when a lease ends or begins (``pkg/backend/vxlan/vxlan_network.go``, ``handleSubnetEvents``): each
machine that the overlay runs on takes out, or puts in, its route, neighbor and FDB entry for that node, and the node
those for all others.
"""

from __future__ import annotations

from emu.designs.outside import members
from emu.errors import UsageError
from emu.live.entries import Entries
from emu.live.lab import Lab
from emu.model import Machine, Node


def leave(lab: Lab, name: str) -> None:
    """Take a node out of the cluster; it goes on running. ``UsageError`` as ``entries_about``."""
    lab.tree.request("remove_entries", entries=entries_about(lab, name))


def join(lab: Lab, name: str) -> None:
    """Take a node that has left into the cluster again. ``UsageError`` as ``entries_about``."""
    lab.tree.request("enter_entries", entries=entries_about(lab, name))


def entries_about(lab: Lab, name: str) -> list[Entries]:
    """What the others hold for a node in kernel tables, and the node for them. ``UsageError`` where there is no such
    node, or its design keeps nothing for it there."""
    plan = lab.plan
    node = next((node for node in plan.nodes if node.name == name), None)
    if node is None:
        raise UsageError(f"{plan.spec} has no node '{name}'")
    others = [other for other in members(plan) if other is not node]
    found = [_about(plan.by_name[other.name], node) for other in others]
    found += [_about(plan.by_name[name], other) for other in others]
    if not all(entries.routes for entries in found):
        raise UsageError(f"{plan.spec}: nodes hold no routes for each other, so that none can leave")
    return found


def _about(machine: Machine, other: Node) -> Entries:
    return Entries(
        machine.name,
        tuple(neighbor for neighbor in machine.neighbors if neighbor.address == other.vtep_address),
        tuple(entry for entry in machine.fdb if entry.destination == other.address),
        tuple(route for route in machine.routes if route.destination == other.pod_subnet),
    )
