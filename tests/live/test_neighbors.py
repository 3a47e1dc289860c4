"""Neighbor tables by messages of our own, against what iproute2 makes and shows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emu.live.readings import tree_command

pytestmark = pytest.mark.live

MANY = 300
CODE = f"""
import errno, socket, subprocess
from emu.live.neighbors import Neighbor, forget, neighbors

def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout.splitlines()

ip("link", "add", "here", "type", "veth", "peer", "name", "there")
ip("link", "set", "here", "up")
ip("link", "set", "there", "up")
mac = ("lladdr", "02:00:00:00:00:02", "dev", "here")
ip("neigh", "add", "10.0.0.1", *mac, "nud", "permanent")
for number in range({MANY}):
    ip("neigh", "add", f"10.0.{{1 + number // 200}}.{{1 + number % 200}}", *mac, "nud", "stale")
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
found = neighbors(netlink)
learned = [entry for entry in found if entry.is_learned]
shown = ip("-4", "neigh", "show", "nud", "all", "dev", "here")
assert len(shown) == len([entry for entry in found if entry.index == learned[0].index])
assert len(learned) == {MANY}
assert all(entry.is_usable for entry in learned)
forget(netlink, learned)
assert [line.split()[0] for line in ip("-4", "neigh", "show", "dev", "here")] == ["10.0.0.1"]
forget(netlink, learned)
try:
    forget(netlink, [Neighbor(999, 0, b"xxxx"), *learned])
except OSError as error:
    assert error.errno == errno.ENODEV, error
else:
    raise AssertionError("a device that is not there has neighbors")
"""


def test_what_was_learned_is_forgotten_and_what_is_permanent_stays() -> None:
    command = [*tree_command(os.geteuid() == 0), sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
