"""Programs that answer requests in a lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.errors import LabError

if TYPE_CHECKING:
    from emu.live.lab import Lab, Process

WEB_PORT = 80
NGINX_FOLDER = "/run/emu/nginx"
ANSWER_BYTES = (3, 64, 512, 1500)
"""Sizes of the web server's answers, their headers apart: ``GET /`` gives the first, ``GET /64`` the second."""


@dataclass(frozen=True)
class Server:
    """A program that stays: ready once ``port`` listens. ``files`` (path -> text) come first."""

    argv: tuple[str, ...]
    port: int
    protocol: str = "tcp"
    files: Mapping[str, str] = field(default_factory=dict)


def web_server(address: str) -> Server:
    """nginx: one process that answers ``GET /`` with three bytes, and ``GET /N`` with N of ``ANSWER_BYTES``; it changes
    no user and writes nowhere but its folder.

    ``user root``: otherwise nginx gives its folders to ``nobody``, whom a lab without root does not have.
    ``-e`` (nginx 1.19.5 and newer) keeps it from opening the machine's own error log before it reads its
    configuration.
    """
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"  {kind}_temp_path {kind};\n" for kind in kinds)
    sized = "".join(f"    location = /{size} {{ return 200 \"{'x' * size}\"; }}\n" for size in ANSWER_BYTES[1:])
    configuration = (
        "user root root;\ndaemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\n"
        "events { worker_connections 512; }\n"
        f"http {{\n{temporary}  access_log off;\n  keepalive_requests 1000000000;\n"
        f"  server {{\n    listen {address}:{WEB_PORT};\n    location / {{ return 200 \"ok\\n\"; }}\n{sized}  }}\n}}\n"
    )
    start = (
        'nginx -h 2>&1 | grep -q "^ *-e " && set -- -e stderr; '
        f'exec nginx "$@" -p {NGINX_FOLDER} -c nginx.conf'
    )
    return Server(("sh", "-c", start), WEB_PORT, files={f"{NGINX_FOLDER}/nginx.conf": configuration})


def start(lab: Lab, name: str, server: Server) -> Process:
    """Start a server in the machine ``name``; returns once it listens. ``LabError`` with its last words otherwise."""
    for path, text in server.files.items():
        lab.write(path, text)
    process = lab[name].spawn(server.argv)
    try:
        lab[name].wait_listening(server.port, server.protocol)
    except LabError as error:
        words = process.output().strip().splitlines()[-1:]
        raise LabError(f"{lab.plan.spec}: {server.argv[0]} does not listen: {error} {' '.join(words)}") from None
    return process
