"""Figures as papers want them: one column wide, fonts embedded, told apart in grey and by the colour-blind."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emu.look import tokens
from emu.measure.figures import DRAWINGS, Subject
from emu.measure.look import STYLE, figure_tokens, styles, use_in_figures
from emu.measure.results import read_folder
from emu.measure.summary import summarise
from tests.unit.measure_support import run_json, samples, store

DESIGNS = ["bare", "l2", "routed", "overlay"]
WITH_INTERVALS = ("rates", "ratios", "first-packet")
STYLE_FILE = Path(__file__).resolve().parents[2] / "emu" / "measure" / "paper.mplstyle"
COLUMN_PT = 3.4 * 72
"""Single columns are 3.33 inches wide at ACM, 3.5 at IEEE."""

COLORS = {name: values["light"] for name, values in tokens()["design"].items()}

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency, IEEE TVCG 2009;
# severity 1.0, on linear RGB.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of linear RGB (IEC 61966-2-1, as WCAG 2.2 has it)


def linear(color: str) -> NDArray[np.float64]:
    rgb = np.array(list(bytes.fromhex(color[1:]))) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear RGB, white D65."""
    matrix = np.array([[0.4124564, 0.3575761, 0.1804375], LUMINANCE, [0.0193339, 0.1191920, 0.9503041]])
    x, y, z = np.cbrt(np.clip(matrix @ rgb, 0, None) / np.array([0.95047, 1, 1.08883]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_in_grey_every_design_stands_out_from_the_paper() -> None:
    """As text must: 4.5 to 1 (WCAG 2.2, 1.4.3). Grey keeps luminance, and contrast is of luminances."""
    for name, color in COLORS.items():
        assert 1.05 / (LUMINANCE @ linear(color) + 0.05) >= 4.5, name


def test_what_grey_does_not_tell_apart_markers_do() -> None:
    markers = [values["marker"] for values in tokens()["design"].values()]
    assert len(set(markers)) == len(markers)
    variants = styles([("l2", {"proxy_arp": "controller"}), ("l2", {"proxy_arp": "switch"})]).values()
    assert len({(look.marker, look.is_open, look.dash) for look in variants}) == 2


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_colour_blind_tell_the_designs_apart(deficiency: str) -> None:
    """A difference of 2.3 is just seen (Mahy 1994) by those who look for it; the default designs have far more."""
    matrix = np.array(DEFICIENCIES[deficiency])
    seen = {name: lab(np.clip(matrix @ linear(color), 0, 1)) for name, color in COLORS.items()}
    for one, other in combinations(COLORS, 2):
        least = 15 if {one, other} <= set(DESIGNS) else 9
        assert np.linalg.norm(seen[one] - seen[other]) >= least, f"{one}, {other}"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    run = run_json(DESIGNS)
    stored = read_folder(store(tmp_path_factory.mktemp("paper") / "run", run, samples(DESIGNS)))
    with matplotlib.rc_context():
        use_in_figures()
        yield Subject(run, summarise(stored))


def drawn(subject: Subject, name: str) -> Figure:
    done = DRAWINGS[name](subject)
    assert done is not None
    return done[1]


def pdf(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="pdf")
    return file.getvalue()


def assert_fit_for_papers(document: bytes) -> None:
    """A column wide, every font embedded as TrueType, which is what Type 42 is in a PDF, and none as Type 3."""
    (box,) = re.findall(rb"/MediaBox \[ ?([\d. ]+)\]", document)
    assert float(box.split()[2]) == pytest.approx(COLUMN_PT, abs=0.1)
    assert b"/Type3" not in document
    assert document.count(b"/CIDFontType2") == document.count(b"/FontFile2") > 0


@pytest.mark.parametrize("name", [name for name in DRAWINGS if name != "latency-budget"])
def test_figures_are_a_column_wide_and_embed_their_fonts(subject: Subject, name: str) -> None:
    assert_fit_for_papers(pdf(drawn(subject, name)))


@pytest.mark.parametrize("name", WITH_INTERVALS)
def test_captions_name_the_interval_and_every_block_is_drawn(subject: Subject, name: str) -> None:
    figure = drawn(subject, name)
    captions = " ".join(text.get_text() for text in figure.texts).replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert "95 % interval of the median over blocks" in captions
    points = [line for ax in figure.axes for line in ax.get_lines() if line.get_alpha() is not None]
    assert points
    assert {len(line.get_xdata()) for line in points} == {6}


def test_curves_bear_their_design_s_marker_at_four_heights(subject: Subject) -> None:
    (ax,) = drawn(subject, "latency-ping").axes
    heights: dict[str, list[float]] = {}
    for line in ax.get_lines():
        if line.get_marker() in {values["marker"] for values in tokens()["design"].values()}:
            heights.setdefault(line.get_marker(), []).append(float(_only(line.get_ydata())))
    assert heights == {tokens()["design"][name]["marker"]: [0.25, 0.5, 0.75, 0.99] for name in DESIGNS}


def _only(values: Sequence[float]) -> float:
    (value,) = values
    return value


@pytest.mark.parametrize("name", [STYLE, str(STYLE_FILE)])
def test_the_style_alone_makes_other_people_s_figures_fit(name: str) -> None:
    with style.context(name, after_reset=True):
        figure = Figure()
        ax = figure.add_subplot()
        lines = [ax.plot([0, 1], [0, at])[0] for at in range(len(COLORS))]
        ax.set_title("a title")
        assert_fit_for_papers(pdf(figure))
        assert [str(line.get_color()).upper().lstrip("#") for line in lines] == [c[1:] for c in COLORS.values()]


def test_the_style_and_the_look_are_one() -> None:
    with style.context(STYLE, after_reset=True):
        assert matplotlib.rcParams["figure.figsize"][0] == figure_tokens()["column_in"]
        assert matplotlib.rcParams["pdf.fonttype"] == matplotlib.rcParams["ps.fonttype"] == 42
    lines = STYLE_FILE.read_text(encoding="utf-8").splitlines()
    told = " ".join(line.lstrip("# ") for line in lines if line.startswith("# "))
    for name, values in tokens()["design"].items():
        assert f"{name} {values['marker']}" in told
