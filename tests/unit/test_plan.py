"""Plans: what every design must satisfy, and the deck's own scenario to the letter."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

import pytest

from emu.addressing import letters, mac_of, node_addresses, pod_subnet_prefix
from emu.backends import all_backends
from emu.checks import plan_problems, scenario_problems
from emu.designs import all_designs, make_plan, parse_design, plans_for
from emu.errors import UsageError
from emu.model import SWITCH, Plan, Scenario
from emu.programs import symbol

SPECS = sorted(
    {
        f"{design.name}:{'='.join(parameter.only_with) + ',' if parameter.only_with else ''}{key}={value}"
        for design in all_designs().values()
        for key, parameter in design.parameters.items()
        for value in parameter.values
    }
    | {*all_designs(), "routed:egress_mtu=1300", "overlay:outside=bridge,bridges=3,snat=on",
       "overlay:outside=route,snat=on", "overlay:outside=client,snat=on"}
)
SCENARIOS = {
    "deck": Scenario(),
    "smallest": Scenario(nodes=2, containers=0),
    "uniform": Scenario(nodes=5, containers=2),
    "outside": Scenario(nodes=3, containers=1, outside=2),
    "deck-outside": Scenario(outside=1),
    "jumbo": Scenario(nodes=3, containers=1, mtu=9000),
    "elsewhere": Scenario(nodes=3, containers=2, pod_cidr="172.20.0.0/16", node_cidr="10.9.0.0/24"),
}


def plan_of(spec: str, scenario: Scenario = SCENARIOS["deck"]) -> Plan:
    return make_plan(parse_design(spec), scenario)


CASES = {
    f"{spec}-{name}": (spec, scenario)
    for spec in SPECS
    for name, scenario in SCENARIOS.items()
    if not scenario.outside or parse_design(spec).design.has_outside
}


@pytest.mark.parametrize(("spec", "scenario"), CASES.values(), ids=CASES)
class TestEveryDesign:
    def test_plans_are_equal_byte_for_byte(self, spec: str, scenario: Scenario) -> None:
        assert plan_of(spec, scenario).to_json() == plan_of(spec, scenario).to_json()

    def test_plans_are_sound(self, spec: str, scenario: Scenario) -> None:
        assert plan_problems(plan_of(spec, scenario)) == []

    def test_macs_are_unicast_and_nobody_elses_on_a_segment(self, spec: str, scenario: Scenario) -> None:
        plan = plan_of(spec, scenario)
        macs = [device.mac for machine in plan.machines for device in machine.devices if device.has_ethernet]
        assert all(int(mac[:2], 16) & 1 == 0 for mac in macs)
        shared = {node.mac for node in plan.nodes} if plan.design == "l2" else set()  # cbr0 and its port eth0
        others = [mac for mac in macs if mac not in shared]
        assert len(others) == len(set(others))

    def test_there_is_a_path_for_every_pair(self, spec: str, scenario: Scenario) -> None:
        plan = plan_of(spec, scenario)
        path = all_designs()[plan.design].path
        known = {f"{m.name}:{d.name}" for m in plan.machines for d in m.devices}
        known |= {f"{SWITCH}:{port.device}" for port in plan.switch.ports}
        for src in plan.by_name:
            for dst in plan.by_name:
                if src == dst:
                    continue
                hops = path(plan, src, dst)
                if is_stranger(plan, src) and dst in plan.container_of:
                    assert hops == ()
                    continue
                assert (hops[0].machine, hops[0].direction) == (src, "out")
                assert (hops[-1].machine, hops[-1].direction) == (dst, "in")
                assert hops[0].ttl == 64
                assert all(before.ttl - after.ttl in (0, 1) for before, after in pairwise(hops))
                assert {hop.point for hop in hops} <= known

    def test_claims_have_names_of_their_own_and_rest_on_earlier_ones(self, spec: str, scenario: Scenario) -> None:
        plan = plan_of(spec, scenario)
        claims = all_designs()[plan.design].claims(plan)
        seen: set[str] = set()
        for claim in claims:
            assert claim.id not in seen
            assert seen.issuperset(claim.needs)
            assert claim.text
            assert claim.source
            seen.add(claim.id)
        assert "reach" in seen

    def test_routes_to_endpoints_pin_congestion_control(self, spec: str, scenario: Scenario) -> None:
        plan = plan_of(spec, scenario)
        for name in plan.endpoints or ():
            assert {route.congctl for route in plan.by_name[name].routes} == {"cubic"}


def is_stranger(plan: Plan, name: str) -> bool:
    """Whether a machine knows no way to the pods."""
    return plan.by_name[name].kind == "outside" and plan.params["outside"] == "none"


def test_the_decks_addresses() -> None:
    plan = plan_of("l2")
    assert [(n.name, n.address, n.mac) for n in plan.nodes] == [
        ("node-a", "192.168.1.1", "12:22:33:44:55:01"),
        ("node-b", "192.168.1.2", "02:23:45:67:89:02"),
        ("node-c", "192.168.1.3", "12:22:33:44:55:03"),
        ("node-d", "192.168.1.4", "02:23:45:67:89:04"),
    ]
    assert [(c.name, c.node, c.address, c.mac) for n in plan.nodes for c in n.containers] == [
        ("ctr-1", "node-a", "10.0.1.2", "aa:bb:cc:dd:e1:01"),
        ("ctr-2", "node-a", "10.0.1.3", "0a:58:0a:00:01:03"),
        ("ctr-3", "node-a", "10.0.1.4", "0a:58:0a:00:01:04"),
        ("ctr-4", "node-c", "10.0.3.2", "aa:bb:cc:dd:e3:02"),
        ("ctr-5", "node-c", "10.0.3.3", "0a:58:0a:00:03:03"),
        ("ctr-6", "node-c", "10.0.3.4", "0a:58:0a:00:03:04"),
    ]


@pytest.mark.parametrize(
    ("spec", "src", "dst", "ttl"),
    [
        ("bare", "node-a", "node-c", 64),
        ("l2", "ctr-1", "ctr-4", 63),
        ("l2", "ctr-1", "ctr-2", 64),
        ("l2", "ctr-1", "node-c", 63),
        ("routed", "ctr-1", "ctr-4", 61),
        ("routed", "node-a", "node-c", 63),
        ("hostgw", "ctr-1", "ctr-4", 62),
        ("hostgw", "ctr-1", "node-c", 63),
        ("hostgw", "node-a", "node-c", 64),
        ("flat", "ctr-1", "ctr-4", 64),
        ("flat", "node-a", "ctr-4", 64),
        ("flat", "ctr-1", "node-c", 63),
        ("overlay", "ctr-1", "ctr-4", 62),
        ("overlay", "node-a", "node-c", 64),
    ],
)
def test_ttl_at_the_far_end(spec: str, src: str, dst: str, ttl: int) -> None:
    plan = plan_of(spec)
    assert all_designs()[plan.design].path(plan, src, dst)[-1].ttl == ttl


@pytest.mark.parametrize("backend", all_backends().values(), ids=all_backends())
def test_pods_mtu_is_the_underlays_less_the_overhead(backend: object) -> None:
    plan = plan_of(f"overlay:backend={backend.name}", SCENARIOS["jumbo"])  # type: ignore[attr-defined]
    expected = 9000 - backend.overhead_bytes  # type: ignore[attr-defined]
    mtus = {(m.kind, d.name.partition("-")[0]): d.mtu for m in plan.machines for d in m.devices}
    assert mtus.pop(("node", "eth0")) == 9000
    assert set(mtus.values()) == {expected}


@pytest.mark.parametrize(
    ("scenario", "endpoints"),
    [
        (Scenario(), ("ctr-1", "ctr-4")),
        (Scenario(nodes=2, containers=2), ("ctr-1", "ctr-3")),
        (Scenario(nodes=9, containers=4), ("ctr-1", "ctr-9")),
        (Scenario(nodes=9, containers=0), None),
    ],
)
def test_endpoints_are_roles_in_the_plan(scenario: Scenario, endpoints: tuple[str, str] | None) -> None:
    assert plan_of("routed", scenario).endpoints == endpoints


def test_endpoints_of_bare_are_nodes() -> None:
    assert plan_of("bare").endpoints == ("node-a", "node-c")
    assert plan_of("bare", Scenario(nodes=2)).endpoints == ("node-a", "node-b")


def test_nodes_skip_what_is_kept_for_others() -> None:
    addresses = list(node_addresses("192.168.0.0/16"))
    assert addresses[:4] == ["192.168.1.1", "192.168.1.2", "192.168.1.3", "192.168.1.4"]
    assert addresses[254] == "192.168.2.1"
    assert not [a for a in addresses if a.startswith(("192.168.0.", "192.168.254.", "192.168.255."))]


@pytest.mark.parametrize(("number", "name"), [(1, "a"), (26, "z"), (27, "aa"), (702, "zz"), (703, "aaa")])
def test_letters(number: int, name: str) -> None:
    assert letters(number) == name


def test_macs_follow_from_addresses() -> None:
    assert mac_of("10.0.1.3") == "0a:58:0a:00:01:03"
    assert mac_of("10.0.3.2") == "aa:bb:cc:dd:e3:02"


@pytest.mark.parametrize(("containers", "prefix"), [(0, 24), (3, 24), (252, 24), (253, 23), (508, 23), (509, 22)])
def test_pod_subnets_grow_with_what_they_hold(containers: int, prefix: int) -> None:
    assert pod_subnet_prefix(containers) == prefix


def complaints(**scenario: object) -> str:
    return "; ".join(text for _, text in scenario_problems(Scenario(**scenario)))  # type: ignore[arg-type]


def test_the_largest_deck_numbering_and_one_more() -> None:
    assert len(plan_of("routed", Scenario(nodes=255, containers=0)).nodes) == 255
    assert complaints(nodes=255, containers=252) == ""
    assert "wider" in complaints(nodes=256, containers=0)
    assert "wider" in complaints(nodes=4, containers=253)
    assert complaints(nodes=300, containers=300, pod_cidr="10.0.0.0/8") == ""
    assert len(plan_of("routed", Scenario(nodes=300, containers=0, pod_cidr="10.0.0.0/8")).nodes) == 300


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ({"nodes": 1}, "2 nodes or more"),
        ({"containers": -1}, "0 or more"),
        ({"mtu": 100}, "between"),
        ({"seed": -1}, "0 or more"),
        ({"pod_cidr": "10.0.0.1/16"}, "host bits"),
        ({"pod_cidr": "224.0.0.0/8"}, "no machine can have"),
        ({"node_cidr": "127.0.0.0/16"}, "no machine can have"),
        ({"node_cidr": "192.168.0.0/30"}, "room for 1 nodes"),
        ({"pod_cidr": "192.168.0.0/20"}, "overlap"),
        ({"containers": 100_000, "pod_cidr": "10.0.0.0/8"}, "at most"),
    ],
)
def test_a_scenario_that_cannot_be(scenario: dict[str, object], words: str) -> None:
    assert words in complaints(**scenario)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("star", ["no design 'star'", "bare"]),
        ("l2:proxy_arp=nobody", ["proxy_arp takes controller|switch|node"]),
        ("overlay:colour=red,backend=tcp", ["'colour=red'", "backend takes vxlan|geneve|gre|ipip|udp|wireguard"]),
        ("routed:routes=static,routes=static", ["given twice"]),
        ("routed:egress_mtu=575", ["egress_mtu takes link|576..65000, not '575'"]),
        ("routed:egress_mtu=01300", ["egress_mtu takes link"]),
        ("routed:bgp=frr", ["bgp is of routes=bgp alone"]),
        ("routed:routes=bgp,bgp=frr,bfd=on", ["bfd=on does not go with bgp=frr"]),
        ("bare:x", ["'x' is no KEY=VALUE"]),
    ],
)
def test_a_design_that_is_none(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_design(text)
    assert all(any(word in problem for problem in caught.value.problems) for word in words)


def test_parameters_have_defaults() -> None:
    assert parse_design("overlay").params == {"backend": "vxlan", "outside": "none"}
    assert plan_of("l2").spec == "l2:proxy_arp=controller"


def test_an_optional_parameter_is_in_the_name_where_it_is_given() -> None:
    assert plan_of("routed").spec == plan_of("routed:egress_mtu=link").spec == "routed:routes=static"
    assert plan_of("routed:egress_mtu=1300,neighbors=arp").spec == plan_of("routed:neighbors=arp,egress_mtu=1300").spec
    narrow = plan_of("routed:egress_mtu=1300")
    assert narrow.spec == "routed:routes=static,egress_mtu=1300"
    assert narrow.control.gateway is not None
    assert {(egress.port, egress.mtu) for egress in narrow.control.gateway.egress_mtus} == {
        (port.number, 1300) for port in narrow.switch.ports
    }
    asking = plan_of("routed:neighbors=arp").control.gateway
    assert asking is not None
    assert [hop.mac for hop in asking.neighbors] == [None] * len(narrow.nodes)
    assert [hop.mac for hop in narrow.control.gateway.neighbors] == [node.mac for node in narrow.nodes]
    assert {device.mtu for machine in narrow.machines for device in machine.devices} == {1500}
    with pytest.raises(UsageError, match="more than a link carries, 1500 bytes"):
        plan_of("routed:egress_mtu=1501")


def test_all_mistakes_at_once() -> None:
    problems = ["one of the scenario"]
    assert plans_for(["star", "bare", "l2:a=b", "round"], Scenario(), problems) == ()
    assert len(problems) == 4


def test_plans_do_not_depend_on_the_order_of_sets() -> None:
    code = """
from emu.designs import all_designs, make_plan, parse_design
from emu.model import Scenario
for design in all_designs():
    print(make_plan(parse_design(design), Scenario(nodes=9, containers=3)).to_json())
"""
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    assert len(printed.pop()) > 10_000


def test_tincd_is_given_no_file_to_write_outside_of_its_lab() -> None:
    """What it dumps its graph to, it replaces: a device, too (``graph.c``)."""
    plan = make_plan(parse_design("overlay:backend=udp"), Scenario())
    processes = [process for machine in plan.machines for process in machine.processes]
    assert processes
    for process in processes:
        for path, text in process.files:
            named = {word for line in text.splitlines() if "File" in line or "Device" in line
                     for word in line.split() if word.startswith("/")}
            assert path.startswith("/run/emu/")
            assert all(word.startswith("/run/emu/") or word == "/dev/net/tun" for word in named), named


def test_names_in_configurations_are_nobody_elses() -> None:
    names = ["node-a", "bridge-1", "outside-1", "10.0.0.1", "rr", "node", "a-b", "a.b", "a--b", "bgp-path", "n-rr"]
    symbols = [symbol(name) for name in names]
    assert len(set(symbols)) == len(names)
    assert symbols[:4] == ["node_a", "bridge_1", "outside_1", "N_10D0D0D1"]
    for name in symbols:
        assert re.fullmatch(r"(node|bridge|outside|N)_\w+", name, re.ASCII), name
