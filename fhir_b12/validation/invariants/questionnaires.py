"""Invariants of Questionnaire and QuestionnaireResponse.  https://hl7.org/fhir/R4/questionnaire.html"""

from typing import Any

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.invariants.predicates import (
    count,
    distinct,
    exists,
    forbid_both,
    forbid_if,
    is_other_than,
    json_names,
)

JsonObject = dict[str, Any]

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
_BOOLEAN = json_names("answerBoolean")


def que_1(node: JsonObject, _: ResourceContext) -> bool:
    """A group must have items, a display must not."""
    if not exists(node, "type"):
        return False
    item_type = node.get("type")
    return not (item_type == "group" and "item" not in node) and not (
        item_type == "display" and "item" in node
    )


def que_2(node: JsonObject, _: ResourceContext) -> bool:
    """`linkId` must be unique, contained resources included."""
    link_ids: list[Any] = []
    stack: list[Any] = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if isinstance(part.get("linkId"), str):
                link_ids.append(part["linkId"])
            stack += part.values()
        elif isinstance(part, list):
            stack += part
    return distinct(link_ids)


que_3 = forbid_if("type", "display", "code")
que_4 = forbid_both("answerOption", "answerValueSet")


def que_5(node: JsonObject, _: ResourceContext) -> bool:
    """Only a choice may have answer options.

    R4's expression allows more types than its text.
    """
    if node.get("type") in _WITH_OPTIONS:
        return True
    return not exists(node, "answerValueSet") and "answerOption" not in node


que_6 = forbid_if("type", "display", "required", "repeats")


def que_7(node: JsonObject, _: ResourceContext) -> bool:
    """The operator exists needs a boolean answer."""
    if not _BOOLEAN.isdisjoint(node):
        return True
    return is_other_than(node, "operator", "exists")


def que_8(node: JsonObject, _: ResourceContext) -> bool:
    """A group or display must not have an initial value."""
    return "initial" not in node or is_other_than(node, "type", "group", "display")


que_9 = forbid_if("type", "display", "readOnly")


def que_10(node: JsonObject, _: ResourceContext) -> bool:
    """`maxLength` is only allowed for answers that are typed in."""
    return node.get("type") in _WITH_LENGTH or not exists(node, "maxLength")


que_11 = forbid_both("answerOption", "initial")


def que_12(node: JsonObject, _: ResourceContext) -> bool:
    """An item with several enableWhen must have an enableBehavior.

    R4's expression requires it from three on; its text and the reference validator from two on.
    """
    return count(node, "enableWhen") < 2 or exists(node, "enableBehavior")


def que_13(node: JsonObject, _: ResourceContext) -> bool:
    """Only a repeating item may have several initial values."""
    return node.get("repeats") is True or count(node, "initial") <= 1


qrs_1 = forbid_both("answer", "item")
