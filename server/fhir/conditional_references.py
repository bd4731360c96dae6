"""References by search, made references by id.  https://hl7.org/fhir/R4/http.html#trules"""

from collections.abc import Iterator, Sequence
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.references import walk_references
from fhir_b12.server.errors import Refusal
from fhir_b12.server.fhir.bundle_entries import Entry
from fhir_b12.server.fhir.context import access, facade
from fhir_b12.server.fhir.write import the_one
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.wire.query import parse_query_string


def resolve(entries: Sequence[Entry]) -> None:
    """Put `Patient/1` where an entry says `Patient?identifier=…`; refuse all but exactly one."""
    wrong: list[Issue] = []
    known: dict[str, str | None] = {}
    for entry in entries:
        for node in _conditional(entry.resource):
            text = node["reference"]
            if text not in known:
                known[text] = _found(text)
            if (target := known[text]) is not None:
                node["reference"] = target
                continue
            message = "a reference by search does not find exactly one resource"
            wrong.append(Issue("error", "processing", f"{entry.place}.resource", message))
    if wrong:
        raise Refusal(412, wrong)


def _conditional(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every Reference whose text is a search."""
    for _, node in walk_references(value):
        resource_type, mark, _ = node["reference"].partition("?")
        if mark and resource_type in STORED:
            yield node


def _found(text: str) -> str | None:
    kind, _, query = text.partition("?")
    asked = the_one(kind, [*parse_query_string(query, facade().config), ("_count", "2")])
    matches = facade().store.search(asked, access()).matches
    return f"{kind}/{matches[0].id}" if len(matches) == 1 else None
