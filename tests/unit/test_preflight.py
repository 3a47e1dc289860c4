"""What `emu doctor` says, judged from readings of machines that are not at hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emu.live.preflight import MAIN_TOOLS, Machine, judge, main_job_missing, missing_for, render, to_json
from emu.live.readings import TOOLS, TRIALS, Readings, parse_trials, parse_version
from emu.model import Shape

DEBIAN_12 = Readings(
    is_root=True,
    system="Debian GNU/Linux 12 (bookworm)",
    kernel="6.1.0-56-amd64",
    python=(3, 11, 2),
    tree_error="",
    trials=dict.fromkeys(TRIALS, ""),
    tools=dict.fromkeys(TOOLS, "1.0"),
    distributions={"ryu": "4.34", "os-ken": "4.2.2", "mininet": "2.3.0"},
    settings={"arp_limit": "1024", "congestion_control": "cubic", "rmem_default": "212992", "rmem_max": "212992"},
)
NO_MODULES = replace(DEBIAN_12, trials={
    **DEBIAN_12.trials,
    "kernel": "Generic Netlink family 'ovs_datapath' does not exist.",
    "openvswitch module": "modinfo: ERROR: Module openvswitch not found.",
    "netem": "Error: Specified qdisc kind is unknown.",
})


def without(readings: Readings, *tools: str) -> Machine:
    return judge(replace(readings, tools={name: "1.0" for name in TOOLS if name not in tools}))


def test_a_stock_debian_offers_everything_and_prefers_kernel_and_ryu() -> None:
    machine = judge(DEBIAN_12)
    assert machine.datapaths == ("kernel", "netdev", "afxdp")
    assert machine.sdn == ("ryu", "os-ken")
    assert machine.qdiscs == ("netem", "tbf", "clsact")
    assert [finding for finding in machine.findings if finding.state != "ok"] == []
    assert main_job_missing(machine) == []


def test_a_kernel_without_modules_still_does_the_main_job_in_user_space() -> None:
    machine = judge(NO_MODULES)
    assert machine.datapaths == ("netdev", "afxdp")
    assert machine.finding("datapath kernel").mend == ""  # no command brings a module that this kernel does not have
    assert machine.finding("qdisc netem").rules_out == "--delay and --jitter"
    sizes = machine.finding("egress mtu")
    assert (sizes.state, sizes.rules_out) == ("limited", "routed:egress_mtu=N with --offload on")
    assert main_job_missing(machine) == []
    assert missing_for(machine, "kernel", "auto") == ["datapath kernel: this kernel has no openvswitch module"]


def test_a_module_that_is_there_but_does_not_answer_is_mended_by_loading_it() -> None:
    trials = {**DEBIAN_12.trials, "kernel": "Generic Netlink family 'ovs_datapath' does not exist."}
    finding = judge(replace(DEBIAN_12, trials=trials)).finding("datapath kernel")
    assert (finding.state, finding.mend) == ("absent", "sudo modprobe openvswitch")


def test_everything_missing_is_named_at_once_with_its_mending_command() -> None:
    machine = judge(replace(NO_MODULES, distributions={}, tools={}))
    sentences = missing_for(machine, "auto", "auto", MAIN_TOOLS)
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "mininet", "datapath kernel", "datapath netdev", "sdn ryu", "sdn os-ken",
        *(f"tool {name}" for name in MAIN_TOOLS)]
    assert all(sentence.endswith("mend: sudo ./run doctor") for sentence in sentences)


def test_only_the_tools_asked_for_are_missed() -> None:
    machine = without(DEBIAN_12, "wrk", "bird")
    assert missing_for(machine, "auto", "auto", ["ping"]) == []
    assert missing_for(machine, "auto", "auto", ["ping", "wrk"]) == [
        "tool wrk: not installed; mend: sudo ./run doctor"]


NO_LINKS = replace(NO_MODULES, trials={**NO_MODULES.trials, "tbf": "no", "clsact": "no"})


@pytest.mark.parametrize(("readings", "shape", "missing"), [
    (NO_LINKS, Shape(), []),
    (DEBIAN_12, Shape(10, 5, 1, 2), []),
    (replace(DEBIAN_12, trials={**DEBIAN_12.trials, "clsact": "no"}), Shape(loss=2), []),
    (NO_MODULES, Shape(10, loss=2), []),
    (NO_MODULES, Shape(10, 5, 0, 2), ["--delay on links: qdisc netem: this kernel cannot (Error: Specified"]),
    (NO_LINKS, Shape(10, 5, 1, 2), ["--bw on links: qdisc tbf", "--delay and --jitter on links: qdisc netem",
                                    "--loss on links: qdisc clsact"]),
    (replace(DEBIAN_12, tools={name: "1.0" for name in TOOLS if name != "tc"}), Shape(10), ["tool tc: not installed"]),
])
def test_what_links_need_is_missed_before_anything_is_built(
    readings: Readings, shape: Shape, missing: list[str]
) -> None:
    sentences = missing_for(judge(readings), "auto", "auto", shapes=[Shape(), shape])
    assert len(sentences) == len(missing)
    assert all(said.startswith(start) for said, start in zip(sentences, missing, strict=True))


NO_BRIDGE_FAMILY = "Error: Could not process rule: Operation not supported"


@pytest.mark.parametrize(("tools", "error", "sentences"), [
    (TOOLS, "", []),
    (TOOLS, NO_BRIDGE_FAMILY, [f"filter nftables: this kernel cannot ({NO_BRIDGE_FAMILY})"]),
    ({*TOOLS} - {"nft"}, "sh: 1: nft: not found", ["filter nftables: nft is not installed; mend: sudo ./run doctor"]),
])
def test_filters_of_bridges_take_nft_and_a_kernel_that_has_the_family(
    tools: set[str], error: str, sentences: list[str]
) -> None:
    readings = replace(DEBIAN_12, trials={**DEBIAN_12.trials, "nftables": error}, tools=dict.fromkeys(tools, "1.0"))
    machine = judge(readings)
    assert missing_for(machine, "auto", "auto", filters=True) == sentences
    assert missing_for(machine, "auto", "auto") == main_job_missing(machine) == []
    assert machine.finding("filter nftables").rules_out == ("l2:proxy_arp=node" if sentences else "")


def test_a_tool_that_no_verb_needs_does_not_stop_the_main_job() -> None:
    assert main_job_missing(without(DEBIAN_12, "bird")) == []
    assert main_job_missing(without(DEBIAN_12, "nginx")) == ["tool nginx: not installed; mend: sudo ./run doctor"]


def test_ryu_on_a_new_python_is_told_apart_from_ryu_not_installed() -> None:
    only_os_ken = {"os-ken": "4.2.2", "mininet": "2.3.0"}
    new = judge(replace(DEBIAN_12, python=(3, 13, 5), distributions=only_os_ken))
    assert new.sdn == ("os-ken",)
    assert main_job_missing(new) == []
    assert missing_for(new, "auto", "ryu") == [
        "sdn ryu: Ryu does not build on Python 3.12 or newer; os-ken takes its place"]
    old = judge(replace(DEBIAN_12, distributions=only_os_ken))
    assert missing_for(old, "auto", "ryu") == ["sdn ryu: not installed; mend: sudo ./run doctor"]


def test_a_python_too_old_is_missing_whatever_is_asked() -> None:
    machine = judge(replace(DEBIAN_12, python=(3, 8, 10)))
    (sentence,) = missing_for(machine, "auto", "auto")
    assert sentence.startswith("python: 3.8.10 is too old; mend: a newer system")


@pytest.mark.parametrize(("settings", "mend"), [
    ({"apparmor_userns": "1"}, "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or use sudo"),
    ({"userns_clone": "0"}, "sudo sysctl kernel.unprivileged_userns_clone=1, or use sudo"),
    ({"max_userns": "0"}, "sudo sysctl user.max_user_namespaces=10000, or use sudo"),
    ({"apparmor_userns": "0", "userns_clone": "1", "max_userns": "96365"}, "use sudo"),
])
def test_an_ordinary_user_without_namespaces_is_told_what_forbids_them(settings: dict[str, str], mend: str) -> None:
    refused = "unshare: write failed /proc/self/uid_map: Operation not permitted"
    machine = judge(replace(DEBIAN_12, is_root=False, tree_error=refused, trials={}, settings=settings))
    finding = machine.finding("lab namespaces")
    assert finding.state == "absent"
    assert refused in finding.detail
    assert finding.mend == mend
    assert machine.datapaths == machine.qdiscs == machine.tunnels == ()
    assert main_job_missing(machine)[0] == finding.sentence()


def test_a_tun_device_that_the_user_may_not_open_rules_out_the_netdev_datapath() -> None:
    trials = {**NO_MODULES.trials, "netdev": "open: Permission denied"}
    machine = judge(replace(NO_MODULES, is_root=False, trials=trials))
    assert machine.datapaths == ("afxdp",)
    assert main_job_missing(machine)[-1] == (
        "datapath netdev: /dev/net/tun: open: Permission denied; mend: sudo chmod 666 /dev/net/tun")


def test_an_ordinary_users_buffers_are_a_limit_and_not_a_hindrance() -> None:
    machine = judge(replace(DEBIAN_12, is_root=False))
    assert machine.finding("socket buffers").state == "limited"
    assert main_job_missing(machine) == []


def test_every_finding_reaches_the_terminal_and_the_json_document() -> None:
    machine = judge(NO_MODULES)
    text, document = render(machine), json.loads(json.dumps(to_json(machine)))
    for finding in machine.findings:
        assert finding.name.removeprefix("tool ") in text
    assert text.endswith("The main job (compare) can run: netdev datapath, ryu.")
    assert [finding["name"] for finding in document["findings"]] == [finding.name for finding in machine.findings]
    assert document["main_job_missing"] == []
    assert "cannot run here:\n  mininet: this Python has no Mininet; mend" in render(
        judge(replace(NO_MODULES, distributions={"ryu": "4.34"})))


def test_trials_are_read_with_their_errors_and_without_a_daemons_prefix() -> None:
    printed = ("tree\nkernel\t2026-11-23T17:07:17Z|00001|dpif_netlink|INFO|Generic Netlink family 'ovs_datapath' "
               "does not exist.\nnetdev\t\nnetem\tError: Specified qdisc kind is unknown.\n")
    assert parse_trials(printed, "") == ("", {
        "kernel": "Generic Netlink family 'ovs_datapath' does not exist.",
        "netdev": "",
        "netem": "Error: Specified qdisc kind is unknown.",
    })


def test_no_tree_is_explained_by_the_last_word_on_standard_error() -> None:
    refused = "unshare: unshare failed: Operation not permitted"
    assert parse_trials("", f"{refused}\n") == (refused, {})


@pytest.mark.parametrize(("printed", "version"), [
    ("ovs-vswitchd (Open vSwitch) 3.1.0\n", "3.1.0"),
    ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\n", "4.1.0"),
    ("tc utility, iproute2-6.1.0, libbpf 1.1.2\n", "6.1.0"),
    ("ping from iputils 20221126\n", "20221126"),
    ("nginx version: nginx/1.22.1\n", "1.22.1"),
    ("sockperf, version 3.7-no.git\n   compiled 2021-08-23\n", "3.7"),
    ("nftables v1.0.6 (Lester Gooch #5)\n", "1.0.6"),
    ("\n", "present"),
])
def test_versions_as_the_tools_print_them(printed: str, version: str) -> None:
    assert parse_version(printed) == version
