"""Advice on what is dated ahead of a moment that the caller names: no clock is read here."""

from collections.abc import Set as AbstractSet

from fhir_b12.dates import DateTime
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import Node
from fhir_b12.validation.plausibility.rule_config import say


def check_future(
    resource: Node,
    context: ResourceContext,
    found: list[Finding],
    stem: str,
    done: AbstractSet[str],
) -> None:
    """What is done, yet begins after `context.validator.now`, a `DateTime`."""
    now: DateTime | None = getattr(context.validator, "now", None)
    if now is None or resource.get("status") not in done:
        return
    for kind in ("DateTime", "Instant", "Period"):
        name = stem + kind
        if name not in resource:
            continue
        text = resource[name].get("start") if kind == "Period" else resource[name]
        try:
            ahead = text.__class__ is str and DateTime(text) > now
        except ValueError:
            continue
        if ahead:
            path = (name, "start") if kind == "Period" else (name,)
            say(context, found, "TIM-01", *path, value=text)
