"""How the pairs of a sweep are batched, so that the kernel's ARP table, which all namespaces share, has room."""

from __future__ import annotations

import pytest

from emu.designs import make_plan, parse_design
from emu.live.sweep import ENTRIES_PER_EXCHANGE, batches, side_of_batch
from emu.model import Scenario

STOCK_LIMIT = 1024
"""gc_thresh3 of a kernel as it comes (``net/ipv4/arp.c``)."""


@pytest.mark.parametrize(("nodes", "containers"), [(2, 0), (4, 3), (9, 1), (64, 4)])
@pytest.mark.parametrize("copying", [False, True])
def test_every_pair_is_in_one_batch_and_no_batch_needs_more_than_a_third(
    nodes: int, containers: int, copying: bool
) -> None:
    plan = make_plan(parse_design("flat"), Scenario(nodes=nodes, containers=containers))
    node_of = {name: node.name for name, node in plan.node_of.items()}
    names = sorted(plan.by_name, key=lambda name: (node_of[name], name))
    pairs = [(a, b, plan.address(b), 64) for a in names for b in names if a != b]
    copies = nodes - 1 if copying else 0
    found = batches(names, pairs, side_of_batch(names, node_of, STOCK_LIMIT // 3, copies))
    assert sorted(pair for batch in found for pair in batch) == sorted(pairs)
    for batch in found:
        exchanges = {frozenset(pair[:2]) for pair in batch}
        assert len(exchanges) * ENTRIES_PER_EXCHANGE <= STOCK_LIMIT // 3
        senders = {node_of[name] for pair in batch for name in pair[:2]}
        assert len(senders) * copies * 2 <= max(STOCK_LIMIT // 3, 4 * copies)
