"""Reading the controllers' part of a plan."""

from __future__ import annotations

import copy
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from controllers.plan import Binding, Control, EgressMtu, Gateway, Neighbor, PlanError, ProxyArp, Route, Station, parse

L2: dict[str, Any] = {
    "apps": ["l2_switch", "proxy_arp"],
    "dpid": 1,
    "stations": [{"name": "node-a", "mac": "12:22:33:44:55:01", "port": 1, "speaks_for": ["192.168.1.1"]}],
    "proxy_arp": {
        "networks": ["10.0.0.0/16"],
        "bindings": [{"ip": "10.0.3.2", "mac": "12:22:33:44:55:03", "port": 3}],
    },
    "gateway": None,
}
L3: dict[str, Any] = {
    "apps": ["l3_gateway"],
    "dpid": 7,
    "stations": [],
    "proxy_arp": None,
    "gateway": {
        "ip": "192.168.0.1",
        "mac": "12:22:33:44:55:FE",
        "ports": [1],
        "neighbors": [{"ip": "192.168.1.1", "mac": "12:22:33:44:55:01", "port": 1}],
        "routes": [{"prefix": "10.0.1.0/24", "via": "192.168.1.1"}],
    },
}


def test_a_plan_is_read_and_what_is_not_ours_is_left_alone() -> None:
    assert parse({"control": L2, "nodes": 4, "surplus": [object()]}) == Control(
        ("l2_switch", "proxy_arp"),
        1,
        (Station("node-a", "12:22:33:44:55:01", 1, ("192.168.1.1",)),),
        ProxyArp((IPv4Network("10.0.0.0/16"),), (Binding("10.0.3.2", "12:22:33:44:55:03", 3),)),
    )
    neighbor, route = Neighbor("192.168.1.1", "12:22:33:44:55:01", 1), Route(IPv4Network("10.0.1.0/24"), "192.168.1.1")
    gateway = Gateway("192.168.0.1", "12:22:33:44:55:fe", (1,), (neighbor,), (route,))
    assert parse({"control": L3}) == Control(("l3_gateway",), 7, gateway=gateway)
    unknown = {**L3, "gateway": {**L3["gateway"], "neighbors": [{"ip": "192.168.1.1", "port": 1, "mac": None}]}}
    expected = replace(gateway, neighbors=(Neighbor("192.168.1.1", None, 1),))
    assert parse({"control": unknown}) == Control(("l3_gateway",), 7, gateway=expected)
    narrow = {**L3, "gateway": {**L3["gateway"], "egress_mtus": [{"port": 1, "mtu": 1300}]}}
    expected = replace(gateway, egress_mtus=(EgressMtu(1, 1300),))
    assert parse({"control": narrow}) == Control(("l3_gateway",), 7, gateway=expected)


@pytest.mark.parametrize("document", [None, [], {}, {"control": None}, {"control": "x"}])
def test_no_plan_at_all(document: object) -> None:
    with pytest.raises(PlanError, match="no part `control`"):
        parse(document)


def test_every_problem_is_told_at_once() -> None:
    bad = copy.deepcopy(L2)
    bad["apps"] += ["router", "l3_gateway"]
    bad["dpid"] = True
    bad["stations"] += [
        {"name": "group", "mac": "11:22:33:44:55:01", "port": 2},
        {"name": "twice", "mac": "12:22:33:44:55:01", "port": 0},
        "rubbish",
        {"mac": 5},
    ]
    bad["proxy_arp"]["networks"] += ["10.0.0.1/8"]
    bad["proxy_arp"]["bindings"] += [{"ip": "172.16.0.1", "mac": "12:22:33:44:55:03", "port": 3}]
    bad["gateway"] = {"ip": "0.0.0.0", "ports": "all", "routes": [{"prefix": 5, "via": "9.9.9.9"}]}
    with pytest.raises(PlanError) as caught:
        parse({"control": bad})
    assert sorted(caught.value.problems) == sorted(
        [
            "control.apps[2]: 'router' is not one of l2_switch, proxy_arp, l3_gateway",
            "l3_gateway is a router: it shares its switch with no other application",
            "control.dpid: True is not a datapath id",
            "control.stations[1].mac: '11:22:33:44:55:01' is not the MAC address of one station",
            "control.stations[2].port: 0 is not a port number",
            "control.stations[3]: 'rubbish' is not an object",
            "control.stations[4].mac: 5 is not the MAC address of one station",
            "control.stations[4].port is missing",
            "control.stations: MAC 12:22:33:44:55:01 is there 2 times",
            "control.proxy_arp.networks[1]: '10.0.0.1/8' is not an IPv4 network",
            "control.proxy_arp.bindings: address 172.16.0.1 is in none of the networks",
            "control.gateway.ip: '0.0.0.0' is not the IPv4 address of one machine",
            "control.gateway.mac is missing",
            "control.gateway.ports: 'all' is not a list",
            "control.gateway.routes[0].prefix: 5 is not an IPv4 prefix",
            "control.gateway.routes[0].via: 9.9.9.9 is none of the neighbors",
        ]
    )


def test_what_an_application_needs_has_to_be_there() -> None:
    for app, key, plan in (("proxy_arp", "proxy_arp", L2), ("l3_gateway", "gateway", L3)):
        with pytest.raises(PlanError, match=f"control.{key} is missing, which {app} needs"):
            parse({"control": {**plan, key: None}})


def test_a_gateway_has_to_fit_together() -> None:
    bad = copy.deepcopy(L3)
    bad["gateway"]["ports"] = [2]
    bad["gateway"]["routes"] *= 2
    with pytest.raises(PlanError) as caught:
        parse({"control": bad})
    assert caught.value.problems == [
        "control.gateway.neighbors: port 1 of 192.168.1.1 is none of the gateway's ports",
        "control.gateway.routes: prefix 10.0.1.0/24 is there 2 times",
    ]
