"""The page as a file: complete, asking nothing of anybody, safe whatever a task said, whole or not there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page_samples import HOSTILE, Story, a_large_run, a_mixed_run, data_of, hostile_run, html_of, rows_of
from report_samples import an_info

import scalable
from scalable.journal.rundir import write_info
from scalable.report.html import page as page_module
from scalable.report.html.data import LIMITS
from scalable.report.html.write import write

HOME = Path(page_module.__file__).parent


class Elements(HTMLParser):
    """What a browser sees: start tags with their attributes, and the text of styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem:
            self.raw.append((self.cdata_elem, data))


def elements(html):
    parser = Elements()
    parser.feed(html)
    parser.close()
    return parser


@pytest.fixture
def hostile(tmp_path):
    return hostile_run(tmp_path)


def test_the_data_come_back_as_they_were(tmp_path):
    data = data_of(html_of(a_mixed_run(tmp_path)))
    assert list(data) == [
        "run",
        "failures",
        "durations",
        "overTime",
        "names",
        "tasks",
        "attempts",
        "events",
        "texts",
    ]


def test_a_page_is_ascii_whatever_is_in_it(hostile):
    html_of(hostile).encode("ascii")


def test_what_tasks_say_is_no_markup(tmp_path, hostile):
    plain = elements(html_of(a_mixed_run(tmp_path / "other")))
    found = elements(html_of(hostile))
    shapes = [
        [
            (tag, {name: value for name, value in attributes.items() if name != "content"})
            for tag, attributes in each
        ]
        for each in (plain.tags, found.tags)
    ]
    assert shapes[0] == shapes[1]
    assert "<" not in html_of(hostile).partition('id="data">')[2].partition("</script>")[0]


def texts_in(value):
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return [text for each in value for text in texts_in(each)]
    return [value] if isinstance(value, str) else []


def test_what_tasks_say_is_shown_with_its_tricks_written_out(hostile):
    data = data_of(html_of(hostile))
    for text in texts_in(data):
        assert text.replace("\n", "").isprintable(), text
    assert any(r"\x1b[31mred" in text for text in data["texts"])
    assert HOSTILE[0] in data["tasks"]["call"]
    assert max(map(len, data["tasks"]["call"])) <= 300


def test_lone_surrogates_and_broken_names_are_written_out(tmp_path):
    story = Story(tmp_path)
    path = story.run_dir / "tasks.jsonl"
    line = {"schema": 1, "seq": 1, "key": "k", "state": "succeeded", "attempts": 1, "call": "f('\udc80')"}
    path.write_text(json.dumps(line) + "\n", encoding="ascii")
    story.end(2, 0.1)
    html_of(story.run_dir).encode("ascii")
    write_info(story.run_dir, an_info(project="\N{PILE OF POO}"))
    assert data_of(html_of(story.run_dir))["run"]["project"] == "\N{PILE OF POO}"


def test_numbers_without_end_are_no_numbers():
    assert page_module._json({"a": [float("nan"), 1.5, (float("inf"),)]}) == '{"a":[null,1.5,[null]]}'
    assert page_module._json("</script>") == '"\\u003c/script>"'


def test_only_its_own_script_and_styles_may_run(tmp_path):
    found = elements(html_of(a_mixed_run(tmp_path)))
    (policy,) = [a["content"] for tag, a in found.tags if tag == "meta" and a.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.keys() == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    texts = [("".join(text for tag, text in found.raw if tag == "style"), "style-src")]
    texts += [
        (text, "script-src") for tag, text in found.raw if tag == "script" and not text.startswith("\n{")
    ]
    assert len(texts) == 2
    for text, rule in texts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_nothing_in_a_page_is_of_elsewhere(tmp_path):
    html = html_of(a_mixed_run(tmp_path))
    found = elements(html)
    assert not {"link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in found.tags}
    for tag, attributes in found.tags:
        assert not {"src", "srcset", "style", "action"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("href", "#").startswith("#")
    own = "".join(text for tag, text in found.raw if not text.startswith("\n{"))
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", own)


def test_the_scripts_make_no_markup_of_texts():
    for name in page_module.SCRIPTS:
        script = (HOME / f"{name}.js").read_text(encoding="ascii")
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "</script",
        ):
            assert way not in script, (name, way)


def test_every_file_beside_the_modules_is_in_the_page():
    own = {path.name for path in HOME.iterdir() if path.suffix in {".js", ".css", ".html"}}
    assert own == {"page.html", "page.css", *(f"{name}.js" for name in page_module.SCRIPTS)}


@pytest.mark.slow
def test_the_wheel_has_what_the_page_is_made_of(tmp_path):
    pytest.importorskip("hatchling")
    root = Path(scalable.__file__).parent.parent
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        str(root),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"scalable/report/html/{path.name}" for path in HOME.iterdir() if path.is_file()} <= names
    assert "scalable/engine/scheduler/page.html" in names


# --- the file -------------------------------------------------------------------------------------------


def test_a_page_replaces_another_in_one_step(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old", encoding="ascii")
    path.chmod(0o640)

    def pieces():
        yield "ne"
        assert path.read_text(encoding="ascii") == "old"
        yield "w"

    write(pieces(), path)
    assert path.read_text(encoding="ascii") == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_is_not_finished_leaves_what_was_there(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old", encoding="ascii")

    def pieces():
        yield "ne"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(pieces(), path)
    assert path.read_text(encoding="ascii") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "real.html").touch()
    (tmp_path / "link.html").symlink_to("real.html")
    write(["new"], tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text(encoding="ascii") == "new"
    read, written = os.pipe()
    write(["piped"], Path(f"/dev/fd/{written}"))
    assert os.read(read, 10) == b"piped"
    os.close(read)
    os.close(written)
    write(["gone"], Path(os.devnull))
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("place", [".", "no/such/page.html", "n" * 300])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path, place):
    with pytest.raises(OSError, match="directory|long"):
        write(["x"], tmp_path / place)


MEASURE = """
import resource, sys
from pathlib import Path
from scalable.report.html.page import page
from scalable.report.html.write import write
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write(page(Path(sys.argv[1])), Path("page.html"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.timeout(400)  # it writes and reads 400,000 lines
def test_memory_and_size_do_not_grow_with_what_is_not_shown(tmp_path):
    def measured(tasks):
        run_dir = a_large_run(tmp_path / str(tasks), tasks)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(run_dir)], capture_output=True, text=True, check=True
        )
        return int(done.stdout), Path("page.html").stat().st_size

    (most, largest), (more, larger) = measured(LIMITS.tasks), measured(3 * LIMITS.tasks)
    assert more < 1.5 * most + 10_000  # kilobytes
    assert larger < 1.5 * largest


# --- how it looks -----------------------------------------------------------------------------------------


def themes():
    """The colours of the light and of the dark theme, by their names."""
    css = (HOME / "page.css").read_text(encoding="ascii")
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in css.split("}")[:2])
    return [light, light | dark]


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """As WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_texts_can_be_read_and_states_can_be_told_from_what_is_behind_them(theme):
    texts = [name for name in theme if name in {"text", "muted", "accent"} or name.endswith("-text")]
    assert len(texts) == 7
    for ground in ("ground", "card", "soft", "accent-soft", "lane"):
        assert min(contrast(theme[name], theme[ground]) for name in texts) >= 4.5, ground
    for state in ("failed", "park", "succeeded", "retry", "other"):
        assert contrast(theme[state], theme["lane"]) >= 1.9, state
    assert contrast(theme["failed"], theme["lane"]) >= 3


def test_a_row_of_each_task_is_in_the_page(tmp_path):
    run_dir = a_large_run(tmp_path, 500)
    assert len(rows_of(data_of(html_of(run_dir)))) == 500
