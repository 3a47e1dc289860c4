"""A cluster's own files: what is read, what follows from it, and every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from emu.backends import backend_of
from emu.designs import all_designs, plans_for
from emu.flannel import Flannel, KubeNode, node_network, pod_network, read_kube_nodes, read_net_conf
from emu.live import namespaces
from emu.model import Plan
from emu.scenario import read

DATA = Path(__file__).resolve().parents[1] / "data"
NET_CONF, NODES = DATA / "net-conf.json", DATA / "nodes.json"


def plan_of(design: str, **given: object) -> Plan:
    scenario, problems = read({key: str(value) for key, value in given.items()})
    (plan,) = plans_for([design], scenario, problems) or (None,)
    assert plan is not None, problems
    return plan


def problems_of(*designs: str, **given: object) -> list[str]:
    scenario, problems = read({key: str(value) for key, value in given.items()})
    assert plans_for(designs, scenario, problems) == ()
    return problems


def conf(tmp_path: Path, **keys: Any) -> Path:
    path = tmp_path / "net-conf.json"
    path.write_text(json.dumps({"Network": "10.244.0.0/16", **keys}))
    return path


def test_kube_flannels_own_configuration_is_flannels_vxlan() -> None:
    assert read_net_conf(NET_CONF) == (Flannel("10.244.0.0/16", 24, "vxlan"), [])
    plan = plan_of("overlay", flannel=NET_CONF)
    assert plan.spec == "overlay:backend=vxlan,outside=none"
    assert [node.pod_subnet for node in plan.nodes][:2] == ["10.244.1.0/24", "10.244.2.0/24"]


def test_a_cluster_s_nodes_are_the_nodes() -> None:
    plan = plan_of("overlay", flannel=NET_CONF, kube_nodes=NODES, containers=2)
    assert [(node.name, node.address, node.pod_subnet) for node in plan.nodes] == [
        ("cluster-control-plane", "172.18.0.4", "10.244.0.0/24"),
        ("cluster-worker", "172.18.0.2", "10.244.1.0/24"),
        ("cluster-worker2", "172.18.0.3", "10.244.2.0/24"),
    ]
    assert plan.scenario.node_cidr == "172.18.0.0/24"
    assert [port.device for port in plan.switch.ports] == ["n1-eth0", "n2-eth0", "n3-eth0"]
    assert plan.endpoints == ("ctr-1", "ctr-5")
    assert plan.address("ctr-5") == "10.244.2.2"


@pytest.mark.parametrize(("kind", "spec", "mtu"), [
    ("vxlan", "overlay:backend=vxlan,outside=none", 1450),
    ("VXLAN", "overlay:backend=vxlan,outside=none", 1450),
    ("Host-GW", "hostgw", 1500),
    ("udp", "overlay:backend=udp,outside=none", 1454),
    ("wireguard", "overlay:backend=wireguard,outside=none", 1420),
    ("ipip", "overlay:backend=ipip,outside=none", 1480),
    ("host-gw", "hostgw", 1500),
])
def test_each_type_is_what_flannel_makes_of_it(kind: str, spec: str, mtu: int, tmp_path: Path) -> None:
    plan = plan_of("overlay", flannel=conf(tmp_path, Backend={"Type": kind}))
    assert plan.spec == spec
    assert plan.by_name["ctr-1"].device("eth0").mtu == mtu


def test_settings_of_vxlan(tmp_path: Path) -> None:
    path = conf(tmp_path, SubnetLen=26, backend={"type": "vxlan", "VNI": 4096, "port": 4789})
    plan = plan_of("overlay", flannel=path)
    (tunnel,) = (device for device in plan.by_name["node-a"].devices if device.tunnel)
    assert (tunnel.name, tunnel.tunnel and (tunnel.tunnel.vni, tunnel.tunnel.port)) == ("flannel.4096", (4096, 4789))
    assert plan.nodes[0].pod_subnet == "10.244.0.64/26"


@pytest.mark.parametrize(("given", "kept"), [
    ({}, Flannel("10.244.0.0/16", 24, "udp")),
    ({"SubnetLen": 0, "EnableIPv4": None, "EnableIPv6": None, "IPv6SubnetLen": 0, "SubnetMin": "10.244.1.0",
      "SubnetMax": "10.244.255.0", "Backend": {"Type": "udp", "Port": 8285}}, Flannel("10.244.0.0/16", 24, "udp")),
    ({"IPv6SubnetLen": 64, "SubnetMin": "0.0.0.0", "Backend": {"Type": "vxlan", "VNI": None, "Port": 0, "GBP": False,
                                                               "Learning": None, "DirectRouting": None}},
     Flannel("10.244.0.0/16", 24, "vxlan")),
    ({"Backend": {"Type": "wireguard", "ListenPort": 51820, "ListenPortV6": 51821, "Mode": "separate", "PSK": "",
                  "PersistentKeepaliveInterval": 0, "MTU": None}}, Flannel("10.244.0.0/16", 24, "wireguard")),
    ({"Backend": {"Type": "IPIP", "DirectRouting": True}},
     Flannel("10.244.0.0/16", 24, "ipip", direct_routing=True)),
    ({"Network": "10.244.5.0/16"}, Flannel("10.244.0.0/16", 24, "udp")),
])
def test_what_flannel_would_do_anyway_may_be_said(given: dict[str, Any], kept: Flannel, tmp_path: Path) -> None:
    assert read_net_conf(conf(tmp_path, **given)) == (kept, [])


_PORTS = "between 1 and 65535"
_TYPES = "there are: vxlan, udp, host-gw, wireguard, ipip"


@pytest.mark.parametrize(("backend", "mistakes"), [
    ({"Type": "udp", "Port": 9000, "VNI": 1},
     ["Port 9000 is not built: it is of flannel's own protocol; a lab's udp is tinc's, at a port of its own",
      "unknown key VNI"]),
    ({"Type": "wireguard", "ListenPort": 1, "ListenPortV6": True, "Mode": "auto", "PSK": "s3cret", "MTU": 1400,
      "PersistentKeepaliveInterval": 25, "Port": 1},
     ["ListenPort 1 is not built: nodes listen at 51820", "ListenPortV6 true is not built: labs are of IPv4",
      "Mode 'auto' is not built: labs are of IPv4",
      "PersistentKeepaliveInterval 25 is not built: no packets but those asked for",
      "PSK is not built: a lab's keys follow from its seed", "MTU is not built: --mtu says it of the underlay",
      "unknown key Port"]),
    ({"Type": "ipip", "DirectRouting": 1}, ["DirectRouting 1: true or false"]),
    ({"Type": "vxland", "VNI": -1, "Port": 4789, "DirectRouting": True, "PSK": "", "GBP": True, "Speed": 3},
     [f"Type 'vxland' is not built; {_TYPES}", "VNI -1: between 1 and 16777215", "GBP true is not built",
      "unknown key Speed"]),
    ({"Type": "ipsec", "ESPProposal": "", "UDPEncap": True}, [f"Type 'ipsec' is not built; {_TYPES}"]),
    ({"Type": 5, "Mode": {"a": 1}}, [f"Type 5 is not built; {_TYPES}",
                                     "Mode {...} is not built: labs are of IPv4"]),
    *(({"Type": "vxlan", "Port": wrong}, [f"Port {told}: {_PORTS}"])
      for wrong, told in ((False, "false"), ("", "''"), ([], "[]"), ({}, "{}"), (1.5, "1.5"), ([1], "[...]"))),
    ({"Type": "vxlan", "VNI": 0}, ["VNI 0: between 1 and 16777215, and 0 is not the default to flannel"]),
    *((wrong, ["no Type: flannel takes udp only where there is no Backend at all"])
      for wrong in ({}, None, {"Type": ""}, {"type": None, "VNI": 7})),
    ({"VNI": 1, "Type": "vxlan", "vni": 2}, ["VNI and vni: one key, given 2 times"]),
])
def test_every_mistake_in_a_back_end_is_told_once(backend: object, mistakes: list[str], tmp_path: Path) -> None:
    path = conf(tmp_path, Backend=backend)
    assert read_net_conf(path) == (None, [f"{path}: Backend: {mistake}" for mistake in mistakes])


@pytest.mark.parametrize(("given", "mistakes"), [
    ({"SubnetLen": False}, ["SubnetLen false: between 1 and 30"]),
    ({"SubnetMin": "10.244.7.0", "IPv6SubnetLen": 80, "IPv6Network": "fd00::/48", "IPv6SubnetMin": "fd00::"},
     ["SubnetMin '10.244.7.0' is not built: nodes have subnets from the second one on, in order",
      "IPv6SubnetLen 80 is not built: labs are of IPv4", "IPv6Network is not built: labs are of IPv4",
      "IPv6SubnetMin is not built: labs are of IPv4"]),
    ({"Backend": []}, ["Backend is no JSON object"]),
    ({"network": "10.0.0.0/8"}, ["Network and network: one key, given 2 times"]),
    *(({"Network": wrong}, [f"Network is no IPv4 network: {told}"]) for wrong, told in (
        ("10.244.0.0", "'10.244.0.0'"), ("10.244.0.0/255.255.0.0", "'10.244.0.0/255.255.0.0'"), (7, "7"))),
    ({"Network": None}, ["Network is not there"]),
])
def test_every_mistake_around_a_back_end_is_told(given: dict[str, Any], mistakes: list[str], tmp_path: Path) -> None:
    path = conf(tmp_path, **given)
    assert read_net_conf(path) == (None, [f"{path}: {mistake}" for mistake in mistakes])


def test_json_nested_beyond_reading_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"items": ' + "[" * 100_000)
    for _, (problem,) in (read_net_conf(path), read_kube_nodes(path)):
        assert problem.startswith(f"{path}: no JSON: ")


def test_direct_routing_is_host_gw_beside_an_idle_tunnel(tmp_path: Path) -> None:
    plan = plan_of("overlay", flannel=conf(tmp_path, Backend={"Type": "vxlan", "DirectRouting": True}))
    node = plan.by_name["node-a"]
    assert (node.neighbors, node.fdb) == ((), ())
    assert {route.via for route in node.routes if route.destination == "10.244.3.0/24"} == {"192.168.1.3"}
    direct = conf(tmp_path, Backend={"Type": "vxlan", "DirectRouting": True})
    assert problems_of("overlay:outside=route", flannel=direct) == [
        "overlay: outside=route does not go with DirectRouting"]


def test_ipip_routes_directly_too_on_link_as_flannel_has_it(tmp_path: Path) -> None:
    plan = plan_of("overlay", flannel=conf(tmp_path, Backend={"Type": "ipip", "DirectRouting": True}))
    (route,) = (route for route in plan.by_name["node-a"].routes if route.destination == "10.244.3.0/24")
    assert (route.device, route.via, route.onlink) == ("eth0", "192.168.1.3", True)
    backend, (node, *others) = backend_of("ipip", plan.scenario), plan.nodes
    *_, tunnels, direct = (query.expected for query in backend.state(node, others, plan.scenario))
    assert tunnels == ()
    assert direct[0] == {"dst": "192.168.0.0/16", "scope": "link"}
    assert direct[2] == {"dst": "10.244.3.0/24", "gateway": "192.168.1.3", "flags": ["onlink"]}
    assert not [hop for hop in all_designs()["overlay"].path(plan, "ctr-1", "ctr-4") if hop.outer]


class Words:
    """A namespace that notes what iproute2 would be told."""

    def ip(self, *words: str) -> None:
        self.said = words


def test_ipip_is_made_without_path_mtu_discovery_as_flannel_makes_it(tmp_path: Path) -> None:
    plan = plan_of("overlay", flannel=conf(tmp_path, Backend={"Type": "ipip"}))
    (device,) = (device for device in plan.by_name["node-a"].devices if device.tunnel)
    space = Words()
    namespaces._tunnel(cast("namespaces.Namespace", space), device)
    assert " ".join(space.said) == "link add name flannel.ipip mtu 1480 type ipip local 192.168.1.1 nopmtudisc"
    link = backend_of("ipip", plan.scenario).state(plan.nodes[0], plan.nodes[1:], plan.scenario)[0]
    assert link.expected[0]["linkinfo"]["info_data"]["pmtudisc"] is False


def test_every_mistake_is_named(tmp_path: Path) -> None:
    path = conf(tmp_path, Network="10.244.0.0/40", SubnetLen=99, EnableIPv6=True, Colour="red",
                Backend={"Type": "vxlan", "VNI": -1, "GBP": True, "MTU": 1400, "Speed": 3})
    assert problems_of("overlay", flannel=path) == [
        f"{path}: Network is no IPv4 network: '10.244.0.0/40'",
        f"{path}: SubnetLen 99: between 1 and 30",
        f"{path}: EnableIPv6 true is not built",
        f"{path}: unknown key Colour",
        f"{path}: Backend: VNI -1: between 1 and 16777215",
        f"{path}: Backend: GBP true is not built",
        f"{path}: Backend: MTU is not built: --mtu says it of the underlay",
        f"{path}: Backend: unknown key Speed",
    ]
    assert problems_of("bare", flannel=tmp_path / "none") == [f"{tmp_path / 'none'}: No such file or directory"]
    path.write_text("{")
    assert problems_of("bare", flannel=path)[0].startswith(f"{path}: no JSON")
    good = conf(tmp_path)
    assert problems_of("overlay:backend=vxlan", flannel=good) == [
        "overlay:backend=vxlan: --flannel says that the back end is udp"]
    assert problems_of("bare", flannel=good, pod_cidr="10.1.0.0/16") == [
        "--pod-cidr 10.1.0.0/16 is not flannel's Network, 10.244.0.0/16"]


def test_every_mistake_of_nodes_is_named(tmp_path: Path) -> None:
    document = json.loads(NODES.read_text())
    items = document["items"]
    items[0]["metadata"]["name"] = "a;reboot"
    items[1] |= {"status": {"addresses": [{"type": "InternalIP", "address": "fd00::1"}]},
                 "metadata": {"name": "cluster-worker"}}
    items[2]["spec"] = {}
    items.append({"metadata": {"name": "ctr-1"}})
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps(document))
    assert read_kube_nodes(path) == ((), [
        f"{path}: node a;reboot: its name is no DNS name of at most 63 characters",
        f"{path}: node cluster-worker: no InternalIP of IPv4: 'fd00::1'",
        f"{path}: node cluster-worker2: no podCIDR of IPv4 (spec.podCIDR)",
        f"{path}: node ctr-1: a machine of the lab itself has this name",
        f"{path}: node ctr-1: no InternalIP of IPv4",
        f"{path}: node ctr-1: no podCIDR of IPv4 (spec.podCIDR)",
    ])
    found = problems_of("bare", kube_nodes=NODES, nodes=3, outside=1, node_cidr="10.0.0.0/24")
    assert found[0] == "--nodes is given beside --kube-nodes, which says how many there are"
    assert "--outside does not go with --kube-nodes" in found
    path.write_text("[]")
    assert read_kube_nodes(path)[1] == [f"{path}: no JSON object"]


def node(name: object, address: object, pods: object, listed: object = None, **annotations: str) -> dict[str, object]:
    """A node as kubectl prints it, with what is asked for; ``annotations``: flannel's, ``_`` for ``-``."""
    addresses = [{"type": "InternalIP", "address": address}]
    noted = {f"flannel.alpha.coreos.com/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {"metadata": {"name": name, "annotations": noted}, "spec": {"podCIDR": pods, "podCIDRs": listed},
            "status": {"addresses": addresses}}


@pytest.mark.parametrize(("annotations", "address"), [
    ({}, "10.1.0.1"),
    ({"public_ip": "10.2.0.1"}, "10.2.0.1"),
    ({"public_ip": ""}, "10.1.0.1"),
    ({"public_ip": "10.2.0.1", "public_ip_overwrite": "10.3.0.1", "node_public_ip": "10.4.0.1"}, "10.2.0.1"),
    ({"public_ip_overwrite": "10.3.0.1", "node_public_ip": "10.4.0.1"}, "10.3.0.1"),
    ({"node_public_ip": "10.4.0.1"}, "10.4.0.1"),
])
def test_a_node_is_where_flannel_has_written_it_to_be(annotations: dict[str, str], address: str,
                                                       tmp_path: Path) -> None:
    items = [node("a", "10.1.0.1", "10.244.0.0/24", **annotations), node("b", "10.1.0.2", "10.244.1.0/24")]
    assert [node.address for node in nodes_in(tmp_path, items)] == [address, "10.1.0.2"]


@pytest.mark.parametrize(("pods", "listed", "subnet"), [
    ("10.244.0.0/24", [], "10.244.0.0/24"),
    ("10.244.0.9/24", None, "10.244.0.0/24"),
    ("fd00::/64", ["fd00::/64", "10.244.7.0/24"], "10.244.7.0/24"),
    ("10.244.0.0/24", ["10.244.7.0/24"], "10.244.7.0/24"),
])
def test_a_node_s_pods_are_those_of_the_list(pods: str, listed: object, subnet: str, tmp_path: Path) -> None:
    items = [node("a", "10.1.0.1", pods, listed), node("b", "10.1.0.2", "10.244.1.0/24")]
    assert nodes_in(tmp_path, items)[0].pod_subnet == subnet


def nodes_in(tmp_path: Path, items: list[dict[str, object]]) -> tuple[KubeNode, ...]:
    nodes, problems = read_kube_nodes(listing(tmp_path, items))
    assert problems == []
    return nodes


def listing(tmp_path: Path, items: list[dict[str, object]]) -> Path:
    """What kubectl prints of these nodes, as a file."""
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({"items": items}))
    return path


@pytest.mark.parametrize(("ends", "mistake"), [
    ((("10.0.0.1", "10.244.0.0/24"), ("203.0.113.9", "10.244.1.0/24")),
     "--kube-nodes: 0.0.0.0/0, the smallest network of all nodes' addresses, 10.0.0.1 to 203.0.113.9: no machine can"
     " have an address of 0.0.0.0/8"),
    ((("172.18.0.1", "10.244.0.0/24"), ("172.18.0.2", "192.168.1.0/24")),
     "--kube-nodes: 0.0.0.0/0, the smallest network of all pod subnets, 10.244.0.0/24 to 192.168.1.0/24: no machine"
     " can have an address of 0.0.0.0/8"),
    ((("10.1.0.1", "10.64.0.0/24"), ("10.120.0.1", "10.65.1.0/24")),
     "--kube-nodes: 10.64.0.0/15, the smallest network of all pod subnets, 10.64.0.0/24 to 10.65.1.0/24 and"
     " --kube-nodes: 10.0.0.0/9, the smallest network of all nodes' addresses, 10.1.0.1 to 10.120.0.1 overlap"),
    ((("10.1.0.1", "10.244.0.0/30"), ("10.1.0.2", "10.244.1.0/24")),
     "--kube-nodes: a: its pod subnet, 10.244.0.0/30, has room for 0 containers, 3 wanted: see --containers"),
    ((("10.1.0.1", "10.244.0.8/29"), ("10.1.0.2", "10.244.1.0/24")), None),
])
def test_what_follows_from_a_file_is_told_of_the_file(ends: tuple[tuple[str, str], ...], mistake: str | None,
                                                      tmp_path: Path) -> None:
    path = listing(tmp_path, [node(name, *end) for name, end in zip("ab", ends, strict=True)])
    problems = read({"kube_nodes": str(path)})[1]
    assert problems == ([mistake] if mistake else [])


def test_who_asks_for_containers_is_told_of_them(tmp_path: Path) -> None:
    nodes = listing(tmp_path, [node("a", "10.1.0.1", "10.244.0.0/30"), node("b", "10.1.0.2", "10.244.1.0/24")])
    assert problems_of("bare", kube_nodes=nodes, containers=1) == [
        "--containers 1: 10.244.0.0/30 of a has room for 0"]
    small = conf(tmp_path, SubnetLen=30)
    assert problems_of("bare", flannel=small) == [
        "--flannel: a subnet of /30 has room for 0 containers, 3 wanted: see --containers"]
    assert problems_of("bare", flannel=small, containers=1) == ["--containers 1: a subnet of /30 has room for 0"]
    assert problems_of("bare", flannel=conf(tmp_path, Network="10.244.0.0/29", SubnetLen=0))[0].endswith(
        "SubnetLen 30 leaves less than four subnets of 10.244.0.0/29")


@pytest.mark.parametrize("design", ["l2", "routed", "flat", "hostgw"])
def test_other_designs_take_the_pods_networks_of_a_file(design: str, tmp_path: Path) -> None:
    plan = plan_of(design, flannel=conf(tmp_path, SubnetLen=26, Backend={"Type": "wireguard"}))
    assert plan.design == design
    assert plan.nodes[0].pod_subnet == "10.244.0.64/26"


@pytest.mark.parametrize(("items", "mistakes"), [
    ([node("a", "10.1.0.1", "10.244.0.0/24"), node("b", "10.1.0.2", "10.244.0.128/25")],
     ["the podCIDRs of a and b overlap: 10.244.0.0/24, 10.244.0.128/25"]),
    ([node("a", "10.1.0.1", "10.244.0.0/31"), node("b", "10.1.0.2", "10.244.1.0/24")],
     ["node a: its podCIDR 10.244.0.0/31 is smaller than a /30"]),
    ([node("a", "10.1.0.1", "10.244.0.0/24")], ["1 node: a lab has 2 nodes or more"]),
    ([], ["0 nodes: a lab has 2 nodes or more"]),
    ([node("a", "999.1.1.1", "10.244.0.0/99"), node("b", "10.1.0.2", "", ["fd00::/64", "x"]),
      node("c", "10.1.0.3", "", ["10.244.1.0/24"] * 3), node("d", "10.1.0.4", "10.244.2.0/24", public_ip="fd00::1")],
     ["node a: no InternalIP of IPv4: '999.1.1.1'", "node a: no podCIDR of IPv4 (spec.podCIDR): '10.244.0.0/99'",
      "node b: no podCIDR of IPv4 (spec.podCIDRs): 'fd00::/64', 'x'",
      "node c: 3 podCIDRs, of which flannel takes at most one of IPv4 and one of IPv6",
      "node d: its annotation public-ip is no IPv4 address: 'fd00::1'"]),
    ([node("a", 7, 7), {"metadata": [], "spec": "", "status": {"addresses": ["", {"type": "InternalIP"}]}}, None],
     [f"node {who}: {what}" for who, whats in (
         ("a", ("no InternalIP of IPv4", "no podCIDR of IPv4 (spec.podCIDR)")),
         *((who, ("its name is no DNS name of at most 63 characters", "no InternalIP of IPv4",
                  "no podCIDR of IPv4 (spec.podCIDR)")) for who in ("2", "3"))) for what in whats]),
])
def test_what_is_no_cluster_is_told_so(items: list[object], mistakes: list[str], tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps({"items": items}))
    assert read_kube_nodes(path) == ((), [f"{path}: {mistake}" for mistake in mistakes])


def test_networks_that_hold_all_nodes() -> None:
    nodes = [KubeNode("a", "10.0.0.7", "10.244.0.0/24"), KubeNode("b", "10.0.3.9", "10.244.5.0/24")]
    assert node_network(nodes) == "10.0.0.0/22"
    assert pod_network(nodes) == "10.244.0.0/21"
    assert node_network(nodes[:1]) == "10.0.0.0/24"
    ends = [KubeNode("a", "10.0.4.0", "10.244.0.0/24"), KubeNode("b", "10.0.5.255", "10.244.1.0/24")]
    assert node_network(ends) == "10.0.0.0/21", "nobody's address is the first or last"
