"""`emu guide`: the deck's facts on the frames that its slides show, in sound labs and in broken ones."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from emu import show as emu_show
from emu.claims import Seen, Unseen
from emu.designs import DEFAULT_DESIGNS, parse_design
from emu.errors import EmuError
from emu.evidence import judge_frames
from emu.faults import FAULTS, Fault
from emu.guide.chapters.base import ChapterMaker
from emu.guide.scene import Chapter
from emu.model import Plan, Scenario
from emu.show import Told, chapter_makers, fact_rows, plan_for, tell, write_guide
from emu.verbs import show
from tests.live.machine import Snapshot, assert_nothing_left, emu

MAKERS = chapter_makers()
LONGEST_CLAIM, LONGEST_CAPTION = 58, 160


def plan_of(name: str) -> Plan:
    return plan_for(MAKERS[name], Scenario())


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """Every system, traced and judged once."""
    return {spec: tell(maker, plan_of(spec), "emu guide") for spec, maker in MAKERS.items()}


@pytest.fixture(scope="module")
def chapters(told: dict[str, Told]) -> dict[str, Chapter]:
    return {spec: each.maker.chapter(each.walks) for spec, each in told.items()}


@pytest.mark.stock
def test_the_guide_is_written_and_tells_how_many_facts_hold(tmp_path: Path) -> None:
    done = emu("guide", "--out", str(tmp_path / "guide"))
    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(len(maker.facts(plan_of(spec))) for spec, maker in MAKERS.items())
    assert done.stdout.splitlines() == [
        f"{count} of {count} facts of the deck hold",
        f"guide: {tmp_path / 'guide' / 'guide.html'}",
    ]
    captures = {f"{name}.pcapng" for spec, maker in MAKERS.items() for name in maker.requests(plan_of(spec))}
    assert {path.name for path in (tmp_path / "guide").iterdir()} == {"guide.html", *captures}
    page = (tmp_path / "guide" / "guide.html").read_text()
    assert f"All {count} facts of the deck hold." in page
    assert not re.search(r'(src|href)="(?!#)', page)


def test_there_is_a_chapter_for_every_design_of_the_deck_in_its_order() -> None:
    plain = [maker.spec for maker in MAKERS.values() if ":" not in maker.spec]
    assert list(dict.fromkeys(plain)) == list(DEFAULT_DESIGNS)
    designs = [parse_design(maker.spec).name for maker in MAKERS.values()]
    assert designs == sorted(designs, key=DEFAULT_DESIGNS.index), "a variant comes after its design"


@pytest.mark.parametrize("spec", list(MAKERS))
def test_every_fact_holds_and_is_shown_by_a_slide(
    spec: str, told: dict[str, Told], chapters: dict[str, Chapter]
) -> None:
    assert {verdict.claim.id: verdict.result for verdict in told[spec].verdicts} == {
        claim.id: "holds" for claim in MAKERS[spec].facts(plan_of(spec))
    }
    shown = [fact for slide in chapters[spec].slides for fact in slide.facts]
    assert sorted(shown) == sorted(verdict.claim.id for verdict in told[spec].verdicts)
    assert told[spec].complaints == []


@pytest.mark.parametrize("spec", list(MAKERS))
def test_slides_are_short_and_name_their_frames(spec: str, told: dict[str, Told], chapters: dict[str, Chapter]) -> None:
    names = [slide.name for slide in chapters[spec].slides]
    assert len(names) == len(set(names))
    for slide in chapters[spec].slides:
        assert len(slide.claim) <= LONGEST_CLAIM, slide.claim
        assert len(slide.caption) <= LONGEST_CAPTION, slide.caption
        assert slide.walk in told[spec].walks.values()
        assert slide.step is None or slide.walk.step(slide.step.index) == slide.step
        assert slide.step is not None or not slide.scene.legs
        assert slide.deck
        if slide.key_field and slide.step:
            assert slide.key_field in slide.step.frame.fields or f"inner.{slide.key_field}" in slide.step.frame.fields


@pytest.mark.parametrize("spec", list(MAKERS))
def test_no_fact_about_frames_holds_whatever_is_seen(spec: str, told: dict[str, Told]) -> None:
    """What must be seen is missed where nothing is; what must not be seen is found where it is put."""
    for claim in MAKERS[spec].facts(plan_of(spec)):
        if isinstance(claim.test, Seen):
            assert not judge_frames(claim.test, [])[0]
        elif isinstance(claim.test, Unseen):
            frames = [step.frame for walk in told[spec].walks.values() for step in walk.steps]
            fits = [f for f in frames if all(f.fields.get(key) == value for key, value in claim.test.where.items())]
            inner = [f for f in frames if all(f.inner.get(key) == value for key, value in claim.test.where.items())]
            put_there = SimpleNamespace(at=claim.test.points[0], fields=claim.test.where)
            assert not judge_frames(claim.test, [put_there])[0]  # type: ignore[list-item]
            nowhere = spec == "outside"  # where nothing is answered, nor sent, there is no frame of the kind at all
            assert nowhere or fits or inner, f"{claim.id}: no frame of the walk is of a kind that must not be elsewhere"


CATCHES = {"layer2": "deaf", "containers": "proxy-mac", "layer3": "wrong-next-hop", "overlay": "wrong-neighbor"}


@pytest.mark.parametrize("spec", list(CATCHES))
def test_a_broken_lab_fails_the_guide(spec: str, tmp_path: Path) -> None:
    fault: Fault = next(fault for fault in FAULTS if fault.name == CATCHES[spec])
    plan = plan_of(spec)
    maker: ChapterMaker = MAKERS[spec]
    broken = tell(maker, fault.apply(plan), "emu guide")
    results: Sequence[str] = [row.result for row in fact_rows(broken)]
    assert "fails" in results
    assert broken.complaints
    if spec == "overlay":  # the detour is answered, and every slide has its frame
        write_guide(tmp_path / "guide", [broken])
        assert "facts of the deck hold" in (tmp_path / "guide" / "guide.html").read_text()
        return
    with pytest.raises(EmuError, match="the walk of"):  # a slide has nothing to show: then nothing is written
        write_guide(tmp_path / "guide", [broken])
    assert not (tmp_path / "guide").exists()


def test_the_verb_fails_where_a_fact_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command line runs, on plans one of which is broken in a way that every slide can still be drawn."""
    fault = next(fault for fault in FAULTS if fault.name == "wrong-neighbor")
    monkeypatch.setattr(emu_show, "plan_for", lambda maker, scenario: (
        fault.apply(plan_of(maker.name)) if maker.name == "overlay" else plan_of(maker.name)))
    plans = [plan_of(name) for name in MAKERS]
    arguments = argparse.Namespace(verb="guide", out=tmp_path / "guide", argv=["emu", "guide"])
    with pytest.raises(EmuError):  # the walk that left its path is complained of, too
        show.guide(arguments, tuple(plans), [])
    out = capsys.readouterr().out
    assert "fails       overlay" in out
    assert re.search(r"^(\d+) of (\d+) facts of the deck hold$", out, re.MULTILINE)


def test_other_scenarios(tmp_path: Path) -> None:
    words = ("--nodes", "6", "--containers", "2", "--pod-cidr", "172.20.0.0/16", "--node-cidr", "10.9.0.0/16")
    done = emu("guide", "--out", str(tmp_path / "guide"), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "facts of the deck hold" in done.stdout
    assert "172.20.1.2" in (tmp_path / "guide" / "guide.html").read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--containers", "0"), "there are no two containers on two nodes"),
        (("--nodes", "1"), "a lab has 2 nodes or more"),
        (("--out", "/proc/nowhere"), "cannot make the result folder"),
        (("bare",), "guide knows no 'bare'"),
    ],
)
def test_bad_input(words: tuple[str, ...], complaint: str) -> None:
    before = Snapshot.take()
    done = emu("guide", *words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert_nothing_left(before)
