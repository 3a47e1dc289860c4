"""Sentences, figures and the report, from stored samples alone."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emu.measure.figures import Subject
from emu.measure.look import styles
from emu.measure.plots import Sheet, plain_ticks, spread_out
from emu.measure.published import band
from emu.measure.report import redraw
from emu.measure.results import Sample, read_folder
from emu.measure.summary import summarise
from emu.measure.words import QUESTIONS, number
from tests.unit.measure_support import PARAMS, page_of, run_json, samples, store

DESIGNS = ["bare", "l2", "routed", "overlay"]
FIGURES = ["latency-ping", "latency-tcp-rr", "rates", "ratios", "first-packet", "cpu"]


def subject_of(tmp_path: Path, designs: Sequence[str], taken: Sequence[Sample], **changes: Any) -> Subject:
    run = run_json(designs, **changes)
    return Subject(run, summarise(read_folder(store(tmp_path / "run", run, taken))))


class Page(HTMLParser):
    """Collects what a page would load from elsewhere, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without fault, with its report."""
    path = store(tmp_path_factory.mktemp("redrawn") / "run", run_json(DESIGNS), samples(DESIGNS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        redraw(path)
    return path


def test_report_is_one_file_that_answers_first_and_says_how_far_to_trust_it(redrawn: Path) -> None:
    path, report = redrawn, redrawn / "report.html"
    page = Page()
    page.feed(report.read_text(encoding="utf-8"))
    assert page.loads
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert "http://" not in report.read_text().replace("http://www.w3.org", "")
    question, verdict, figures = map(page.text.index, ("What does each design cost here?", "Trusted.", "Figures"))
    assert question < verdict < figures
    assert "Where less is better (times) a ratio above 1 is worse than bare" in page.text
    assert {p.name for p in (path / "plots").iterdir()} == {f"{n}.{kind}" for n in FIGURES for kind in ("pdf", "png")}
    assert "tcp_stream, ns per byte" in page.text
    assert {"summary.json", "summary.csv", "report.html"} <= {p.name for p in path.iterdir()}


def test_an_untrusted_run_is_reported_with_its_reasons(tmp_path: Path) -> None:
    page = Page()
    page.feed(page_of(store(tmp_path / "run", run_json(DESIGNS), samples(DESIGNS, blocks=2))))
    assert "Not trusted." in page.text
    assert "ping: 2 of the 6 blocks planned; below 6 there are no intervals" in page.text
    assert "✓" not in page.text


@pytest.mark.parametrize(("designs", "without"), [(["bare"], {"ratios"}), (["l2", "overlay"], {"ratios"}),
                                                  (["bare", "overlay"], set())])
def test_figures_for_fewer_designs(tmp_path: Path, designs: list[str], without: set[str]) -> None:
    path = store(tmp_path / "run", run_json(designs), samples(designs))
    redraw(path)
    assert {p.stem for p in (path / "plots").iterdir()} == set(FIGURES) - without


def test_a_run_with_nothing_but_failures_still_gets_its_report(tmp_path: Path) -> None:
    broken = [replace(s, value=None, ok=False, error="<lost> & gone") for s in samples(["bare"], blocks=1)]
    report = redraw(store(tmp_path / "run", run_json(["bare"]), broken)).read_text(encoding="utf-8")
    assert "Not trusted." in report
    assert "&lt;lost&gt; &amp; gone" in report


def test_a_run_ended_before_its_first_sample_still_gets_its_report(tmp_path: Path) -> None:
    report = redraw(store(tmp_path / "run", run_json(["bare"], interrupted=True), []))
    assert "the run was interrupted" in report.read_text(encoding="utf-8")
    assert list((tmp_path / "run" / "plots").iterdir()) == []


def test_redrawing_gives_the_same_summary(redrawn: Path, tmp_path: Path) -> None:
    path = shutil.copytree(redrawn, tmp_path / "run")
    redraw(path)
    assert (path / "summary.json").read_bytes() == (redrawn / "summary.json").read_bytes()


def test_costs_are_told_of_the_whole_and_of_the_parts_that_were_measured(tmp_path: Path) -> None:
    path = store(tmp_path / "run", run_json(["bare", "overlay"]), samples(["bare", "overlay"]))
    page = Page()
    page.feed(page_of(path))
    table = "".join(page.text[page.text.index("tcp_stream, ns per byte") :].split())
    assert re.search(r"^tcp_stream,nsperbytebareoverlayvxlaninall6\.\d\d13\.\dswitch4\.\d\d8\.\d\dHow", table)


def test_a_title_names_a_difference_that_is_shown(tmp_path: Path) -> None:
    assert re.fullmatch(r"overlay vxlan keeps 0\.[45]\d of bare's TCP throughput",
                        subject_of(tmp_path, DESIGNS, samples(DESIGNS)).finding(QUESTIONS[2]))


def test_a_title_says_so_where_no_difference_is_shown(tmp_path: Path) -> None:
    bare = samples(["bare"])
    same = [replace(s, design="l2", params=PARAMS["l2"]) for s in samples(["bare"], seed=2)]
    subject = subject_of(tmp_path, ["bare", "l2"], [*bare, *same])
    assert subject.finding(QUESTIONS[2]) == "No difference from bare is shown"


def test_a_title_claims_nothing_without_intervals_or_trust(tmp_path: Path) -> None:
    few = subject_of(tmp_path / "few", DESIGNS, samples(DESIGNS, blocks=3))
    assert few.finding(QUESTIONS[0]) == "These figures are not to be trusted"
    alone = subject_of(tmp_path / "alone", ["bare"], samples(["bare"]))
    assert re.fullmatch(r"bare: \d\d\.\d µs, median round trip", alone.finding(QUESTIONS[0]))


def test_doubted_designs_are_not_told_as_findings(tmp_path: Path) -> None:
    taken = [replace(s, ok=False, value=None, error="x") if s.design == "overlay" and s.block == 0 else s
             for s in samples(DESIGNS)]
    assert subject_of(tmp_path, DESIGNS, taken).finding(QUESTIONS[2]).startswith("routed keeps")


def test_published_ranges_belong_to_the_kernel_datapath_without_offloads(tmp_path: Path) -> None:
    subject = subject_of(tmp_path, DESIGNS, samples(DESIGNS))
    cell = subject.summary.cell("overlay:backend=vxlan", "tcp_stream", "throughput")
    assert cell is not None
    kernel = run_json(DESIGNS, datapath="kernel")
    found = band(kernel, cell)
    assert found is not None
    assert (found.low, found.high) == (0.18, 0.70)
    assert any("INFOCOM" in source for source in found.sources)
    assert band(run_json(DESIGNS), cell) is None
    assert band({**kernel, "scenario": {"offload": "on"}}, cell) is None
    assert band(kernel, replace(cell, params={"backend": "geneve"})) is None


def test_variants_of_a_design_share_its_colour_and_differ_otherwise() -> None:
    variants: list[tuple[str, dict[str, str]]] = [
        ("l2", {"proxy_arp": "controller"}), ("l2", {"proxy_arp": "switch"}), ("overlay", {"backend": "vxlan"})]
    first, second, overlay = styles(variants).values()
    assert first.light == second.light != overlay.light
    assert (first.is_open, second.is_open) == (False, True)
    assert first.dash != second.dash
    assert [s.label for s in (first, second, overlay)] == ["l2 controller", "l2 switch", "overlay vxlan"]


def test_no_line_ends_at_a_no_break_space() -> None:
    for words in range(20, 60):
        (title, *_) = Sheet("a " * words + "95\N{NO-BREAK SPACE}%", "", 1, None).figure.texts
        assert "\n%" not in title.get_text()


@pytest.mark.parametrize("wanted", [[0.5, 0.5, 0.5, 0.5], [0, 0.1, 1.9, 2], [2, 2, 2, 2], [0, 0, 0, 0], [0.2, 1, 1.2]])
def test_labels_never_overlap_and_stay_inside(wanted: list[float]) -> None:
    widths = [0.4, 0.3, 0.5, 0.4][: len(wanted)]
    centres = spread_out(wanted, widths, 0, 2)
    edges = [(c - w / 2, c + w / 2) for c, w in zip(centres, widths, strict=True)]
    assert edges[0][0] >= -1e-9
    assert edges[-1][1] <= 2 + 1e-9
    assert all(right <= left + 1e-9 for (_, right), (left, _) in pairwise(edges))


def test_labels_with_room_stay_where_they_want_to_be() -> None:
    assert spread_out([0.5, 1.5], [0.4, 0.4], 0, 2) == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize(("low", "high"), [(35, 90), (0.4, 8), (40, 30000), (0.93, 1.3)])
def test_ticks_are_few_plain_and_inside(low: float, high: float) -> None:
    ticks = plain_ticks(low, high)
    assert 1 <= len(ticks) <= 5
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.98123, "0.981"), (62.149, "62.1"), (228.2, "228"),
                                             (1305, "1,300"), (27849.5, "27,800"), (999.7, "1,000")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text
