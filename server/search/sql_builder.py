"""Criteria as SQL conditions on a resource, for SQLite and PostgreSQL.

https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count

from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.criteria import (
    AnyOf,
    Chain,
    ColumnMatch,
    Composite,
    Criterion,
    InCompartment,
    IndexMatch,
    Not,
    ReverseChain,
    TextMatch,
    one_of,
)
from fhir_b12.server.search.parameters import compartment_keys
from fhir_b12.server.search.query import Access, FullAccess, Query
from fhir_b12.server.sql.expressions import (
    ONE,
    Condition,
    Sql,
    all_of,
    any_of,
    exists,
    narrowed,
    select,
)
from fhir_b12.server.sql.tables import IndexTable, ResourceTable, resource_table, text_index

R = resource_table("r")  #: the resource that a search matches


def limits_condition(limits: Sequence[Query], resource_type: str) -> Condition:
    """Return the condition that a resource is within at least one of the limits of an access."""
    return ConditionBuilder(resource_type, FullAccess()).within(limits, R)


def candidates(match: IndexMatch) -> Sql:
    """Return a query of the numbers of the resources with a matching index row."""
    table, condition = match.row("t")
    return narrowed(_keyed_rows(table, match.keys), condition)


@lru_cache(maxsize=4096)
def _keyed_rows(table: IndexTable, keys: tuple[int, ...]) -> Sql:
    """Return a query of the resources with index rows of some keys."""
    return select([table.rid], [table], table.param.one_of_numbers(keys))


@lru_cache(maxsize=4096)
def _own_rows(table: IndexTable, keys: tuple[int, ...], r: ResourceTable) -> Sql:
    """Return a query of the index rows of some keys of a resource."""
    where = table.param.one_of_numbers(keys) & (table.rid == r.rid)
    return select([ONE], [table], where)


class ConditionBuilder:
    """Conditions on resources of one type; every index row gets an alias of its own."""

    def __init__(
        self, resource_type: str, access: Access, numbers: "count[int] | None" = None
    ) -> None:
        self.resource_type, self._access = resource_type, access
        self._numbers = count() if numbers is None else numbers

    def all_of(self, criteria: Iterable[Criterion], r: ResourceTable) -> Condition:
        """Return the condition that all criteria are fulfilled."""
        return all_of([self.condition(self.resolve(criterion), r) for criterion in criteria])

    def within(self, limits: Sequence[Query], r: ResourceTable) -> Condition:
        """Return the condition that a resource matches at least one of the queries."""
        return any_of([self.all_of(query.criteria, r) for query in limits])

    def resolve(self, criterion: Criterion) -> Criterion:
        """Return the criterion of a compartment as that of its reference parameters."""
        if isinstance(criterion, InCompartment):
            return _compartment_criterion(self.resource_type, criterion)
        return criterion

    def condition(self, criterion: Criterion, r: ResourceTable) -> Condition:
        """Return the condition of a resolved criterion on a resource.

        Raises:
            TypeError: the criterion was not resolved.

        """
        if isinstance(criterion, IndexMatch):
            table, condition = criterion.row(self._alias())
            return exists(narrowed(_own_rows(table, criterion.keys, r), condition))
        if isinstance(criterion, ColumnMatch):
            return criterion.condition(r)
        if isinstance(criterion, Not):
            return ~self.condition(criterion.criterion, r)
        if isinstance(criterion, AnyOf):
            return any_of([self.condition(alternative, r) for alternative in criterion.criteria])
        if isinstance(criterion, Composite):
            return self._composite(criterion, r)
        if isinstance(criterion, Chain):
            return self._chain(criterion, r)
        if isinstance(criterion, ReverseChain):
            return self._reverse_chain(criterion, r)
        raise TypeError(criterion)  # pragma: no cover - every kind is above

    def _alias(self) -> str:
        return f"t{next(self._numbers)}"

    def _composite(self, composite: Composite, r: ResourceTable) -> Condition:
        """Return the condition that one component has all the matching rows."""
        tables: list[IndexTable] = []
        conditions: list[Condition] = []
        for match in composite.matches:
            table, condition = match.row(self._alias())
            conditions += [table.param.one_of_numbers(match.keys), condition, table.rid == r.rid]
            if tables:
                conditions.append(table.part == tables[0].part)
            tables.append(table)
        return exists(select([ONE], tables, all_of(conditions)))

    def _chain(self, chain: Chain, r: ResourceTable) -> Condition:
        t, x = text_index(self._alias()), resource_table(self._alias())
        where = all_of(
            [
                t.param.one_of_numbers([chain.key]),
                t.rid == r.rid,
                x.name == t.value,
                x.type == chain.type,
                x.body.is_not_null(),
                self._chained(chain.type, chain.criterion, x),
            ]
        )
        return exists(select([ONE], [t, x], where))

    def _reverse_chain(self, chain: ReverseChain, r: ResourceTable) -> Condition:
        t, x = text_index(self._alias()), resource_table(self._alias())
        where = all_of(
            [
                t.param.one_of_numbers(chain.keys),
                t.value == r.name,
                x.rid == t.rid,
                x.body.is_not_null(),
                self._chained(chain.type, chain.criterion, x),
            ]
        )
        return exists(select([ONE], [t, x], where))

    def _chained(self, resource_type: str, criterion: Criterion, x: ResourceTable) -> Condition:
        """Return the condition on a resource at the end of a chain, within the access limits."""
        limits = self._access.limits(resource_type, "s")
        if limits is None:
            raise RequestError(
                403, "forbidden", f"{resource_type} may not be searched with this token"
            )
        builder = ConditionBuilder(resource_type, self._access, self._numbers)
        condition = builder.condition(builder.resolve(criterion), x)
        return condition & builder.within(limits, x) if limits else condition


def _compartment_criterion(resource_type: str, criterion: InCompartment) -> Criterion:
    name = f"{criterion.owner_type}/{criterion.owner_id}"
    keys = tuple(compartment_keys(criterion.owner_type, resource_type))
    criteria: list[Criterion] = []
    if resource_type == criterion.owner_type:
        criteria.append(ColumnMatch(lambda r: r.name == name))
    if keys:
        criteria.append(TextMatch(keys, lambda t: t.value == name))
    return one_of(criteria)
