"""Every exception that ``scalable`` raises, as one tree.

::

    ScalableError
    ├── ManifestError        the YAML file is wrong: every problem, with its place
    ├── PlanError            the manifest is right, but cannot be planned for this target
    ├── GridError            (ValueError) an index expression is wrong, or does not fit its inputs
    ├── FlowError            (ValueError) a flow does not fit together, or not its inputs: every problem
    ├── SessionError         a session cannot start, or is used after its end
    ├── TransientError       raised *by a task*: try again (optionally after ``retry_after`` seconds)
    ├── PermanentError       raised *by a task*: do not try again
    ├── TaskTimeout          (TimeoutError) an attempt overran its ``timeout``
    ├── TaskDied             the isolated process of a task died
    ├── WorkerLost           the worker that ran the task went away, once too often
    ├── OutOfMemory          (MemoryError) the task wanted more memory than it may have
    └── UpstreamFailed       an input of the task failed; ``__cause__`` is the root failure

Each one pickles with its fields, because it may be raised on a worker and seen on a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "FlowError",
    "GridError",
    "ManifestError",
    "OutOfMemory",
    "PermanentError",
    "PlanError",
    "ScalableError",
    "SessionError",
    "TaskDied",
    "TaskTimeout",
    "TransientError",
    "UpstreamFailed",
    "WorkerLost",
]


class ScalableError(Exception):
    """Base of everything that ``scalable`` raises."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.__dict__.update(fields)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and fields, whatever the subclass' own signature is."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(cls: type[ScalableError], args: tuple[Any, ...], fields: Mapping[str, Any]) -> ScalableError:
    # By the first base that is none of ours: object.__new__ refuses to make what is also a MemoryError.
    maker: type[Any] = cls
    while issubclass(maker, ScalableError):
        maker = maker.__base__ or Exception
    error: ScalableError = maker.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class ManifestError(ScalableError):
    """A manifest is wrong.

    ``problems`` holds every problem found, in file order, each printable as
    ``file:line:column: path: what is wrong``.
    """

    def __init__(self, message: str, problems: Sequence[Any] = ()) -> None:
        super().__init__(message, problems=tuple(problems))

    problems: tuple[Any, ...]


class PlanError(ScalableError):
    """A valid manifest that cannot be planned for the target that was asked for."""


class GridError(ScalableError, ValueError):
    """An index expression that is wrong, or that does not fit the function and the inputs it is given for."""


class FlowError(ScalableError, ValueError):
    """A flow whose parts do not fit together, or inputs that do not fit a flow; ``problems`` holds each."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message, problems=tuple(problems))

    problems: tuple[str, ...]


class SessionError(ScalableError):
    """A session that cannot start, or is used in a state that does not allow it."""


class TransientError(ScalableError):
    """Raise it in a task to say: this may work next time.

    ``retry_after`` is the number of seconds to wait before the next attempt, a day at most; ``None``
    leaves the wait to the task's :class:`~scalable.Retry`. It does not add attempts: ``retries`` still
    bounds them.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)

    retry_after: float | None


class PermanentError(ScalableError):
    """Raise it in a task to say: trying again is pointless, whatever ``retries`` says."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


class TaskTimeout(ScalableError, TimeoutError):  # noqa: N818 - says what happened, as all on the task's side do
    """An attempt ran longer than the task's ``timeout`` (seconds)."""


class TaskDied(ScalableError):  # noqa: N818 - as above
    """The isolated process of a task died; ``exit_code`` or ``signal`` say how."""


class WorkerLost(ScalableError):  # noqa: N818 - as above
    """The worker that ran the task was lost, more often than ``worker_losses`` allows."""


class OutOfMemory(ScalableError, MemoryError):  # noqa: N818 - as above
    """The task needed more memory than it may have."""


class UpstreamFailed(ScalableError):  # noqa: N818 - as above
    """The task never ran, because an input of it failed; ``__cause__`` is the root failure."""
