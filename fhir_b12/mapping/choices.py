"""Elements with a choice of types, `value[x]`, of which a resource has one at most.

https://hl7.org/fhir/R4/formats.html#choice
"""

from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.mapping import table as tables


def choice_names(source: tables.Table, parent: tuple[str, ...]) -> dict[str, str]:
    """Return the JSON names of the choices below an element, each with the path of its choice."""
    above = ".".join((source.resource, *parent))
    names = {}
    for name in R4.children(above):
        defined = R4.element(f"{above}.{name}")
        if defined is not None and defined.defined.endswith("[x]"):
            choice = defined.defined.rpartition(".")[2]
            names[name] = f"{above}.{choice}"
    return names


def repeated_choices(node: dict[str, Any], choices: dict[str, str]) -> list[Issue]:
    """Return an issue for each choice that has values of several types."""
    present = [choices[name] for name in node if name in choices]
    if len(present) == len(set(present)):
        return []
    what = "values of several types, but only one is allowed: keep one"
    repeated = sorted({choice for choice in present if present.count(choice) > 1})
    return [Issue("error", "structure", choice, what) for choice in repeated]
