"""_include and _revinclude in a database.  https://hl7.org/fhir/R4/search.html#revinclude"""

from collections.abc import Iterator, Sequence

from fhir_b12.server.search.query import Access, Include, Query
from fhir_b12.server.search.sql_builder import R, limits_condition
from fhir_b12.server.sql.expressions import Sql, all_of, select
from fhir_b12.server.sql.tables import text_index
from fhir_b12.server.store import Version
from fhir_b12.server.store.connection import ReadConnection, version_of_row

_MOST_INCLUDED = 1_000  #: included resources per page
_MOST_ROUNDS = 5  #: of :iterate
_BATCH = 200  #: names in one statement
_T = text_index("t")


def included_versions(
    connection: ReadConnection, query: Query, matches: Sequence[Version], access: Access
) -> Iterator[Version]:
    """Yield each included resource once, without the matches and what may not be read."""
    known = {_name(match) for match in matches}
    sources, rules, remaining = list(matches), query.includes, _MOST_INCLUDED
    for _ in range(_MOST_ROUNDS):
        names = _included_names(connection, sources, rules)
        sources = []
        for version in _readable(connection, sorted(names - known), access):
            known.add(_name(version))
            sources.append(version)
            yield version
            remaining -= 1
            if not remaining:
                return
        rules = tuple(rule for rule in query.includes if rule.iterate)
        if not sources or not rules:
            return


def _name(version: Version) -> str:
    return f"{version.type}/{version.id}"


def _included_names(
    connection: ReadConnection, sources: Sequence[Version], rules: Sequence[Include]
) -> set[str]:
    """Return `Type/id` of what the rules include for these resources."""
    included: set[str] = set()
    for rule in rules:
        names = [_name(source) for source in sources if rule.reverse or source.type == rule.source]
        for part in _batches(names):
            included |= {
                row[0]
                for row in connection.run(_referenced(rule, part))
                if not rule.target or rule.reverse or row[0].startswith(f"{rule.target}/")
            }
    return included


def _referenced(rule: Include, names: Sequence[str]) -> Sql:
    keyed = _T.param.one_of_numbers(rule.keys)
    if rule.reverse:
        where = all_of([R.rid == _T.rid, keyed, _T.value.one_of(names)])
        return select([R.name], [_T, R], where)
    where = all_of([_T.rid == R.rid, keyed, R.name.one_of(names)])
    return select([_T.value], [R, _T], where)


def _readable(
    connection: ReadConnection, names: Sequence[str], access: Access
) -> Iterator[Version]:
    """Yield the current versions that the client may read."""
    for part in _batches(names):
        by_type: dict[str, list[str]] = {}
        for name in part:
            by_type.setdefault(name.partition("/")[0], []).append(name)
        for resource_type, of_type in sorted(by_type.items()):
            limits = access.limits(resource_type, "r") if resource_type.isalpha() else None
            if limits is None:
                continue
            where = R.name.one_of(of_type) & R.body.is_not_null()
            if limits:
                where &= limits_condition(limits, resource_type)
            rows = connection.run(select(R.version_columns, [R], where, order_by=[R.rid]))
            yield from map(version_of_row, rows)


def _batches(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(names), _BATCH):
        yield tuple(names[start : start + _BATCH])
