"""What the topology refuses of Mininet's options."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("mininet")

from emu.live.deck import refuse_others

WANTED = "mn: the topology deck wants one controller: --controller remote, and emu controller in another terminal\n"


@pytest.mark.parametrize("given", [["default"], ["none"], [], ["remote", "remote"], ["default,port=6653"]])
def test_another_controller_than_a_remote_one_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """``default`` is what Mininet's list has without ``--controller``."""
    with pytest.raises(SystemExit) as raised:
        refuse_others(SimpleNamespace(controller=given))
    assert raised.value.code == 2
    assert capsys.readouterr().err == WANTED


@pytest.mark.parametrize("given", ["remote", "remote,ip=192.0.2.1,port=6653"])
def test_a_remote_one_is_fine(given: str) -> None:
    refuse_others(SimpleNamespace(controller=[given]))
