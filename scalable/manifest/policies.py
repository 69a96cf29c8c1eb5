"""The retry policies of a manifest: as written, and as the :class:`~scalable.Retry` they stand for."""

import importlib
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from scalable.core.policy import Jitter, Retry
from scalable.errors import ManifestError
from scalable.manifest.kinds import Duration, ExceptionName, Function, Retries

__all__ = ["RetryModel"]


class RetryModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named policy: how often a failed task is tried again, and how long each wait is."""

    retries: Annotated[Retries, Meta(description="Extra attempts after the first.")] = 3
    base: Annotated[Duration, Meta(description="The first wait, such as 2s.")] = 1.0
    factor: Annotated[float, Meta(le=1_000, description="By how much each wait grows; at least 1.")] = 2.0
    max_delay: Annotated[Duration, Meta(description="The longest wait, such as 1m.")] = 60.0
    jitter: Annotated[
        Jitter,
        Meta(description="How much of a wait is left to chance, so that tasks do not retry together."),
    ] = "equal"
    deadline: Annotated[
        Duration | None, Meta(description="The time for all attempts and waits of a task together.")
    ] = None
    transient: Annotated[
        tuple[ExceptionName, ...],
        Meta(
            description="Exceptions worth another try, as dotted names; looked at before the built-in rules."
        ),
    ] = ()
    permanent: Annotated[
        tuple[ExceptionName, ...],
        Meta(description="Exceptions not worth another try, as dotted names; likewise."),
    ] = ()
    classify: Annotated[
        Function | None,
        Meta(
            description="A function of the exception, as package.module:name, that decides before the rules."
        ),
    ] = None
    worker_losses: Annotated[
        Retries,
        Meta(description="How often a worker may be lost under a task; uses up none of the retries."),
    ] = 3
    breaker: Annotated[
        bool,
        Meta(description="Park tasks while many of them fail alike, until a probe succeeds."),
    ] = True
    patience: Annotated[
        Duration,
        Meta(description="How long tasks may be parked, such as 10m; then they go on by themselves."),
    ] = 300.0

    def build(self) -> Retry:
        """Build the policy itself; imports ``classify``, so it is for the start of a session."""
        fields: dict[str, Any] = structs.asdict(self)
        if self.classify is not None:
            fields["classify"] = _imported(self.classify)
        return Retry(**fields)


def _imported(name: str) -> Any:
    """Import the function behind ``package.module:name``."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        msg = f"the retry policy's classify function {name!r} cannot be imported: {error}"
        raise ManifestError(msg) from error
    if not callable(found):
        msg = f"the retry policy's classify {name!r} is a {type(found).__name__}, not a function"
        raise ManifestError(msg)
    return found
