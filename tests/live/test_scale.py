"""Fifty nodes with four containers each: they come up, and every pair of machines reaches every other."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence

import pytest

from tests.live.machine import CHECKOUT, emu_command

pytestmark = pytest.mark.alone

# The checkout's owner, who can read it wherever it is; nobody, where that is root.
ORDINARY_USER = CHECKOUT.stat().st_uid or 65534
MACHINES = 50 + 50 * 4

# Distributions have /dev/net/tun open to all; a machine where only root may open it gets one in a mount
# namespace of the test's own.
AS_ORDINARY_USER = (
    "unshare", "--mount", "sh", "-ec",
    "mount -t tmpfs tmpfs /mnt; mknod -m 666 /mnt/tun c 10 200; mount --bind /mnt/tun /dev/net/tun;"
    f" exec setpriv --reuid={ORDINARY_USER} --regid={ORDINARY_USER} --clear-groups"
    ' env HOME=/nonexistent "$@"', "-",
)  # fmt: skip


def users_may_make_namespaces() -> bool:
    command = ["setpriv", f"--reuid={ORDINARY_USER}", "--clear-groups", "unshare", "--user", "--map-root-user", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


WITHOUT_ROOT = pytest.param(
    AS_ORDINARY_USER,
    id="ordinary-user",
    marks=pytest.mark.skipif(
        os.geteuid() != 0 or not users_may_make_namespaces(),
        reason="needs root to become an ordinary user, and user namespaces for one",
    ),
)


@pytest.mark.parametrize("prefix", [pytest.param((), id="as-started"), WITHOUT_ROOT])
@pytest.mark.parametrize("design", ["l2", "routed", "overlay"])
def test_fifty_nodes(design: str, prefix: Sequence[str]) -> None:
    command = [*prefix, *emu_command("check", design, "--nodes", "50", "--containers", "4", "--json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    claims = {claim["id"]: claim for claim in json.loads(done.stdout)["claims"]}
    assert claims["reach"]["seen"] == f"{MACHINES * (MACHINES - 1)} pairs"
    assert {claim["result"] for claim in claims.values()} == {"holds"}


@pytest.mark.stock
@pytest.mark.parametrize("design", ["bare", "l2", "routed", "overlay", "routed:routes=bgp,bgp=frr"])
@pytest.mark.parametrize("prefix", [WITHOUT_ROOT])
def test_the_deck_without_root(design: str, prefix: Sequence[str]) -> None:
    done = subprocess.run([*prefix, *emu_command("check", design)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
