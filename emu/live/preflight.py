"""What this machine offers, judged and told before anything is built.

``judge`` turns readings into findings, each with what it rules out and the command that mends it; it knows nothing of
the machine but the readings.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from emu.live.readings import ONLY_LOOKED_UP, TOOLS, Readings, read_machine
from emu.model import Shape

SET_UP = "sudo ./run doctor"
OLDEST_PYTHON = (3, 10)

OPTIONAL_TOOLS: Mapping[str, str] = {
    **{name: f"{name} in a lab" for name in ("tcpdump", "ethtool", "sockperf", "tc")},  # no verb needs them
    "curl": "trace and guide",
    "nft": "l2:proxy_arp=node and overlay:snat=on",
    "bird": "routed:routes=bgp and overlay:outside=bridge",
    "/usr/lib/frr/bgpd": "routed:routes=bgp,bgp=frr",
    "tincd": "overlay:backend=udp",
    "wg": "overlay:backend=wireguard",
    "wireguard-go": "overlay:backend=wireguard where the kernel has none",
}
"""Tools that the main job can do without, and what is ruled out where they are missing."""

MAIN_TOOLS = tuple(name for name in TOOLS if name not in OPTIONAL_TOOLS)

DATAPATHS = {
    "kernel": "--datapath kernel",
    "netdev": "--datapath netdev",
    "afxdp": "--datapath afxdp",
}
QDISCS = {
    "netem": "--delay and --jitter",
    "tbf": "--bw",
    "clsact": "when-overlay, and --loss where there is no netem",
}
TUNNELS = {
    "vxlan": "overlay:backend=vxlan",
    "geneve": "overlay:backend=geneve",
    "gre": "overlay:backend=gre",
    "ipip": "overlay:backend=ipip",
    "wireguard": "overlay:backend=wireguard",
    "tun": "overlay:backend=udp",
}
BRIDGE_FILTER, MASQUERADE = "filter nftables", "filter nat"
"""The findings about nftables' bridge family, and about masquerading by it."""


SIZES = "egress mtu"
"""The name of the finding on what checks packets against an MTU."""


@dataclass(frozen=True)
class Finding:
    """One thing judged. ``state`` is ``ok``, ``limited`` (works, with a restriction told) or ``absent``."""

    name: str
    state: str
    detail: str
    rules_out: str = ""
    mend: str = ""

    def sentence(self) -> str:
        """The finding as one line of an error message."""
        return f"{self.name}: {self.detail}" + (f"; mend: {self.mend}" if self.mend else "")


@dataclass(frozen=True)
class Machine:
    """What this machine can do; the tuples name what works, the preferred one first."""

    is_root: bool
    system: str
    kernel: str
    python: str
    datapaths: tuple[str, ...]
    sdn: tuple[str, ...]
    qdiscs: tuple[str, ...]
    tunnels: tuple[str, ...]
    tools: Mapping[str, str] = field(repr=False)
    findings: tuple[Finding, ...] = field(repr=False)

    def finding(self, name: str) -> Finding:
        """The finding of that name; KeyError where there is none."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)


def examine() -> Machine:
    """Read and judge this machine; some tenths of a second, nothing is changed."""
    return judge(read_machine())


def judge(readings: Readings) -> Machine:
    """Readings -> findings; pure."""
    findings = (
        _judge_python(readings),
        _judge_tree(readings),
        *(_judge_trial(readings, f"datapath {name}", name, option) for name, option in DATAPATHS.items()),
        _judge_sizes(readings),
        *(_judge_trial(readings, f"qdisc {name}", name, options) for name, options in QDISCS.items()),
        *(_judge_trial(readings, f"tunnel {name}", name, design) for name, design in TUNNELS.items()),
        _judge_trial(readings, BRIDGE_FILTER, "nftables", "l2:proxy_arp=node"),
        _judge_trial(readings, MASQUERADE, "nat", "overlay:snat=on"),
        *(_judge_sdn(readings, name) for name in ("ryu", "os-ken")),
        _judge_mininet(readings),
        *(_judge_tool(readings, name) for name in TOOLS),
        _judge_congestion_control(readings),
        _judge_buffers(readings),
        _judge_arp_table(readings),
    )
    works = {finding.name for finding in findings if finding.state != "absent"}
    return Machine(
        is_root=readings.is_root,
        system=readings.system,
        kernel=readings.kernel,
        python=".".join(map(str, readings.python)),
        datapaths=tuple(name for name in DATAPATHS if f"datapath {name}" in works),
        sdn=tuple(name for name in ("ryu", "os-ken") if f"sdn {name}" in works),
        qdiscs=tuple(name for name in QDISCS if f"qdisc {name}" in works),
        tunnels=tuple(name for name in TUNNELS if f"tunnel {name}" in works),
        tools=readings.tools,
        findings=findings,
    )


def _judge_python(readings: Readings) -> Finding:
    version = ".".join(map(str, readings.python))
    if readings.python < OLDEST_PYTHON:
        return Finding("python", "absent", f"{version} is too old", "everything",
                       "a newer system (Debian 12 or 13, Ubuntu 22.04 or newer)")
    return Finding("python", "ok", version)


def _judge_tree(readings: Readings) -> Finding:
    how = "as root" if readings.is_root else "as an ordinary user"
    if not readings.tree_error:
        return Finding("lab namespaces", "ok", f"can be made {how}")
    detail, settings = f"cannot be made {how} ({readings.tree_error})", readings.settings
    if readings.is_root:
        return Finding("lab namespaces", "absent", detail, "every lab", "a machine or container with CAP_SYS_ADMIN")
    if settings.get("apparmor_userns") == "1":
        detail += ": AppArmor forbids ordinary users' namespaces here"
    mends = [f"sudo sysctl {sysctl}={allowing}" for name, forbidding, sysctl, allowing in _FORBIDS_NAMESPACES
             if settings.get(name) == forbidding]
    return Finding("lab namespaces", "absent", detail, "every lab", ", or ".join([*mends, "use sudo"]))


_FORBIDS_NAMESPACES = (  # a setting, the value that forbids ordinary users' namespaces, how to allow them
    ("apparmor_userns", "1", "kernel.apparmor_restrict_unprivileged_userns", "0"),
    ("userns_clone", "0", "kernel.unprivileged_userns_clone", "1"),
    ("max_userns", "0", "user.max_user_namespaces", "10000"),
)


def _judge_trial(readings: Readings, finding: str, name: str, rules_out: str) -> Finding:
    if readings.tree_error:
        return Finding(finding, "absent", "not tried, for want of namespaces", rules_out)
    error = readings.trials[name]
    if name in DATAPATHS and "ovs-vswitchd" not in readings.tools:
        return Finding(finding, "absent", "Open vSwitch is not installed", rules_out, SET_UP)
    if finding in (BRIDGE_FILTER, MASQUERADE) and "nft" not in readings.tools:
        return Finding(finding, "absent", "nft is not installed", rules_out, SET_UP)
    if not error:
        return Finding(finding, "ok", "works" if name not in ONLY_LOOKED_UP else "the kernel has it (not tried)")
    if name == "wireguard" and "wireguard-go" in readings.tools and not readings.trials["tun"]:
        return Finding(finding, "limited", f"this kernel cannot ({error}): wireguard-go does it in user space")
    if name == "tun":
        return Finding(finding, "absent", f"/dev/net/tun: {error}", rules_out, "sudo chmod 666 /dev/net/tun")
    if name == "kernel" and not readings.trials["openvswitch module"]:
        return Finding(finding, "absent", error, rules_out, "sudo modprobe openvswitch")
    if name == "kernel":
        return Finding(finding, "absent", "this kernel has no openvswitch module", rules_out)
    if name == "netdev":
        return Finding(finding, "absent", f"/dev/net/tun: {error}", rules_out, "sudo chmod 666 /dev/net/tun")
    if name == "afxdp":
        return Finding(finding, "absent", "this kernel has no AF_XDP", rules_out)
    return Finding(finding, "absent", f"this kernel cannot ({error})", rules_out)


def _judge_sizes(readings: Readings) -> Finding:
    rules_out = "routed:egress_mtu=N with --offload on"
    if readings.tree_error:
        return Finding(SIZES, "absent", "not tried, for want of namespaces", rules_out)
    if not readings.trials["kernel"]:
        return Finding(SIZES, "ok", "the kernel datapath checks packets as they leave, with offloads on too")
    detail = "the netdev datapath would check packets before they are cut to size: with --offload on it is off there"
    return Finding(SIZES, "limited", detail, rules_out, "--offload off, or a kernel datapath")


def _judge_sdn(readings: Readings, name: str) -> Finding:
    version = readings.distributions.get(name)
    if version:
        return Finding(f"sdn {name}", "ok", version)
    if name == "ryu" and readings.python >= (3, 12):
        return Finding("sdn ryu", "absent", "Ryu does not build on Python 3.12 or newer; os-ken takes its place",
                       "--sdn ryu")
    return Finding(f"sdn {name}", "absent", "not installed", f"--sdn {name}", SET_UP)


def _judge_mininet(readings: Readings) -> Finding:
    version = readings.distributions.get("mininet")
    if version:
        return Finding("mininet", "ok", version)
    return Finding("mininet", "absent", "this Python has no Mininet", "every lab", SET_UP)


def _judge_tool(readings: Readings, name: str) -> Finding:
    version = readings.tools.get(name)
    if version:
        return Finding(f"tool {name}", "ok", version)
    return Finding(f"tool {name}", "absent", "not installed", OPTIONAL_TOOLS.get(name, "the main job"), SET_UP)


def _judge_congestion_control(readings: Readings) -> Finding:
    default = readings.settings.get("congestion_control", "unknown")
    error = "not tried, for want of namespaces" if readings.tree_error else readings.trials["cubic"]
    if error:
        return Finding("congestion control", "absent", f"default {default}; cubic cannot be set ({error})",
                       "every lab", "sudo modprobe tcp_cubic")
    return Finding("congestion control", "ok", f"default {default}; labs use cubic")


def _judge_buffers(readings: Readings) -> Finding:
    default, largest = (readings.settings.get(name, "unknown") for name in ("rmem_default", "rmem_max"))
    detail = f"rmem_default {default}, rmem_max {largest} bytes"
    if readings.is_root:
        return Finding("socket buffers", "ok", f"{detail}; raised while a lab runs")
    return Finding("socket buffers", "limited", f"{detail}; only root may raise them",
                   "bursts without loss on the netdev datapath", "use sudo")


def _judge_arp_table(readings: Readings) -> Finding:
    limit = readings.settings.get("arp_limit", "unknown")
    return Finding("arp table", "ok", f"{limit} entries for all namespaces together; sweeps stay below that")


def missing_for(
    machine: Machine, datapath: str, sdn: str, tools: Iterable[str] = (), tunnels: Iterable[str] = (),
    shapes: Iterable[Shape] = (), filters: bool = False, masquerades: bool = False,
) -> list[str]:
    """What a lab with these choices lacks here, a sentence each with the command that mends it; empty: nothing.

    ``datapath`` and ``sdn`` as on the command line (``auto`` takes what there is), ``tools`` out of ``TOOLS``,
    ``tunnels`` out of ``TUNNELS``, ``shapes`` of the links; ``filters``: whether bridges filter;
    ``masquerades``: whether machines do.
    """
    wanted = ["python", "lab namespaces", "mininet", "congestion control"]
    wanted += _choice(machine.datapaths, "datapath", datapath, ("kernel", "netdev"))
    wanted += _choice(machine.sdn, "sdn", sdn, ("ryu", "os-ken"))
    wanted += [f"tool {name}" for name in tools]
    wanted += [f"tunnel {name}" for name in tunnels]
    wanted += [name for name, is_used in ((BRIDGE_FILTER, filters), (MASQUERADE, masquerades)) if is_used]
    for_links = _for_links(machine, list(shapes))
    wanted += ["tool tc"] if for_links and "tool tc" not in wanted else []
    sentences = [machine.finding(name).sentence() for name in wanted if machine.finding(name).state == "absent"]
    return sentences + [f"{options} on links: {machine.finding(name).sentence()}"
                        for options, name in for_links if machine.finding(name).state == "absent"]


def _for_links(machine: Machine, shapes: Sequence[Shape]) -> list[tuple[str, str]]:
    """The options that shapes have, each with the finding it needs."""
    needs = [("--bw", "qdisc tbf")] if any(shape.bw is not None for shape in shapes) else []
    if any(shape.delay for shape in shapes):
        jitter = any(shape.jitter for shape in shapes)
        needs.append(("--delay" + (" and --jitter" if jitter else ""), "qdisc netem"))
    if any(shape.loss for shape in shapes):
        needs.append(("--loss", "qdisc netem" if "netem" in machine.qdiscs else "qdisc clsact"))
    return needs


def _choice(offered: Iterable[str], kind: str, chosen: str, candidates: tuple[str, ...]) -> list[str]:
    if chosen != "auto":
        return [f"{kind} {chosen}"]
    return [] if set(offered) & set(candidates) else [f"{kind} {name}" for name in candidates]


def main_job_missing(machine: Machine) -> list[str]:
    """What `emu compare` lacks here, as ``missing_for``; empty: it can run."""
    return missing_for(machine, "auto", "auto", MAIN_TOOLS, ("vxlan",))


def render(machine: Machine) -> str:
    """The findings for a terminal, a line each with the tools that are there in one, and the verdict."""
    who = "root" if machine.is_root else "an ordinary user"
    lines = [f"{machine.system}, Linux {machine.kernel}, Python {machine.python}, as {who}"]
    lines += _lines("ok", "tools", ", ".join(f"{name} {version}" for name, version in machine.tools.items()))
    for finding in machine.findings:
        if finding.state == "ok" and finding.name.startswith("tool "):
            continue
        lines += _lines(finding.state, finding.name, finding.detail)
        if finding.state != "ok":
            lines += _lines("", "", f"rules out {finding.rules_out}") if finding.rules_out else []
            lines += _lines("", "", f"mend: {finding.mend}") if finding.mend else []
    missing = main_job_missing(machine)
    if missing:
        lines += ["The main job (compare) cannot run here:", *(f"  {sentence}" for sentence in missing)]
    else:
        lines.append(f"The main job (compare) can run: {machine.datapaths[0]} datapath, {machine.sdn[0]}.")
    return "\n".join(lines)


def _lines(state: str, name: str, text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=f"{state:7} {name:19} ", subsequent_indent=" " * 28,
                         break_on_hyphens=False)


def to_json(machine: Machine) -> dict[str, Any]:
    """The machine as one JSON document, `emu doctor --json`."""
    return {"format": "emu-doctor/1", **asdict(machine), "main_job_missing": main_job_missing(machine)}
