"""The decision guide, from the committed run, which has everything that the guide asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.answer.guide import guide
from emu.answer.numbers import Number, Numbers
from emu.answer.report import Answered, read_answer

KEPT = Path(__file__).resolve().parents[2] / "results" / "when-overlay"


@pytest.fixture(scope="module")
def answered() -> Answered:
    return read_answer(KEPT)


class Asked(Numbers):
    """Numbers that note which were asked for in vain."""

    def __init__(self, found: Numbers) -> None:
        super().__init__(found.by_id.values())
        self.missing: list[str] = []

    def get(self, name: str) -> Number | None:
        found = super().get(name)
        self.missing += [] if found else [name]
        return found


def test_no_sentence_is_lost_to_a_number_that_is_called_otherwise(answered: Answered) -> None:
    asked = Asked(answered.numbers)
    assert guide(asked, ["vxlan", "udp", "wireguard"])
    assert asked.missing == []


def test_the_committed_answer_is_what_its_numbers_say(answered: Answered) -> None:
    assert answered.document["guide"] == [advice.entry() for advice in answered.advice]
    assert answered.document["numbers"] == [number.entry() for number in answered.numbers.by_id.values()]
