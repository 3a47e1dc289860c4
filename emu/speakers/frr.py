"""FRR (frrouting.org) on the nodes: its bgpd alone.

Without zebra it knows no interfaces and writes nothing to the kernel: it announces what it is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from emu.model import Node
from emu.programs import Process
from emu.speakers.base import FOLDER, GATEWAY_AS, KEEPALIVES, Order, Timers, as_number

BGPD = "/usr/lib/frr/bgpd"
"""Where Debian and Ubuntu have it; on nobody's PATH."""

NO_BFD = "FRR's bgpd reaches its bfdd through zebra alone, and here is no zebra, which cannot run without root"
"""Both would become the user frr, and have no option against it: an ordinary user's lab has nobody but root."""

_SESSION = "to_gateway"
"""A group of one peer, named without its address. After `no bgp shutdown` no session is taken up again (8.4.4).
"""
_CONFIG, _NETWORKS = "bgpd.conf", "networks"
_CONTROL = "vtysh --config_dir . --vty_socket . -d bgpd"

_REPLACE = f"""set -e
cd "$1"
had=$(sed -n 's/^  network /network /p' {_CONFIG})
{{
  echo "router bgp $2"
  echo 'address-family ipv4 unicast'
  cat {_NETWORKS}
  echo "$had" | grep -vxF -f {_NETWORKS} | sed 's/^network/no network/'
}} >changes
{_CONTROL} -f changes
{_CONTROL} -c 'write memory'
"""
"""bgpd has no command that replaces its networks: those that it had and is to have no longer are taken away one by one,
after the new ones are there. It writes its configuration, so that it announces the same when it is started again."""


class Frr:
    """See the module."""

    name = "frr"

    def on_node(self, node: Node, gateway: str, timers: Timers) -> Process:
        """See ``base.Speaker``. A prefix list, since a route map would come into force after five seconds only."""
        folder = _folder(node)
        argv = (BGPD, "-f", f"{folder}/{_CONFIG}", "-i", f"{folder}/bgpd.pid", "--vty_socket", folder, "-P", "0",
                "--log", "stdout", "--log-level", "warnings",
                "-Z", "-n",  # neither zebra nor the kernel
                "-S")  # it would become the user frr, whom an ordinary user's lab does not have
        config = f"""router bgp {as_number(node)}
 bgp router-id {node.address}
 no bgp network import-check
 no bgp ebgp-requires-policy
 neighbor {_SESSION} peer-group
 neighbor {_SESSION} remote-as {GATEWAY_AS}
 neighbor {_SESSION} update-source {node.address}
 neighbor {_SESSION} disable-connected-check
 neighbor {_SESSION} timers {max(1, timers.hold_s // KEEPALIVES)} {timers.hold_s}
 neighbor {_SESSION} timers connect 1
 neighbor {gateway} peer-group {_SESSION}
 address-family ipv4 unicast
  network {node.pod_subnet}
  neighbor {_SESSION} prefix-list nothing in
 exit-address-family
ip prefix-list nothing deny any
"""
        files = ((f"{folder}/{_CONFIG}", config),
                 (f"{folder}/vtysh.conf", "no service integrated-vtysh-config\n"))
        return Process(f"frr-{node.name}", argv, files, self.sessions(node), peers=(gateway,))

    def announce(self, node: Node, prefixes: Iterable[str]) -> Order:
        text = "".join(f"network {prefix}\n" for prefix in (node.pod_subnet, *prefixes))
        command = ("sh", "-c", _REPLACE, "sh", _folder(node), str(as_number(node)))
        return Order(((f"{_folder(node)}/{_NETWORKS}", text),), (command,))

    def stop(self, node: Node) -> Order:
        return self._configure(node, f"neighbor {_SESSION} shutdown")

    def resume(self, node: Node) -> Order:
        return self._configure(node, f"no neighbor {_SESSION} shutdown")

    def sessions(self, node: Node) -> tuple[str, ...]:
        return _control(node, "show bgp neighbors")

    def pid_file(self, node: Node) -> str:
        return f"{_folder(node)}/bgpd.pid"

    def _configure(self, node: Node, line: str) -> Order:
        return Order((), (_control(node, "configure terminal", f"router bgp {as_number(node)}", line),))


def _folder(node: Node) -> str:
    return f"{FOLDER}/{node.name}"


def _control(node: Node, *commands: str) -> tuple[str, ...]:
    folder = _folder(node)
    words = (word for command in commands for word in ("-c", command))
    return ("vtysh", "--config_dir", folder, "--vty_socket", folder, "-d", "bgpd", *words)


SPEAKER = Frr()
