"""What a manifest says that is to be hidden: names, patterns, and variables that hold secrets."""

from __future__ import annotations

import pytest

from scalable.core.redact import LONGEST_PATTERN, MOST_PATTERNS
from scalable.errors import ManifestError
from scalable.manifest import from_mapping
from scalable.manifest.load import loads

HEAD = "version: 1\n"


def test_names_and_patterns_stand_in_one_list() -> None:
    manifest = loads(HEAD + "redact: [site, '/CUST-[0-9]{8}$/i']\ntelemetry: {redact: [/a+/, site]}")
    assert manifest.redacted == ("site", "/CUST-[0-9]{8}$/i", "/a+/")


def test_a_variable_is_filled_in_for_a_name_and_a_pattern_stays_as_written() -> None:
    manifest = loads(HEAD + "redact: ['${WHAT}', '/${WHAT}x/']", environ={"WHAT": "site"})
    assert manifest.redacted == ("site", "/${WHAT}x/")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "/(a/",
            "expected a regular expression (missing ), unterminated subpattern at position 0), got '/(a/'",
        ),
        ("/a*/", "it matches what is empty, and so everywhere"),
        ("/(a+)+b/", "it repeats what itself repeats"),
        (f"/{'a' * LONGEST_PATTERN}/", "at most 300 characters"),
    ],
)
def test_a_pattern_that_cannot_be_is_told_with_its_place(entry: str, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        loads(HEAD + f"redact:\n  - site\n  - '{entry}'\n", file="m.yaml")
    assert "m.yaml:4:5" in str(caught.value)
    assert "redact[1]" in str(caught.value)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("path", "text"), [("redact", "redact: {}"), ("telemetry.redact", "telemetry: {{redact: {}}}")]
)
def test_there_are_not_too_many_patterns(path: str, text: str) -> None:
    entries = "[" + ", ".join(f"/x{number}/" for number in range(MOST_PATTERNS + 1)) + "]"
    with pytest.raises(
        ManifestError, match=f"expected at most {MOST_PATTERNS} patterns, got {MOST_PATTERNS + 1}"
    ) as caught:
        loads(HEAD + text.format(entries), file="m.yaml")
    assert f"{path}: " in str(caught.value)


def test_variables_with_the_name_of_a_secret_are_known_and_what_they_hold() -> None:
    env = {"API_KEY": "${KEY}-1", "MODE": "fast", "LITERAL_TOKEN": "written"}
    manifest = from_mapping(
        {
            "version": 1,
            "project": {"description": "${DB_PASSWORD} ${HOME} ${GONE_TOKEN:-} ${SITE_TOKEN:-default}"},
            "components": {"analysis": {"env": env}},
        },
        environ=environ,
    )
    assert set(manifest.secret_variables) == {
        "DB_PASSWORD",
        "GONE_TOKEN",
        "SITE_TOKEN",
        "API_KEY",
        "LITERAL_TOKEN",
    }
    assert sorted(manifest.secret_values(environ)) == ["default", "hunter2", "key-1", "written"]


environ = {"DB_PASSWORD": "hunter2", "HOME": "/home/x", "KEY": "key"}
