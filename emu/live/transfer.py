"""Bytes over a TCP connection between two namespaces, compared at the far end."""

from __future__ import annotations

import hashlib
import random
import socket
import threading

from emu.live.linux import network_namespace
from emu.live.namespaces import Namespace

_DEADLINE_S = 60.0


def transfer(src: Namespace, dst: Namespace, address: str, size_bytes: int) -> bool:
    """Send ``size_bytes`` pseudo-random bytes from ``src`` to ``address`` in ``dst``; whether what arrived is
    what was sent. A connection that stalls for a minute counts as failed."""
    data = random.Random(size_bytes).randbytes(size_bytes)
    with network_namespace(dst.descriptor):
        server = socket.create_server((address, 0))
    with network_namespace(src.descriptor):
        client = socket.socket()
    digest = hashlib.sha256()
    with server, client:
        server.settimeout(_DEADLINE_S)
        client.settimeout(_DEADLINE_S)

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(_DEADLINE_S)
                while chunk := connection.recv(1 << 16):
                    digest.update(chunk)

        receiver = threading.Thread(target=_quietly, args=(receive,))
        receiver.start()
        try:
            client.connect((address, server.getsockname()[1]))
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            server.close()
            receiver.join()
            return False
        receiver.join()
    return digest.digest() == hashlib.sha256(data).digest()


def _quietly(receive: object) -> None:
    """A receiver that fails leaves a digest that does not match."""
    try:
        receive()  # type: ignore[operator]
    except OSError:
        return
