"""The page beside Dask's dashboard in a real browser: it follows the run, and shows hostile texts as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import Browser, opened
from live import Live, fail, inc, start, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOSTILE = "</script><script>window.struck = true</script><img src=x onerror='window.struck = true'>"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    running = start(tmp_path_factory.mktemp("page"), processes=False)
    yield running
    running.session.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    yield from opened(tmp_path_factory.mktemp("profile"))


def url(live: Live) -> str:
    return f"http://127.0.0.1:{live.client.cluster.scheduler.http_server.port}/scalable"


def test_it_follows_the_run_and_runs_nothing_of_it(live, browser):
    live.client.gather(live.client.map(inc, range(20)))
    browser.look_at(url(live))
    until(lambda: "20 succeeded" in browser.find("#runs").text)
    future = live.client.submit(fail, ValueError(HOSTILE))
    assert str(future.exception()) == HOSTILE
    until(lambda: "1 failed" in browser.find("#runs").text)
    assert HOSTILE in browser.find("#runs").text
    assert browser("return window.struck") is None
    assert browser("return document.querySelectorAll('#runs script, #runs img').length") == 0
    widths = browser("return [...document.querySelectorAll('.bar i')].map(each => each.offsetWidth)")
    assert widths[0] > 10 * max(1, widths[1]) > 0
    assert browser.complaints() == []
    assert {each.partition("/scalable")[0] for each in browser.requests()} == {
        url(live).removesuffix("/scalable")
    }


@pytest.mark.parametrize(("width", "dark"), [(375, False), (375, True), (1280, False)])
def test_it_fits_the_screen_in_light_and_dark(live, browser, width, dark):
    browser.look_at(url(live), width, 800, dark=dark)
    until(lambda: browser.find("#runs").text)
    assert browser.overflow() <= 0
    ground = browser("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 384) == dark


def test_a_scheduler_that_is_gone_is_said(live, browser):
    browser.look_at(url(live))
    until(lambda: browser.find("#runs").text)
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    until(lambda: "does not answer" in browser.find("#state").text)
