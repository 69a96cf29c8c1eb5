"""Survey how complex the Python is that is installed here.

One task per ``.py`` file of the running Python's standard library and site-packages: parse it with ``ast``
and count functions, branches and docstrings. Some files are broken on purpose (they test parsers); those
fail for good, and the report says why. Results are cached by file content: a second run parses nothing.

    scalable run examples/stdlib_survey.py --manifest examples/stdlib_survey.yaml
    scalable report --last --failures
"""

import ast
import sysconfig
import time
import warnings
from pathlib import Path

from scalable import FileType, cacheable

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
BRANCHES = (
    *(ast.If, ast.For, ast.While, ast.Try, ast.With),
    *(ast.BoolOp, ast.IfExp, ast.comprehension, ast.Match),
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cacheable(return_type=dict, path=FileType)
def measure(path: str) -> dict:
    """Count what makes a module complex. Raises what ``ast.parse`` raises where a file can't be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old code warns about its escapes
        tree = ast.parse(Path(path).read_bytes())
    found = dict.fromkeys(("functions", "branches", "docstrings"), 0)
    for node in ast.walk(tree):
        found["functions"] += isinstance(node, FUNCTIONS)
        found["branches"] += isinstance(node, BRANCHES)
        found["docstrings"] += (
            isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None
        )
    return found


def python_files() -> list[str]:
    """List every ``.py`` file of the standard library and of this environment's site-packages."""
    stdlib = Path(sysconfig.get_path("stdlib")).resolve()
    of_stdlib = {p for p in stdlib.rglob("*.py") if not {"site-packages", "dist-packages"} & set(p.parts)}
    places = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    installed = {path for place in places for path in place.rglob("*.py")}
    return sorted(str(path) for path in of_stdlib | installed if path.is_file())


def main(client) -> None:  # noqa: ANN001 - a ScalableClient
    """Survey every file and print the ten most complex modules."""
    files = python_files()
    began = time.perf_counter()
    futures = client.map(measure, files, task="measure")
    outcome = client.collect(dict(zip(files, futures, strict=True)))
    took = time.perf_counter() - began
    print(f"{outcome.summary()} in {took:.1f} s")
    if not outcome.results:
        return
    total = {
        key: sum(found[key] for found in outcome.results.values())
        for key in ("functions", "branches", "docstrings")
    }
    print("in all: " + ", ".join(f"{count:,} {name}" for name, count in total.items()))
    print("the ten most complex modules:")
    ranked = sorted(outcome.results.items(), key=lambda item: item[1]["branches"], reverse=True)
    for path, found in ranked[:10]:
        name = "/".join(Path(path).parts[-3:])
        print(f"  {found['branches']:6,} branches  {found['functions']:5,} functions  {name}")
