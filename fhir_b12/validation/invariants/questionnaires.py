"""Invariants of Questionnaire and QuestionnaireResponse.  https://hl7.org/fhir/R4/questionnaire.html"""

from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import (
    count,
    differs,
    distinct,
    has,
    names,
    never_where,
    not_both,
)

Node = dict[str, Any]

_WITH_LENGTH = {"boolean", "decimal", "integer", "string", "text", "url", "open-choice"}
_WITH_OPTIONS = {
    "choice",
    "open-choice",
    "decimal",
    "integer",
    "date",
    "dateTime",
    "time",
    "string",
    "quantity",
}
_BOOLEAN = names("answerBoolean")


def que_1(node: Node, _: ResourceContext) -> bool:
    """A group has items, a display has none."""
    if not has(node, "type"):
        return False
    kind = node.get("type")
    return not (kind == "group" and "item" not in node) and not (
        kind == "display" and "item" in node
    )


def que_2(node: Node, _: ResourceContext) -> bool:
    """No linkId stands twice, contained resources included."""
    found: list[Any] = []
    waiting: list[Any] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("linkId"), str):
                found.append(part["linkId"])
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return distinct(found)


que_3 = never_where("type", "display", "code")
que_4 = not_both("answerOption", "answerValueSet")


def que_5(node: Node, _: ResourceContext) -> bool:
    """Only a choice has options.

    R4's expression allows more types than its words do.
    """
    if node.get("type") in _WITH_OPTIONS:
        return True
    return not has(node, "answerValueSet") and "answerOption" not in node


que_6 = never_where("type", "display", "required", "repeats")


def que_7(node: Node, _: ResourceContext) -> bool:
    """Whether something exists is answered by yes or no."""
    if not _BOOLEAN.isdisjoint(node):
        return True
    return differs(node, "operator", "exists")


def que_8(node: Node, _: ResourceContext) -> bool:
    """A group or display has no initial value."""
    return "initial" not in node or differs(node, "type", "group", "display")


que_9 = never_where("type", "display", "readOnly")


def que_10(node: Node, _: ResourceContext) -> bool:
    """Only what is written has a greatest length."""
    return node.get("type") in _WITH_LENGTH or not has(node, "maxLength")


que_11 = not_both("answerOption", "initial")


def que_12(node: Node, _: ResourceContext) -> bool:
    """Several conditions say how they work together.

    R4's expression begins at three, its words at two; the reference validator too.
    """
    return count(node, "enableWhen") < 2 or has(node, "enableBehavior")


def que_13(node: Node, _: ResourceContext) -> bool:
    """Only what repeats has several initial values."""
    return node.get("repeats") is True or count(node, "initial") <= 1


qrs_1 = not_both("answer", "item")
