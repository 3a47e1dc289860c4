"""What depends on a framework: messages on the wire, guarding, the status socket's answers, the launcher's refusals."""

from __future__ import annotations

import ast
import importlib
import json
import socket
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controllers import answering, guarding, learning, resolving, routing
from controllers.encoding import barrier, message
from controllers.framework import choose, guarded
from controllers.pipeline import (
    Add,
    CheckLarger,
    Cookie,
    Count,
    Delete,
    DeleteAll,
    Flow,
    Found,
    Kind,
    Message,
    Owner,
    Read,
    Resubmit,
    Send,
    Spread,
    match,
)
from controllers.plan import BY_CONTROLLER, BY_SWITCH, Binding, EgressMtu, Gateway, Neighbor, Route, Station
from controllers.status import respond, server
from controllers.switches import Switches

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROLLERS = REPOSITORY / "controllers"

EPOCH, XID = 0x12345678, 0x9ABCDEF0
NEIGHBOR = Neighbor("192.168.1.1", "12:22:33:44:55:01", 1)
GATEWAY = Gateway(
    "192.168.0.1",
    "12:22:33:44:55:fe",
    (1, 2),
    (NEIGHBOR,),
    (Route(IPv4Network("0.0.0.0/0"), NEIGHBOR.ip),),
    (EgressMtu(1, 1300),),
)
FLOWS = [
    *learning.standing_flows(),
    *learning.planned_flows({NEIGHBOR.mac: 1}),
    *learning.station_flows("02:00:00:00:00:77", 3, learning.LEARNED, 300),
    *guarding.flows([Station("node-a", NEIGHBOR.mac, 1, (NEIGHBOR.ip,))]),
    *(flow for by in (BY_CONTROLLER, BY_SWITCH)
      for flow in answering.flows([IPv4Network("10.0.0.0/16")], [Binding("10.0.3.2", "12:22:33:44:55:03", 3)], by)),
    *routing.flows(GATEWAY),
    *resolving.standing_flows(replace(GATEWAY, neighbors=(replace(NEIGHBOR, mac=None),))),
    *routing.flows(replace(GATEWAY, speaker=3)),
    routing.spread_flow(GATEWAY, IPv4Network("10.0.9.0/24"), [1], Cookie(Owner.L3_GATEWAY, Kind.ROUTE)),
]
FLOW_MODS: list[Add | Delete | DeleteAll] = [
    *(Add(flow) for flow in FLOWS),
    Delete(FLOWS[-1]),
    DeleteAll(Owner.L2_SWITCH, Kind.LEARNED),
    DeleteAll(Owner.L3_GATEWAY),
    DeleteAll(Owner.L3_GATEWAY, epoch=EPOCH),
]
OTHERS: list[Message] = [
    Send(3, b"frame"), Resubmit(3, b"frame"), Count(Owner.L3_GATEWAY, Kind.SPOOFED), Read(Owner.PROXY_ARP)]


def datapath(package: str) -> Any:
    """Enough of a datapath for making messages."""
    protocol = pytest.importorskip(f"{package}.ofproto.ofproto_protocol", reason=f"{package} is not installed")
    return protocol.ProtocolDesc(version=4)


def read_back(package: str, item: Message) -> tuple[bytes, Any]:
    """A message's bytes, and what a framework reads in them."""
    parser = importlib.import_module(f"{package}.ofproto.ofproto_parser")
    data = message(item, EPOCH, XID)
    version, kind, length, xid = parser.header(data)
    assert (version, length, xid) == (4, len(data), XID)
    return data, parser.msg(datapath(package), version, kind, length, xid, data)


@pytest.mark.parametrize("package", ["ryu", "os_ken"])
@pytest.mark.parametrize("item", FLOW_MODS)
def test_a_framework_reads_a_flow_and_would_write_it_so(package: str, item: Add | Delete | DeleteAll) -> None:
    data, read = read_back(package, item)
    read.serialize()
    assert bytes(read.buf) == data


@pytest.mark.parametrize("package", ["ryu", "os_ken"])
@pytest.mark.parametrize("flow", FLOWS)
def test_flows_are_read_back_as_they_were_meant(package: str, flow: Flow) -> None:
    _, read = read_back(package, Add(flow))
    ofproto = datapath(package).ofproto
    assert (read.table_id, read.priority, read.cookie) == (flow.table, flow.priority, flow.cookie.value | EPOCH)
    expected = {name: value for name, value in flow.match if value != ("0.0.0.0", "0.0.0.0")}
    assert dict(read.match.items()) == expected
    assert read.idle_timeout == flow.idle_timeout_s
    assert read.flags == (ofproto.OFPFF_SEND_FLOW_REM if flow.idle_timeout_s else 0)
    assert len(read.instructions) == sum((bool(flow.actions), flow.metadata is not None, flow.goto is not None))


def written(package: str) -> list[bytes]:
    """What a framework writes for ``OTHERS``, which are for switches to read."""
    target = datapath(package)
    ofproto, parser = target.ofproto, target.ofproto_parser

    def packet_out(in_port: int, port: int) -> Any:
        return parser.OFPPacketOut(datapath=target, buffer_id=ofproto.OFP_NO_BUFFER, in_port=in_port,
                                   actions=[parser.OFPActionOutput(port)], data=b"frame")

    everywhere = (ofproto.OFPTT_ALL, ofproto.OFPP_ANY, ofproto.OFPG_ANY)
    count, read = DeleteAll(Owner.L3_GATEWAY, Kind.SPOOFED), DeleteAll(Owner.PROXY_ARP)
    made = [
        packet_out(ofproto.OFPP_CONTROLLER, 3),
        packet_out(3, ofproto.OFPP_TABLE),
        parser.OFPAggregateStatsRequest(target, 0, *everywhere, *count.cookie, parser.OFPMatch()),
        parser.OFPFlowStatsRequest(target, 0, *everywhere, *read.cookie, parser.OFPMatch()),
        parser.OFPBarrierRequest(target),
    ]
    for each in made:
        each.set_xid(XID)
        each.serialize()
    return [bytes(each.buf) for each in made]


@pytest.mark.parametrize("package", ["ryu", "os_ken"])
def test_other_messages_are_those_that_a_framework_writes(package: str) -> None:
    assert [*(message(item, EPOCH, XID) for item in OTHERS), barrier(XID)] == written(package)


def test_the_check_of_a_size_is_written_as_open_vswitch_reads_it() -> None:
    made = message(Add(Flow(3, 1, match(), Cookie(Owner.L3_GATEWAY), (CheckLarger(1314),))), 0, XID)
    # Read with Open vSwitch 3.1: ovs-ofctl parse-actions OpenFlow13 prints check_pkt_larger(1314)->NXM_NX_REG0[0].
    assert bytes.fromhex("ffff 0018 00002320 0031 0522 0000 00010004 000000000000") in made


def test_the_spreading_of_flows_is_written_as_open_vswitch_reads_it() -> None:
    made = message(Add(Flow(3, 1, match(), Cookie(Owner.L3_GATEWAY), (Spread((1, 0xFEFF, 3)),))), 0, XID)
    # Read with Open vSwitch 3.1: ovs-ofctl parse-actions OpenFlow13 prints
    # bundle_load(symmetric_l3l4+udp,0,hrw,ofport,NXM_NX_REG1[],members:1,65279,3).
    action = "ffff 0028 00002320 000d 0001 0003 0000 00000002 0003 001f 00010204 00000000 0001 feff 0003 0000"
    assert bytes.fromhex(action) in made


@pytest.mark.parametrize("package", ["ryu", "os_ken"])
def test_a_delete_of_one_kind_spares_the_others(package: str) -> None:
    _, made = read_back(package, DeleteAll(Owner.L2_SWITCH, Kind.LEARNED))
    chosen = {
        cookie
        for cookie in (Cookie(owner, kind) for owner in Owner for kind in Kind)
        if (cookie.value ^ made.cookie) & made.cookie_mask == 0
    }
    assert chosen == {learning.LEARNED}


@pytest.mark.parametrize("package", ["ryu", "os_ken"])
def test_a_delete_of_one_epoch_spares_the_others(package: str) -> None:
    _, made = read_back(package, DeleteAll(Owner.L2_SWITCH, epoch=EPOCH))
    chosen = {
        (owner, epoch)
        for owner in Owner
        for epoch in (EPOCH, EPOCH + 1, 0)
        if ((Cookie(owner, Kind.LEARNED).value | epoch) ^ made.cookie) & made.cookie_mask == 0
    }
    assert chosen == {(Owner.L2_SWITCH, EPOCH)}


def test_found_flows_are_ours_or_nobodys() -> None:
    cookie = Cookie(Owner.L3_GATEWAY, Kind.LEARNED)
    writes = SimpleNamespace(actions=[SimpleNamespace(key="eth_dst", value=NEIGHBOR.mac), SimpleNamespace(port=1)])
    flow = SimpleNamespace(cookie=cookie.value | EPOCH, match={"metadata": 1}, instructions=[writes, SimpleNamespace()])
    assert Found.read(flow) == Found(cookie, EPOCH, {"metadata": 1}, {"eth_dst": NEIGHBOR.mac})
    assert Found.read(SimpleNamespace(cookie=0, match={}, instructions=[])) is None


def test_cookies_come_back() -> None:
    for owner in Owner:
        for kind in Kind:
            assert Cookie.read(Cookie(owner, kind).value) == Cookie(owner, kind)
            assert Cookie.read(Cookie(owner, kind).value | 0xFFFFFFFF) == Cookie(owner, kind), "low bits are free"
    assert Cookie.read(0) is None
    assert Cookie.read(0xFFFFFFFFFFFFFFFF) is None


def test_a_guarded_handler_never_raises_and_tells() -> None:
    failures: list[tuple[str, Exception]] = []

    class Handlers:
        def failed(self, where: str, error: Exception) -> None:
            failures.append((where, error))

        @guarded
        def divide(self, dividend: int) -> float:
            return 1 / dividend

        @guarded
        def end(self) -> None:
            raise SystemExit

    handlers = Handlers()
    assert handlers.divide(2) == 0.5
    assert handlers.divide(0) is None
    ((where, error),) = failures
    assert where.endswith("Handlers.divide")
    assert isinstance(error, ZeroDivisionError)
    with pytest.raises(SystemExit):
        handlers.end()


def test_the_framework_that_is_not_there_is_named() -> None:
    with pytest.raises(ImportError, match="no such framework: pox"):
        choose("pox")


def test_status_requests() -> None:
    controller = SimpleNamespace(
        status=lambda: {"ready": True}, forget=lambda: {"learned": []}, drops=lambda: {"drops": {}},
        known=lambda: {"routes": []},
    )
    answers = {
        b'{"op": "status"}': {"ready": True},
        b'{"op": "forget"}': {"learned": []},
        b'{"op": "drops"}': {"drops": {}},
        b'{"op": "known"}': {"routes": []},
        b'{"op": "explode"}': {"error": "no such op: 'explode'"},
        b"[]": {"error": "no such op: None"},
        b'{"op": {"a": 1}}': {"error": "no such op: {'a': 1}"},
        b"\xff\xfe": {"error": "not JSON"},
        b"": {"error": "not JSON"},
        b"[" * 100000: {"error": "not JSON"},
    }
    for request, answer in answers.items():
        assert respond(controller, request) == answer, request[:20]


def test_an_operation_that_fails_is_noted_and_answered() -> None:
    noted: list[tuple[str, object]] = []
    controller: Any = SimpleNamespace(status=dict, forget=dict, drops=lambda: {}[1], known=dict,
                                      failed=lambda where, error: noted.append((where, error)))
    assert respond(controller, b'{"op": "drops"}') == {"error": "drops: KeyError: 1"}
    ((where, error),) = noted
    assert where == "status socket, drops"
    assert isinstance(error, KeyError)


def test_a_switch_that_goes_while_others_are_asked_is_not_asked() -> None:
    switches = Switches()
    dropping = SimpleNamespace(OWNER=Owner.L2_SWITCH, DROPS={Kind.SPOOFED: "spoofed"}, dropped=dict)
    switches.register(dropping)

    def send(_request: bytes) -> None:
        for dpid in (2, 1):
            switches._gone(dpid)

    for dpid in (1, 2):
        switches._datapaths[dpid] = SimpleNamespace(send=send)
        switches._epochs[dpid] = EPOCH
    assert switches.drops() == {"drops": {"spoofed": 0}}
    assert [text.split(",")[0] for text in switches.errors] == [f"drops: switch {dpid} has gone" for dpid in (1, 2)]


def test_a_status_socket_is_taken_over_from_the_dead_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(str(path))
        first.listen(0)
        for _ in range(3):  # also when there is no room for one more
            with pytest.raises(OSError, match="Address already in use"):
                server(str(path), SimpleNamespace())
        status, said = launch("l2_switch", "--listen", "127.0.0.1:1", "--status", str(path))
        assert (status, said) == (1, [f"controllers: cannot listen on {path}: Address already in use"])
        assert path.is_socket()
    with server(str(path), SimpleNamespace()).server as second, socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        assert second


def launch(*arguments: str) -> tuple[int, list[str]]:
    argv = [sys.executable, "-m", "controllers", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=REPOSITORY, check=False)
    return done.returncode, done.stderr.splitlines()


def test_the_launcher_tells_every_mistake_at_once(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"control": {"apps": ["l2_switch"], "dpid": 0}}), encoding="utf-8")
    status, said = launch("pox", "l2_switch", "l3_gateway", "--listen", "localhost:99999", "--plan", str(plan))
    assert status == 2
    assert said == [
        "controllers: --listen: 'localhost:99999' is not ADDRESS:PORT with a numeric address",
        f"controllers: {plan}: control.dpid: 0 is not a datapath id",
        "controllers: no such application: pox (there are l2_switch, proxy_arp, l3_gateway)",
        "controllers: l3_gateway is a router: it shares its switch with no other application",
    ]
    plan.write_text("{", encoding="utf-8")
    status, said = launch("--plan", str(plan))
    assert (status, len(said)) == (2, 1)
    assert said[0].startswith(f"controllers: {plan}: Expecting property name")


def imports(path: Path) -> set[str]:
    """The top-level packages a file imports, by any import statement."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return found


PURE = ("wire", "pipeline", "plan", "limits", "learning", "answering", "guarding", "routing", "resolving", "rib",
        "describe")


@pytest.mark.parametrize("path", sorted(CONTROLLERS.glob("*.py")), ids=lambda path: path.stem)
def test_who_knows_whom(path: Path) -> None:
    names = imports(path)
    tops = {name.split(".")[0] for name in names}
    assert not tops & {"emu", "ryu", "os_ken", "eventlet"}, "frameworks are loaded by name, in framework.py alone"
    if path.stem in PURE:
        allowed = {f"controllers.{name}" for name in PURE} | {"controllers"}
        assert {name for name in names if name.startswith("controllers")} <= allowed
        assert not tops & {"time", "os", "socket", "random", "subprocess", "logging"}


def test_the_page_shows_the_tables_as_they_are() -> None:
    from controllers.describe import gateway_example, learning_example, responder_example, switch_example

    page = (REPOSITORY / "docs" / "controllers.md").read_text(encoding="utf-8")
    assert switch_example() in page, "python -m controllers.describe prints the tables"
    assert responder_example() in page, "python -m controllers.describe prints the tables"
    assert gateway_example() in page, "python -m controllers.describe prints the tables"
    assert learning_example() in page, "python -m controllers.describe prints the tables"
