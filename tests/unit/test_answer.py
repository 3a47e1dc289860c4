"""The answer without a lab: what is asked of one, and numbers, guide and figures from the committed run, which has
everything that the guide asks for; and from runs that say otherwise."""

from __future__ import annotations

import json
import re
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emu.answer import draw, look, run
from emu.answer.cast import cast_for
from emu.answer.guide import DEFAULT, guide
from emu.answer.numbers import Number, Numbers, costs, ended, spread, wrong
from emu.answer.report import Answered, read_answer, redraw_answer
from emu.designs import make_plan, parse_design
from emu.errors import MissingError, UsageError
from emu.live.lab import Completed
from emu.live.preflight import judge
from emu.measure.plots import ROWS_WIDTH
from emu.measure.words import DASH
from emu.model import Plan, Scenario
from emu.verbs import results
from tests.unit.test_preflight import DEBIAN_12

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
    assert asked.missing == [f"routers/there/{DEFAULT}/outside"]  # its being lacking is what the sentence says


def test_the_committed_answer_is_what_its_numbers_say(answered: Answered) -> None:
    assert answered.document["guide"] == [advice.entry() for advice in answered.advice]
    assert answered.document["numbers"] == [number.entry() for number in answered.numbers.by_id.values()]


PLAIN, MASQUERADING = (f"overlay:backend=vxlan,outside=bridge,bridges=2{snat}" for snat in ("", ",snat=on"))
ROUTE, BRIDGE = (f"overlay:backend=vxlan,outside={way}" for way in ("route", "bridge"))


def told(answered: Answered, others: Mapping[str, float] | None = None, *more: Number,
         change: Callable[[Number], Number] = lambda number: number) -> str:
    """All sentences, where some numbers are ``others``; ratios become exact, with an interval as narrow."""
    others = others or {}
    numbers = {number.id: change(number) for number in answered.numbers.by_id.values()}
    assert others.keys() <= numbers.keys()
    for name, value in others.items():
        end = None if numbers[name].low is None else value
        numbers[name] = replace(numbers[name], value=value, low=end, high=end)
    numbers.update({number.id: number for number in more})
    advice = guide(Numbers(numbers.values()), ["vxlan", "udp", "wireguard"])
    return "\n".join(sentence.text for each in advice for sentence in each.sentences)


def test_a_sentence_concludes_only_what_its_numbers_bear_out(answered: Answered) -> None:
    as_measured = told(answered)
    for conclusion in ("do without an overlay", "nobody on its segment", "another machine is speaking",
                       "asks more of what is between nodes", "an overlay is what is left", "The hotter of two",
                       "adds to what every node holds", "Their data arrived again"):
        assert conclusion in as_measured
    slower = told(answered, {f"inside/throughput/hostgw/{DEFAULT}": 0.8})
    assert f"hostgw carries 0.80 (0.80{DASH}0.80) of the overlay's TCP throughput" in slower
    assert "do without" not in slower
    assert "(hostgw) are for nodes that are all on one segment: packets of 1,500 bytes" in slower
    assert "plain routes (hostgw)" not in told(answered, {"answered/back/hostgw": 0}).lower()
    assert "what is left" not in told(answered, {f"answered/there/{DEFAULT}": 0})
    reached = told(answered, {f"answered/there/{DEFAULT}/outside": 1})
    assert "has had 1 answer to its ping." in reached
    assert "nobody" not in reached
    arrived = Number(f"routers/there/{DEFAULT}/outside", "routers", 1, "routers", "answer.json")
    assert "nobody" not in told(answered, None, arrived)
    assert "asks more" not in told(answered, {"flows/routed:routes=static": 5})
    assert "adds to what" not in told(answered, {"held/node/overlay:backend=vxlan,outside=client/outside": 8})
    assert "Each of two carries 0.50 of the flows" in told(answered, {f"hottest/{PLAIN}": 0.5})


def test_what_is_said_of_the_end_of_connections_is_what_ended_them(answered: Answered) -> None:
    def fate(spec: str, lived: int, ended: int, were_reset: int) -> dict[str, float]:
        return {f"lived/tcp/{spec}": lived, f"ended/tcp/{spec}": ended, f"reset/tcp/{spec}": were_reset}

    alive = told(answered, fate(MASQUERADING, 10, 0, 0))
    assert "masquerades, connections went on: 10, were reset: 0." in alive
    assert "another machine is speaking" not in alive
    mixed = told(answered, fate(MASQUERADING, 0, 10, 7))
    assert "went on: 0, were ended: 10, of these by a reset: 7." in mixed
    assert "another machine is speaking" not in mixed
    dead = told(answered, fate(PLAIN, 0, 10, 10))
    assert "address, TCP connections went on: 0, were reset: 10." in dead
    assert "arrived again" not in dead


def test_counts_of_clusters_of_unlike_sizes_are_not_compared(answered: Answered) -> None:
    def grown(number: Number) -> Number:
        return replace(number, nodes=64) if DEFAULT in number.id or "outside=client" in number.id else number

    text = told(answered, change=grown)
    assert not re.search("Entries that each|adds to what every node|flows in the switch's table", text)
    assert "Entries that each of 4 nodes holds: bare 1, plain routes 5, the overlay 11." in told(answered)


def test_a_difference_is_told_only_where_it_is_shown_and_is_read_off_the_number(answered: Answered) -> None:
    few = told(answered, change=lambda number: replace(number, low=None, high=None))
    assert "no difference is shown" not in few
    ratio = answered.numbers.by_id[f"inside/throughput/hostgw/{DEFAULT}"].value
    whether = "There are too few blocks to tell whether hostgw and the overlay differ in TCP throughput:"
    assert f"{whether} {ratio:.2f}." in few
    alike = told(answered, change=lambda number: replace(number, low=0.9, high=1.1))
    assert "Between the TCP throughput of routes to nodes and a bridge machine no difference is shown" in alike
    assert "Between the CPU time per byte of the overlay and hostgw no" in alike
    assert "Routes to nodes give" in told(answered)

    def text(value: float, low: float, high: float) -> str:
        return Number("x", "x", value, "ratio", "x", 10, low, high).text

    assert text(1.04, 1.0013, 1.06) == f"1.04 (1.001{DASH}1.06)"
    assert text(0.96, 0.95, 0.9996) == f"0.96 (0.95{DASH}0.9996)"
    assert text(1.01, 0.999, 1.06) == f"1.01 (1.00{DASH}1.06)"


def test_of_flows_that_did_not_arrive_no_share_is_told(answered: Answered) -> None:
    none, some = ({"spec": PLAIN, "flows": 512, "by": {"bridge-1": first, "bridge-2": 0}} for first in (0, 10))
    assert not list(spread(none, "x"))
    (share,) = spread(some, "x")
    assert (share.value, share.n) == (1, 10)
    assert "10 of 512 flows that arrived" in share.what
    document = {"spread": [none, some], "endings": []}
    assert list(wrong(document)) == [f"{PLAIN}: of 512 flows from outside none arrived by a bridge machine"]


def test_a_flow_that_no_reset_has_ended_is_a_problem() -> None:
    errors = ("", "sender: Connection reset by peer", "sender: No route to host")
    trials = [{"spec": PLAIN, "protocol": "tcp", "trial": trial, "longest_gap_ms": 1.0, "routed_ms": 1.0,
               "error": error} for trial, error in enumerate(errors)]
    values = {number.id.split("/")[0]: number.value for number in ended(trials, "x")}
    assert (values["lived"], values["ended"], values["reset"]) == (1, 2, 1)
    assert list(wrong({"spread": [], "endings": trials})) == [f"{PLAIN}: trial 3, tcp: sender: No route to host"]


def test_a_kernels_wireguard_has_no_cpu_time_and_throughput_is_told_in_gigabits(answered: Answered) -> None:
    summary, labels = answered.parts["inside"].summary, answered.labels
    found = {number.id: number for number in costs("inside", summary, labels, {"hostgw"})}
    cell = summary.cell("bare", "tcp_stream", "throughput")
    assert cell
    assert cell.median.interval
    value, low, high = (bit_s / 1e9 for bit_s in (cell.median.value, *cell.median.interval))
    assert found["inside/throughput/bare"].text == f"{value:.2f} ({low:.2f}{DASH}{high:.2f})"
    assert found["inside/throughput/bare"].unit == "Gbit/s"
    assert "inside/cpu_per_byte/bare" in found
    assert not [name for name in found if name.startswith("inside/cpu_per_byte/hostgw")]


def changed(tmp_path: Path, **entries: Any) -> Answered:
    """The committed run with other entries in its document, drawn anew."""
    folder = shutil.copytree(KEPT, tmp_path / "answer")
    document = json.loads((folder / "answer.json").read_text())
    (folder / "answer.json").write_text(json.dumps({**document, **entries}))
    shutil.rmtree(folder / "plots")
    return redraw_answer(folder)


def figures(answered: Answered) -> set[str]:
    return {path.stem for path in (answered.path / "plots").glob("*.png")}


def test_a_figure_without_rows_is_left_out(tmp_path: Path) -> None:
    found = changed(tmp_path, looked=[], spread=[], endings=[])
    assert figures(found) == {"cost-inside", "cost-outside"}
    assert "Which back end?" in (found.path / "report.html").read_text()


def test_endings_without_a_gap_make_no_figure_and_a_table(tmp_path: Path, answered: Answered) -> None:
    endings = [{**trial, "error": "sender: Connection reset by peer"} for trial in answered.document["endings"]]
    found = changed(tmp_path, endings=endings)
    assert "fail-over" not in figures(found)
    assert "of these by a reset" in (found.path / "report.html").read_text()


def test_the_page_says_what_was_not_counted_and_in_what_clusters(tmp_path: Path, answered: Answered) -> None:
    looked = [{**each, "kernel_wireguard": True if "wireguard" in each["spec"] else None}
              for each in answered.document["looked"]]
    found = changed(tmp_path, looked=looked)
    page = (found.path / "report.html").read_text()
    assert "No CPU time per byte is told of wireguard" in page
    assert "hold a peer for each other machine" in page
    assert "nothing done" in page
    assert found.numbers.by_id["held/node/bare"].nodes == 4
    assert found.numbers.by_id[f"held/node/{ROUTE}/outside"].nodes == 3


def test_rows_of_unlike_clusters_say_so_and_hollow_means_doubt_alone(answered: Answered) -> None:
    numbers = answered.numbers.by_id
    styles = draw._looks([ROUTE, BRIDGE], {ROUTE: "route", BRIDGE: "bridge"})
    assert not any(style.is_open for style in styles.values())
    name = f"held/node/{ROUTE}/outside"
    assert draw._held(styles[ROUTE], ROUTE, numbers[name], alike=False).text == "8 · 3 nodes"
    assert draw._held(styles[ROUTE], ROUTE, numbers[name], alike=True).text == "8"
    assert draw.beside(["bare", ROUTE]) == ""
    assert "udp (in tinc) holds a peer" in draw.beside(["overlay:backend=udp,outside=none"])


def test_an_axis_of_ratios_has_labels_on_both_sides_of_its_middle() -> None:
    for low, high in ((0.22, 1.1), (0.25, 1.18), (0.85, 3.2), (0.05, 1.2), (0.9, 1.1)):
        ticks = draw.ratio_ticks(low, high, ROWS_WIDTH)
        assert 1 in ticks
        assert all(low <= tick <= high for tick in ticks)
        assert len(ticks) >= (4 if high / low > 3 else 1)
    assert min(draw.ratio_ticks(0.22, 1.1, ROWS_WIDTH)) <= 0.3


LOSSY = Scenario(delay=500, loss=10)


def test_patience_is_what_the_links_of_a_plan_ask_for() -> None:
    plain, lossy = (look.patience(make_plan(parse_design("overlay"), each)) for each in (Scenario(), LOSSY))
    assert plain == look.Patience(3, 1)
    assert lossy.wait_s >= 1 + 4 * 0.5
    assert (1 - 0.9**8) ** lossy.times <= 1e-4
    one = replace(Scenario(), links={"node-a": {"delay": 300.0}})
    assert look.patience(make_plan(parse_design("overlay"), one)).wait_s > 1


class Pinged:
    """A lab in which ``answers`` tells how the n-th ping, of so many bytes, ends."""

    def __init__(self, plan: Plan, answers: Callable[[int, int], Completed]) -> None:
        self.plan, self.answers, self.pings = plan, answers, 0

    def __getitem__(self, name: str) -> Pinged:
        return self

    def run(self, argv: tuple[str, ...]) -> Completed:
        self.pings += 1
        size = int(argv[argv.index("-s") + 1]) + 28 if "-s" in argv else 84
        return self.answers(self.pings, size)

    def cool(self) -> None: ...

    def capture(self, points: list[str]) -> int:
        return 0

    def captured(self, number: int) -> list[Any]:
        return []


ANSWERED = Completed((), 0, "", "")
LOST = Completed((), 1, "1 packets transmitted, 0 received, 100% packet loss", "")
TOO_LARGE = Completed((), 1, "From 10.0.1.1 icmp_seq=1 Frag needed and DF set (mtu = 1450)", "")


def largest(scenario: Scenario, answers: Callable[[int, int], Completed]) -> tuple[int | None, str]:
    plan = make_plan(parse_design("overlay"), scenario)
    return look.largest_packet(Pinged(plan, answers), "ctr-1", "ctr-4")  # type: ignore[arg-type]


def test_a_lost_ping_is_no_packet_size() -> None:
    def every_second_is_lost(ping: int, size: int) -> Completed:
        return LOST if ping % 2 else ANSWERED if size <= 1450 else TOO_LARGE

    assert largest(LOSSY, every_second_is_lost) == (1450, "")
    assert largest(Scenario(), lambda ping, size: ANSWERED if size <= 1450 else LOST) == (1450, "")
    assert largest(Scenario(), lambda ping, size: ANSWERED if size <= 1500 else TOO_LARGE) == (1500, "")


def test_where_sizes_come_and_go_no_size_is_told() -> None:
    size, problem = largest(Scenario(), lambda ping, size: LOST)
    assert (size, "one of 28 bytes is not answered every time" in problem) == (None, True)
    asked: list[int] = []

    def passes(size: int) -> bool:
        asked.append(size)
        return size <= 1450 or asked.count(size) > 1

    size, problem = look.largest(passes, 1500)
    assert (size, "one of 1451 bytes is answered now and then" in problem) == (None, True)


def test_a_lost_ping_is_no_want_of_reach() -> None:
    plan = make_plan(parse_design("overlay"), Scenario())
    second = Pinged(plan, lambda ping, size: ANSWERED if ping == 2 else LOST)
    spoke = look.speak(second, "ctr-1", "ctr-4")  # type: ignore[arg-type]
    assert (spoke.answered, spoke.reason, second.pings) == (True, "", 2)
    never = look.speak(Pinged(plan, lambda ping, size: LOST), "ctr-1", "ctr-4")  # type: ignore[arg-type]
    assert not never.answered
    assert "100% packet loss" in never.reason


@pytest.mark.parametrize("scenario", [Scenario(containers=0), Scenario(nodes=2, containers=0)])
def test_a_scenario_with_nobody_to_measure_between_is_wrong_usage(scenario: Scenario) -> None:
    with pytest.raises(UsageError, match="no two pods on two nodes") as caught:
        cast_for(scenario, lambda plan: None)
    assert len(caught.value.problems) == 1


def test_what_silences_a_machine_is_asked_for_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "choose", lambda plan, tools: ("netdev", "ryu"))
    monkeypatch.setattr(run, "this_machine", lambda: judge(DEBIAN_12))
    assert cast_for(Scenario(), run.refuse).ending
    without = replace(DEBIAN_12, trials={**DEBIAN_12.trials, "clsact": "no"})
    monkeypatch.setattr(run, "this_machine", lambda: judge(without))
    with pytest.raises(MissingError, match="qdisc clsact: this kernel cannot"):
        cast_for(Scenario(), run.refuse)


def test_export_and_diff_name_the_result_folders_of_an_answer() -> None:
    with pytest.raises(UsageError) as exported:
        results.export(Namespace(folder=KEPT, to=None))
    with pytest.raises(UsageError) as compared:
        results.diff(Namespace(folder_a=KEPT, folder_b=KEPT, fail_above=None, json=False))
    for caught in (exported, compared):
        assert f"{KEPT / 'inside'}, {KEPT / 'outside'}" in caught.value.problems[0]
