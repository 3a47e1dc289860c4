"""Ryu or os-ken: the one place that knows which.

The choice is made when this module is imported, by the environment variable KUBENET_SDN (`ryu`, `os-ken` or `auto`;
unset is `auto`). `auto` takes the framework that is already loaded (under `ryu-manager` or `osken-manager`), else Ryu
where it is installed, else os-ken.

Both run on eventlet. It is measured as the faster hub, and os-ken's native threads end an application's event loop at
its first uncaught exception, without a word, and never return from a wait with a time-out.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

DISTRIBUTIONS = {"ryu": "ryu", "os-ken": "os_ken"}


def choose(wanted: str) -> str:
    """The distribution to use for a wish of `ryu`, `os-ken` or `auto`; ImportError when it is not installed."""
    candidates = list(DISTRIBUTIONS) if wanted == "auto" else [wanted]
    if not set(candidates) <= set(DISTRIBUTIONS):
        raise ImportError(f"no such framework: {wanted} (there are auto, {', '.join(DISTRIBUTIONS)})")
    candidates.sort(
        key=lambda name: DISTRIBUTIONS[name] not in sys.modules
    )  # stable: Ryu first, unless os-ken is loaded
    for name in candidates:
        if importlib.util.find_spec(DISTRIBUTIONS[name]) is not None:
            return name
    raise ImportError(f"not installed for this Python: {', '.join(candidates)}")


DISTRIBUTION = choose(os.environ.get("KUBENET_SDN") or "auto")
NAME = f"{DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}"

# Read by the frameworks' hub modules when they are imported.
os.environ["RYU_HUB_TYPE"] = os.environ["OSKEN_HUB_TYPE"] = "eventlet"


def _import(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is deprecated, eventlet as a whole to begin with, is no user's business
        return importlib.import_module(name)


def _import_eventlet() -> Any:
    """eventlet and its web server, which Ryu imports, with what Ryu 4.34 expects and newer versions no longer have."""
    eventlet, wsgi = _import("eventlet"), _import("eventlet.wsgi")
    if not hasattr(wsgi, "ALREADY_HANDLED"):
        wsgi.ALREADY_HANDLED = object()  # compared by identity, by a REST server not run here
    return eventlet


_eventlet = _import_eventlet()
_hubs = _import("eventlet.hubs")


def _module(name: str) -> Any:
    return _import(f"{DISTRIBUTIONS[DISTRIBUTION]}.{name}")


_app_manager = _module("base.app_manager")
_controller = _module("controller.controller")
_handler = _module("controller.handler")

App: Any = _app_manager.RyuApp if DISTRIBUTION == "ryu" else _app_manager.OSKenApp
hub: Any = _module("lib.hub")
ofp_event: Any = _module("controller.ofp_event")
set_ev_cls: Any = _handler.set_ev_cls
HANDSHAKE: Any = _handler.HANDSHAKE_DISPATCHER
CONFIG: Any = _handler.CONFIG_DISPATCHER
MAIN: Any = _handler.MAIN_DISPATCHER
DEAD: Any = _handler.DEAD_DISPATCHER
OPENFLOW_13: int = _module("ofproto.ofproto_v1_3").OFP_VERSION

# Both frameworks would listen on every address of the machine. A manager's own option still overrides this.
_controller.CONF.set_default("ofp_listen_host", "127.0.0.1")


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method safe to be called by a framework: what it raises goes to `self.failed(where, error)` instead.

    Returns None then. Only `Exception`s: the hub ends its tasks by others.
    """

    @functools.wraps(handler)
    def safe(self: Any, *arguments: Any) -> Any:
        try:
            return handler(self, *arguments)
        except Exception as error:
            self.failed(handler.__qualname__, error)
            return None

    return safe


def one_at_a_time(method: Callable[..., T]) -> Callable[..., T]:
    """Has what a method decides be sent before anything else is decided, by the semaphore `self.deciding`.

    Tasks take turns wherever one waits, and sending waits when a switch is slow: what was learned meanwhile, or
    forgotten, would not be in the order sent.
    """

    @functools.wraps(method)
    def alone(self: Any, *arguments: Any) -> T:
        with self.deciding:
            return method(self, *arguments)

    return alone


def wait_readable(waiting: socket.socket) -> None:
    """Return when there is something to be read at a socket; other tasks go on meanwhile."""
    _hubs.trampoline(waiting, read=True)


class Answer:
    """What a switch has answered, to be waited for."""

    def __init__(self) -> None:
        self._done = hub.Event()
        self._reply: Any = None

    def take(self, reply: Any) -> None:
        """The answer is there; None: there will be none."""
        self._reply = reply
        self._done.set()

    def wait(self, deadline_s: float) -> Any:
        """The answer; None if the switch has gone, or is silent until the deadline."""
        self._done.wait(deadline_s)
        return self._reply


def listen(address: tuple[str, int] | str, serve: Callable[[Any, Any], None]) -> Any:
    """A server at (host, port), or at the path of a UNIX socket; its `serve_forever` runs `serve(socket, peer)` in
    tasks.

    Raises OSError when the address is taken: eventlet's own way would share it, and each server get some connections.
    """
    return _Server(address, serve)


class _Server(hub.StreamServer):
    """The hub's server, with a socket of our own making."""

    def __init__(self, address: tuple[str, int] | str, serve: Callable[[Any, Any], None]) -> None:
        family = socket.AF_UNIX
        if not isinstance(address, str):
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.server = _eventlet.listen(address, family=family, reuse_port=False)
        self.handle = serve


def _raise(error: OSError | None) -> None:
    if error is not None:
        raise error


class _SwitchServer(_Server):
    """What the frameworks listen for switches with, instead of the hub's server."""

    outcome = staticmethod(_raise)  # told how it went

    def __init__(self, address: tuple[str, int], serve: Callable[[Any, Any], None]) -> None:
        def serve_switch(connection: Any, peer: Any) -> None:
            # A switch greets first. Mininet's `mn` looks whether somebody listens here by a telnet that says nothing,
            # and ends with a UnicodeDecodeError should the binary greeting of a controller reach it.
            with connection, contextlib.suppress(ConnectionError):
                if connection.recv(1, socket.MSG_PEEK):
                    serve(connection, peer)

        try:
            super().__init__(address, serve_switch)
        except OSError as error:
            self.outcome(error)
            raise hub.TaskExit from error  # ends the framework's only service, and with it run_apps
        self.outcome(None)


_controller.StreamServer = _SwitchServer


def run(applications: list[str], host: str, port: int, announce: Callable[[], None]) -> None:
    """Run applications, given as importable module names, until the process ends.

    Switches may connect to `host` (a numeric address) and `port` alone; `announce` is called once they can. Raises
    OSError when that cannot be had.
    """
    failures: list[str] = []

    def outcome(error: OSError | None) -> None:
        if error is None:
            announce()
        else:
            failures.append(f"cannot listen on {host} port {port}: {error.strerror}")

    conf = _controller.CONF
    conf([], project="kubenet-emu", default_config_files=[], default_config_dirs=[])
    conf.set_override("ofp_listen_host", host)
    conf.set_override("ofp_tcp_listen_port", port)
    _SwitchServer.outcome = staticmethod(outcome)
    _app_manager.AppManager.run_apps(applications)
    raise OSError(*failures)
