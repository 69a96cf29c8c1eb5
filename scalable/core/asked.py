"""What a caller asked for about a task, keyword by keyword as ``submit`` takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scalable.core.policy import Retry

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Asked"]


class Asked(msgspec.Struct, frozen=True):
    """The keywords of ``submit``, in their order; ``None`` leaves it to others to say."""

    task: str | None = None
    tag: str | None = None
    retries: int | None = None
    retry: Retry | str | None = None
    timeout: float | str | None = None
    isolate: bool | None = None
    idempotent: bool | None = None

    def given(self) -> dict[str, Any]:
        """The keywords that were used, with their values."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}

    def within(self, outer: Self) -> Self:
        """Fill in what was said further out; a policy that is named here brings its own count."""
        given = self.given()
        if "retry" in given:
            given.setdefault("retries", None)
        return msgspec.structs.replace(outer, **given)
