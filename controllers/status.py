"""The status socket: one JSON document a line each way, request and response, over a UNIX stream socket.

{"op": "status"}   the state of the controller
{"op": "forget"}   the same, after everything learned has been removed
{"op": "drops"}    how many packets were dropped, by what for
{"op": "known"}    what applications go by: routes, next hops, stations, bindings
"""

from __future__ import annotations

import errno
import json
import os
import socket
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

    def failed(self, where: str, error: object) -> None: ...


def respond(controller: Controller, line: bytes) -> dict[str, Any]:
    """The response to one request; {"error": ...} to what is none, or fails."""
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
    if not isinstance(operation, str) or operation not in operations:
        return {"error": f"no such op: {operation!r}"}
    try:
        return operations[operation]()
    except Exception as error:
        controller.failed(f"status socket, {operation}", error)
        return {"error": f"{operation}: {type(error).__name__}: {error}"}


def server(path: str, controller: Controller) -> Any:
    """A server at `path`, listening; a socket left there by a process that was killed is replaced. Raises OSError,
    also where somebody listens there."""
    if Path(path).is_socket():
        if _is_listened_at(path):
            raise OSError(f"cannot listen on {path}: {os.strerror(errno.EADDRINUSE)}")
        Path(path).unlink()

    def serve(connection: Any, _peer: Any) -> None:
        with connection:
            pending = b""
            while len(pending) <= REQUEST_MAX_BYTES and (data := connection.recv(REQUEST_MAX_BYTES)):
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    connection.sendall(json.dumps(respond(controller, line)).encode() + b"\n")

    return listen(path, serve)


def _is_listened_at(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)  # whoever has no room for one more does listen
        return asking.connect_ex(path) != errno.ECONNREFUSED
