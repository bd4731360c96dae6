"""Queries as search urls of the upstream server.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import READ_ONLY
from fhir_b12.server.search.criteria import InCompartment
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.search.query import Access, Query

#: parameters that this server handles itself
_OWN = {"_page", "_count", "_total", "_summary", "_elements", "_contained", "_containedType"}


def upstream_pairs(query: Query, base: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters for the upstream server; references below `base` become relative."""
    for name, value in query.pairs:
        parameter = parameters(query.type).get(name.partition(":")[0])
        if parameter is not None and parameter.type == "reference":
            yield name, value.replace(f"{base}/", "")
        elif name not in _OWN:
            yield name, value


def search_path(query: Query, limits: Sequence[Query], base: str) -> str:
    """Return the path and query of a search within limits.

    A compartment becomes a compartment search; for the type of its owner, `_id`.

    Raises:
        RequestError: 403 for two compartments at once.

    """
    queries = (query, *limits)
    pairs = [pair for query in queries for pair in upstream_pairs(query, base)]
    criteria = (criterion for query in queries for criterion in query.criteria)
    compartments = {criterion for criterion in criteria if isinstance(criterion, InCompartment)}
    if len(compartments) > 1:
        message = "a search in two compartments cannot be sent to the upstream server"
        raise RequestError(403, "forbidden", message)
    path = f"/{query.type}"
    for compartment in compartments:
        if compartment.owner_type == query.type:
            pairs.append(("_id", compartment.owner_id))
        else:
            path = f"/{compartment.owner_type}/{compartment.owner_id}/{query.type}"
    pairs.append(("_count", str(query.count)) if query.count else ("_summary", "count"))
    if query.total and query.count:
        pairs.append(("_total", "accurate"))
    return f"{path}?{urlencode(pairs)}"


def authorize_chains(query: Query, access: Access) -> None:
    """Refuse chains to types that the token restricts, and chains and includes of AuditEvents.

    A match reveals data of the resources that a chain leads to.

    Raises:
        RequestError: 403 for a restricted type, 400 for AuditEvents, which are stored here.

    """
    targets = {target for name, _ in query.pairs for target in _chained_types(query.type, name)}
    if {*READ_ONLY} & {*targets, *(include.source for include in query.includes)}:
        message = "AuditEvents are not stored with the resources: search them separately"
        raise RequestError(400, "not-supported", message)
    if any(access.limits(target, "s") != () for target in targets):
        message = "the chain leads to a type that the token restricts: name another type"
        raise RequestError(403, "forbidden", message)


def _chained_types(resource_type: str, name: str) -> Iterator[str]:
    """Yield the types that a chain or `_has` leads to.

    https://hl7.org/fhir/R4/search.html#chaining
    """
    if name.startswith("_has:"):
        _, other, _, rest = name.split(":", 3)
        yield other
        yield from _chained_types(other, rest)
        return
    head, dot, rest = name.partition(".")
    code, _, only = head.partition(":")
    parameter = parameters(resource_type).get(code)
    if dot and parameter is not None:
        for target in (only,) if only else parameter.targets:
            yield target
            yield from _chained_types(target, rest)
