"""Text without secrets: what goes, what stays, and that it takes no longer than reading it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import ALL, DEFAULTS, ENVIRON, PLANTED, REDACT, leaked

from scalable.core import pairs
from scalable.core.redact import LONGEST_PATTERN, MARGIN, WINDOW, Redactor, compiled, is_pattern, redactor
from scalable.core.shapes import SHAPES, may_hold_one

told = Redactor(REDACT, ENVIRON.values())

SHOWN = [
    ("ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", "ghp_***"),
    ("sk-ant-" + "api03-abcDEF123456789_abcdefghijk-XYZ", "sk-ant-***"),
    ("AKIA" + "IOSFODNN7EXAMPLE", "AKIA***"),
    (f'("AKIA{"IOSFODNN7EXAMPLE"}", "{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}")', '("AKIA***", "***")'),
    ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer ***"),
    ("Authorization: Digest username='x', response='6629fae4'", "Authorization: Digest ***"),
    ('{"Authorization": "Basic dXNlcjpwYXNz"}', '{"Authorization": "***"}'),
    ("Bearer abcdef1234567890", "Bearer ***"),
    ("postgres://user:hunter2@host:5432/db", "postgres://user:***@host:5432/db"),
    ("redis://:p4ss/w@rd@host/0", "redis://:***@host/0"),
    ("password=hunter2 and more", "password=*** and more"),
    ('password = "hun\\"ter2"; x', 'password = "***"; x'),
    ('{\\"password\\": \\"hun\\\\\\"ter2\\", \\"x\\": 1}', '{\\"password\\": \\"***\\", \\"x\\": 1}'),
    ('\\\\\\"token\\\\\\": \\\\\\"a b\\\\\\"', '\\\\\\"token\\\\\\": \\\\\\"***\\\\\\"'),
    ('password = """a\nb"""', 'password = """***"""'),
    ("password='unclosed and\nthe next line", "password='***\nthe next line"),
    ("password: |\n  hunter2", "password: ***"),
    ('"password":\n    "hunter2"', '"password":\n    "***"'),
    ("password: str = 'hunter2'", "password: str = '***'"),
    ("os.environ['DB_PASSWORD'] = b'hunter2'", "os.environ['DB_PASSWORD'] = b'***'"),
    ("if password == 'hunter2':", "if password == '***':"),
    ("auth=('bob', 'hunter2'), x", "auth=***, x"),
    ("tool --token swordfish1 --x", "tool --token *** --x"),
    ("['tool', '--token', 'swordfish']", "['tool', '--token', '***']"),
    ("curl -u bob:hunter2 http://x", "curl -u bob:*** http://x"),
    ("Cookie: session=abcdef; x=1", "Cookie: session=***"),
    ("<password>hunter2</password>", "<password>***</password>"),
    ("https://x/y?sig=abcdef%2Bghijk&x=1", "https://x/y?sig=***&x=1"),
    ("api_key: ${API_KEY:-hunter2}", "api_key: ${API_KEY:-***}"),
    ("DBPASS=x1y2", "DBPASS=***"),
    ("123456789:AA" + "x" * 33, "123456789:***"),
    ("a client with abc1Q~" + "x" * 33, "a client with ***"),
    ("-----BEGIN PRIVATE KEY-----\\nMIIE\\nab", "-----BEGIN PRIVATE KEY-----***"),
]
INNOCENT = """token expired
password: missing
password: must be at least 8 characters
password: "This field may not be blank."
Unexpected token: foo
Unexpected token: 'foo'
unexpected token } in JSON
invalid token: 'abc'
3 passed, pass=3
token=5
auth: required
Author=me; auth=True
password=None
secret=<redacted>
password={password}
password=%s
password=...
api_key: ${API_KEY}
token: str
def f(password: str, token: Optional[str] = None):
token = self.token
token = next(tokens)
password = os.environ["DB_PASSWORD"]
tokens: {fetch-token: {component: analysis}}
max_tokens=100
--token is required
pass --password to go on
KeyError: 'password'
bypass=1 compass: north
PWD=/home/user
the bearer of bad news
Basic understanding of Bearer authentication
fetch_token-0123456789abcdef0123456789abcdef
sk-0123456789abcdef0123456789abcdef
('load-token', 0, 1)
d41d8cd98f00b204e9800998ecf8427e
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
123e4567-e89b-12d3-a456-426614174000
/home/user/passwords/secret_store/x.py
http://host:8080/path@x
http://host:8080/a?b=c@d
tcp://127.0.0.1:8786
docker run --user 1000:1000 x
asia and africa
eyJust a word
the secret is out: nobody knows
run_simulation(scenario_id=47)
cookie jar: full""".split("\n")


@pytest.mark.parametrize("each", PLANTED, ids=lambda each: each.name)
def test_every_planted_secret_goes_by_itself_in_a_repr_in_json_and_in_company(each):
    escaped = each.text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    assert each.name in leaked(each.text)
    for text in (each.text, repr(each.text), escaped, f"ValueError: {each.text}\n  at work"):
        assert each.name not in leaked(told.text(text)), told.text(text)


def test_all_of_them_together_go_too():
    assert leaked(told.text(ALL)) == []


@pytest.mark.parametrize("each", DEFAULTS, ids=lambda each: each.name)
def test_a_look_at_all_shapes_finds_what_the_first_look_does(each):
    assert not Redactor().harmless(each.text)


@pytest.mark.parametrize("begins", "ghp_ github_pat_ xoxb- glpat- npm_ hf_ sk- sk_live_".split())
@pytest.mark.parametrize("rest", ["abcdefghijklmnopqrstuvwxyz" + "0123456789", "abcdefghij" * 4])
def test_a_token_goes_by_itself_however_many_small_letters_it_begins_with(begins, rest):
    assert Redactor().text(f"load {begins}{rest}").startswith(f"load {begins}***")


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_what_helps_to_understand_stays(text, shown):
    assert Redactor().text(text) == shown


@pytest.mark.parametrize("text", INNOCENT)
def test_words_keys_hashes_and_paths_stay_as_they_are(text):
    assert Redactor().text(text) == text


@pytest.mark.parametrize("at", range(6, 30, 4))
@pytest.mark.parametrize("broken", ["\n", "\\n", "\r\n    "])
def test_a_line_break_in_a_token_saves_no_half_of_it(at, broken):
    token = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    shown = Redactor().text(f"got {token[:at]}{broken}{token[at:]} here")
    assert token[at:][:8] not in shown
    assert token[:at][5:] not in shown or at < 8


def test_a_key_block_without_its_beginning_goes_as_well():
    text = (
        "it said: x.\n"
        + "MIIEpAIBAAKCAQEA7bq9XvS2mZ0cYt8Lw4RkD1uHnJ5oF\n" * 5
        + "-----END RSA PRIVATE KEY-----"
    )
    assert Redactor().text(text) == "it said: x.\n***-----END RSA PRIVATE KEY-----"


words = st.sampled_from(
    [each.text for each in PLANTED] + INNOCENT + ["password", "=", ": ", '"', "'", "\\", "\n", " ", "***"]
)


@given(st.lists(st.one_of(words, st.text(max_size=5)), max_size=8).map(" ".join))
def test_to_redact_twice_does_no_harm(text):
    once = told.text(text)
    assert leaked(once) == []
    assert leaked(told.text(once)) == []


@given(st.text())
def test_any_text_is_taken(text):
    assert isinstance(told.text(text), str)
    assert told.harmless(text) in (True, False)


HOSTILE = r"""a|://a:|password=|password="|password=\"|token='|ghp_|eyJ|eyJaaaaaaaa.|-
|-----BEGIN PRIVATE KEY-----|-----END PRIVATE KEY-----|MIIEabcdMIIEabcd |bearer |authorization: basic
|cookie: a=|--a-|token: a |token=\|token=\\"|token=('|<token>|${a| -u a:|aaa1Q~|1:AA"""


@pytest.mark.parametrize("piece", ["ghp_\n", *HOSTILE.replace("\n", "").split("|")])
def test_hostile_text_takes_time_in_proportion_to_its_length(piece):
    """By ratio: eight times the text, and far from sixty-four times the time."""
    best = []
    for size in (2**13, 2**16):
        text = "private key token " + (piece * size)[:size]
        times = []
        for _ in range(3):
            began = time.thread_time()
            told.text(text)
            times.append(time.thread_time() - began)
        best.append(min(times))
    assert best[1] < 32 * best[0]


def test_of_a_long_text_the_ends_are_kept_without_halves_of_secrets():
    text = Redactor().bounded("first " + "ghp_" + "aB3" * WINDOW + " last")
    assert text.startswith("first ghp_***"[: max(0, 13 - MARGIN)])
    assert leaked(text) == []
    long = "word " * WINDOW
    assert len(Redactor().bounded(long)) < WINDOW
    assert Redactor().bounded(long).startswith("word word")
    assert Redactor().bounded(long).endswith("word word ")
    assert Redactor().bounded("short") == "short"


def test_a_lot_of_packed_data_is_looked_at_for_what_is_known_only():
    token, much = b"ghp_" + b"aB3" * 12, b"x" * 200_000
    assert not Redactor().harmless_bytes(token)
    assert Redactor().harmless_bytes(much + token)
    assert not Redactor(values=["swordfish1"]).harmless_bytes(much + b"swordfish1")
    assert Redactor(values=["swordfish1"]).harmless_bytes(much)


def test_a_key_is_kept_apart_from_others_that_held_a_secret():
    one, other = (told.key(f"load-ghp_{number * 36}", b"salt") for number in "12")
    assert one != other
    assert one.startswith("load-ghp_*** ")
    assert one == told.key("load-ghp_" + "1" * 36, b"salt") != told.key("load-ghp_" + "1" * 36, b"other")
    assert told.key("load-0123", b"salt") == "load-0123"


def test_plain_data_is_redacted_by_the_names_and_the_texts_in_it():
    data = {
        "env": {"API_KEY": "abc", "X": "password=abc", "TOKEN": "${TOKEN}"},
        "list": [1, "CUST-12345678"],
        "n": None,
    }
    assert told.value(data) == {
        "env": {"API_KEY": "***", "X": "password=***", "TOKEN": "${TOKEN}"},
        "list": [1, "***"],
        "n": None,
    }
    assert told.value({1: ("x",)}) == {1: ["x"]}


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "apiKey", "secret_key", "accessToken", "site_code", "SITE_CODE"]
)
def test_names_of_secrets_hide_their_values(name):
    assert told.hides(name)


@pytest.mark.parametrize(
    "name", ["key", "cache_key", "compass", "author", "auth", "tokens_used", "secretary", "site"]
)
def test_other_names_do_not(name):
    assert not told.hides(name)


def test_known_values_go_in_every_writing_and_words_only_as_words():
    hides = Redactor(values=["a b'c\n%", "postgres", "short", "missing", "x" * 20_000])
    assert hides.text("a b'c\n% " + repr("a b'c\n%") + " a%20b%27c%0A%25") == '*** "***" ***'
    assert (
        hides.text("postgres://host is no mypostgres, but postgres is")
        == "postgres://host is no mypostgres, but *** is"
    )
    assert hides.text("short missing") == "short missing"
    assert not hides.harmless("it is postgres")
    assert hides.harmless("nothing")


def test_listed_names_hide_as_words_beside_a_value():
    assert (
        told.text("site_code: north, my_site_code=1 Site_Code='x'")
        == "site_code: ***, my_site_code=1 Site_Code='***'"
    )
    assert not told.harmless("site_code")


def test_a_pattern_is_found_wherever_it_is_in_a_long_text():
    text = "".join(f"{'x' * 4090} CUST-{number:08d}" for number in range(20))
    assert told.text(text).count("***") == 20
    assert "CUST" not in told.text(text)
    assert Redactor(["/cust-\\d+/i"]).text("CUST-1") == "***"
    assert told.text("CUST-12345678 " * 2000) == "*** " * 2000
    assert Redactor(["/x*y?(?=z)|q/"]).text("qz") == "***z"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("/(/", "missing )"),
        ("/a*/", "matches what is empty"),
        ("/(a+)+b/", "repeats what itself repeats"),
        ("/(?:a|b*c)*d/", "repeats what itself repeats"),
        ("/((a{2,})x){1,9}/", "repeats what itself repeats"),
        (r"/(a)\1/", "refers back"),
        ("/(?P<a>a)(?P=a)/", "refers back"),
        ("/" + "a" * LONGEST_PATTERN + "/", "at most 300 characters"),
        ("name", "at most 300 characters"),
        ("/a{99999999999999999999}/", "repetition"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused_with_a_reason(entry, words):
    with pytest.raises(ValueError, match=words.replace(")", r"\)")):
        compiled(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "/[0-9]{8}/",
        r"/\bID-\w+:\w+/",
        r"/(?:\d{4}-){3}\d{4}/",
        r"/[(+*)]+\)\+x/",
        "/(?<=a)b+/",
        "/(?i:a+)b/",
    ],
)
def test_ordinary_patterns_are_taken(entry):
    assert is_pattern(entry)
    assert compiled(entry).pattern == entry[1:-1]


def test_the_same_is_made_once():
    assert redactor(("a",)) is redactor(("a",))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_has_hints_in_lower_case(shape):
    assert shape.hints
    assert all(hint == hint.lower() for hint in shape.hints)


def test_ordinary_text_is_not_even_looked_at():
    for text in ("run_simulation(scenario_id=47, path='/data/x.nc')", "inc-0123456789abcdef0123456789abcdef"):
        assert not may_hold_one(text, text.lower())


def test_what_says_nothing_is_no_secret():
    assert all(map(pairs.says_nothing, ["None", "***", "${X}", "$TOKEN", "missing.", "<x>", "{x}", ""]))
    assert not pairs.says_nothing("hunter2")
