"""The layers of the library and of the server, and the imports between their modules.

`python -m tests.architecture` prints both lists of layers, imports from a higher layer and import
cycles. Imports under TYPE_CHECKING count: a module that names another one depends on it.
"""

import ast
import graphlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "fhir_b12").rglob("*.py"))
    if "server" not in path.relative_to(ROOT).parts
}
SERVER = {
    ".".join(("fhir_b12", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted((ROOT / "server").rglob("*.py"))
    if path != ROOT / "server" / "__init__.py"
}
MODULES = LIBRARY | SERVER

#: From the lowest layer up. A module imports from its own layer and lower ones; a package is a whole.
LAYERS = (
    (
        *("issues", "paths", "data", "jsonio", "jsonscan", "dates", "aliases", "caching"),
        *("printable", "regular_expressions", "suggestions"),
    ),
    ("datatypes",),
    ("records", "references"),
    ("ucum", "units", "models"),
    ("codes", "code_checks", "definitions"),
    ("mapping", "fhirpath"),
    ("plain", "bundles", "explanation", "guide", "validation"),
    ("reports",),
    ("cli", "__main__", ""),
)
#: The layers of the server; `store` is the package itself, `store.` its modules.
SERVER_LAYERS = (
    ("resource_types", "errors", "sql"),
    ("config",),
    ("wire",),
    ("search",),
    ("store",),
    ("store.",),
    ("auth", "rate_limit", "open_store", "telemetry"),
    ("context", "fhir", "therapy", "health"),
    ("routing", "middleware"),
    ("app",),
    ("demo", "serve", "admin"),
)
#: Modules that may import within functions: start-up is quick, extras stay optional.
LAZY = {
    "fhir_b12",
    "fhir_b12.cli.streams",
    "fhir_b12.models",
    "fhir_b12.regular_expressions",
    "fhir_b12.validation.profiles.built_in",
}


def layer(module: str) -> int | None:
    """Return the number of a module's layer, None if it has none."""
    if module in SERVER:
        first, dot, _ = module.removeprefix("fhir_b12.server.").partition(".")
        names = {first, f"{first}."} if dot else {first}
        numbers = [number for number, row in enumerate(SERVER_LAYERS) if names & set(row)]
        return max(numbers, default=None)
    first = module.removeprefix("fhir_b12").lstrip(".").partition(".")[0]
    return next((number for number, names in enumerate(LAYERS) if first in names), None)


def _walk(node: ast.AST, *, in_function: bool) -> Iterator[tuple[ast.stmt, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _walk(child, in_function=in_function or is_function)


@cache
def import_statements(module: str) -> list[tuple[ast.stmt, bool]]:
    """Return the imports of a module, each with True if it is within a function."""
    return list(_walk(ast.parse(MODULES[module].read_text("utf-8")), in_function=False))


def _names(statement: ast.stmt) -> Iterator[str]:
    """The modules that an import names; `from package import name` may name a module."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    for alias in statement.names:
        inner = f"{statement.module}.{alias.name}"
        yield inner if inner in MODULES else statement.module or ""


@cache
def imports(module: str) -> frozenset[str]:
    """Return the modules that a module imports, on start-up, in functions or for type checkers."""
    return frozenset(
        name for statement, _ in import_statements(module) for name in _names(statement)
    )


def upward_imports(module: str) -> list[str]:
    """Return the modules of higher layers that a module imports."""
    same = SERVER if module in SERVER else LIBRARY
    own = layer(module) or 0
    return sorted(name for name in imports(module) & same.keys() if (layer(name) or 0) > own)


def graph() -> dict[str, set[str]]:
    """Return the modules that each module imports, except within its functions."""
    edges = {}
    for module in MODULES:
        statements = [node for node, in_function in import_statements(module) if not in_function]
        names = {name for statement in statements for name in _names(statement)}
        edges[module] = (names & MODULES.keys()) - {module}
    return edges


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return cycles of a graph, each without an edge of those before."""
    rest, result = dict(edges), []
    while True:
        try:
            graphlib.TopologicalSorter(rest).prepare()
        except graphlib.CycleError as error:
            cycle = error.args[1]
            result.append(cycle)
            rest[cycle[1]] = rest[cycle[1]] - {cycle[0]}
        else:
            return result


def main() -> int:
    """Print layers, imports from higher layers and cycles; return 1 if there are any of those."""
    for title, rows in (("Library", LAYERS), ("Server", SERVER_LAYERS)):
        print(f"{title}, from the lowest layer up:")
        for number, names in enumerate(rows):
            print(f"  {number:2}  {'  '.join(filter(None, names))}")
    upward = [f"{module} -> {name}" for module in MODULES for name in upward_imports(module)]
    circular = [" -> ".join(cycle) for cycle in cycles(graph())]
    for title, rows in (("Imports from a higher layer", upward), ("Import cycles", circular)):
        print(f"{title}: {len(rows) or 'none'}")
        for row in rows:
            print(f"  {row}")
    return 1 if upward or circular else 0


if __name__ == "__main__":
    sys.exit(main())
