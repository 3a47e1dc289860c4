"""The status socket: one JSON document a line each way, request and response, over a UNIX stream socket.

{"op": "status"}   the state of the controller
{"op": "forget"}   the same, after everything learned has been removed
{"op": "drops"}    how many packets were dropped, by what for
{"op": "known"}    what applications go by: routes, next hops, stations, bindings
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from controllers.framework import listen

# A request is a few bytes; whoever sends more than this without an end of line is cut off.
REQUEST_MAX_BYTES = 4096


class Controller(Protocol):
    """What the socket speaks for."""

    def status(self) -> dict[str, Any]: ...

    def forget(self) -> dict[str, Any]: ...

    def drops(self) -> dict[str, Any]: ...

    def known(self) -> dict[str, Any]: ...


def respond(controller: Controller, line: bytes) -> dict[str, Any]:
    """The response to one request; {"error": ...} to what is none."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {"error": "not JSON"}
    operation = request.get("op") if isinstance(request, dict) else None
    operations = {
        "status": controller.status,
        "forget": controller.forget,
        "drops": controller.drops,
        "known": controller.known,
    }
    if isinstance(operation, str) and operation in operations:
        return operations[operation]()
    return {"error": f"no such op: {operation!r}"}


def server(path: str, controller: Controller) -> Any:
    """A server at `path`, listening; a socket left there by a process that was killed is replaced. Raises OSError."""
    if Path(path).is_socket():
        Path(path).unlink()

    def serve(connection: Any, _peer: Any) -> None:
        with connection:
            pending = b""
            while len(pending) <= REQUEST_MAX_BYTES and (data := connection.recv(REQUEST_MAX_BYTES)):
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    connection.sendall(json.dumps(respond(controller, line)).encode() + b"\n")

    return listen(path, serve)
