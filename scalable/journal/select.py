"""Which failures are asked for: a test on their lines, and the fields that it looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["ALL", "Select"]


class Select(msgspec.Struct, frozen=True):
    """``test`` says of a line whether it is meant; the line has (at least) the fields ``names``."""

    names: frozenset[str] = frozenset()
    test: Callable[[Any], bool] | None = None


ALL = Select()
