"""The switch that is nothing but a connection: how it ends."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from emu.live.openflow import FEATURES_REQUEST, ControllerLost, Switch

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a closed connection is reset, as a dead process's is that had not read all."""


def test_a_controller_that_died_is_told_as_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def die() -> None:
            connection, _ = listening.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.recv(100)
            connection.close()

        dying = threading.Thread(target=die)
        dying.start()
        with pytest.raises(ControllerLost, match="of 1 messages 0 came"), Switch(listening.getsockname()) as switch:
            switch.wait_for((FEATURES_REQUEST,), 1)
        dying.join()
