"""Plausibility rule on dates in the future of a moment that the caller gives; no clock is read."""

from collections.abc import Set as AbstractSet

from fhir_b12.dates import DateTime
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.plausibility.accessors import JsonObject
from fhir_b12.validation.plausibility.rule_config import add_finding


def check_future(
    resource: JsonObject,
    context: ResourceContext,
    findings: list[Finding],
    stem: str,
    done_statuses: AbstractSet[str],
) -> None:
    """Report a resource that is done, yet begins after `context.validator.now`.

    Args:
        resource: The resource.
        context: Its context.
        findings: Findings are appended.
        stem: Name of the choice element with the date: "effective".
        done_statuses: The statuses that mean that it has happened.

    """
    now: DateTime | None = getattr(context.validator, "now", None)
    if now is None or resource.get("status") not in done_statuses:
        return
    for suffix in ("DateTime", "Instant", "Period"):
        name = stem + suffix
        if name not in resource:
            continue
        text = resource[name].get("start") if suffix == "Period" else resource[name]
        try:
            is_future = text.__class__ is str and DateTime(text) > now
        except ValueError:
            continue
        if is_future:
            path = (name, "start") if suffix == "Period" else (name,)
            add_finding(context, findings, "TIM-01", *path, value=text)
