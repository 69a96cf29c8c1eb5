"""What a test may change in a session."""

from __future__ import annotations

import msgspec

__all__ = ["Terms"]


class Terms(msgspec.Struct, frozen=True):
    """Whether retries wait, and whether there are any."""

    waits: bool = True
    retries: bool = True
