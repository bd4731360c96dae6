"""The house rules: floors, imports, sources, and what the papers must say."""

import ast
import graphlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "fhir_b12").rglob("*.py"))
}
CODE_TABLES = sorted((ROOT / "mappings" / "codes").glob("*.toml"))

#: From the ground up. A module imports from its own floor and those below; a package stands whole.
FLOORS = (
    (
        "issues",
        "paths",
        "data",
        "jsonio",
        "jsonscan",
        "dates",
        "aliases",
        "caching",
        "regular_expressions",
        "suggestions",
    ),
    ("datatypes",),
    ("records", "references"),
    ("units", "models"),
    ("codes", "code_checks", "definitions"),
    ("mapping", "fhirpath"),
    ("plain", "bundles", "explanation", "guide", "validation"),
    ("reports",),
    ("cli", "__main__", ""),
)
#: Where an import may wait until it is needed: start-up is quick, extras stay optional.
LAZY = {
    "fhir_b12",
    "fhir_b12.cli.streams",
    "fhir_b12.models",
    "fhir_b12.regular_expressions",
    "fhir_b12.validation.profiles.built_in",
}


def floor(module):
    first = module.removeprefix("fhir_b12").lstrip(".").partition(".")[0]
    return next((number for number, names in enumerate(FLOORS) if first in names), None)


SERVER = {
    "fhir_b12.server."
    + ".".join(path.relative_to(ROOT / "server").with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for path in sorted((ROOT / "server").rglob("*.py"))
    if path != ROOT / "server" / "__init__.py"
}
#: The facade, from the ground up; longer names first where one begins another.
SERVER_FLOORS = (
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


def server_floor(module):
    name = module.removeprefix("fhir_b12.server.")
    first, dot, _ = name.partition(".")
    names = {first, f"{first}."} if dot else {first}
    found = [number for number, row in enumerate(SERVER_FLOORS) if names & set(row)]
    return max(found, default=None)


def is_typing_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(node, *, deep=False):
    """(statement, whether it stands at the top) of each import that happens at run time."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, not deep
        elif not is_typing_only(child):
            yield from imports(child, deep=True)


def targets(statement):
    """Every module that an import names; `from package import name` may name a module."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    for alias in statement.names:
        inner = f"{statement.module}.{alias.name}"
        yield inner if inner in MODULES or inner in SERVER else statement.module or ""


def imported(module):
    path = MODULES.get(module) or SERVER[module]
    for statement, _ in imports(ast.parse(path.read_text("utf-8"))):
        yield from targets(statement)


def tracked():
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        try:
            yield name, (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):  # or a link
            continue


def fenced(language):
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_module_has_its_floor():
    assert [name for name in MODULES if floor(name) is None] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_own_floor_and_below(module):
    above = [
        other
        for other in imported(module)
        if other.partition(".")[0] == "fhir_b12" and (floor(other) or 0) > (floor(module) or 0)
    ]
    assert above == []


def test_no_imports_run_in_a_circle():
    graph = {
        name: {other for other in imported(name) if other in MODULES and other != name}
        for name in MODULES
        if name not in LAZY
    }
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_the_library_never_imports_the_server(module):
    servers = ("server", "fhir_b12.server")
    assert [other for other in imported(module) if other.startswith(servers)] == []


def test_every_module_of_the_server_has_its_floor():
    assert [name for name in SERVER if server_floor(name) is None] == []


@pytest.mark.parametrize("module", SERVER)
def test_a_module_of_the_server_imports_from_its_own_floor_and_below(module):
    above = [
        other
        for other in imported(module)
        if other in SERVER and server_floor(other) > server_floor(module)
    ]
    assert above == []


def test_no_imports_of_the_server_run_in_a_circle():
    graph = {
        name: {other for other in imported(name) if other in SERVER and other != name}
        for name in SERVER
    }
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute_and_at_the_top(module):
    found = list(imports(ast.parse(MODULES[module].read_text("utf-8"))))
    assert [ast.unparse(node) for node, _ in found if getattr(node, "level", 0)] == []
    if module not in LAZY:
        assert [ast.unparse(node) for node, top in found if not top] == []


def test_every_package_ships():
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert packages - set(PROJECT["tool"]["setuptools"]["packages"]) == set()


def test_no_clinical_code_stands_in_python():
    code = re.compile(r"""["'](\d{1,7}-\d|\d{6,18})["']""")
    files = [path for name in ("fhir_b12", "server") for path in (ROOT / name).rglob("*.py")]
    found = {path.name: code.findall(path.read_text("utf-8")) for path in files}
    assert {name: codes for name, codes in found.items() if codes} == {}


@pytest.mark.parametrize("path", CODE_TABLES, ids=lambda path: path.stem)
def test_every_row_of_a_code_table_names_its_source(path):
    table = tomllib.loads(path.read_text("utf-8"))
    rows = {key: row for key, row in table.items() if isinstance(row, dict)}
    assert [key for key, row in rows.items() if not row.get("source", table.get("source"))] == []


def test_the_readme_names_both_commands_first():
    assert fenced("sh")[0].split("#")[0].strip() == "make demo"
    assert "make test" in fenced("sh")[0]


@pytest.mark.parametrize("snippet", fenced("python"))
def test_the_python_of_the_readme_runs(snippet):
    exec(compile(snippet, "README.md", "exec"), {})


def test_the_changelog_knows_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(PROJECT['project']['version'])}\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("somebody's folder", r"(?<![\w.$~*])/(?:home|root|work|Users)/\w"),
        ("a registry's host", r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|proxy\.golang"),
        ("unfinished work", r"\b(?:T[O]DO|F[I]XME|X[X]X)\b"),
    ],
)
def test_tracked_files_hold_nothing_of(what, pattern):
    # data of other people may hold any word
    texts = [(name, text) for name, text in tracked() if not name.endswith((".json", ".ndjson"))]
    assert [name for name, text in texts if re.search(pattern, text)] == [], what
