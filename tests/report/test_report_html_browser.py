"""The page in a real browser: what people see, and what a hostile run does not get done.

Without Chromium and its driver these are skipped, unless ``SCALABLE_TESTS_NEED_BROWSER=1`` makes that an
error. Times are only compared with one another.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from browser import Browser, opened
from page_samples import HOSTILE, Story, a_large_run, a_mixed_run, hostile_run
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from scalable.report.html.page import page
from scalable.report.html.write import write
from scalable.report.quantities import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MANY = 100_000


class Screen(Browser):
    """What is particular to a page of a report."""

    def open(self, path: Path, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        self.look_at(path.as_uri(), width, height, dark=dark)
        ready = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(self.driver, 60).until(
            lambda _: self(ready), "the page's script did not come to its end"
        )
        self.settle()

    def took(self, script: str) -> float:
        """Milliseconds from the beginning of something until it has been drawn."""
        return self.driver.execute_async_script(
            f"const done = arguments[0], began = performance.now(); {script};"
            "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));"
        )

    def click(self, selector: str) -> None:
        self.find(selector).click()
        self.settle()

    def search(self, words: str) -> None:
        field = self.find("#search")
        field.clear()
        field.send_keys(words)
        self.settle()

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()
        self.settle()

    def colours(self) -> set[str]:
        """All colours on the timeline."""
        return set(
            self(
                """const canvas = document.getElementById("lanes-canvas");
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const found = new Set();
                for (let i = 0; i < data.length; i += 4) found.add(data.slice(i, i + 3).join());
                return [...found];"""
            )
        )

    def picture(self) -> str:
        return self('return document.getElementById("lanes-canvas").toDataURL()')

    def point(self, colour: str) -> tuple[int, int]:
        """Where on the timeline a colour of the theme is, as far inside as there is."""
        return tuple(
            self(
                """const canvas = document.getElementById("lanes-canvas");
                const probe = document.createElement("canvas").getContext("2d");
                probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(arguments[0]);
                probe.fillRect(0, 0, 1, 1);
                const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
                const wide = canvas.width;
                const { data } = canvas.getContext("2d").getImageData(0, 0, wide, canvas.height);
                const is = (x, y) => {
                  const i = 4 * (y * wide + x);
                  return data[i] === r && data[i + 1] === g && data[i + 2] === b;
                };
                for (let y = 30; y < canvas.height - 4; y += 1)
                  for (let x = 100; x < wide - 6; x += 1)
                    if (is(x, y) && is(x + 5, y) && is(x, y + 3) && is(x + 5, y + 3)) return [x + 3, y + 2];
                return null;""",
                f"--{colour}",
            )
        )

    def move_to(self, place: tuple[int, int], *, click: bool = False) -> None:
        canvas = self.find("#lanes-canvas")
        x, y = place[0] - canvas.size["width"] // 2, place[1] - canvas.size["height"] // 2
        chain = ActionChains(self.driver).move_to_element_with_offset(canvas, x, y)
        (chain.click() if click else chain).perform()
        self.settle()


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    yield from opened(tmp_path_factory.mktemp("profile"), Screen)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a page of a run that a function makes; each of them once."""
    made: dict[Any, Path] = {}

    def write_page(make: Callable[..., Path], *arguments: Any) -> Path:
        if (make, arguments) not in made:
            home = tmp_path_factory.mktemp("runs")
            write(page(make(home, *arguments)), home / "page.html")
            made[make, arguments] = home / "page.html"
        return made[make, arguments]

    return write_page


@pytest.fixture
def mixed(screen, pages):
    screen.open(pages(a_mixed_run))
    return screen


@pytest.fixture
def large(screen, pages):
    screen.open(pages(a_large_run, MANY))
    return screen


# --- what it shows -----------------------------------------------------------------------------------------


def test_the_page_says_how_the_run_went_without_a_word_to_anybody(mixed):
    assert (
        mixed.find("h1").text
        == "completed: 8 of 11 tasks succeeded, 2 failed, 1 cancelled, 1 retry, 2 recovered"
    )
    assert mixed.texts("#facts dt")[:3] == ["Target", "Started", "Duration"]
    assert mixed.requests() == [mixed.driver.current_url]
    assert mixed.complaints() == []


@pytest.mark.parametrize("make", ["empty", "well", "failed", "going"])
def test_any_run_is_shown(screen, pages, make):
    def run(home: Path) -> Path:
        going = {"status": "running", "finished_at": None} if make == "going" else {}
        story = Story(home, **going)
        if make == "well":
            story.end(1, 0.1)
        elif make in {"failed", "going"}:
            story.fail(1, 0.1, action="give_up" if make == "failed" else "retry")
        return story.run_dir

    screen.open(pages(run))
    assert screen.complaints() == []
    assert screen.find("#found").text == ("0 tasks" if make == "empty" else "1 task")


def test_failures_are_told_in_groups_with_their_tracebacks(mixed):
    (group,) = mixed.driver.find_elements(By.CSS_SELECTOR, ".group:not(.saved)")
    assert group.find_element(By.CSS_SELECTOR, ".error").text == "ValueError — no such site: 8"
    assert 'File "/home/ada/sites.py", line 9, in measure' in group.find_element(By.CSS_SELECTOR, "pre").text
    assert "Tip" in mixed.texts(".group[open] dt")
    mixed.click(".group[open] .inside button")
    assert mixed.texts(".row .call") == ["measure(site=8)"]
    mixed.click("#states .cause")
    assert len(mixed.texts(".row .call")) == 11


def test_durations_are_worded_as_the_report_words_them(screen, pages):
    lasting = (0.1, 0.14, 9.94, 12.3, 15.0, 99.97, 100.4, 180.0, 599.6, 600.0, 3599.4, 3661.0, 90_000.0)

    def run(home: Path) -> Path:
        story = Story(home)
        for number, seconds in enumerate(lasting):
            story.end(number, 0.1, seconds)
        return story.run_dir

    screen.open(pages(run))
    assert screen.texts(".row .took") == [duration(seconds) for seconds in lasting]


def test_print_has_the_rows_in_their_order(large):
    large('window.dispatchEvent(new Event("beforeprint"))')
    assert len(large.texts(".row")) == 200
    assert large.find("#printed").text == "The first 200 of 100,000 tasks."
    large('window.dispatchEvent(new Event("afterprint"))')
    large.settle()
    assert len(large.texts(".row")) < 100


# --- the table ---------------------------------------------------------------------------------------------


def test_a_hundred_thousand_tasks_are_searched_while_one_types(large):
    assert large.find("#found").text == "100,000 tasks"
    assert len(large.texts(".row")) < 100
    loading = large(
        "const [all] = performance.getEntriesByType('navigation'); return all.domComplete - all.fetchStart"
    )
    large.search("site=77")
    typed = (
        "const field = document.getElementById('search'); field.value = '%s';"
        "field.dispatchEvent(new Event('input'))"
    )
    times = [
        large.took(typed % words) for words in ("site=777", "site=7777", "site=77777", "site=77777) worker")
    ]
    assert min(times) < loading / 4
    assert large.find("#found").text == "1 of 100,000 tasks"
    assert large.texts(".row .call") == ["measure(site=77777)"]
    large.search("no such thing")
    assert large.texts("#rows") == ["No task fits."]


def test_only_the_rows_in_sight_are_there_however_far_one_scrolls(large):
    large('document.getElementById("table").scrollTop = 36 * 50_000')
    large.settle()
    assert len(large.texts(".row")) < 100
    shown = {
        int(each.get_attribute("aria-rowindex"))
        for each in large.driver.find_elements(By.CSS_SELECTOR, ".row")
    }
    assert 50_010 in shown
    large('document.getElementById("table").scrollTop = 1e9')
    large.settle()
    last = large.driver.find_elements(By.CSS_SELECTOR, ".row")[-1]
    assert last.get_attribute("aria-rowindex") == str(MANY + 1)


def test_a_click_on_a_heading_sorts_and_another_one_turns_round(mixed):
    mixed.click(".names .call button")
    calls = mixed.texts(".row .call")
    assert calls == sorted(calls)
    assert mixed.find(".names .call").get_attribute("aria-sort") == "ascending"
    mixed.click(".names .call button")
    assert mixed.texts(".row .call") == calls[::-1]
    mixed.click(".names .tries button")
    assert mixed.texts(".row .tries")[0] == "2"


def test_of_a_long_call_the_end_is_seen_as_well(screen, pages):
    def run(home: Path) -> Path:
        story = Story(home)
        for number in range(3):
            story.end(
                number, 0.1, call=f"measure(path='/home/ada/a/long/way/to/some/place/in/file-{number}.py')"
            )
        return story.run_dir

    screen.open(pages(run))
    cell, tail = screen.find(".row .call"), screen.find(".row .call span:last-child")
    assert tail.text == "me/place/in/file-0.py')"[-22:]
    assert tail.rect["x"] + tail.rect["width"] <= cell.rect["x"] + cell.rect["width"]
    assert cell.get_property("textContent") == cell.get_attribute("title")


def test_tasks_are_filtered_by_state_name_and_worker(mixed):
    mixed.click('#states [data-state="failed"]')
    assert mixed.texts(".row .call") == ["measure(site=8)", "total(site=9)"]
    Select(mixed.find("#of-name")).select_by_visible_text("total")
    mixed.settle()
    assert mixed.texts(".row .call") == ["total(site=9)"]
    assert mixed.find("#found").text == "1 of 11 tasks"


def test_a_task_tells_of_its_attempts(mixed):
    mixed.search("site=7")
    mixed.click(".row")
    assert mixed.find("#detail-title").text == "measure(site=7)"
    assert mixed.texts(".attempt h3") == [
        "Attempt 1 of at most 4: failed, tried again",
        "Attempt 2: succeeded",
    ]
    assert mixed.texts(".attempt .what") == ["ConnectionError — refused"]
    assert mixed.find(".attempt .trace").text.endswith("ConnectionError: refused")
    assert "2026-11-21 02:48:06.300 UTC" in mixed.texts(".attempt dd")


def test_the_keyboard_is_enough(mixed):
    mixed("document.getElementById('table').focus()")
    mixed.press(Keys.ARROW_DOWN, Keys.ENTER)
    first = mixed.find("#detail-title").text
    mixed.find('[aria-label="Next task"]').send_keys(Keys.ENTER)
    mixed.settle()
    assert mixed.find("#detail-title").text != first
    mixed.press(Keys.ESCAPE)
    assert not mixed("return document.getElementById('detail').open")
    assert mixed("return document.activeElement.id") == "table"
    mixed.press(Keys.END)
    assert mixed.find(".row.active").get_attribute("aria-rowindex") == "12"
    names = mixed(
        """return [...document.querySelectorAll("button, input, select, a, [tabindex]")]
        .map((each) => each.textContent.trim() || each.ariaLabel || each.getAttribute("aria-labelledby"))"""
    )
    assert all(names)


# --- the timeline ------------------------------------------------------------------------------------------


def test_the_timeline_shows_what_became_of_attempts(mixed):
    for colour in ("succeeded", "retry", "failed", "park"):
        mixed.move_to(mixed.point(colour))
        assert mixed.find("#tip").text.startswith("measure(site="), colour
    mixed.move_to(mixed.point("failed"), click=True)
    assert mixed.find("#detail-title").text == "measure(site=8)"
    assert mixed.texts(".attempt h3") == ["Attempt 1 of at most 4: failed for good"]


def test_the_timeline_is_zoomed_and_moved_by_buttons_keys_wheel_and_drag(mixed):
    seen = [mixed.picture()]
    canvas = mixed.find("#lanes-canvas")

    def changes() -> bool:
        mixed.settle()
        seen.append(mixed.picture())
        return seen[-1] != seen[-2]

    mixed.click("#zoom-in")
    assert changes()
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert changes()
    canvas.send_keys("+")
    assert changes()
    ActionChains(mixed.driver).drag_and_drop_by_offset(canvas, 80, 0).perform()
    assert changes()
    mixed(
        """const canvas = document.getElementById("lanes-canvas");
        canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -200, ctrlKey: true, cancelable: true }))"""
    )
    assert changes()
    mixed.click("#zoom-all")
    assert changes()
    mixed.click(".row")
    mixed.click("dialog .body button")
    assert changes()


def test_a_hundred_thousand_attempts_are_drawn_in_little_more_time_than_a_few(screen, pages):
    again = "document.getElementById('zoom-in').click(); document.getElementById('zoom-all').click()"
    screen.open(pages(a_mixed_run))
    few = min(screen.took(again) for _ in range(5))
    screen.open(pages(a_large_run, MANY))
    many = min(screen.took(again) for _ in range(5))
    assert len(screen.colours()) > 5
    assert many < 20 * max(few, 16)  # a picture on a screen takes 16 ms, were there nothing to draw


# --- how it looks ------------------------------------------------------------------------------------------


def test_light_and_dark_are_those_of_the_system_until_one_chooses(screen, pages):
    ground = "return getComputedStyle(document.body).backgroundColor"
    screen.open(pages(a_mixed_run), dark=True)
    dark, dark_colours = screen(ground), screen.colours()
    screen.open(pages(a_mixed_run))
    light, light_colours = screen(ground), screen.colours()
    assert dark != light
    assert dark_colours != light_colours
    screen.click("#theme")
    assert screen(ground) == dark
    assert screen.colours() == dark_colours
    screen.open(pages(a_mixed_run))
    assert screen(ground) == dark  # it is remembered
    screen.click("#theme")
    assert screen(ground) == light


@pytest.mark.parametrize("make", [a_mixed_run, hostile_run])
def test_a_phone_need_not_scroll_sideways(screen, pages, make):
    screen.open(pages(make), 375, 800)
    assert screen.overflow() <= 0
    screen.click(".row")
    assert screen.overflow() <= 0
    assert screen("const d = document.getElementById('detail'); return d.scrollWidth - d.clientWidth") <= 0


# --- who attacks it ----------------------------------------------------------------------------------------


def test_nothing_that_a_task_says_runs_or_is_markup(screen, pages):
    screen.open(pages(hostile_run))
    for row in range(len(HOSTILE)):
        screen(f"document.querySelectorAll('.row')[{row}].click()")
        screen.settle()
        screen("document.getElementById('detail').close()")
    screen("for (const each of document.querySelectorAll('details')) each.open = true")
    screen.move_to(screen.point("failed"))
    time.sleep(0.2)  # an image that fails to load would tell so only now
    assert screen("return window.struck") is None
    assert (
        screen("return document.querySelectorAll('img, body script:not([type]) ~ script, b img').length") == 0
    )
    cells = screen.driver.find_elements(By.CSS_SELECTOR, ".row .call")
    assert HOSTILE[0] in [cell.get_property("textContent") for cell in cells]
    assert screen.requests() == [screen.driver.current_url]
    assert screen.complaints() == []


def test_the_policy_stops_what_would_get_into_the_page(mixed):
    mixed(
        """const script = document.createElement("script");
        script.textContent = "window.struck = 1";
        document.body.append(script);
        const box = document.createElement("div");
        box.innerHTML = "<img src='https://example.org/x.png' onerror='window.struck = 2'>";
        document.body.append(box);
        fetch("https://example.org/").catch(() => { window.refused = true; });"""
    )
    time.sleep(0.2)
    assert mixed("return window.struck") is None
    assert mixed("return window.refused") is True
    assert any("Content Security Policy" in each for each in mixed.complaints())
    assert mixed.requests() == [mixed.driver.current_url]
