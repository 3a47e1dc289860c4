"""How the state of a cluster grows: what each design declares of itself, as data. ``emu.measure.state`` is the meter.

*Written* state is what the plan puts there; *learned* state is what traffic leaves behind, here of every pair of
machines having spoken. Learned entries age and are made anew; a law counts those that were ever made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

ROUTES, RULES, NEIGHBORS, FDB = "routes", "rules", "neighbors", "fdb"
LEARNED_NEIGHBORS, LEARNED_FDB = "learned neighbors", "learned fdb"
FLOWS, BGP_ROUTES = "flows", "bgp routes"

NODE, CONTAINER, SWITCH = "node", "container", "switch"
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    NODE: (ROUTES, RULES, NEIGHBORS, FDB, LEARNED_NEIGHBORS, LEARNED_FDB),
    CONTAINER: (ROUTES, NEIGHBORS, LEARNED_NEIGHBORS),
    SWITCH: (FLOWS, BGP_ROUTES, NEIGHBORS),
})
"""What is counted, by where. Of a node and of a container, what is in its own network namespace:

- routes: unicast, of all tables but the kernel's own (``local``); rules: besides the three that every namespace has;
- neighbors, fdb: written, for ever; of FDB entries, those of tunnel devices, since a bridge has none written but its
  ports' own MACs;
- learned neighbors: an address resolved on a device; learned fdb: a MAC in a bridge, or behind a tunnel.

Of the switch: flows of its table; routes that the daemon beside the gateway has learned and put into the kernel's
table there; neighbors that are written for that daemon.
"""


@dataclass(frozen=True)
class Growth:
    """A number of entries, by the size of a cluster: ``fixed``, and so many for each other node, each other node that
    has containers, each container of the same node, and each container of other nodes."""

    fixed: int = 0
    other_nodes: int = 0
    other_hosts: int = 0
    own_containers: int = 0
    others_containers: int = 0

    def at(self, nodes: int, containers: int) -> int:
        """The entries where there are ``nodes``, with ``containers`` on each."""
        others = nodes - 1
        hosts = others if containers else 0
        return (self.fixed + self.other_nodes * others + self.other_hosts * hosts + self.own_containers * containers
                + self.others_containers * others * containers)

    def __add__(self, other: Growth) -> Growth:
        return Growth(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def __str__(self) -> str:
        """In words: ``2 + 1 per other node``. What counts all alike is told so: ``1 per node``."""
        all_alike = self.fixed == self.other_nodes or self.fixed > self.other_nodes > 1
        nodes = self.other_nodes if all_alike else 0
        containers = min(self.own_containers, self.others_containers)
        rest = ((self.fixed - nodes, ""), (nodes, "node"), (self.other_nodes - nodes, "other node"),
                (self.other_hosts, "other node with containers"), (containers, "container"),
                (self.own_containers - containers, "own container"),
                (self.others_containers - containers, "container elsewhere"))
        return " + ".join(f"{count} per {what}" if what else str(count) for count, what in rest if count) or "0"


def per_node(count: int) -> Growth:
    """So many for every node."""
    return Growth(fixed=count, other_nodes=count)


def per_container(count: int) -> Growth:
    """So many for every container of the cluster."""
    return Growth(own_containers=count, others_containers=count)


Amounts = Mapping[str, Growth]


@dataclass(frozen=True)
class StateLaw:
    """What a design declares: entries by kind, of each node, of each container and of the switch; none of a kind that
    is not named. Nodes have the same number of containers each."""

    node: Amounts
    container: Amounts = field(default_factory=dict)
    switch: Amounts = field(default_factory=dict)

    def of(self, place: str) -> Amounts:
        """The amounts of every kind that is counted in a place."""
        amounts = {NODE: self.node, CONTAINER: self.container, SWITCH: self.switch}[place]
        return {kind: amounts.get(kind, Growth()) for kind in KINDS[place]}
