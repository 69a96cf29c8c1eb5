"""Names beside values: `password=…`, `"api_key": "…"`, `--token …`, in text of any sort.

The name decides whether there may be a secret, the value whether it is one: `password: missing`, `token:
str` and `secret=None` tell nothing, and what is left of a template (`${TOKEN}`, `%s`) neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

__all__ = ["HIDDEN", "NAMES", "PAIR_HINTS", "flag", "is_secret_name", "pair", "says_nothing"]

Pair = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

HIDDEN = "***"
_KEYS = "api access account auth encryption master private secret session shared signing storage subscription"


def any_case(pattern: str) -> str:
    """Write out both cases of each letter: many times faster than a flag; ``~`` stands for any letter."""
    return re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", pattern).replace(
        "~", "[A-Za-z]"
    )


NAMES = any_case(
    "(?:pass(?:word|wd|phrase|code)s?|pass(?:(?<!~pass)|(?<=dbpass)|(?<=userpass))(?!~)|pwd|secrets?|token"
    "|credentials?|authorization|auth(?<!~auth)(?!~)|sharedaccesssignature|key(?:"
    + "|".join(f"(?<={each}key)|(?<={each}.key)" for each in _KEYS.split())
    + ")s?)"
)
"""How the name of a secret ends; what comes before it does not count."""
PAIR_HINTS = ("pass", "pwd", "secret", "token", "credential", "auth", "key", "signature")

_NOTHING = frozenset(
    """
    none null nil true false yes no on off unset undefined empty missing required invalid expired
    unknown wrong incorrect optional absent denied rejected revoked redacted hidden masked removed
    failed failure error ok valid needed mandatory blank forbidden unauthorized unavailable disabled
    enabled refused not is was must should may can cannot has and or for to in of the a an str int
    bytes bool float dict list tuple any object string text secretstr self cls basic bearer digest
    negotiate ntlm apikey given found set default here there
    """.split()
)
_ODD = frozenset(
    "unexpected invalid unknown illegal bad next expected current wrong last first missing".split()
)
"""A token after one of these is what a parser met."""
_BLANK = re.compile(
    r"""-?\*+\W*|\.{3}|…|\$\{.*|\$\(.*|\$[A-Z_]{2,}|%\(.*|%[a-z]|\{[\w.!:]*\}?|<.*|\W{0,3}""", re.DOTALL
)
_CODE = re.compile(
    r"(?:self|cls|os|sys|args|kwargs|env|environ|config|settings|options|request)[.\[].*|[A-Za-z_][\w.]{0,80}[(\[].*"
)
_REFUSED = re.compile(r"(?i)\b(?:required|invalid|must|blank|missing|incorrect|expired|not)\b")
_WORD = re.compile(r"[A-Za-z]+[.!?]?")
_PROSE = re.compile(r"[ \t]+[A-Za-z]{2,}(?=[\s.,;:!?)]|\Z)")
_BEFORE = re.compile(r"([A-Za-z]{3,12})[ _]?\Z")

_QUOTED = (
    r"[bBrRuUfF]{0,2}(?:"
    r'"""(?:(?!""")[\s\S]){0,4000}+"""|' + r"'''(?:(?!''')[\s\S]){0,4000}+'''|"
    r'"(?:[^"\\]|\\[\s\S]){0,4000}+"|' + r"'(?:[^'\\]|\\[\s\S]){0,4000}+'|"
    r"""\\["'](?:[^\\]|\\{2,}+["']?|\\(?!["'])){0,4000}+\\["']|"""
    r"""\\{2,3}["'](?:(?!\\{2,3}["'])[\s\S]){0,4000}+\\{2,3}["']|"""
    r"""\\{0,3}["'][^\n]{0,20000}+)"""
)
_GROUP = r"""[\[(]\s{0,3}[bBrRuUfF]{0,2}\\{0,3}["'][^\])\n]{0,4000}+[\])]?"""
_BLOCK = r"[|>][+\-]?[ \t]*\n[ \t]+[^\n]{1,4000}+"
_PLAIN = r"""[^\s"'`\\,;&()\[\]{}]"""
_BARE = (
    rf"(?![\[({{])(?:{_PLAIN}|[,()\[\]{{}}](?={_PLAIN})"
    r"""|["'](?=\w)|\\(?![nrt"'\\])){1,4000}+"""
)
_EQUALS = r"(?::[ \t]{0,3}[A-Za-z_][\w\[\]. |]{0,40}?[ \t]{0,3})?(?::=|=>|[=!]=|=)"
_SEPARATOR = rf"""(?P<sep>(?:\\{{0,3}}["'])?\]?[ \t]{{0,8}}(?P<how>{_EQUALS}|:))"""
_SPACE = r"(?P<space>[ \t]{0,8}(?:\\?\r?\n[ \t]{0,40}(?=[\"']))?)"


def pair(names: str) -> Pair:
    """A pattern for values beside names of that pattern, and what to put in the place of a match."""
    value = rf"(?P<value>{_BLOCK}|{_GROUP}|{_QUOTED}|{_BARE})"
    return re.compile(rf"(?P<name>{names}){_SEPARATOR}{_SPACE}{value}"), _put


def flag(names: str) -> Pair:
    """The same for options of a command line, whose values come after a blank or as the next argument."""
    apart = r"""(?P<sep>[ \t]{1,3}|["'],[ \t]{0,3})"""
    value = rf"(?P<value>{_QUOTED}|(?!-){_BARE})"
    return re.compile(rf"(?P<name>--(?:[A-Za-z0-9]{{1,30}}[_\-]){{0,4}}{names}){apart}{value}"), _put_flag


@lru_cache(maxsize=2048)
def is_secret_name(name: str) -> bool:
    """Whether a parameter, a key or a variable of that name holds a secret, whatever sort of value it is.

    What is called `auth` may be a mapping with more than secrets in it.
    """
    return _NAME.search(name[-100:]) is not None and name.lower() != "auth"


_NAME = re.compile(rf"{NAMES}\Z")


def says_nothing(value: str) -> bool:
    """Whether it is no secret, whatever it is called."""
    return value.lower().strip(" \t.!?:)]}") in _NOTHING or _BLANK.fullmatch(value) is not None


def _put(found: re.Match[str]) -> str:
    value, how, (start, end) = found["value"], found["how"], found.span()
    inner, quote = _inner(value)
    before, after = found.string[max(0, start - 20) : start], found.string[end : end + 80]
    if says_nothing(inner) or (how == ":" and _is_told(inner, quote, before, after)):
        return found[0]
    if not quote and (_is_number(found["name"], value) or _is_path(found["name"], value)):
        return found[0]
    if how != ":" and not quote and _CODE.fullmatch(value):
        return found[0]
    return f"{found['name']}{found['sep']}{found['space']}{_masked(value, quote)}"


def _put_flag(found: re.Match[str]) -> str:
    inner, quote = _inner(found["value"])
    after = found.string[found.end() : found.end() + 80]
    if says_nothing(inner) or (not quote and inner.isalpha() and _PROSE.match(after)):
        return found[0]
    return f"{found['name']}{found['sep']}{_masked(found['value'], quote)}"


def _inner(value: str) -> tuple[str, str]:
    """What stands between the quotes, and the opening one with what is before it; all of it without any."""
    opening = _OPENING.match(value)
    if opening is None:
        return value, ""
    quote = opening[0]
    return value[len(quote) :].removesuffix(opening[1]), quote


_OPENING = re.compile(r"""[bBrRuUfF]{0,2}(\\{0,3}(?:\"{3}|'{3}|["']))""")


def _masked(value: str, quote: str) -> str:
    mark = quote.lstrip("bBrRuUfF")
    return f"{quote}{HIDDEN}{mark if value.endswith(mark) else ''}"


def _is_told(inner: str, quote: str, before: str, after: str) -> bool:
    """Whether the colon is that of a sentence: about a secret, or about what a parser met."""
    odd = _BEFORE.search(before)
    if odd is not None and odd[1].lower() in _ODD and not re.search(r"\d", inner):
        return True
    if quote:
        return inner.count(" ") > 1 and _REFUSED.search(inner) is not None
    return _WORD.fullmatch(inner) is not None and _PROSE.match(after) is not None


def _is_number(name: str, value: str) -> bool:
    """Whether it counts or tells something of a thing called so: a token of a parser, tests that passed."""
    return name.lower() in ("token", "pass", "auth") and re.fullmatch(r"\d{1,6}", value) is not None


def _is_path(name: str, value: str) -> bool:
    """Whether it is the working directory of a shell."""
    return name.lower() == "pwd" and value[:1] in "/~"
