"""A cluster's own files: what is read, what follows from it, and every mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emu.designs import plans_for
from emu.flannel import Flannel, KubeNode, node_network, pod_network, read_kube_nodes, read_net_conf
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


def test_direct_routing_is_host_gw_beside_an_idle_tunnel(tmp_path: Path) -> None:
    plan = plan_of("overlay", flannel=conf(tmp_path, Backend={"Type": "vxlan", "DirectRouting": True}))
    node = plan.by_name["node-a"]
    assert (node.neighbors, node.fdb) == ((), ())
    assert {route.via for route in node.routes if route.destination == "10.244.3.0/24"} == {"192.168.1.3"}
    direct = conf(tmp_path, Backend={"Type": "vxlan", "DirectRouting": True})
    assert problems_of("overlay:outside=route", flannel=direct) == [
        "overlay: outside=route does not go with DirectRouting"]


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
    items[1]["status"]["addresses"] = [{"type": "InternalIP", "address": "fd00::1"}]
    items[2]["spec"] = {}
    items.append({"metadata": {"name": "ctr-1"}})
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps(document))
    assert read_kube_nodes(path) == ((), [
        f"{path}: node a;reboot: its name is no DNS name of at most 63 characters",
        f"{path}: node cluster-worker: no InternalIP of IPv4",
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


def node(name: object, address: object, pods: object) -> dict[str, object]:
    """A node as kubectl prints it, with what is asked for."""
    addresses = [{"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name}, "spec": {"podCIDR": pods}, "status": {"addresses": addresses}}


@pytest.mark.parametrize(("items", "mistakes"), [
    ([node("a", "10.1.0.1", "10.244.0.0/24"), node("b", "10.1.0.2", "10.244.0.128/25")],
     ["the podCIDRs of a and b overlap: 10.244.0.0/24, 10.244.0.128/25"]),
    ([node("a", "10.1.0.1", "10.244.0.0/31"), node("b", "10.1.0.2", "10.244.1.0/24")],
     ["node a: its podCIDR 10.244.0.0/31 is smaller than a /30"]),
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
