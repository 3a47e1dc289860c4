"""Masquerading rules as nftables reads them, held against what flannel writes."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from emu.designs import make_plan, parse_design
from emu.filters import NatRule
from emu.live.nftables import nat_ruleset
from emu.model import Scenario

RULES = [
    (NatRule("return", mark=0x4000), "meta mark 0x00004000 return"),
    (NatRule("return", "10.0.0.0/16", "10.0.0.0/16"), "ip saddr 10.0.0.0/16 ip daddr 10.0.0.0/16 return"),
    (
        NatRule("masquerade", "10.0.0.0/16", "224.0.0.0/4", not_to=True),
        "ip saddr 10.0.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random",
    ),
    (
        NatRule("masquerade", "10.0.0.0/16", "10.0.0.0/16", not_from=True),
        "ip saddr != 10.0.0.0/16 ip daddr 10.0.0.0/16 masquerade fully-random",
    ),
]


@pytest.mark.parametrize(("rule", "words"), RULES)
def test_a_rule_in_nftables_words(rule: NatRule, words: str) -> None:
    assert rule.words == words


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
def test_nftables_reads_and_prints_the_rules_of_a_plan_as_they_are_written() -> None:
    plan = make_plan(parse_design("overlay:outside=bridge,snat=on"), Scenario())
    rules = plan.by_name["node-a"].nat
    assert rules
    script = "nft --file - && nft list table ip nat"
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], input=nat_ruleset(rules), capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = [line.strip() for line in done.stdout.splitlines()]
    assert [line for line in printed if line.endswith(("return", "fully-random"))] == [rule.words for rule in rules]
