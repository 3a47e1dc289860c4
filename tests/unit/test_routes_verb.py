"""``emu routes``: what a lab tells whose controller, or whose daemon, does not answer; and that rows of every kind are
there."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from emu.designs import plans_for
from emu.errors import LabError
from emu.live import inspect
from emu.live.controller import asked
from emu.live.daemons import Daemons
from emu.live.vswitch import VSwitch
from emu.model import SWITCH
from emu.programs import Process
from emu.scenario import read
from emu.verbs.routes import KINDS, document_of, lines_of

FLOW = ("cookie=0x1, duration=1.5s, table=2, n_packets=3, n_bytes=294, idle_age=1, priority=1024,ip,nw_dst=10.0.3.0/24"
        " actions=write_metadata:0x1,goto_table:4")
STATUS = {"framework": "ryu 4.34", "errors": ["packet_in: KeyError: 1"]}


def printed(found: dict[str, Any]) -> str:
    return "\n".join(lines_of({"lab": "bare-0000", "design": "bare", **document_of(found)}))


def test_kinds_without_rows_are_empty_and_told() -> None:
    found = {"controller": STATUS, "known": {"bindings": []}, "flows": [], "told": [], "silent": []}
    document = document_of(found)
    assert document == {"controller": "ryu 4.34", "errors": STATUS["errors"], **{name: [] for name in KINDS}}
    text = printed(found)
    assert "ERROR packet_in: KeyError: 1\n" in text
    assert "sessions: none\n" in text
    assert "next hops: none\n" in text


def test_what_does_not_answer_is_told_and_all_else_as_well() -> None:
    found = {"controller": None, "known": {}, "flows": [FLOW], "told": [], "silent": ["the controller does not answer"]}
    document = document_of(found)
    assert document["controller"] is None
    assert document["errors"] == ["the controller does not answer"]
    assert [flow["packets"] for flow in document["flows"]] == [3]
    assert printed(found).startswith("bare as bare-0000, controller does not answer\n\nERROR the controller does not")


def test_a_lab_is_asked_whose_controller_and_daemons_are_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = json.loads(plans_for(["routed:routes=bgp"], read({})[0], [])[0].to_json())
    node, *_ = (process for machine in plan["machines"] for process in machine["processes"])
    for machine in plan["machines"]:
        for process in machine["processes"]:
            process["status"] = ["sh", "-c", "echo cannot connect >&2; exit 1"] if process is node else ["true"]
    (beside,) = plan["switch"]["own"]["processes"]
    beside["status"] = ["echo", "node_a BGP --- up 06:41:03.201 Established"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    monkeypatch.setattr(inspect, "FOLDER", tmp_path)
    monkeypatch.setattr(VSwitch, "flows", lambda self: [FLOW])
    document = document_of(inspect.gather())
    assert [session["state"] for session in document["sessions"]] == ["Established"]
    assert len(document["flows"]) == 1
    assert document["errors"] == [f"{node['name']} does not answer: cannot connect",
                                  "the controller does not answer: [Errno 2] No such file or directory"]


@pytest.mark.parametrize(("said", "error", "told"), [
    (b"", OSError, "ended over 'known'"),
    (b'{"error": "known: KeyError: 1"}\n', LabError, "cannot tell: known: KeyError: 1")])
def test_a_controller_that_does_not_tell(tmp_path: Path, said: bytes, error: type[Exception], told: str) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(error, match=told):
            asked(path, "known")
        answering.join()


def test_a_program_beside_the_switch_that_has_ended_is_told(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path)
    daemons.start(SWITCH, Process("one", ("sh", "-c", "echo no such thing; exit 3")), ())
    daemons.start("node-a", Process("other", ("true",)), ())
    for *_, process, _ in daemons._started:
        process.wait(60)
    assert daemons.ended(SWITCH) == [f"sh of {SWITCH} ended with status 3: no such thing"]
    with pytest.raises(LabError) as raised:
        daemons.assert_running()
    assert len(raised.value.problems) == 2
