"""The end of a session: its tasks are let go, and those that others want are theirs from then on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scalable.engine.messages import ANNOTATION

if TYPE_CHECKING:
    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["end_session"]


def end_session(supervisor: Supervisor, run_id: str) -> None:
    """Let go of a session and of its tasks."""
    session = supervisor.sessions.pop(run_id)
    for key in [key for key, tracked in supervisor.tracked.items() if tracked.session is session]:
        if key in supervisor.tracked:  # it may have gone with another
            _dismiss(supervisor, key)
    supervisor.parking.close(run_id)
    supervisor.injection.forget(run_id)


def _dismiss(supervisor: Supervisor, key: Any) -> None:
    client = supervisor.tracked[key].session.client
    supervisor.forget(key)
    state = supervisor.scheduler.tasks.get(key)
    if state is None:
        return
    others = {each.client_key for each in state.who_wants or ()} - {client}
    (state.annotations or {}).pop(ANNOTATION, None)
    heir = next((each for each in supervisor.sessions.values() if each.client in others), None)
    if heir is not None and state.state not in ("memory", "erred"):
        supervisor.follow(state, heir, time.time())
    if others and state.state == "no-worker":  # it may have been held
        supervisor.scheduler.transitions({key: "processing"}, f"scalable-dismiss-{time.time()}")
