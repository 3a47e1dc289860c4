"""A plan's ARP filters and masquerading as rulesets of nftables (nft(8)), and what counters say. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emu.filters import NAT_CHAIN, ArpFilter, NatRule

TABLE = "proxy_arp"
_HOOKS = ("input", "forward", "output")


def ruleset(filters: Sequence[ArpFilter]) -> str:
    """What ``nft --file`` makes of a machine's filters: a table with a chain a hook; every rule counts."""
    lines = [f"table bridge {TABLE} {{"]
    for hook in _HOOKS:
        rules = [_rule(item) for item in filters if item.hook == hook]
        if rules:
            lines += [f"  chain {hook} {{", f"    type filter hook {hook} priority 0; policy accept;"]
            lines += [*(f"    {rule}" for rule in rules), "  }"]
    return "\n".join([*lines, "}"]) + "\n"


def _rule(item: ArpFilter) -> str:
    words = [f'{key} "{device}"' for key, device in (
        ("iifname", item.came_by), ("iifname !=", item.came_not_by), ("oifname", item.leaves_by)) if device]
    words.append("arp operation request")
    if item.targets:
        words.append(f"arp daddr ip {'!= ' if item.others else ''}{{ {', '.join(item.targets)} }}")
    return " ".join([*words, f'counter drop comment "{item.why}"'])


def nat_ruleset(rules: Sequence[NatRule]) -> str:
    """What ``nft --file`` makes of a machine's masquerading, under flannel's own name for the chain."""
    hook = "type nat hook postrouting priority srcnat; policy accept;"
    lines = ["table ip nat {", f"  chain {NAT_CHAIN} {{", f"    {hook}"]
    return "\n".join([*lines, *(f"    {rule.words}" for rule in rules), "  }", "}"]) + "\n"


def counted(listing: str, why: str) -> int | None:
    """How many requests a filter has dropped, by what it is for, from what ``nft list chain`` prints; ``None`` if it is
    not there."""
    found = re.search(rf'counter packets (\d+) bytes \d+ drop comment "{re.escape(why)}"', listing)
    return int(found.group(1)) if found else None
