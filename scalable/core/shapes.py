r"""What credentials look like: a table, each row with the texts without which it need not be tried.

The prefixes are those that their issuers publish, so that such tokens can be found; gitleaks, detect-secrets
and trufflehog keep the lists that these were held against. Two rules keep them quick on hostile text. A
pattern begins with something fixed, so that a run of letters is not tried from each of its letters. What
repeats is possessive or bounded, so that nothing is read twice. A line break within a token, written out
(``\n``) or real, does not save its second half.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from scalable.core.pairs import HIDDEN, NAMES, PAIR_HINTS, flag, pair

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SHAPES", "Shape", "may_hold_one"]

_BREAK = r"(?:(?:\\r)?\\n|\r?\n)[ \t]{0,40}"
_WORDY, _DOTTED = r"A-Za-z0-9_\-", r"A-Za-z0-9_\-."
_PREFIXED: tuple[tuple[str, str, str, str, int], ...] = (
    # whose, hints, how it begins, letters that follow, and how many of them at least
    ("github", "ghp_ gho_ ghu_ ghs_ ghr_", "gh[pousr]_", "A-Za-z0-9", 16),
    ("github", "github_pat_", "github_pat_", "A-Za-z0-9_", 20),
    (
        "gitlab",
        "glpat- glptt- gldt- glrt glcbt- glft- glimt- glagent- gloas- glsoat-",
        r"gl[a-z]{2,5}-",
        _WORDY,
        16,
    ),
    ("slack", "xox xapp-", r"xox[abceoprs]-|xoxe\.xox[bp]-|xapp-", r"A-Za-z0-9\-", 10),
    ("slack", "hooks.slack.com/services/", r"hooks\.slack\.com/services/", "A-Za-z0-9/", 16),
    ("stripe", "k_live_ k_test_ k_prod_", "[rs]k_(?:live|test|prod)_", "A-Za-z0-9", 10),
    ("stripe", "whsec_", "whsec_", "A-Za-z0-9+/=", 20),
    ("openai, anthropic", "sk-", "sk-(?:ant|proj|svcacct|admin|or|lf)-", _WORDY, 12),
    ("openai", "sk-", "sk-", "A-Za-z0-9", 36),  # a key of Dask has 32 hex digits
    ("google", "aiza", "AIza", _WORDY, 30),
    ("google", "ya29.", r"ya29\.", _DOTTED, 20),
    ("google", "gocspx-", "GOCSPX-", _WORDY, 20),
    ("npm", "npm_", "npm_", "A-Za-z0-9", 30),
    ("pypi", "pypi-", "pypi-", _WORDY, 40),
    ("hugging face", "hf_ api_org_", "hf_|api_org_", "A-Za-z0-9", 30),
    ("databricks", "dapi", "dapi", "a-f0-9", 32),
    ("digital ocean", "_v1_", "do[opr]_v1_", "a-f0-9", 32),
    ("docker", "dckr_", "dckr_(?:pat|oat)_", _WORDY, 20),
    ("sendgrid", "sg.", r"SG\.", _DOTTED, 40),
    ("shopify", "shpat_ shpca_ shppa_ shpss_", "shp(?:at|ca|pa|ss)_", "A-Za-z0-9", 30),
    ("vault", "hvs. hvb.", r"hv[bs]\.", _WORDY, 20),
    ("grafana", "glsa_ glc_", "glsa_|glc_", "A-Za-z0-9_+/=", 20),
    ("postman", "pmak-", "PMAK-", r"A-Za-z0-9\-", 20),
    ("groq", "gsk_", "gsk_", "A-Za-z0-9", 30),
    ("age", "age-secret-key-1", "AGE-SECRET-KEY-1", "A-Z0-9", 40),
)
_AWS = "(?:AKIA|ASIA|ABIA|ACCA)"
_MIXED = re.compile(r"(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])|[a-z][A-Z]|.{24}|=$")


class Shape(NamedTuple):
    """One sort of credential; ``hints`` are in lower case, and one of them is in every text that has it."""

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    put: str | Callable[[re.Match[str]], str]


def _going_on(letters: str, least: int) -> str:
    """So many letters, then what looks like the rest of them after a line break."""
    more = (
        rf"(?:{_BREAK}(?:[{letters}]{{16,}}+|(?=[A-Za-z_\-]{{0,40}}\d)[{letters}]{{4,}}+(?=[\s\\\"']|\Z)))*+"
    )
    broken = rf"[{letters}]*+{_BREAK}(?=[A-Za-z_\-]{{0,40}}\d)[{letters}]{{6,}}+"
    return rf"(?:[{letters}]{{{least},}}+|{broken}){more}"


def _prefixed(begins: str, letters: str, least: int) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9])({begins}){_going_on(letters, least)}")


def _if_mixed(found: re.Match[str]) -> str:
    """Hide what is no word: `Bearer of` and `Basic understanding` are prose."""
    return f"{found[1]}{HIDDEN}" if _MIXED.search(found[2]) else found[0]


def _key_block(found: re.Match[str]) -> str:
    return f"{found[1]}{HIDDEN}{found[2] or ''}"


def _headless(found: re.Match[str]) -> str:
    return f"{HIDDEN}{found[1]}"


_BASE64, _ENDS = "A-Za-z0-9+/=", r"(?:\\[nr]|\s){1,8}+"
_KEY_NAME = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_TABLE: list[Shape] = [
    Shape(
        "private key",
        ("private key",),
        re.compile(rf"(-----BEGIN {_KEY_NAME})(?:[^-]|-(?!----)){{0,100000}}+(-----END {_KEY_NAME})?"),
        _key_block,
    ),
    Shape(  # what is left of one whose beginning was cut off: its last 64 lines
        "private key",
        ("private key",),
        re.compile(
            rf"(?:\A|(?<=\s)|(?<=\\n))(?:[{_BASE64}]{{16,100}}+{_ENDS}){{0,64}}+"
            rf"(?:[{_BASE64}]{{1,100}}+{_ENDS})?(-----END {_KEY_NAME})"
        ),
        _headless,
    ),
    Shape(
        "aws",
        ("akia", "asia", "abia", "acca"),
        re.compile(
            rf"(?<![A-Za-z0-9])({_AWS})[A-Z0-9]{{12,16}}+(?![A-Za-z0-9])"
            r"(?:([^A-Za-z0-9/+\s]{1,6}\s?[^A-Za-z0-9/+\s]{0,6})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=]))?"
        ),
        lambda found: f"{found[1]}{HIDDEN}" + (f"{found[2]}{HIDDEN}" if found[2] else ""),
    ),
    *(
        Shape(whose, tuple(hints.split()), _prefixed(begins, letters, least), rf"\1{HIDDEN}")
        for whose, hints, begins, letters, least in _PREFIXED
    ),
    Shape(
        "json web token",
        ("eyj",),
        re.compile(
            r"(?<![A-Za-z0-9])(eyJ)[A-Za-z0-9_\-]{6,}+"
            rf"(?:{_BREAK}[A-Za-z0-9_\-]{{6,}}+){{0,40}}+\.{_going_on(_DOTTED, 4)}"
        ),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "azure",
        ("q~",),
        re.compile(r"(?<![A-Za-z0-9_~.\-])[A-Za-z0-9_~.\-]{3}\dQ~[A-Za-z0-9_~.\-]{31,34}"),
        HIDDEN,
    ),
    Shape("telegram", (":aa",), re.compile(r"(?<!\d)(\d{8,10}:)AA[A-Za-z0-9_\-]{32,}+"), rf"\1{HIDDEN}"),
    Shape(
        "authorization",
        ("authorization",),
        re.compile(
            r"""(?i)(authorization\\{0,3}["']?\s{0,3}[:=,]\s{0,3}\\{0,3}["']?"""
            r"""(?:basic|bearer|token|apikey|negotiate|ntlm|aws4-hmac-sha256|digest)[ \t]{1,3})"""
            r"""(?:(?<=digest )[^\r\n]{1,4000}|(?!\*\*\*)[^\s"'\\](?:[^"'\r\n\\]{0,4000}))"""
        ),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "bearer",
        ("bearer",),
        re.compile(
            rf"(?i)(?<![a-z])(bearer(?:%20|\+|\s|\\n){{1,4}})(?!{_BREAK})"
            rf"([A-Za-z0-9._~+/=\-]{{8,}}+(?:{_BREAK}[A-Za-z0-9._~+/=\-]{{16,}}+)*+)"
        ),
        _if_mixed,
    ),
    Shape("basic", ("basic ",), re.compile(r"(?i)(?<![a-z])(basic )([A-Za-z0-9+/]{8,}+={0,2})"), _if_mixed),
    Shape(
        "cookie",
        ("cookie",),
        re.compile(
            r"""(?i)((?<![a-z_])cookie["']?\s{0,3}[:,]\s{0,3}["']?[\w.\-]{1,80}=)[^\s"'][^\r\n"']{0,4000}"""
        ),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "password in a URL",
        ("://",),
        re.compile(
            r"""(://[^\s:/@?#'"<>]{0,200}:)(?!\d{1,5}[/?#])[^\s@'"<>]{1,300}+(?:@[^\s/@'"<>]{0,200}){0,4}(?=@)"""
        ),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "signature in a URL",
        ("sig=", "signature="),
        re.compile(r"(?i)([?&;](?:sig|signature|x-amz-signature|x-goog-signature)=)[^\s&\"'<>\\*]{8,}+"),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "password on a command line",
        (" -u ", "--user"),
        re.compile(
            r"(?<!\S)((?:-u|--user)[ =]\s{0,3}['\"]?[^\s:'\"]{1,100}:)(?!\d+\s|\d+\Z|\*\*\*)[^\s'\"]{1,300}"
        ),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "element",
        ("</",),
        re.compile(rf"(<[\w.:\-]{{0,40}}?{NAMES}>)(?!\*\*\*)[^<\n]{{1,1000}}"),
        rf"\1{HIDDEN}",
    ),
    Shape(
        "default of a variable",
        ("${",),
        re.compile(rf"(\$\{{\w{{0,60}}?{NAMES}:-)(?!\*\*\*)[^}}\n]{{1,1000}}"),
        rf"\1{HIDDEN}",
    ),
    Shape("flag", ("--",), *flag(NAMES)),
    Shape("named value", PAIR_HINTS, *pair(NAMES)),
]
SHAPES: tuple[Shape, ...] = tuple(_TABLE)

_ROOTS = (
    *PAIR_HINTS,
    *"akia asia abia acca aiza dapi eyj q~ :aa bearer basic cookie :// sig= -u --".split(),
    "</",
    "${",
)
_LIKE_A_TOKEN = re.compile(
    r"(?:[_./]|-(?![0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}))(?=[a-z]{0,40}[0-9A-Z]|[a-z]{30})(?:[A-Za-z0-9_\-./+=]{3}"
    r"|[A-Za-z0-9]{1,2}(?:\\[rn]|[\r\n]))"
)
"""What follows the prefix of every token that has one; names in lower case and Dask's keys are none.

Some begin with many letters in lower case, which no name has without an underscore between them.
"""
_HINTS = tuple(dict.fromkeys(hint for shape in SHAPES for hint in shape.hints))


def may_hold_one(text: str, lower: str) -> bool:
    """Whether a text, given also in lower case, is worth a look: of ordinary ones few are."""
    if any(map(lower.__contains__, _ROOTS)):
        return True
    return _LIKE_A_TOKEN.search(text) is not None and any(map(lower.__contains__, _HINTS))
