"""How components share workers: which can live together, how workers and tokens are dealt out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from scalable.core.variables import expand
from scalable.errors import ManifestError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scalable.manifest import Component

__all__ = ["Group", "deal", "group", "split", "token"]


class Group(Struct):
    """Components that one set of workers can serve, and the environment of those workers, as written."""

    components: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def takes(self, values: Mapping[str, str]) -> bool:
        """Whether no variable would need two values."""
        return all(self.values.get(name, value) == value for name, value in values.items())

    def add(self, component: str, env: Mapping[str, str], values: Mapping[str, str]) -> None:
        """Let a component in."""
        self.components.append(component)
        for variable, text in env.items():
            self.env.setdefault(variable, text)
        self.values.update(values)


def group(components: Mapping[str, Component], environ: Mapping[str, str]) -> list[Group]:
    """Put each component into the first group whose environment agrees with its own.

    Environments are compared by what their variables amount to, and kept as they are written. There is
    always one group, if an empty one.
    """
    groups = [Group()]
    for name, component in components.items():
        values = _values(name, component.env, environ)
        home = next((each for each in groups if each.takes(values)), None)
        if home is None:
            home = Group()
            groups.append(home)
        home.add(name, component.env, values)
    return groups


def _values(component: str, env: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: expand(text, environ) for name, text in env.items()}
    except ManifestError as error:
        msg = f"the environment of component `{component}` cannot be filled in: {error}"
        raise PlanError(msg) from error


def split(total: int, parts: int) -> list[int]:
    """Divide a number into parts as equal as can be, the larger ones first."""
    each, extra = divmod(total, parts)
    return [each + (i < extra) for i in range(parts)]


def deal(slots: Iterable[tuple[str, int]], workers: int) -> list[dict[str, int]]:
    """Deal tokens to workers in turn; each kind begins where the last one ended.

    So the few tokens of several components come to lie on different workers, and do not wait for each other.
    """
    hands: list[dict[str, int]] = [{} for _ in range(workers)]
    turn = 0
    for name, count in slots:
        for i, share in enumerate(split(count, workers)):
            if share:
                hands[(turn + i) % workers][name] = share
        turn = (turn + count) % workers
    return hands


def token(component: str) -> str:
    """Name the Dask resource that a task of the component takes one of."""
    return f"scalable:{component}"
