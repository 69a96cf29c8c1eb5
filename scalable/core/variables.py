"""``${VAR}`` and ``${VAR:-default}`` in the texts of a manifest; ``$$`` is a dollar sign.

A variable that is unset, or empty where there is a default, takes the default, as in a shell. Any other
dollar sign means itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scalable.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULTS", "REFERENCES", "escape", "expand"]

REFERENCES = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
"""Names of variables in a text, right or wrong."""
DEFAULTS = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):-[^}]*\}")
"""References with a default."""

_REFERENCE = re.compile(
    r"""\$(?: (?P<escaped>\$)
            | \{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default> (?: (?!\$\{)[^}] )* ) )? \}
            | (?P<unclear>\{ [^}]* \}?)
          )""",
    re.VERBOSE,
)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace the variables of ``text``; raises ``ManifestError`` for one without a value."""

    def replace(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        if found["unclear"]:
            unclear = found["unclear"][:40]
            msg = f"`${unclear}` is no variable; write ${{NAME}} or ${{NAME:-default}}, $$ for a dollar"
            raise ManifestError(msg)
        name, default = found["name"], found["default"]
        value = environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            msg = f"the environment variable `{name}` is not set; set it, or write ${{{name}:-default}}"
            raise ManifestError(msg)
        return value

    return _REFERENCE.sub(replace, text)


def escape(text: str) -> str:
    """Write a text that expands to ``text`` itself, whatever it holds."""
    return text.replace("$", "$$")
