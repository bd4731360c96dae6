"""The list of cases for the documentation: `python -m tests.cases`."""

import sys
from itertools import groupby

from fhir_b12.jsonio import dumps
from tests.cases import Case, load


def format_expected(case: Case) -> str:
    """Return the expected result of a case in one line."""
    parts = [case.reads]
    if case.same_as is not None:
        parts.append(f"the same as “{case.same_as}”")
    elif case.own_record:
        parts.append(f"`{dumps(case.own_record).decode()}`")
    parts += [" ".join(issue) for issue in case.issues]
    parts += [f"{name} means {key or 'no known concept'}" for name, key in case.meaning.items()]
    parts += [f"{name} has the mechanism {key or 'none'}" for name, key in case.mechanism.items()]
    return "; ".join(parts)


def render() -> str:
    """Return a Markdown list of the cases by theme and group, with expected results."""
    lines = ["# Resources as real systems send them", ""]
    for theme, cases in groupby(load(), key=lambda case: case.theme):
        lines += [f"## {theme.replace('_', ' ').capitalize()}", ""]
        for about, group in groupby(cases, key=lambda case: case.about):
            lines += [f"### {about}", ""]
            lines += [f"- {case.title}\n  → {format_expected(case)}" for case in group]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render())
