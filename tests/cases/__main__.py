"""The list of cases for the documentation: `python -m tests.cases`."""

import sys
from itertools import groupby

from fhir_b12.jsonio import dumps
from tests.cases import Case, load


def outcome(case: Case) -> str:
    """What a case must read as, in a line."""
    parts = [case.reads]
    if case.same_as is not None:
        parts.append(f"the same as “{case.same_as}”")
    elif case.differs:
        parts.append(f"`{dumps(case.differs).decode()}`")
    parts += [" ".join(issue) for issue in case.issues]
    parts += [f"{name} means {key or 'no concept here'}" for name, key in case.meaning.items()]
    parts += [f"{name} breaks {key or 'no known step'}" for name, key in case.mechanism.items()]
    return "; ".join(parts)


def render() -> str:
    """Every case by theme and group: its sentence, and what it must read as."""
    lines = ["# What real senders do", ""]
    for theme, cases in groupby(load(), key=lambda case: case.theme):
        lines += [f"## {theme.replace('_', ' ').capitalize()}", ""]
        for about, group in groupby(cases, key=lambda case: case.about):
            lines += [f"### {about}", ""]
            lines += [f"- {case.sentence}\n  → {outcome(case)}" for case in group]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render())
