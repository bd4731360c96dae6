"""Conditional references, resolved to ids.  https://hl7.org/fhir/R4/http.html#trules"""

from collections.abc import Iterator, Sequence
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.references import walk_references
from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.bundle_entries import EntryRequest
from fhir_b12.server.fhir.write import parse_write_criteria
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.wire.query import parse_query_string


def resolve_references(context: RequestContext, entries: Sequence[EntryRequest]) -> None:
    """Replace references like `Patient?identifier=…` by `Patient/1`, in place.

    Raises:
        RequestError: 412 with all references that do not match exactly one resource.

    """
    issues: list[Issue] = []
    resolved: dict[str, str | None] = {}
    for entry in entries:
        for reference in _conditional_references(entry.resource):
            text = reference["reference"]
            if text not in resolved:
                resolved[text] = _search_target(context, text)
            if (target := resolved[text]) is not None:
                reference["reference"] = target
                continue
            message = "a conditional reference does not match exactly one resource: refer by id"
            issues.append(Issue("error", "processing", f"{entry.path}.resource", message))
    if issues:
        raise RequestError(412, issues=issues)


def _conditional_references(resource: Any) -> Iterator[dict[str, Any]]:
    """Yield every Reference in a resource that is a search."""
    for _, reference in walk_references(resource):
        resource_type, question_mark, _ = reference["reference"].partition("?")
        if question_mark and resource_type in STORED:
            yield reference


def _search_target(context: RequestContext, text: str) -> str | None:
    """Return the only match of `Type?query` as `Type/id`, None if there is not exactly one."""
    resource_type, _, query = text.partition("?")
    pairs = [*parse_query_string(query, context.config), ("_count", "2")]
    search = parse_write_criteria(context, resource_type, pairs)
    matches = context.server.store.search(search, context.access).matches
    return f"{resource_type}/{matches[0].id}" if len(matches) == 1 else None
