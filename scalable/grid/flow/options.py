"""What may be said about how a step runs: the keywords of ``client.submit``, kept until it does."""

from __future__ import annotations

from typing import Any

import msgspec

from scalable.core.asked import Asked
from scalable.core.policy import Retry
from scalable.errors import FlowError

__all__ = ["Options", "of_runs", "retrying", "whole"]


class Options(Asked, frozen=True, kw_only=True):
    """How a step is run; raises ``FlowError`` for retries that are none."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant as retries; the rest is checked against the session that runs it."""
        if self.retries is not None:
            _must_be_retries(self.retries)
        retry: object = self.retry
        if retry is not None and not isinstance(retry, Retry | str):
            hint = "a number of extra attempts is retries=…"
            msg = f"retry takes a Retry or the name of a policy, not {retry!r}; {hint}"
            raise FlowError(msg)

    def to_dict(self) -> dict[str, Any]:
        """The keywords that were used, as plain data; a function in a policy is named."""
        return msgspec.to_builtins(self.given(), enc_hook=_named)  # type: ignore[no-any-return]


def retrying(wish: Retry | str | int) -> Options:
    """Turn a number of extra attempts, a policy or the name of one into options."""
    if isinstance(wish, Retry | str):
        return Options(retry=wish)
    _must_be_retries(wish)
    return Options(retries=wish)


def of_runs(max_runs: int, waits: Retry | str | None) -> Options:
    """Turn a total number of runs into options: again, whatever was raised, with the waits of a policy.

    There is no breaker: where every error counts as transient, many of them do not mean that something is
    away. Where ``waits`` is a name, what it stands for is not known here, and its waits are the usual ones.
    """
    if not whole(max_runs, least=1):
        msg = f"max_runs takes a whole number of runs in all, at least 1, not {max_runs!r}"
        raise FlowError(msg)
    policy = msgspec.structs.replace(
        waits if isinstance(waits, Retry) else Retry(),
        retries=max_runs - 1,
        transient=(Exception,),
        permanent=(),
        classify=None,
        breaker=False,
    )
    return Options(retry=policy)


def whole(value: object, *, least: int) -> bool:
    """Whether a value is a whole number, and not too small."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _must_be_retries(value: object) -> None:
    if not whole(value, least=0):
        msg = f"retries takes a whole number of extra attempts, not {value!r}"
        raise FlowError(msg)


def _named(value: object) -> str:
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
