"""Links against what was asked: bounds, what pings and a flood tell, and what of it speaks against a run."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path
from typing import Any

import pytest

from emu.designs import make_plan, parse_design
from emu.errors import LabError
from emu.live.flood import Flooded
from emu.live.lab import Completed
from emu.measure.departures import WINDOW_S
from emu.measure.links import (
    LATENESS,
    PINGS,
    binomial_range,
    check_links,
    expected,
    flood_s,
    jitter_us,
    links_text,
)
from emu.measure.results import ResultFolder, read_folder
from emu.measure.running import Bench
from emu.measure.summary import summarise
from emu.measure.workloads import Lengths
from emu.model import Scenario, Shape
from tests.unit.measure_support import FakeLab, page_of, run_json, samples, store


def bounds(shape: Shape, second: Shape | None = None) -> dict[str, tuple[float, float, float]]:
    return {quantity: (asked, low, high) for quantity, _, asked, low, high in expected(shape, second or shape, 1500)}


def test_only_what_is_asked_is_expected() -> None:
    assert bounds(Shape()) == {}
    assert list(bounds(Shape(50))) == ["rate", LATENESS]
    assert list(bounds(Shape(50, 5, 1))) == ["rate", LATENESS, "round trip", "jitter"]
    assert list(bounds(Shape(50, 5, 1, 1))) == ["rate", "round trip", "jitter", "loss of pings"]


def test_bounds_are_of_two_links_each_way() -> None:
    found = bounds(Shape(50, 5, 1, 10))
    assert found["rate"] == pytest.approx((45e6, 42.75e6, 47.25e6))  # a tenth of what came over the first is lost
    assert found["round trip"] == pytest.approx((20_000, 19_000, 22_000))
    asked, low, high = found["loss of pings"]
    assert asked == pytest.approx(1 - 0.9**4)
    assert low < asked < high


def test_of_two_unlike_links_each_has_its_share() -> None:
    found = bounds(Shape(50, 5, 3, 0), Shape(None, 1, 0, 10))
    assert found["rate"][0] == pytest.approx(45e6)
    assert found["round trip"][0] == pytest.approx(12_000)
    assert found["jitter"][0] == pytest.approx(3000 / 2**0.5)
    assert found["loss of pings"][0] == pytest.approx(1 - 0.9**2)
    assert bounds(Shape(loss=10), Shape(20))["rate"][0] == pytest.approx(20e6)


def test_a_slow_link_is_measured_longer_and_held_to_whole_frames() -> None:
    assert flood_s(50e6, 1500) == 1.5
    assert flood_s(0.5e6, 1500) == pytest.approx(100 * 1514 * 8 / 0.5e6)
    assert flood_s(0.01e6, 1500) == 15
    asked, low, high = bounds(Shape(0.01))["rate"]
    assert (high - asked, asked - low) == pytest.approx((2 * 1514 * 8 / 15, 2 * 1514 * 8 / 15))


def test_departures_may_be_late_by_what_a_burst_makes_up_for() -> None:
    assert bounds(Shape(100))[LATENESS] == pytest.approx((0, 0, 4000))
    assert bounds(Shape(100), Shape(1))[LATENESS][2] == pytest.approx(2 * 1514 * 8)  # two frames, in us at 1 Mbit/s


@pytest.mark.parametrize(("count", "chance"), [(500, 0.02), (500, 0.3439), (40, 1e-6), (40, 0.999), (40, 1.0)])
def test_a_binomial_range_holds_all_but_the_chance_asked_and_is_not_wider(count: int, chance: float) -> None:
    low, high = binomial_range(count, chance, 1e-4)

    def probability(draws: range) -> float:
        return sum(comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in draws)

    assert probability(range(low)) <= 0.5e-4 * 1.001
    assert probability(range(high + 1, count + 1)) <= 0.5e-4 * 1.001
    assert low == 0 or probability(range(low + 1)) > 0.5e-4 * 0.999
    assert high == count or probability(range(high, count + 1)) > 0.5e-4 * 0.999


@pytest.mark.parametrize("seed", range(5))
def test_the_jitter_of_one_link_is_told_from_round_trips_over_four(seed: int) -> None:
    draw = random.Random(seed)
    rtts_us = [40_000 + sum(draw.uniform(-2000, 2000) for _ in range(4)) for _ in range(PINGS)]
    rtts_us[7] = 900_000  # a stall of the machine
    assert jitter_us(rtts_us) == pytest.approx(2000, rel=0.25)


class FakeLinks(FakeLab):
    """A lab of ``bare`` over links of 50 Mbit/s that lose one frame in 10."""

    flooded: Flooded | LabError = Flooded(10_000_000, 2.0, ((1_000_000, 1514), (2_000_000, 1514)))

    def flood(self, src: str, dst: str, payload_bytes: int, offered_bps: float, duration_s: float) -> Flooded:
        self.log.append(f"flood {src} {dst} {payload_bytes} {offered_bps / 1e6:.1f} {duration_s}")
        if isinstance(self.flooded, LabError):
            raise self.flooded
        return self.flooded


def pings(argv: Sequence[str]) -> Completed:
    """Two thirds of pings answered, after 1 ms each."""
    count = int(argv[argv.index("-c") + 1])
    lines = [f"64 bytes from 192.168.1.3: icmp_seq={n} ttl=64 time=1.00 ms" for n in range(1, count + 1) if n % 3]
    return Completed(tuple(argv), 0, "\n".join(
        [*lines, f"{count} packets transmitted, {len(lines)} received, 33% packet loss, time 9ms"]), "")


def checked(tmp_path: Path, lab: FakeLinks, tell: Callable[[str], None] = lambda text: None,
            **scenario: Any) -> dict[str, dict[str, Any]]:
    lab.plan = make_plan(parse_design("bare"), Scenario(**scenario))
    lengths = Lengths(ping_packets=80, request_s=0.4, stream_s=1, first_packets=3)
    bench = Bench(lab, lengths, ResultFolder.create(tmp_path / "run"))  # type: ignore[arg-type]
    return {check["quantity"]: check for check in check_links(bench, tell)}


def test_links_are_measured_between_the_nodes_of_the_endpoints(tmp_path: Path) -> None:
    lab, told = FakeLinks(pings), list[str]()
    found = checked(tmp_path, lab, told.append, bw=50.0, loss=10.0)
    assert found["rate"]["achieved"] == pytest.approx(40e6)
    assert found["loss of pings"]["achieved"] == pytest.approx(166 / 500)
    assert {(each["design"], each["src"], each["dst"]) for each in found.values()} == {("bare", "node-a", "node-c")}
    assert lab.log == ["run ping", "run ping", "flood node-a node-c 1472 66.7 1.5"]
    assert len(list((tmp_path / "run" / "raw").iterdir())) == 2
    assert told == ["measuring the links of bare"]


def test_departures_are_held_against_the_rate_that_arrives_and_kept(tmp_path: Path) -> None:
    """Of a frame a millisecond, the link of 50 Mbit/s is behind by what it would have sent meanwhile."""
    lab = FakeLinks(pings)
    lab.flooded = Flooded(0, 2.0, tuple((n * 1_000_000, 1514) for n in range(1000)))
    found = checked(tmp_path, lab, bw=50.0)[LATENESS]
    behind_us = 1000 - 1514 * 8 / 50
    assert found["achieved"] == pytest.approx(WINDOW_S * 1000 * behind_us, rel=0.02)
    assert (found["unit"], found["asked"], found["low"], found["high"]) == ("us", 0, 0, pytest.approx(4000))
    (kept,) = (tmp_path / "run" / "raw").glob("*links-flood*")
    assert json.loads(kept.read_text())["arrivals"].splitlines()[:2] == ["0 1514", "1000000 1514"]


def test_a_flood_of_which_nothing_comes_has_no_departures(tmp_path: Path) -> None:
    lab = FakeLinks(pings)
    lab.flooded = Flooded(0, 2.0, ())
    found = checked(tmp_path, lab, bw=50.0)
    assert (found["rate"]["achieved"], found[LATENESS]["achieved"]) == (0, None)
    assert found[LATENESS]["error"] == "no frame came in"


def test_a_first_link_that_loses_all_has_nothing_to_measure(tmp_path: Path) -> None:
    lossy = {"node-a": {"loss": 100.0}, "node-c": {"loss": 0.0}}
    found = checked(tmp_path, FakeLinks(pings), bw=50.0, links=lossy)
    assert found["rate"]["error"] == found[LATENESS]["error"] == "with all frames lost there is nothing to measure"


def test_unshaped_links_are_not_measured(tmp_path: Path) -> None:
    lab, told = FakeLinks(pings), list[str]()
    assert checked(tmp_path, lab, told.append) == {}
    assert lab.log == told == []


def test_what_cannot_be_measured_is_an_error_and_never_a_zero(tmp_path: Path) -> None:
    lab = FakeLinks(lambda argv: Completed(tuple(argv), 2, "", "ping: connect: Network is unreachable"))
    lab.flooded = LabError("no route")
    found = checked(tmp_path, lab, bw=50.0, loss=10.0)
    assert {each["achieved"] for each in found.values()} == {None}
    assert found["rate"]["error"] == "no route"
    assert "unreachable" in found["loss of pings"]["error"]


def rate(**changes: Any) -> dict[str, Any]:
    return {"design": "bare", "src": "node-a", "dst": "node-c", "quantity": "rate", "unit": "bit/s", "asked": 50e6,
            "low": 47.5e6, "high": 52.5e6, "achieved": 50e6, "error": None, **changes}


LATE = {"quantity": LATENESS, "unit": "us", "asked": 0.0, "low": 0.0, "high": 4000.0}


@pytest.mark.parametrize(("changes", "reasons"), [
    ({}, []),
    ({**LATE, "achieved": 4000.0}, []),
    ({**LATE, "achieved": 12_340.0}, [f"bare: {LATENESS} from node-a to node-c: 0 ms asked for, 12.34 ms measured"]),
    ({"achieved": 47.4e6}, ["bare: rate from node-a to node-c: 50 Mbit/s asked for, 47.4 Mbit/s measured"]),
    ({"achieved": 52.6e6}, ["bare: rate from node-a to node-c: 50 Mbit/s asked for, 52.6 Mbit/s measured"]),
    ({"achieved": None, "error": "no route"}, ["bare: rate from node-a to node-c could not be measured: no route"]),
])
def test_links_other_than_asked_are_a_reason(tmp_path: Path, changes: dict[str, Any], reasons: list[str]) -> None:
    run = run_json(["bare", "l2"], links=[rate(**changes)])
    verdict = summarise(read_folder(store(tmp_path / "run", run, samples(["bare", "l2"])))).verdict
    assert [reason.text for reason in verdict.reasons] == reasons
    assert {reason.design for reason in verdict.reasons} <= {"bare"}
    assert links_text(run) in page_of(tmp_path / "run")
