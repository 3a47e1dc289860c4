"""What is made of a sweep's points: the table, the curves and the page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import matplotlib
import pytest
from matplotlib.axes import Axes

from emu.cli import main
from emu.look import tokens
from emu.measure.look import styles, use_in_figures
from emu.sweep.axes import Axis, Value
from emu.sweep.curves import Chart, charts, finding, read_results
from emu.sweep.draw import draw_chart, ratio_limits
from emu.sweep.report import redraw_sweep
from emu.sweep.scale import scale_of, thinned
from tests.unit.measure_support import PARAMS
from tests.unit.sweep_support import store_point, store_sweep, sweep_of
from tests.unit.test_measure_paper import assert_fit_for_papers, pdf
from tests.unit.test_measure_report import Page

FILE = """designs: [bare, l2, overlay]
workloads: [ping, tcp_stream]
profile: quick
sweep:
  mtu: [9000, 1500]
  bw: [10, 1000, null]
  tcp_stream.flows: [1, 16]
"""


def truth(design: str, kind: str, metric: str, values: Mapping[str, Value]) -> float:
    """The overlay costs throughput by the packet, so less with large ones; a slow link hides it. l2 costs nothing."""
    if metric == "throughput":
        cost = {"overlay": 0.6 if values["mtu"] == 1500 else 0.9}.get(design, 1.0)
        fastest = 2e9 * cost
        return min(fastest, float(values["bw"]) * 1e6) if values["bw"] else fastest
    return 60.0 if design == "overlay" else 50.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sweep of which one point was interrupted and one not measured."""
    path = tmp_path_factory.mktemp("sweep")
    sweep = sweep_of(path / "sweep.yaml", FILE)
    measured = [point.name for point in sweep.points if point.name not in ("mtu=9000,bw=10", "mtu=1500,bw=10")]
    store_sweep(path / "out", path / "sweep.yaml", sweep, truth, measured)
    store_point(path / "out" / "mtu=1500,bw=10", sweep, "mtu=1500,bw=10", truth, interrupted=True)
    with matplotlib.rc_context():
        use_in_figures()
        yield path / "out"


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    """What ``emu report`` says of it, whose files are there then."""
    with redirect_stdout(io.StringIO()) as said:
        assert main(["report", str(folder)]) == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(read_results(folder))}


def axes_of(chart: Chart) -> list[Axes]:
    looks = styles([(name, PARAMS[name]) for name in ("bare", "l2")] + [("overlay", OVERLAY)])
    return draw_chart(chart, looks, ratio_limits([chart]))[1].axes


OVERLAY = {"backend": "vxlan", "outside": "none"}
SPEC = "overlay:backend=vxlan,outside=none"
LABELS = {"bare": "bare", "l2:proxy_arp=controller": "l2", SPEC: "overlay vxlan"}


def test_the_table_has_a_row_for_every_point_design_workload_and_metric(folder: Path, told: str) -> None:
    with (folder / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["point", "mtu", "bw", "tcp_stream.flows"]
    cells = {(row["point"], row["design"], row["workload"], row["metric"]): row for row in rows}
    assert len(cells) == len(rows) == 5 * 3 * (1 + 2)
    row = cells["mtu=1500,bw=unshaped", "overlay", "tcp_stream:flows=16", "throughput"]
    assert (row["mtu"], row["bw"], row["tcp_stream.flows"], row["trusted"]) == ("1500", "", "16", "true")
    assert float(row["ratio_ci_low"]) < 0.6 < float(row["ratio_ci_high"])
    assert float(row["ci_low"]) <= float(row["median"]) <= float(row["ci_high"])
    assert cells["mtu=1500,bw=10", "l2", "ping", "rtt"]["tcp_stream.flows"] == ""
    assert {row["point"] for row in rows if row["trusted"] == "false"} == {"mtu=1500,bw=10"}


def test_every_question_has_a_chart_along_every_axis_wherever_the_others_are_held(found: dict[str, Chart]) -> None:
    assert set(found) == {
        *(f"ping-rtt-by-mtu-bw-{bw}" for bw in (1000, "unshaped")),  # at bw 10 one value alone was measured
        *(f"ping-rtt-by-bw-mtu-{mtu}" for mtu in (1500, 9000)),
        *(f"tcp_stream-throughput-by-mtu-bw-{bw}-tcp_stream.flows-{flows}"
          for bw in (1000, "unshaped") for flows in (1, 16)),
        *(f"tcp_stream-throughput-by-bw-mtu-{mtu}-tcp_stream.flows-{flows}"
          for mtu in (1500, 9000) for flows in (1, 16)),
        *(f"tcp_stream-throughput-by-tcp_stream.flows-mtu-{mtu}-bw-{bw}"
          for mtu in (1500, 9000) for bw in (10, 1000, "unshaped") if (mtu, bw) != (9000, 10)),
    }
    chart = found["tcp_stream-throughput-by-bw-mtu-1500-tcp_stream.flows-16"]
    assert [spot.value for spot in chart.curves[SPEC]] == [10, 1000, None]
    assert [spot.doubted for spot in chart.curves[SPEC]] == [True, False, False]
    assert [round(spot.cell.median.value / 1e6, -1) for spot in chart.curves["bare"]] == pytest.approx(
        [10, 1000, 2000], rel=0.05)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_title_tells_a_change_where_one_is_shown_and_of_trusted_values_alone(found: dict[str, Chart]) -> None:
    flows = "tcp_stream.flows-1"
    by_mtu = plain(finding(found[f"tcp_stream-throughput-by-mtu-bw-unshaped-{flows}"], LABELS))
    assert re.fullmatch(r"overlay vxlan: 0\.[56]\d times bare's TCP throughput at MTU 1500, 0\.[89]\d at MTU 9000",
                        by_mtu)
    by_bw = plain(finding(found[f"tcp_stream-throughput-by-bw-mtu-1500-{flows}"], LABELS))
    assert re.fullmatch(r"overlay vxlan keeps 0\.[56]\d of bare's TCP throughput with links unshaped", by_bw)
    rtt = plain(finding(found["ping-rtt-by-mtu-bw-unshaped"], LABELS))
    assert re.fullmatch(r"overlay vxlan takes 1\.[12]\d times bare's round trip at MTU (1500|9000)", rtt)
    assert finding(found["tcp_stream-throughput-by-tcp_stream.flows-mtu-1500-bw-10"], LABELS) == (
        "These figures are not to be trusted")


def test_a_sweep_without_bare_claims_no_ratios_and_one_too_short_no_differences(tmp_path: Path) -> None:
    text = "designs: [l2, overlay]\nworkloads: [ping]\nprofile: quick\nsweep: {mtu: [1500, 9000]}\n"
    sweep = sweep_of(tmp_path / "sweep.yaml", text)
    (chart,) = charts(read_results(store_sweep(tmp_path / "out", tmp_path / "sweep.yaml", sweep, truth)))
    assert re.fullmatch(r"Median round trip: [45]\d\.\d to [56]\d\.\d µs", finding(chart, LABELS))
    assert ratio_limits([chart]) is None
    assert len(axes_of(chart)) == 1


def test_figures_are_fit_for_papers_and_mark_what_is_not_to_be_trusted(found: dict[str, Chart]) -> None:
    chart = found["tcp_stream-throughput-by-bw-mtu-1500-tcp_stream.flows-1"]
    absolute, ratios = axes_of(chart)
    figure = absolute.figure
    assert_fit_for_papers(pdf(figure))  # type: ignore[arg-type]
    assert (absolute.get_yscale(), ratios.get_yscale()) == ("log", "log")
    assert ratios.get_xlabel() == "Rate of the links, Mbit/s (log scale)"
    assert [label.get_text() for label in ratios.get_xticklabels()] == ["10", "1000", "unshaped"]
    words = plain(" ".join(text.get_text() for text in figure.texts).replace("\n", " "))
    assert "3 of 9 values not trusted" in words
    assert "Hollow or dashed: not to be trusted." in words
    assert "At MTU 1500, with 1 flow" in words
    assert "6 interleaved blocks a value. Marker: median over blocks; bar: its 95 % interval." in words
    assert "links otherwise unshaped" in words
    spots = [line for line in absolute.get_lines() if line.get_marker() not in ("None", "") and line.get_zorder() == 4
             and len(line.get_xdata()) == 1]
    markers: dict[str, list[bool]] = {}
    for line in spots:
        markers.setdefault(str(line.get_marker()), []).append(line.get_markerfacecolor() == "white")
    look = tokens()["design"]
    assert markers == {look[name]["marker"]: [True, False, False] for name in ("bare", "l2", "overlay")}


def test_designs_stand_side_by_side_and_lines_join_neighbours_on_the_scale_alone(found: dict[str, Chart]) -> None:
    chart = found["tcp_stream-throughput-by-bw-mtu-1500-tcp_stream.flows-1"]
    absolute, _ = axes_of(chart)
    joins = [line for line in absolute.get_lines() if line.get_zorder() == 2 and len(line.get_xdata()) == 2]
    assert len(joins) == 3  # from 10 to 1000 Mbit/s, a line a design; none to what is not shaped
    assert len({tuple(line.get_xdata()) for line in joins}) == 3


def test_names_at_the_right_stay_within_the_figure_and_apart(found: dict[str, Chart]) -> None:
    chart = found["tcp_stream-throughput-by-bw-mtu-1500-tcp_stream.flows-1"]
    for ax in axes_of(chart):
        figure: Any = ax.figure
        boxes = sorted((text.get_window_extent() for text in ax.texts if text.get_text() in LABELS.values()),
                       key=lambda box: box.y0)
        assert len(boxes) >= 2
        assert all(box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(one.y1 <= other.y0 + 0.5 for one, other in pairwise(boxes))


def test_charts_of_one_question_share_the_axis_of_ratios(found: dict[str, Chart]) -> None:
    group = [chart for name, chart in found.items() if name.startswith("tcp_stream-throughput-by-mtu-bw-")]
    limits = ratio_limits(group)
    assert limits
    assert limits[0] < 0.6
    assert limits[1] > 1


@pytest.mark.parametrize(("name", "values", "is_log", "breaks", "joined"), [
    ("mtu", (1500, 9000, 4000), False, 0, 2),
    ("mtu", (1500, 15000), True, 0, 1),
    ("loss", (0.0, 1.0, 2.0), False, 0, 2),
    ("loss", (0.0, 0.1, 1.0), True, 1, 1),
    ("bw", (10.0, None, 20.0), False, 1, 1),
    ("bw", (None, 10.0), False, 1, 0),
    ("offload", ("on", "off"), False, 0, 0),
    ("seed", (1, 2, 100), False, 0, 0),
    ("mtu", (1500,), False, 0, 0),
    ("bw", (None,), False, 0, 0),
])
def test_quantities_stand_to_scale_and_what_has_no_place_on_it_apart(
    name: str, values: tuple[Value, ...], is_log: bool, breaks: int, joined: int
) -> None:
    axis = Axis(name, values)
    scale = scale_of(axis)
    assert (scale.is_log, len(scale.breaks), len(scale.joined)) == (is_log, breaks, joined)
    places = [scale.places[value] for value in axis.ordered]
    assert places == sorted(places)
    assert len(set(places)) == len(values)
    assert all(0 < place < 1 for place in places)


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis_and_equal_differences_on_a_linear_one() -> None:
    log, linear = scale_of(Axis("mtu", (1000, 10_000, 100))).places, scale_of(Axis("mtu", (1000, 3000, 5000))).places
    assert log[1000] - log[100] == pytest.approx(log[10_000] - log[1000])
    assert linear[3000] - linear[1000] == pytest.approx(linear[5000] - linear[3000])


def test_values_are_written_where_they_have_room_and_at_both_ends_always() -> None:
    scale = scale_of(Axis("nodes", (2, 3, 4, 50, 99, 100)))
    shown = thinned(scale, dict.fromkeys(scale.places, 0.2), 2.0)
    assert {2, 100} <= set(shown)
    at = sorted(scale.places[value] * 2.0 for value in shown)
    assert all(right - left >= 0.2 for left, right in pairwise(at))
    assert len(shown) < len(scale.places)


def test_the_page_stands_by_itself_tells_every_verdict_and_leads_to_the_points(folder: Path, told: str) -> None:
    assert told.splitlines() == [
        "mtu=9000,bw=10        not measured",
        "mtu=9000,bw=1000      trusted",
        "mtu=9000,bw=unshaped  trusted",
        "mtu=1500,bw=10        NOT TRUSTED   the run was interrupted; what it had measured until then is here",
        "mtu=1500,bw=1000      trusted",
        "mtu=1500,bw=unshaped  trusted",
        f"report: {folder}/report.html",
    ]
    page = Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    links = [unquote(load) for load in page.loads if not load.startswith("data:image/png;base64,")]
    assert links == [f"{point.name}/report.html" for point in sweep_of(folder.parent / "again.yaml", FILE).points
                     if point.name != "mtu=9000,bw=10"]
    plots = {path.stem for path in (folder / "plots").glob("*.png")}
    assert plots == {path.stem for path in (folder / "plots").glob("*.pdf")} == {
        chart.name for chart in charts(read_results(folder))}
    assert len(page.loads) - len(links) == len(plots)
    text = plain(page.text)
    assert "What changes with MTU and rate of the links and number of flows of tcp_stream?" in text
    assert "4 of 6 points trusted." in text
    assert "No change of a ratio with the number of flows is shown" in text
    assert FILE in page.text


def test_points_measured_in_other_surroundings_are_told(tmp_path: Path) -> None:
    text = "workloads: [ping]\nsweep: {mtu: [1500, 9000], datapath: [auto, netdev]}\n"
    sweep = sweep_of(tmp_path / "sweep.yaml", text)
    out = store_sweep(tmp_path / "out", tmp_path / "sweep.yaml", sweep, truth,
                      [point.name for point in sweep.points[1:]], datapath="netdev")
    store_point(out / sweep.points[0].name, sweep, sweep.points[0].name, truth, kernel="6.2.0", datapath="kernel")
    redraw_sweep(out)
    report = (out / "report.html").read_text()
    assert "kernel is not the same at all points: 6.2.0; 6.1.0" in report
    assert "datapath is not the same" not in report
    assert "All points trusted" not in report


@pytest.mark.parametrize("damage", ["not json", "[]", '{"format": "emu-sweep/9"}'])
def test_a_damaged_sweep_is_refused(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.json").write_text(damage)
    assert main(["report", str(tmp_path)]) == 2
    assert str(tmp_path / "sweep.json") in capsys.readouterr().err
