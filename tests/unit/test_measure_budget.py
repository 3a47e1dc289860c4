"""Latency budgets of hand-made frames: what lies between two sightings, that it all adds up, and how it is shown."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from emu.errors import LabError, UsageError
from emu.frames import Frame
from emu.measure.budget import (
    FAR_STACK,
    SEGMENTS,
    UNEXPLAINED,
    Batch,
    Budget,
    Packet,
    RoundTrip,
    account,
    document,
    exchanges,
    read,
)
from emu.measure.budget_view import hop_table, latency_budget, read_budgets, styles_of, table, write
from emu.measure.look import figure_tokens
from emu.measure.plots import Sheet
from emu.model import Hop
from emu.output import OutputFolder
from emu.packets import ECHO_REPLY, ECHO_REQUEST, ICMP
from emu.walk.join import in_order, join
from emu.walk.topology import topology
from tests.unit.measure_support import PARAMS, page_of, run_json, samples, store
from tests.unit.walk_support import START_NS, Builder, echo, http_walk

DESIGNS = ["bare", "l2", "routed", "overlay"]
VETH, WIRE, OVERLAY = "container veth", "wire", "overlay device"
ONE_WAY = {
    "bare": [WIRE, "switch", WIRE],
    "l2": [VETH, "bridge", WIRE, "switch", WIRE, "routing", "bridge", VETH],
    "routed": [VETH, "routing", WIRE, "gateway", WIRE, "routing", "bridge", VETH],
    "overlay": [VETH, "routing", OVERLAY, WIRE, "switch", WIRE, OVERLAY, "bridge", VETH],
}
STEP_NS, FAR_NS = 1_500, 4_000


def trip_of(builder: Builder) -> RoundTrip:
    return RoundTrip(builder.hops(builder.src, builder.dst), builder.hops(builder.dst, builder.src))


def is_handed_up(before: Hop, hop: Hop) -> bool:
    return before.machine == hop.machine and before.direction == hop.direction == "in"


def ping(builder: Builder, seq: int, begins_ns: int) -> list[Frame]:
    """An exchange, a step every 1.5 us; a frame that is handed up bears the stamp it has."""
    frames: list[Frame] = []
    t_ns, ends = begins_ns, (builder.src, builder.dst)
    for kind, (src, dst) in ((ECHO_REQUEST, ends), (ECHO_REPLY, ends[::-1])):
        hops = builder.hops(src, dst)
        for before, hop in zip((None, *hops), hops, strict=False):
            t_ns += 0 if before is None or is_handed_up(before, hop) else STEP_NS
            data = builder.frame(hop, src, dst, ICMP, echo(kind, 7, seq))
            frames.append(Frame(hop.point, hop.direction, t_ns, data))
        t_ns += FAR_NS
    return frames


def seen(builder: Builder, frames: Sequence[Frame], request: str = "ping") -> dict[int, tuple[Packet, Packet]]:
    there = topology(builder.plan)
    return exchanges(request, join(there, in_order(there, frames)))


def budget_of(spec: str, blocks: int = 6) -> Budget:
    """Two exchanges a block; round trips of 100 us and a bit captured, of 80 us and a bit not."""
    builder = Builder(spec, "ping")
    trip = trip_of(builder)
    legs_us = trip.times_us(*seen(builder, ping(builder, 1, START_NS))[1])
    batches = []
    for block in range(blocks):
        batches.append(Batch(block, (100.0 + block, 100.0 + block), (legs_us, legs_us)))
        batches.append(Batch(block, (80.0 + block, 80.0 + block)))
    return account(builder.plan, (builder.src, builder.dst), "ping", trip.legs, batches, "netdev")


@pytest.mark.parametrize("spec", DESIGNS)
def test_each_stretch_of_the_declared_path_has_its_part(spec: str) -> None:
    legs = trip_of(Builder(spec)).legs
    assert [leg.segment for leg in legs if leg.direction == "there"] == ONE_WAY[spec]
    assert [leg.segment for leg in legs if leg.direction == "far"] == [FAR_STACK]
    assert [leg.segment for leg in legs if leg.direction == "back"] == ONE_WAY[spec]
    assert all(before.end == after.start for before, after in pairwise(legs))


@pytest.mark.parametrize("spec", DESIGNS)
def test_points_a_frame_is_handed_up_to_end_no_stretch(spec: str) -> None:
    trip = trip_of(Builder(spec))
    ends = [(leg.start, leg.end) for leg in trip.legs]
    declared = [f"{hop.point} {hop.direction}" for hop in (*trip.there, *trip.back)]
    left = [point for point in declared if point not in {p for pair in ends for p in pair}]
    assert all(point.endswith((":cbr0 in", ":flannel.1 in")) for point in left)
    assert [point for point in declared if point not in left] == [ends[0][0], *(end for _, end in ends)]


@pytest.mark.parametrize(("spec", "ends", "wanted"), [
    ("l2", ("ctr-1", "ctr-2"), [VETH, "bridge", VETH]),
    ("overlay", ("ctr-1", "node-a"), [VETH]),
    ("overlay", ("node-a", "ctr-4"), [OVERLAY, WIRE, "switch", WIRE, OVERLAY, "bridge", VETH]),
    ("l2", ("ctr-1", "node-c"), [VETH, "routing", "bridge", WIRE, "switch", WIRE]),
])
def test_other_pairs_of_machines(spec: str, ends: tuple[str, str], wanted: list[str]) -> None:
    builder = Builder(spec)
    legs = RoundTrip(builder.hops(*ends), builder.hops(*ends[::-1])).legs
    assert [leg.segment for leg in legs if leg.direction == "there"] == wanted


@pytest.mark.parametrize("spec", DESIGNS)
def test_times_add_up_from_the_first_sighting_to_the_last(spec: str) -> None:
    builder = Builder(spec, "ping")
    trip = trip_of(builder)
    frames = [frame for seq in (1, 2, 3) for frame in ping(builder, seq, START_NS + seq * 20_000)]  # they overlap
    random.Random(1).shuffle(frames)
    found = seen(builder, frames)
    assert sorted(found) == [1, 2, 3]
    for asked, answered in found.values():
        times_us = trip.times_us(asked, answered)
        assert sum(times_us) == pytest.approx((answered[-1].frame.t_ns - asked[0].frame.t_ns) / 1000)
        assert [time_us for time_us, leg in zip(times_us, trip.legs, strict=True) if leg.segment == FAR_STACK] == [4.0]
        assert {time_us for time_us, leg in zip(times_us, trip.legs, strict=True) if leg.segment != FAR_STACK} == {1.5}


def test_a_packet_that_leaves_its_declared_way_has_no_times() -> None:
    builder = Builder("overlay", "ping")
    frames = ping(builder, 1, START_NS)
    without = [frame for frame in frames if (frame.at, frame.direction) != ("node-c:cbr0", "out")]
    with pytest.raises(LabError, match="left its declared way: seen at ctr-1:eth0 out"):
        trip_of(builder).times_us(*seen(builder, without)[1])


def test_a_request_without_an_answer_is_left_out() -> None:
    builder = Builder("routed", "ping")
    lost = [frame for frame in ping(builder, 2, START_NS + 100_000) if frame.inner["icmp.type"] == ECHO_REQUEST]
    assert list(seen(builder, [*ping(builder, 1, START_NS), *lost])) == [1]


@pytest.mark.parametrize("spec", DESIGNS)
def test_over_http_the_request_is_get_and_the_answer_is_the_first_data(spec: str) -> None:
    walk = http_walk(spec)
    builder = Builder(spec)
    found = seen(builder, [step.frame for step in walk.steps], "http")
    assert list(found) == [40000]
    titles = {packet.number: packet.title for packet in walk.packets}
    of_frame = {step.frame: titles[step.packet] for step in walk.steps}
    assert [of_frame[packet[0].frame] for packet in found[40000]] == ["GET /", "200 OK"]
    assert len(trip_of(builder).times_us(*found[40000])) == len(trip_of(builder).legs)


@pytest.mark.parametrize("spec", DESIGNS)
def test_parts_are_sums_over_their_stretches_and_all_is_explained_or_said_not_to_be(spec: str) -> None:
    budget = budget_of(spec)
    assert [leg.segment for leg, _ in budget.hops] == [*ONE_WAY[spec], FAR_STACK, *ONE_WAY[spec]]
    for name, spent in budget.segments.items():
        if name != UNEXPLAINED:
            assert spent.median_us == pytest.approx(sum(s.median_us for leg, s in budget.hops if leg.segment == name))
    assert list(budget.segments) == [name for name in SEGMENTS if name in {*ONE_WAY[spec], FAR_STACK, UNEXPLAINED}]
    explained_us = sum(spent.median_us for name, spent in budget.segments.items() if name != UNEXPLAINED)
    assert budget.round_trip.value == 102.5
    assert budget.segments[UNEXPLAINED].median_us == pytest.approx(102.5 - explained_us)
    assert budget.repeats == 12


def test_the_cost_of_capturing_relates_batches_of_one_block() -> None:
    budget = budget_of("bare")
    ratios = sorted((100 + block) / (80 + block) for block in range(6))
    assert budget.uncaptured.value == 82.5
    assert budget.capture_cost.value == pytest.approx((ratios[2] + ratios[3]) / 2)
    assert budget.capture_cost.interval is not None
    assert ratios[0] <= budget.capture_cost.interval[0] < budget.capture_cost.interval[1] <= ratios[-1]
    assert budget_of("bare", blocks=5).capture_cost.interval is None


def test_a_budget_survives_json() -> None:
    budgets = [budget_of(spec) for spec in DESIGNS] + [budget_of("bare", blocks=2)]
    written = json.loads(json.dumps(document(budgets)))
    assert written["format"] == "emu-budget/1"
    assert read(written) == budgets


def test_a_p99_takes_a_hundred_exchanges() -> None:
    few, many = (budget_of("bare", blocks) for blocks in (49, 50))  # of two exchanges each
    assert {spent.p99_us for spent in few.segments.values()} == {None}
    assert all("p99_us" not in row for row in few.entry()["segments"] + few.entry()["hops"])
    assert {line[-1] for line in hop_table(few).splitlines()[3:]} == {"-"}
    assert many.segments["switch"].p99_us == pytest.approx(2 * STEP_NS / 1000)
    assert read(json.loads(json.dumps(document([few, many])))) == [few, many]
    assert " / -" in table([few])
    assert " / -" not in table([many])


@pytest.mark.parametrize("text", ['{"format": "emu-budget/2", "budgets": []}', '{"format": "emu-budget/1"}', "[]", "{",
                                  '{"format": "emu-budget/1", "budgets": [{"design": "bare"}]}'])
def test_a_damaged_budget_is_told_as_that(tmp_path: Path, text: str) -> None:
    (tmp_path / "budget.json").write_text(text)
    with pytest.raises(UsageError, match=r"budget\.json is damaged"):
        read_budgets(tmp_path)


def test_tables_fit_a_terminal_and_name_every_part() -> None:
    budgets = [budget_of(spec) for spec in DESIGNS]
    side_by_side = table([*budgets, replace(budgets[1], params={"proxy_arp": "switch"})])
    assert all(len(line) <= 80 for text in (side_by_side, *map(hop_table, budgets)) for line in text.splitlines())
    assert all(name in side_by_side for name in SEGMENTS)
    for budget in budgets:
        lines = hop_table(budget).splitlines()[-len(budget.hops) :]
        assert all(leg.end in line and leg.segment in line for (leg, _), line in zip(budget.hops, lines, strict=True))


def test_a_figure_names_parts_conditions_and_the_cost_of_capturing() -> None:
    budgets = [budget_of(spec) for spec in DESIGNS]
    said: list[str] = []

    def sheet(title: str, height: float, *sentences: str) -> Sheet:
        said.extend(sentences)
        return Sheet(title, " ".join(sentences), height, None)

    title, figure = latency_budget(budgets, styles_of(budgets), sheet)
    assert title.startswith("The largest part of a round trip differs")
    written = " ".join(text.get_text() for ax in figure.axes for text in ax.texts)
    for name in {*ONE_WAY["overlay"], *ONE_WAY["routed"], FAR_STACK, UNEXPLAINED}:
        assert all(word in written for word in name.split())
    assert "round trip 102 (100\N{EN DASH}105)" in written
    assert any("Capture's own cost" in sentence and "bare 1.24" in sentence for sentence in said)
    assert figure_tokens()["budget"].keys() == set(SEGMENTS)


def test_writing_leaves_the_document_and_the_figure(tmp_path: Path) -> None:
    folder = OutputFolder.create(tmp_path / "out")
    budgets = [budget_of("overlay", blocks=1)]
    write(folder, budgets)
    assert sorted(p.name for p in folder.path.iterdir()) == ["budget.json", "latency-budget.pdf", "latency-budget.png"]
    assert read_budgets(folder.path) == budgets


def test_a_report_shows_the_budgets_of_its_run_and_does_without(tmp_path: Path) -> None:
    path = store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS))
    budgets = [replace(budget_of(spec), params=PARAMS[spec]) for spec in reversed(DESIGNS)]
    (path / "budget.json").write_text(json.dumps(document(budgets)))
    page = page_of(path)
    assert "Where the time goes" in page
    assert "overlay device" in page
    (path / "budget.json").unlink()
    assert "Where the time goes" not in page_of(path)
