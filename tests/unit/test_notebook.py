"""The example notebook: its cells run from top to bottom with nothing of ours, and find what ``summary.json`` has."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "examples" / "read_samples.ipynb"
WITHOUT_OURS = {"collections", "json", "math", "matplotlib", "numpy", "pathlib"}


def cells() -> list[str]:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert document["nbformat"] == 4
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the cells leave behind, run in the notebook's folder as Jupyter does."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "Agg")
        patch.chdir(NOTEBOOK.parent)
        for number, source in enumerate(cells()):
            exec(compile(source, f"{NOTEBOOK.name}, cell {number}", "exec"), found)
    found["plt"].close("all")
    return found


def test_it_imports_nothing_of_ours() -> None:
    imported = set()
    for node in ast.walk(ast.parse("\n".join(cells()))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= WITHOUT_OURS


def test_it_finds_the_ratios_of_the_committed_summary(names: dict[str, Any]) -> None:
    kept = {(e["workload"], e["metric"], names["name_of"](e)): e["ratio_to_bare"] for e in names["summary"]["metrics"]
            if "ratio_to_bare" in e}
    assert len(names["table"]) == len(names["ASKED"]) * len(names["DESIGNS"]) >= 6
    for key, (middle, low, high, _) in names["table"].items():
        assert middle == pytest.approx(kept[key]["value"], rel=1e-9)
        assert low == pytest.approx(kept[key]["ci_low"], rel=1e-9)
        assert high == pytest.approx(kept[key]["ci_high"], rel=1e-9)


def test_its_figure_has_every_block_median_and_interval(names: dict[str, Any]) -> None:
    for ax, key in zip(names["axes"], names["ASKED"].values(), strict=True):
        drawn = [sorted(line.get_xdata()) for line in ax.get_lines()]
        for design in names["DESIGNS"]:
            middle, low, high, blocks = names["table"][(*key, design)]
            assert [middle] in drawn
            assert [low, high] in drawn
            assert sorted(blocks) in drawn
        assert [label.get_text() for label in ax.get_yticklabels()] == names["DESIGNS"]


def test_it_is_committed_without_outputs() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(cell["outputs"] == [] for cell in document["cells"] if cell["cell_type"] == "code")
