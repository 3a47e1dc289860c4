"""A count of what a lab's kernels hold: routes, rules, neighbors and forwarding entries, namespace by namespace.

All by netlink from one process; some milliseconds a namespace.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from emu.laws import BGP_ROUTES, FDB, LEARNED_FDB, LEARNED_NEIGHBORS, NEIGHBORS, ROUTES, RULES
from emu.live.namespaces import Namespace

_PROTO_BIRD = 12  # include/uapi/linux/rtnetlink.h
_RULES_OF_EVERYBODY = 3
"""local, main and default (``net/ipv4/fib_rules.c``, ``fib_default_rules_init``)."""

Counts = Mapping[str, int]


def written(space: Namespace) -> dict[str, int]:
    """What is in a namespace because somebody has put it there, by kind."""
    routes = space.written_routes()
    return {
        ROUTES: len(routes),
        BGP_ROUTES: sum(route["proto"] == _PROTO_BIRD for route in routes),
        RULES: len(space.route.get_rules(family=socket.AF_INET)) - _RULES_OF_EVERYBODY,
        NEIGHBORS: len(space.permanent_neighbors()),
        FDB: len(space.written_fdb()),
    }


@dataclass
class Learned:
    """The neighbors that traffic has taught the machines, all that were ever seen: not all of them need be there at the
    same time, since the kernel's limit is one for all namespaces."""

    _spaces: Mapping[str, Namespace]
    _neighbors: dict[str, set[tuple[int, str]]] = field(default_factory=dict)

    def look(self, names: Iterable[str]) -> None:
        """Note the neighbors that these machines know by now."""
        for name in names:
            self._neighbors.setdefault(name, set()).update(self._spaces[name].learned_neighbors_by_device())

    def counts(self) -> dict[str, Counts]:
        """By machine, neighbors seen so far, and the MACs that bridges and tunnels know now."""
        return {name: {LEARNED_NEIGHBORS: len(known), LEARNED_FDB: len(self._spaces[name].learned_fdb())}
                for name, known in self._neighbors.items()}
