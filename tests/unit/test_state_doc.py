"""``docs/state.md``: its table is what the committed run counted, and what the designs declare now."""

from __future__ import annotations

import json

from emu.designs import make_plan, parse_design
from emu.laws import KINDS, LEARNED_FDB
from emu.measure.state import AGEING_S
from emu.model import Scenario
from tests.live.machine import CHECKOUT
from tests.unit.test_claims_doc import tables
from tests.unit.test_measure_state import SPECS

DOCUMENT = CHECKOUT / "docs" / "state.md"
RUN = json.loads((CHECKOUT / "results" / "state" / "state.json").read_text(encoding="utf-8"))
ROWS = tables(DOCUMENT.read_text(encoding="utf-8"))[-1]
NODES = 64


def test_every_law_held_in_the_committed_run() -> None:
    assert [design["departures"] for design in RUN["designs"]] == [[]] * len(SPECS)
    assert {point["nodes"] for point in RUN["points"]} == {2, 4, 8, 16, 32, 64}
    assert [point["misses"] for point in RUN["points"] if point["misses"]] == []


def test_the_table_has_every_law_and_what_was_counted_at_the_largest_size() -> None:
    wanted = []
    for spec in SPECS:
        params = parse_design(spec).params
        plan = make_plan(parse_design(spec), Scenario(nodes=2, containers=4))
        point = max((p for p in RUN["points"] if (p["design"], p["params"]) == (plan.design, dict(params))
                     and p["nodes"] == NODES), key=lambda p: p["containers"])
        law = parse_design(spec).design.law(params)
        for place in KINDS:
            for kind, growth in law.of(place).items():
                if str(growth) != "0" and place in point["counts"]:
                    least, most = point["counts"][place][kind]
                    aged = kind == LEARNED_FDB and point["exchange_s"] > AGEING_S
                    assert least == most or aged
                    told = f"{least:,} to {most:,}, aged" if aged else f"{most:,}"
                    wanted.append((spec, place, kind, str(growth), told))
    assert [tuple(row.values()) for row in ROWS] == wanted
