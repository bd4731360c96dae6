"""The parts that are mutated, their tests, and the mutants known to be equivalent."""

import ast
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Part:
    """A row of parts.toml."""

    name: str
    files: tuple[str, ...]  #: relative to the root of the project
    tests: tuple[str, ...]
    first: dict[str, list[str]] = field(default_factory=dict)

    def tests_of(self, file: str) -> tuple[str, ...]:
        """Return the tests to run against a mutant of a file, in order."""
        return tuple(dict.fromkeys([*self.first.get(file, ()), *self.tests]))


@dataclass(frozen=True)
class Equivalent:
    """A row of equivalent.toml."""

    file: str
    function: str
    line: str
    mutant: str
    reason: str

    def is_stale(self, root: Path = ROOT) -> bool:
        """True if the function no longer has the line."""
        path = root / self.file
        if not path.is_file():
            return True
        source = path.read_text("utf-8")
        text = _functions(source).get(self.function)
        wanted = [line.strip() for line in self.line.splitlines()]
        return text is None or not set(wanted) <= {line.strip() for line in text.splitlines()}


def _functions(source: str) -> dict[str, str]:
    """The source of each function and method by its dotted name."""
    texts = {}
    for node in ast.parse(source).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for member in members:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_source_segment(source, member) or ""
                # overloads and property setters share a name
                texts[prefix + member.name] = texts.get(prefix + member.name, "") + "\n" + text
    return texts


def load_parts(root: Path = ROOT) -> dict[str, Part]:
    """Read parts.toml.

    Raises:
        FileNotFoundError: a pattern matches no module, or a test file is missing.

    """
    parts = {}
    for name, row in tomllib.loads((HERE / "parts.toml").read_text("utf-8")).items():
        left_out = set(_match(root, row.get("except", ())))
        files = tuple(
            file
            for file in dict.fromkeys(_match(root, row["files"]))
            if file not in left_out and (root / file).stat().st_size
        )
        first = row.get("first", {})
        named = [*row["tests"], *first, *(test for tests in first.values() for test in tests)]
        for test in named:
            if not (root / test).exists():
                raise FileNotFoundError(f"parts.toml: {name}: no file or folder {test}")
        parts[name] = Part(name, files, tuple(row["tests"]), first)
    return parts


def _match(root: Path, patterns) -> list[str]:
    """Return the paths that match, relative to the root."""
    paths = []
    for pattern in patterns:
        matches = sorted(root.glob(pattern))
        if not matches:
            raise FileNotFoundError(f"parts.toml: no module matches {pattern}")
        paths += [path.relative_to(root).as_posix() for path in matches]
    return paths


def load_equivalents() -> list[Equivalent]:
    """Read equivalent.toml."""
    rows = tomllib.loads((HERE / "equivalent.toml").read_text("utf-8")).get("equivalent", [])
    return [Equivalent(**row) for row in rows]
