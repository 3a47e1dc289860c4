"""A lab's Open vSwitch: database, daemon, one bridge. In machine-wide mode a bridge of the machine's own instead."""

from __future__ import annotations

import os
from pathlib import Path

from emu.errors import LabError
from emu.live.process import run, wait_until
from emu.model import Plan

BRIDGE = "switch0"
CONTROLLER_ADDRESS = "127.0.0.1:6653"
NOBODY = "127.0.0.1:1"
RUN_FOLDER = Path("/run/openvswitch")
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_DATAPATH_TYPE = {"kernel": "system", "netdev": "netdev"}


class VSwitch:
    """Open vSwitch inside the lab's namespace tree, with its files on the lab's own /run; or the machine's own, where
    that has been told where it is (``machine_wide``)."""

    def __init__(self, datapath: str, machine_wide: bool = False) -> None:
        self.datapath = datapath
        own = {f"OVS_{name}": str(RUN_FOLDER) for name in ("RUNDIR", "DBDIR", "LOGDIR", "SYSCONFDIR")}
        self._env = dict(os.environ) if machine_wide else {**os.environ, **own}

    def start(self, offload: bool) -> None:
        """Start database and daemon. ``offload``: let the userspace datapath take super-packets (TSO)."""
        RUN_FOLDER.mkdir(parents=True, exist_ok=True)
        database = RUN_FOLDER / "conf.db"
        self._run("ovsdb-tool", "create", str(database), str(_SCHEMA))
        daemon = ("--detach", "--no-chdir", "--pidfile", "-vconsole:off", "-vsyslog:off", "-vfile:warn", "--log-file")
        self._run("ovsdb-server", str(database), f"--remote=punix:{RUN_FOLDER}/db.sock", *daemon)
        settings = ["--", "set", "Open_vSwitch", ".", "other_config:flow-restore-wait=false"]
        if offload and self.datapath == "netdev":
            settings += ["other_config:userspace-tso-enable=true"]
        self._run("ovs-vsctl", "--no-wait", "init", *settings)
        self._run("ovs-vswitchd", *daemon)

    def build(self, plan: Plan, controller: str | None = CONTROLLER_ADDRESS, mark: str | None = None) -> None:
        """The bridge with all its ports, in one transaction. Fails closed when its controller is gone. ``mark``: a key
        among its external ids."""
        words = [
            "ovs-vsctl",
            "--",
            "add-br",
            BRIDGE,
            "--",
            "set",
            "Bridge",
            BRIDGE,
            f"datapath_type={_DATAPATH_TYPE[self.datapath]}",
            "fail_mode=secure",
            "protocols=OpenFlow13",
            f"other_config:datapath-id={plan.switch.dpid:016x}",
        ]
        if mark:
            words.append(f"external_ids:{mark}={plan.design}")
        for port in plan.switch.ports:
            words += [
                "--",
                "add-port",
                BRIDGE,
                port.device,
                "--",
                "set",
                "Interface",
                port.device,
                f"ofport_request={port.number}",
                f"mtu_request={plan.switch.mtu}",
            ]
        if own := plan.switch.own:
            words += [*("--", "add-port", BRIDGE, own.device, "--", "set", "Interface", own.device, "type=internal"),
                      f"ofport_request={own.number}", f"mtu_request={plan.switch.mtu}", f'mac="{own.mac}"']
        self._run(*words, *(("--", *_controller_at(controller)) if controller else ()))
        names = [BRIDGE, *(port.device for port in plan.switch.ports), *((own.device,) if own else ())]
        errors = ("--columns=name,error", "--format=csv", "--no-headings", "list", "Interface")
        told = self._run("ovs-vsctl", *errors, *names)
        bad = [line for line in told.splitlines() if not line.endswith(",[]")]
        if bad:
            raise LabError(f"Open vSwitch refused a port: {' '.join(bad)}")

    def connect(self, address: str) -> None:
        """Connect to the controller at an address, or to ``NOBODY``. Not to be without any at all: a switch that no
        longer has one empties its flow table (``ofproto/connmgr.c``)."""
        self._run("ovs-vsctl", *_controller_at(address))

    def connected(self) -> bool:
        """Whether the bridge is connected to its controller."""
        one = self._run("ovs-vsctl", "--bare", "--columns=is_connected", "list", "Controller", BRIDGE)
        return one.strip() == "true"

    @property
    def pid(self) -> int:
        """The daemon's process number inside the lab."""
        return int((RUN_FOLDER / "ovs-vswitchd.pid").read_text())

    def version(self) -> str:
        """The daemon's version, as in ``3.1.0``."""
        return self._run("ovs-vswitchd", "--version").split("\n")[0].split()[-1]

    def flows(self) -> list[str]:
        """The flow table, a line a flow, with counters."""
        lines = self._run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", BRIDGE).splitlines()
        return [line.strip() for line in lines if "cookie=" in line]

    def settle_counters(self) -> None:
        """Have the flow table's counters take in what the datapath has counted so far."""
        self._run("ovs-appctl", "revalidator/wait")

    def trace(self, port: int, frame_hex: str) -> str:
        """``ofproto/trace``: the rules that a frame meets which comes in at ``port``."""
        return self._run("ovs-appctl", "ofproto/trace", BRIDGE, f"in_port={port}", frame_hex)

    def forget_flows(self) -> None:
        """Empty the datapath's flow cache (not the flow table), and assert that it is empty."""
        wait_until("datapath flows to be gone", self._cache_emptied)

    def cached_flows(self) -> list[str]:
        """The datapath's flow cache, a line an entry."""
        return self._run("ovs-appctl", "dpctl/dump-flows", self._datapath_name).splitlines()

    def _cache_emptied(self) -> bool:
        self._run("ovs-appctl", "dpctl/del-flows", self._datapath_name)
        return not self.cached_flows()

    @property
    def _datapath_name(self) -> str:
        return f"{_DATAPATH_TYPE[self.datapath]}@ovs-{_DATAPATH_TYPE[self.datapath]}"

    def errors(self) -> list[str]:
        """What the daemon has logged as errors or worse."""
        lines = (RUN_FOLDER / "ovs-vswitchd.log").read_text(errors="replace").splitlines()
        return [line for line in lines if "|ERR|" in line or "|EMER|" in line]

    def _run(self, *argv: str) -> str:
        return run(argv, env=self._env)


def _controller_at(address: str) -> tuple[str, ...]:
    """The words that have the bridge connect there, and try again at least once a second."""
    return ("set-controller", BRIDGE, f"tcp:{address}", "--", "set", "Controller", BRIDGE, "max_backoff=1000")
