"""What no single field can tell: names that refer to each other, and policies that make sense.

A name counts as known when it is written, even where its own entry has problems.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from scalable.core.policy import Retry
from scalable.core.redact import MOST_PATTERNS, is_pattern
from scalable.errors import PlanError
from scalable.manifest.model import DEFAULT, Component, Task
from scalable.manifest.nodes import Node, Scalar, Table, at
from scalable.manifest.problems import Place, suggest
from scalable.manifest.scalars import shown

if TYPE_CHECKING:
    from scalable.manifest.faults import FaultsModel
    from scalable.manifest.policies import RetryModel
    from scalable.manifest.problems import Problems

__all__ = ["check"]


def check(root: Table, values: dict[str, Any], problems: Problems) -> None:
    """Report what is wrong between the fields of a document."""
    for name, task in values.get("tasks", {}).items():
        _references(root, name, task, problems)
        _escalation(root, name, task, values.get("components", {}), problems)
    for field in ("escalate", "fallback"):
        _chains(root, field, values.get("components", {}), problems)
    _redactions(root, values, problems)
    for name in values.get("retry", {}):
        _policy(at(root, "retry", name), values["retry"][name], f"retry.{name}", problems)
    if (faults := values.get("faults")) is not None and not problems.within("faults"):
        _faults(root, faults, problems)
    for name, target in values.get("targets", {}).items():
        least, most = getattr(target, "min_workers", 0), getattr(target, "max_workers", None)
        if most is not None and least > most:
            place = _place(at(root, "targets", name, "min_workers"))
            message = f"expected at most max_workers, which is {most}, got {least}"
            problems.add(place, f"targets.{name}.min_workers", message)


def _redactions(root: Table, values: dict[str, Any], problems: Problems) -> None:
    """Each pattern is tried on every text."""
    for path, entries in (("redact", values.get("redact", ())), ("telemetry.redact", _telemetry(values))):
        if (many := sum(map(is_pattern, entries))) > MOST_PATTERNS:
            place = _place(at(root, *path.split(".")))
            problems.add(place, path, f"expected at most {MOST_PATTERNS} patterns, got {many}")


def _telemetry(values: dict[str, Any]) -> tuple[str, ...]:
    return values["telemetry"].redact if "telemetry" in values else ()


def _faults(root: Table, faults: FaultsModel, problems: Problems) -> None:
    """Make the plan, so that it can refuse; a name without a dot is Python's own, or there is none."""
    try:
        plan = faults.build()
    except PlanError as error:
        words = str(error).removeprefix("the fault plan is wrong: ")
        problems.add(_place(at(root, "faults")), "faults", words)
        return
    own = {name for name, each in vars(builtins).items() if isinstance(each, type)}
    errors = {name for name in own if issubclass(getattr(builtins, name), BaseException)}
    for name in plan.raised:
        if "." not in name and name not in errors:
            hint = suggest(name, errors) or "write it with its module, as in `json.JSONDecodeError`"
            problems.add(
                _place(at(root, "faults")), "faults", f"errors: there is no exception {name!r}", hint
            )
    known, wanted = _names(root, "components"), plan.target.component
    if wanted is not None and wanted not in known:
        node = at(root, "faults", "target", "component")
        hint = suggest(wanted, known) or "`components:` names none"
        problems.add(_place(node), "faults.target.component", f"unknown component {wanted!r}", hint)


def _references(root: Table, name: str, task: Task, problems: Problems) -> None:
    for field, section, known in (
        ("component", "components", _names(root, "components")),
        ("retry", "retry", {*_names(root, "retry"), DEFAULT}),
    ):
        wanted = getattr(task, field)
        if wanted is None or wanted in known:
            continue
        node = at(root, "tasks", name, field)
        written = shown(node) if isinstance(node, Scalar) else repr(wanted)
        what = "component" if field == "component" else "retry policy"
        hint = suggest(wanted, known) or f"`{section}:` names none"
        problems.add(_place(node), f"tasks.{name}.{field}", f"unknown {what} {written}", hint)


def _chains(root: Table, field: str, components: dict[str, Component], problems: Problems) -> None:
    """Follow each chain of components to its end; one that comes back to its beginning is told once."""
    known, told = _names(root, "components"), set[str]()
    for name, component in components.items():
        node, path = at(root, "components", name, field), f"components.{name}.{field}"
        wanted = getattr(component, field)
        if wanted is not None and wanted not in known:
            written = shown(node) if isinstance(node, Scalar) else repr(wanted)
            problems.add(_place(node), path, f"unknown component {written}", suggest(wanted, known))
        seen = [name]
        while (wanted := getattr(components.get(seen[-1]), field, None)) is not None and wanted not in seen:
            seen.append(wanted)
        if wanted == name and told.isdisjoint(seen):
            told.update(seen)
            hint = f"leave out `{field}` of one of them"
            problems.add(_place(node), path, f"goes in a circle: {' → '.join([*seen, name])}", hint)


def _escalation(
    root: Table, name: str, task: Task, components: dict[str, Component], problems: Problems
) -> None:
    """Hold the factors of a task against what there is to multiply, and to bound it."""
    node, path, wanted = at(root, "tasks", name, "escalate"), f"tasks.{name}.escalate", task.escalate
    if wanted is None or not isinstance(node, Table):
        return
    factor = at(node, "memory")
    if wanted.memory is not None and wanted.up_to is None and at(node, "up_to") is None:
        hint = "say where it ends, such as `up_to: 16G`"
        problems.add(_place(factor), f"{path}.memory", "`memory` needs `up_to`", hint)
    component = components.get(task.component or "")
    if wanted.memory is not None and (component is None or component.memory is None):
        hint = "give the task a component that has `memory`"
        problems.add(_place(factor), f"{path}.memory", "there is no memory limit to multiply", hint)
    if not node.entries:
        problems.add(node.place, path, "says nothing", "write `memory: 2x, up_to: 16G` or `timeout: 2x`")


def _names(root: Table, section: str) -> set[str]:
    table = at(root, section)
    return {entry.key for entry in table.entries} if isinstance(table, Table) else set()


def _policy(node: Node | None, model: RetryModel, path: str, problems: Problems) -> None:
    """Hand each number to the real policy by itself, so that its refusal has a place."""
    for entry in node.entries if isinstance(node, Table) else ():
        number: dict[str, Any] = {entry.key: getattr(model, entry.key, None)}
        if not isinstance(number[entry.key], int | float) or not isinstance(entry.node, Scalar):
            continue
        try:
            Retry(**number)
        except (ValueError, TypeError) as error:
            # The policy quotes the value, which may be a secret's; what was written is shown instead.
            expected = str(error).removeprefix("Retry: ").partition(", not ")[0]
            problems.add(entry.node.place, f"{path}.{entry.key}", f"{expected}, not {shown(entry.node)}")


def _place(node: Node | None) -> Place:
    return Place() if node is None else node.place
