"""Debian's Chromium without a window, driven through its own driver: what tests of pages need of it."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
DEADLINE_S = 300.0
"""Detects a hang: a software emulation is some 30 times slower."""
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--force-prefers-reduced-motion")

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed here; `sudo ./run test` installs them"
)


class Browser:
    """A browser and the page it shows."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, rest: str = "", width: int = 1280, height: int = 800) -> None:
        """Load a file anew, in a window of that many CSS pixels. ``rest``: what follows its address (``?``, ``#``)."""
        self.driver.get("about:blank")  # the same page again would not be loaded anew
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=False)
        self.driver.get(page.as_uri() + rest)

    def ask(self, script: str, *arguments: object) -> Any:
        """What the body of a function returns in the page; where that is a promise, what it resolves to."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        actions: Any = ActionChains(self.driver)  # not typed all through
        actions.send_keys(*keys).perform()

    def click(self, selector: str) -> None:
        """Click on the first element that a CSS selector finds; fails where another one covers it."""
        self.driver.find_element("css selector", selector).click()

    def swipe(self, dx: int, dy: int) -> None:
        """Draw one finger over the page, by so many CSS pixels."""
        begin, end = {"x": 200, "y": 400}, {"x": 200 + dx, "y": 400 + dy}
        for kind, points in (("touchStart", [begin]), ("touchMove", [end]), ("touchEnd", [])):
            self.devtools("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def tree(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of."""
        nodes = self.devtools("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"]]

    def pdf(self) -> bytes:
        """The page printed, on the paper that it asks for."""
        printed = self.devtools("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(printed["data"])

    def complaints(self) -> list[str]:
        """Errors and warnings in the console since this was asked last."""
        driver: Any = self.driver  # not typed all through
        return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    @contextmanager
    def media(self, **properties: object) -> Iterator[None]:
        """Meanwhile the page is shown for another medium (``Emulation.setEmulatedMedia``)."""
        self.devtools("Emulation.setEmulatedMedia", **properties)
        try:
            yield
        finally:
            self.devtools("Emulation.setEmulatedMedia", media="", features=[])

    @contextmanager
    def without_script(self) -> Iterator[None]:
        """Meanwhile pages that are opened run no scripts; ``ask`` still does."""
        self.devtools("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self.devtools("Emulation.setScriptExecutionDisabled", value=False)

    def devtools(self, command: str, **parameters: object) -> dict[str, Any]:
        """Chromium's answer to a command of the DevTools protocol."""
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(command, parameters)
        return answer


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """A browser that has never run before and leaves nothing outside of ``folder``."""
    assert CHROMIUM
    assert DRIVER
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(DRIVER, env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}))
    try:
        driver.set_script_timeout(DEADLINE_S)
        yield Browser(driver)
    finally:
        driver.quit()
