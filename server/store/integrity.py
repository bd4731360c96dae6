"""Referential integrity: references lead to stored resources."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from fhir_b12.issues import Issue
from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search.parameters import indexed
from fhir_b12.server.sql.expressions import ONE, PARAMETER, select
from fhir_b12.server.sql.tables import resource_table, text_index
from fhir_b12.server.store import ChangeResult
from fhir_b12.server.store.connection import WriteConnection, first_row
from fhir_b12.server.store.serialization import PreparedBody

_LOCAL_REFERENCE = re.compile(rf"(?:{'|'.join(STORED)})/[A-Za-z0-9\-.]{{1,64}}\Z")
_R, _T = resource_table("r"), text_index("t")
_EXISTS = select([ONE], [_R], (_R.name == PARAMETER) & _R.body.is_not_null())


def check_integrity(
    connection: WriteConnection, bodies: Iterable[PreparedBody], results: Sequence[ChangeResult]
) -> None:
    """Refuse references to missing resources, and deletes of resources that are referred to.

    Raises:
        RequestError: 409 with an issue for each reference.

    """
    issues = [*_missing_targets(connection, bodies), *_referenced(connection, results)]
    if issues:
        raise RequestError(409, issues=issues)


def _missing_targets(
    connection: WriteConnection, bodies: Iterable[PreparedBody]
) -> Iterator[Issue]:
    targets = {
        value
        for body in bodies
        for key, value, _, _ in body.rows.texts
        if key in _reference_keys() and _LOCAL_REFERENCE.match(value)
    }
    connection.lock(targets, shared=True)
    for name in sorted(targets):
        if first_row(connection.run(_EXISTS, (name,))) is None:
            target_type = name.partition("/")[0]
            message = f"the referenced {target_type} does not exist: create it first"
            yield Issue("error", "not-found", "", message)


def _referenced(connection: WriteConnection, results: Sequence[ChangeResult]) -> Iterator[Issue]:
    for result in results:
        version = result.version
        if result.outcome != "deleted" or version is None:
            continue
        keyed = _T.param.one_of_numbers(sorted(_reference_keys()))
        referring = select(
            [ONE], [_T], keyed & (_T.value == f"{version.type}/{version.id}"), limit=1
        )
        if first_row(connection.run(referring)) is not None:
            message = f"other resources refer to this {version.type}: change them first"
            yield Issue("error", "conflict", "", message)


@cache
def _reference_keys() -> frozenset[int]:
    return frozenset(
        path.key
        for resource_type in STORED
        for path in indexed(resource_type)
        if path.type == "reference"
    )
