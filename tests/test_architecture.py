"""The rules of the code base: layers, imports, sources of codes, and what the documents must contain."""

import ast
import re
import subprocess
import tomllib

import pytest

from tests.architecture import (
    LAZY,
    LIBRARY,
    MODULES,
    ROOT,
    cycles,
    graph,
    import_statements,
    imports,
    layer,
    upward_imports,
)
from tests.requirements import skip_missing

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CODE_TABLES = sorted((ROOT / "mappings" / "codes").glob("*.toml"))


def tracked():
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode:
        skip_missing("a git checkout", "run the tests in one")
    for name in filter(None, result.stdout.decode().split("\0")):
        try:
            yield name, (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):  # or a link
            continue


def fenced(language):
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_module_has_a_layer():
    assert [name for name in MODULES if layer(name) is None] == []


def test_a_module_imports_from_its_own_layer_and_lower_ones():
    assert {name: upward_imports(name) for name in MODULES if upward_imports(name)} == {}


def test_no_imports_are_circular():
    assert cycles(graph()) == []


def test_an_import_for_type_checkers_alone_counts():
    assert "fhir_b12.records" in graph()["fhir_b12"]


def test_a_cycle_is_reported_with_its_modules():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "c", "b", "a"]]


def test_the_library_never_imports_the_server():
    assert {name for name in LIBRARY if any(map(is_server, imports(name)))} == set()


def is_server(module):
    return module.startswith(("server", "fhir_b12.server"))


def test_imports_are_absolute_and_at_the_top():
    statements = [(name, *pair) for name in LIBRARY for pair in import_statements(name)]
    relative = [name for name, node, _ in statements if getattr(node, "level", 0)]
    late = [name for name, _, in_function in statements if in_function and name not in LAZY]
    assert (relative, late) == ([], [])


#: functions that are exempt, e.g. because they catch what they raise
EXEMPT = {
    "fhir_b12.definitions.archive.Archive.about",
    "fhir_b12.definitions.archive.Archive.text",
    "fhir_b12.definitions.package_cache.write",
}


def public_functions(module):
    """Yield (qualified name, node) of the public functions and methods of a module."""
    for node in ast.parse(MODULES[module].read_text("utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        owner = f"{module}.{node.name}" if isinstance(node, ast.ClassDef) else module
        for member in members:
            is_function = isinstance(member, ast.FunctionDef)
            if is_function and "._" not in f"{owner}.{member.name}":
                yield f"{owner}.{member.name}", member


def raises(node):
    """True if a function raises an exception itself, not one of a function within it."""
    if isinstance(node, ast.Raise):
        return node.exc is not None and ast.unparse(node.exc) != "NotImplementedError"
    inner = ast.FunctionDef | ast.Lambda
    return any(
        raises(child) for child in ast.iter_child_nodes(node) if not isinstance(child, inner)
    )


def test_a_public_function_documents_that_it_raises():
    undocumented = {
        name
        for module in MODULES
        for name, node in public_functions(module)
        if raises(node) and "Raises:" not in (ast.get_docstring(node) or "")
    }
    assert sorted(undocumented - EXEMPT) == []


def test_every_package_ships():
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert packages - set(PROJECT["tool"]["setuptools"]["packages"]) == set()


def test_no_clinical_code_stands_in_python():
    code = re.compile(r"""["'](\d{1,7}-\d|\d{6,18})["']""")
    files = [path for name in ("fhir_b12", "server") for path in (ROOT / name).rglob("*.py")]
    matches = {path.name: code.findall(path.read_text("utf-8")) for path in files}
    assert {name: codes for name, codes in matches.items() if codes} == {}


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


#: names that say nothing about the value
VAGUE = frozenset({"each", "found", "told", "kept", "made", "asked", "wanted", "said", "held"})


@pytest.mark.parametrize("module", MODULES)
def test_no_variable_has_a_name_that_says_nothing(module):
    path = MODULES[module]
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    names = {
        node.id if isinstance(node, ast.Name) else node.arg
        for node in nodes
        if isinstance(node, ast.Name | ast.arg)
    }
    assert names & VAGUE == set()
