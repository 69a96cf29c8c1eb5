"""What the run of a flow asks of its client: the flow itself knows neither Dask nor sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scalable.core.failure import Failure
    from scalable.grid.future import GridFuture

__all__ = ["FlowClient"]


class FlowClient(Protocol):
    """A client that runs flows."""

    status: str

    def flow_check(self, options: Mapping[str, Any], batch: Any = None) -> None:
        """Raise what submitting with these options would raise; ``batch`` is that of a grid."""

    def flow_submit(
        self, fn: Callable[..., Any], given: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Any:
        """Submit a call with what it takes by name: values, futures, grids and outputs of tasks."""

    def grid(self, fn: Callable[..., Any], expression: str, **keywords: Any) -> GridFuture:
        """Submit calls over a grid."""

    def flow_wait(self, futures: Sequence[Any], timeout: float | None = None, *, first: bool = False) -> None:
        """Wait until all have ended, or the first of them; raises ``TimeoutError`` after some seconds."""

    def flow_look(self, futures: Sequence[Any]) -> list[tuple[Any, Failure | None]]:
        """For each what ``info`` says, ``None`` where nothing is known, and why it failed for good."""

    def flow_records(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the lines of the journal about tasks and failures, each with its file, in order of time."""

    def grid_values(self, futures: Sequence[Any]) -> list[Any]:
        """Wait, and return the result of each, or a hole."""

    def grid_retry(self, grids: Sequence[Any], holes: Mapping[Any, Any], terms: Mapping[str, Any]) -> None:
        """Run calls of grids that failed again."""

    def cancel(self, futures: Sequence[Any]) -> Any:
        """Cancel tasks."""
