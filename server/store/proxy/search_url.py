"""Queries asked of another server: what is understood here as the url of a search there.

https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from fhir_b12.server.errors import refuse
from fhir_b12.server.resource_types import READ_ONLY
from fhir_b12.server.search.conditions import Within
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access

#: parameters that we answer ourselves
_OURS = {"_page", "_count", "_total", "_summary", "_elements", "_contained", "_containedType"}


def pairs(query: Query, base: str) -> Iterator[tuple[str, str]]:
    """What is asked for; references by our base are relative, for there it is another."""
    for name, value in query.pairs:
        known = parameters(query.type).get(name.partition(":")[0])
        if known is not None and known.kind == "reference":
            yield name, value.replace(f"{base}/", "")
        elif name not in _OURS:
            yield name, value


def path(query: Query, limits: Sequence[Query], base: str) -> str:
    """Where it is asked, with all that bounds it.

    A compartment is a place to search in; of the one whose it is, the id.
    """
    asked = [pair for each in (query, *limits) for pair in pairs(each, base)]
    tests = {
        test for each in (query, *limits) for test in each.criteria if isinstance(test, Within)
    }
    where = f"/{query.type}"
    if len(tests) > 1:
        message = "a search in two compartments at once cannot be passed on"
        raise refuse(403, "forbidden", message)
    for each in tests:
        if each.owner == query.type:
            asked.append(("_id", each.name))
        else:
            where = f"/{each.owner}/{each.name}/{query.type}"
    asked.append(("_count", str(query.count)) if query.count else ("_summary", "count"))
    if query.total and query.count:
        asked.append(("_total", "accurate"))
    return f"{where}?{urlencode(asked)}"


def hold_sight(query: Query, access: Access) -> None:
    """Refuse chains to what the token does not show whole, and all that looks at our AuditEvents.

    That something is found tells what it leads to.
    """
    beyond = {kind for name, _ in query.pairs for kind in _beyond(query.type, name)}
    if {*READ_ONLY} & {*beyond, *(each.source for each in query.includes)}:
        message = "AuditEvents are not kept with the resources; search them by themselves"
        raise refuse(400, "not-supported", message)
    if any(access.limits(kind, "s") != () for kind in beyond):
        message = "what a chain leads to may not be searched whole with this token; name its type"
        raise refuse(403, "forbidden", message)


def _beyond(kind: str, name: str) -> Iterator[str]:
    """The types that a chain or `_has` leads to.  https://hl7.org/fhir/R4/search.html#chaining"""
    if name.startswith("_has:"):
        _, other, _, rest = name.split(":", 3)
        yield other
        yield from _beyond(other, rest)
        return
    head, dot, rest = name.partition(".")
    code, _, only = head.partition(":")
    known = parameters(kind).get(code)
    if dot and known is not None:
        for other in (only,) if only else known.targets:
            yield other
            yield from _beyond(other, rest)
