"""``scalable schema``: for editors that complete and check ``scalable.yaml``."""

from __future__ import annotations

from scalable.cli.tell import say

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON Schema of scalable.yaml."""
    import json

    from scalable.manifest.schema import json_schema

    say(json.dumps(json_schema(), indent=2))
