"""The guide, and a walk's page, in a real browser: stepping, layout, printing, reading aloud, and nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from selenium.webdriver import Keys

from emu.look import tokens
from tests.live.browser import Browser, needs_browser, started
from tests.live.machine import emu, wait_for

pytestmark = [pytest.mark.live, needs_browser]

MISFITS = Path(__file__).with_name("misfits.js").read_text(encoding="utf-8")
SLIDE, NEXT = "containers/proxy-reply", "containers/request"
PAPER_PX, PAPER_PT = (1280, 720), (960, 540)
"""13.333 x 7.5 in."""
WHITE = "#FFFFFF"
WIDEST = "'DejaVu Sans'"
"""The widest of the fonts that a machine without the page's own falls back to."""

STOPS = """
return [...document.querySelectorAll(".slide")].map((slide) => ({
  id: slide.id, label: slide.getAttribute("aria-label"), claim: slide.querySelector("h1, .claim").textContent }));
"""
STAGES = """
return [...document.querySelectorAll(".stage")].map((svg) => ({
  claim: svg.closest(".slide").querySelector(".claim").textContent, role: svg.getAttribute("role"),
  name: document.getElementById(svg.getAttribute("aria-labelledby")).textContent,
  description: document.getElementById(svg.getAttribute("aria-describedby")).textContent }));
"""
SET_FONT = "document.documentElement.style.setProperty('--sans', arguments[0])"
TOO_HIGH = """
return [...document.querySelectorAll(".slide:not(.facts), .slide:not(.facts) .fields")]
  .filter((box) => box.scrollHeight > box.clientHeight).map((box) => box.closest(".slide").id);
"""
VISIBLE = """
return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).map((e) => e.innerText);
"""
# Tries to fetch something in several ways, one after the other; resolves when the page's policy has stopped each.
FETCHES = """
const ways = [
  () => { new Image().src = "data:image/gif;base64,R0lGODlhAQABAAAAACw="; },
  () => { fetch("data:,x").catch(() => {}); },
  () => { document.head.append(Object.assign(document.createElement("script"), { textContent: "0" })); },
  () => { document.body.append(Object.assign(document.createElement("iframe"), { src: "data:text/html,x" })); },
];
const stopped = (way) => new Promise((done) => {
  document.addEventListener("securitypolicyviolation", done, { once: true });
  way();
});
return (async () => { for (const way of ways) await stopped(way); })();
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "guide"
    done = emu("guide", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder / "guide.html"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "walk"
    done = emu("trace", "overlay", "ctr-1", "ctr-4", "--out", str(folder))  # long: crowds a phone's rail
    assert done.returncode == 0, done.stderr
    return folder / "walk.html"


@pytest.fixture(params=["guide", "walk"])
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def stops(browser: Browser) -> list[dict[str, str]]:
    return cast(list[dict[str, str]], browser.ask(STOPS))


def shown(browser: Browser) -> list[str]:
    """The names of the slides that can be seen."""
    slides = "[...document.querySelectorAll('.slide')].filter((slide) => slide.checkVisibility())"
    return cast(list[str], browser.ask(f"return {slides}.map((slide) => slide.id)"))


def wait_until_shown(browser: Browser, name: str) -> None:
    wait_for(f"{name} is shown alone", lambda: shown(browser) == [name])


def focused(browser: Browser) -> Any:
    """The text of the inspector's field that has the focus; ``None`` if none has."""
    return browser.ask("const at = document.activeElement; return at.matches('.row') ? at.innerText : null")


def key_field(browser: Browser) -> Any:
    """The text of the field that the slide is about."""
    return browser.ask("return document.querySelector('.cur .row.key').innerText")


def color(browser: Browser, of: str) -> str:
    """A colour of the page's body, as ``#RRGGBB``."""
    red, green, blue = re.findall(r"\d+", browser.ask("return getComputedStyle(document.body)[arguments[0]]", of))
    return f"#{int(red):02X}{int(green):02X}{int(blue):02X}"


def test_keys_lead_through_all_slides_and_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    slides = stops(browser)
    for number, slide in enumerate(slides, 1):
        assert slide["label"] == f"{number} of {len(slides)}: {slide['claim']}"
    assert shown(browser) == [slides[0]["id"]]
    for key, way in ((Keys.ARROW_RIGHT, slides[1:]), (Keys.ARROW_LEFT, slides[-2::-1])):
        for slide in way:
            browser.press(key)
            wait_until_shown(browser, slide["id"])
            said, title = browser.ask("return [document.getElementById('say').textContent, document.title]")
            assert said == slide["label"]
            assert title.startswith(slide["claim"])
        browser.press(key)  # nothing comes after the last, or before the first
        assert shown(browser) == [way[-1]["id"]]
    assert browser.complaints() == []


def test_other_keys_buttons_and_links_lead_there_too(browser: Browser, guide: Path) -> None:
    browser.open(guide)
    first, second, *_, last = (slide["id"] for slide in stops(browser))
    for key, name in ((Keys.PAGE_DOWN, second), (Keys.PAGE_UP, first), (Keys.END, last), (Keys.HOME, first)):
        browser.press(key)
        wait_until_shown(browser, name)
    for selector, name in (("#next", second), ("#prev", first), (".rail li:last-child a", last), (".top a", first),
                           (".contents a[href^='#layer3/']", "layer3/gateway")):
        browser.click(selector)
        wait_until_shown(browser, name)
    browser.ask("history.back()")
    wait_until_shown(browser, first)


@pytest.mark.parametrize(("rest", "name"), [
    ("#overlay/underlay", "overlay/underlay"),
    ("#overlay", "overlay/when"),
    ("#nowhere/at-all", "cover/title"),
    ("?theme=dark#facts/table", "facts/table"),
])
def test_a_link_names_a_slide(browser: Browser, guide: Path, rest: str, name: str) -> None:
    browser.open(guide, rest)
    assert shown(browser) == [name]


def test_every_fact_links_to_a_slide_that_shows_it(browser: Browser, guide: Path) -> None:
    browser.open(guide, "#facts/table")
    rows = browser.ask("return document.querySelectorAll('.facts tbody tr').length")
    links = browser.ask("return [...document.querySelectorAll('.facts td a')].map((link) => link.hash.slice(1))")
    assert len(links) == rows > 0
    assert set(links) < {slide["id"] for slide in stops(browser)}


def test_the_theme_is_the_readers(browser: Browser, guide: Path) -> None:
    light, dark = (tokens()["color"][theme]["paper"] for theme in ("light", "dark"))
    browser.open(guide, f"#{SLIDE}")
    assert color(browser, "backgroundColor") == light
    browser.press("t")
    assert color(browser, "backgroundColor") == dark
    browser.click("#theme")
    assert color(browser, "backgroundColor") == light
    browser.open(guide, "?theme=dark")
    assert color(browser, "backgroundColor") == dark
    with browser.media(features=[{"name": "prefers-color-scheme", "value": "dark"}]):
        browser.open(guide)
        assert color(browser, "backgroundColor") == dark
        browser.press("t")
        assert color(browser, "backgroundColor") == light


def test_keys_lead_through_the_fields_of_a_frame(browser: Browser, guide: Path) -> None:
    browser.open(guide, f"#{SLIDE}")
    fields, key = browser.ask(VISIBLE, ".cur .row"), key_field(browser)
    at = fields.index(key)
    browser.press("i")
    assert focused(browser) == key
    assert "12 22 33 44 55 03" in browser.ask(VISIBLE, ".cur .explain")[0]  # the bytes of node-c's MAC
    browser.press(Keys.ARROW_DOWN)
    assert focused(browser) == fields[at + 1]
    browser.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert focused(browser) == fields[at - 1]
    browser.press(Keys.ESCAPE)
    assert (focused(browser), browser.ask(VISIBLE, ".cur .explain")) == (None, [])
    browser.press("i", Keys.ARROW_RIGHT)
    wait_until_shown(browser, NEXT)


def test_f_shows_all_fields(browser: Browser, guide: Path) -> None:
    browser.open(guide, "#overlay/underlay")
    few = len(browser.ask(VISIBLE, ".cur .row"))
    more = int(re.findall(r"\d+", browser.ask(VISIBLE, ".cur .more")[0])[0])
    browser.press("f")
    assert len(browser.ask(VISIBLE, ".cur .row")) == few + more
    browser.click(".cur .more")
    assert len(browser.ask(VISIBLE, ".cur .row")) == few


@pytest.mark.parametrize(("width", "height", "layout"), [(1280, 800, "wide"), (390, 844, "narrow")])
def test_a_click_on_the_frame_leads_to_its_fields(
    browser: Browser, guide: Path, width: int, height: int, layout: str
) -> None:
    browser.open(guide, f"#{SLIDE}", width, height)
    assert focused(browser) is None
    browser.click(f".cur .stage.{layout} .tap")
    assert focused(browser) == key_field(browser)


def test_a_swipe_steps_once_and_the_browser_does_not_go_back(browser: Browser, guide: Path) -> None:
    browser.open(guide, f"#{SLIDE}", 390, 844)
    for dx, dy in ((-40, 0), (-100, 80)):  # too short; hardly more aside than down
        browser.swipe(dx, dy)
    browser.swipe(-100, 10)
    wait_until_shown(browser, NEXT)
    browser.swipe(100, -10)
    wait_until_shown(browser, SLIDE)


@pytest.mark.parametrize(("width", "height", "may_scroll"), [
    (1280, 800, False), (1920, 1080, False), (900, 900, True), (390, 844, True),
])
def test_everything_fits(browser: Browser, page: Path, width: int, height: int, may_scroll: bool) -> None:
    browser.open(page, "", width, height)
    browser.ask(SET_FONT, WIDEST)
    assert browser.ask(MISFITS, may_scroll) == []


@pytest.mark.parametrize(("width", "height", "is_crowded"), [(390, 844, True), (1280, 800, False)])
def test_the_rail_counts_steps_where_it_has_no_room_for_dots(
    browser: Browser, walk: Path, width: int, height: int, is_crowded: bool
) -> None:
    browser.open(walk, "#walk", width, height)
    dots, counts = (browser.ask(VISIBLE, f".rail li.on {part}") for part in (".st", ".kn"))
    steps = len(stops(browser)) - 1  # the cover is a chapter of its own
    assert (len(dots), counts) == ((0, [f"1 of {steps}"]) if is_crowded else (steps, []))


def test_printed_it_is_light_and_a_page_a_slide(browser: Browser, page: Path) -> None:
    browser.open(page, "?theme=dark", *PAPER_PX)
    with browser.media(media="print"):
        assert color(browser, "backgroundColor") == WHITE
        assert color(browser, "color") == tokens()["color"]["light"]["ink"]
        browser.ask(SET_FONT, WIDEST)
        assert browser.ask(TOO_HIGH) == []
    browser.ask("document.querySelectorAll('.facts').forEach((table) => table.remove())")  # takes what it needs
    pdf = browser.pdf()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == len(stops(browser))
    boxes = [box.split()[2:] for box in re.findall(rb"/MediaBox\s*\[([^]]*)\]", pdf)]
    assert {(round(float(width)), round(float(height))) for width, height in boxes} == {PAPER_PT}


def test_without_script_it_is_a_document(browser: Browser, page: Path) -> None:
    with browser.without_script():
        browser.open(page)
        assert shown(browser) == [slide["id"] for slide in stops(browser)]
        tops = browser.ask("return [...document.querySelectorAll('.slide')].map((s) => s.getBoundingClientRect().top)")
        assert all(below > above for above, below in pairwise(tops))
        assert browser.ask(VISIBLE, ".nav, .tool, .hint, .more") == []  # what would do nothing
    assert browser.complaints() == []


def test_nothing_is_fetched_and_nothing_may_be(browser: Browser, page: Path) -> None:
    browser.open(page, f"#{SLIDE}")
    browser.press("i", Keys.END)
    assert browser.ask("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
    assert browser.complaints() == []
    browser.ask(FETCHES)
    assert all("Content Security Policy" in complaint for complaint in browser.complaints())


def test_every_stage_has_a_name_and_tells_the_event(browser: Browser, page: Path) -> None:
    browser.open(page)
    stages = browser.ask(STAGES)
    assert stages
    for stage in stages:
        assert (stage["role"], stage["name"]) == ("img", stage["claim"])
        assert stage["description"]


def test_every_slide_names_a_capture_that_lies_beside_the_page(browser: Browser, page: Path) -> None:
    browser.open(page)
    evidence = browser.ask("return [...document.querySelectorAll('.ev')].map((line) => line.textContent)")
    assert evidence
    for line in evidence:
        assert (page.parent / line.split()[0].rstrip(",")).is_file(), line


@pytest.mark.parametrize("name", ["cover/title", SLIDE, "facts/table"])
def test_what_can_be_pressed_or_seen_has_a_name(browser: Browser, guide: Path, name: str) -> None:
    browser.open(guide, f"#{name}")
    told = browser.tree()
    label = next(slide["label"] for slide in stops(browser) if slide["id"] == name)
    assert ("region", label) in told
    nameless = [role for role, words in told if role in ("button", "link", "image", "checkbox") and not words]
    assert nameless == []
    assert browser.ask("return document.getElementById('say').getAttribute('aria-live')") == "polite"
