"""The page ``/scalable`` beside Dask's dashboard: how each session of the scheduler stands, now.

It needs nothing but Dask's own web server, which a scheduler has also where bokeh is missing. The page asks
for ``/scalable/data`` every second. The two stay when the plugin goes, and say then that there is nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tornado.web import RequestHandler

from scalable.core.text import csp_source

if TYPE_CHECKING:
    from distributed import Scheduler

    from scalable.engine.scheduler.supervisor import Supervisor

__all__ = ["serve", "standing"]

PATH = "/scalable"
MARK = "_scalable_page"
MARKUP = Path(__file__).with_name("page.html")


def serve(scheduler: Scheduler) -> None:
    """Add the page to a scheduler's web server, where it has one, and has not got the page already."""
    application: Any = getattr(scheduler, "http_application", None)
    if application is None or hasattr(application, MARK):
        return
    setattr(application, MARK, True)
    about = {"scheduler": scheduler}
    application.add_handlers(".*$", [(PATH, _Page), (f"{PATH}/", _Page), (f"{PATH}/data", _Data, about)])


def standing(supervisor: Supervisor) -> list[dict[str, Any]]:
    """Say of each session how it stands, as plain data."""
    return [
        {
            "run_id": run_id,
            "counts": session.by_state() | {"parked": session.parked},
            "parked": supervisor.parking.told(run_id),
            **msgspec.to_builtins(session.live.view()),
        }
        for run_id, session in supervisor.sessions.items()
    ]


class _Page(RequestHandler):
    def get(self) -> None:
        text = MARKUP.read_text(encoding="utf-8")
        script, style = (
            text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("script", "style")
        )
        allowed = f"connect-src 'self'; script-src {csp_source(script)}; style-src {csp_source(style)}"
        others = "default-src 'none'; base-uri 'none'; frame-ancestors 'self'"
        self.set_header("Content-Security-Policy", f"{allowed}; {others}")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(text)


class _Data(RequestHandler):
    def initialize(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def get(self) -> None:
        supervisor: Any = self._scheduler.plugins.get("scalable")
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(standing(supervisor) if supervisor is not None else []))
