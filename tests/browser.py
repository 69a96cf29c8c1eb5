"""A real browser for the tests of pages: Chromium, driven by selenium.

Without it and its driver such tests are skipped, unless ``SCALABLE_TESTS_NEED_BROWSER=1`` makes that an
error.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
NEEDED = os.environ.get("SCALABLE_TESTS_NEED_BROWSER") == "1"  # read now: tests run without such settings


def programs() -> tuple[str, str]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    words = "Chromium and chromedriver are not installed"
    if NEEDED:
        pytest.fail(f"{words}, but SCALABLE_TESTS_NEED_BROWSER=1")
    pytest.skip(words)


class Browser:
    """A browser, and the short words in which tests ask it."""

    def __init__(self, profile: Path) -> None:
        browser, driver = programs()
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))

    def look_at(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Open a page in a window of that size; logs begin with it."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        wanted = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(url)

    def __call__(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Wait until what was asked for has been drawn."""
        twice = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        self.driver.execute_async_script(twice)

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [each.text for each in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What the page asked for since it was opened, itself included, and the browser did not refuse it."""
        messages = [json.loads(each["message"])["message"] for each in self.driver.get_log("performance")]
        of = {"sent": "Network.requestWillBeSent", "failed": "Network.loadingFailed"}
        told = {name: [m["params"] for m in messages if m["method"] == method] for name, method in of.items()}
        refused = {each["requestId"] for each in told["failed"] if each.get("blockedReason") == "csp"}
        return [each["request"]["url"] for each in told["sent"] if each["requestId"] not in refused]

    def overflow(self) -> int:
        return self("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def opened(profile: Path, kind: type[Browser] = Browser) -> Iterator[Browser]:
    """A browser for a fixture, which leaves nothing behind."""
    made = kind(profile)
    yield made
    made.driver.quit()
    shutil.rmtree(profile, ignore_errors=True)
