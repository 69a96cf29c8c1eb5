"""The last look at what is written down of a run: nothing that is to be hidden gets past.

Workers redact where reports are made, so that no secret travels; here it is certain. One gate serves a run,
in the process that writes its files.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import msgspec

from scalable.core.redact import Redactor

__all__ = ["Gate"]

NESTED = (dict, list, tuple)
KEYS = frozenset({"key", "root"})
OURS = frozenset(
    "schema seq at run_id event state replaces outcome kind action fingerprint cache cache_key signal "
    "submitted_at started_at finished_at worker address host".split()
)
"""Fields whose texts are made here: times, numbers, words of a list, names of machines."""
BARE_MARK = re.compile(r"(?m)((?:^|[\s{\[,])(?:[^\s'\"{}\[\],#]+:|-)[ \t]+|[\[,][ \t]*)\*\*\*(?=[\s,}\]]|\Z)")
"""A mark in YAML that no quotes are around."""


class Gate:
    """Takes secrets out of records, and out of the keys in them: of one key always the same is left."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.secrets = redactor or Redactor()
        self._salt = secrets.token_bytes(16)  # of this run: the digest of a key tells nobody what was in it

    def key(self, key: str) -> str:
        """A key as records have it."""
        return self.secrets.key(key, self._salt)

    def records(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same records without secrets; one look at many of them tells that most have none."""
        texts: list[str] = []
        plain = len(records) > 1 and all(_gathered(record, texts) for record in records)
        if plain and self.secrets.harmless("\0".join(texts)):
            return records
        return [self.record(record) for record in records]

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """The fields of a record; where there is no secret, the very same."""
        texts: list[str] = []
        if _gathered(record, texts) and self.secrets.harmless("\0".join(texts)):
            return record
        return {name: self._field(name, value) for name, value in record.items()}

    def json(self, text: str) -> str:
        """Indented JSON of another file."""
        values = self.secrets.value(msgspec.json.decode(text))
        return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n"

    def manifest(self, text: str) -> str:
        """YAML, which it still is afterwards: a bare mark would begin an alias."""
        return BARE_MARK.sub(r"\1'***'", self.secrets.text(text))

    def _field(self, name: str, value: Any) -> Any:
        if name in OURS:
            return value
        if name in KEYS and isinstance(value, str):
            return self.key(value)
        return [self.key(each) for each in value] if name == "running" else self.secrets.value(value)


def _gathered(record: dict[str, Any], texts: list[str]) -> bool:
    """Add the texts of a record to others; whether it has no more than texts and numbers."""
    for name, value in record.items():
        if value is None or name in OURS:
            continue
        if type(value) is str:
            texts.append(value)
        elif value and type(value) in NESTED:
            return False
    return True
