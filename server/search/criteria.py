"""Search criteria: what a resource must fulfil, independent of how it was asked for.

https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Callable, Iterable

import msgspec

from fhir_b12.server.sql.expressions import FALSE, Condition, any_of
from fhir_b12.server.sql.tables import (
    IndexTable,
    RangeIndex,
    ResourceTable,
    TextIndex,
    range_index,
    text_index,
)


class Criterion(msgspec.Struct, frozen=True):
    """A condition on a resource."""


class IndexMatch(Criterion, frozen=True):
    """The resource has an index row with one of the keys that fulfils a condition."""

    keys: tuple[int, ...]

    def row(self, alias: str) -> tuple[IndexTable, Condition]:
        """Return the index table under an alias, and the condition on its row."""
        raise NotImplementedError


class TextMatch(IndexMatch, frozen=True):
    """An index row of a token, string, reference or uri."""

    condition: Callable[[TextIndex], Condition]

    def row(self, alias: str) -> tuple[IndexTable, Condition]:
        """Return the text index under an alias, and the condition on its row."""
        table = text_index(alias)
        return table, self.condition(table)


class RangeMatch(IndexMatch, frozen=True):
    """An index row of a date, number or quantity."""

    condition: Callable[[RangeIndex], Condition]

    def row(self, alias: str) -> tuple[IndexTable, Condition]:
        """Return the range index under an alias, and the condition on its row."""
        table = range_index(alias)
        return table, self.condition(table)


class ColumnMatch(Criterion, frozen=True):
    """A condition on the columns of the resource itself."""

    condition: Callable[[ResourceTable], Condition]


class Chain(Criterion, frozen=True):
    """The resource refers to a resource of a type that fulfils a criterion."""

    key: int  #: index key of the reference
    type: str
    criterion: Criterion


class ReverseChain(Criterion, frozen=True):
    """A resource of a type that fulfils a criterion refers to the resource."""

    type: str
    keys: tuple[int, ...]  #: index keys of the reference
    criterion: Criterion


class Composite(Criterion, frozen=True):
    """Index rows of the same component of the resource."""

    matches: tuple[IndexMatch, ...]


class InCompartment(Criterion, frozen=True):
    """The resource is in a compartment.  https://hl7.org/fhir/R4/compartmentdefinition.html"""

    owner_type: str
    owner_id: str


class AnyOf(Criterion, frozen=True):
    """At least one criterion is fulfilled."""

    criteria: tuple[Criterion, ...]


class Not(Criterion, frozen=True):
    """The criterion is not fulfilled."""

    criterion: Criterion


NOTHING = ColumnMatch(lambda _: FALSE)


def one_of(criteria: Iterable[Criterion]) -> Criterion:
    """Return the disjunction of criteria; matches of the same index keys become one look-up."""
    listed = list(criteria)
    if not listed:
        return NOTHING
    first = listed[0]
    if len(listed) == 1:
        return first
    if isinstance(first, TextMatch):
        texts = [x for x in listed if isinstance(x, TextMatch) and x.keys == first.keys]
        if len(texts) == len(listed):
            return TextMatch(first.keys, lambda t: any_of(x.condition(t) for x in texts))
    if isinstance(first, RangeMatch):
        ranges = [x for x in listed if isinstance(x, RangeMatch) and x.keys == first.keys]
        if len(ranges) == len(listed):
            return RangeMatch(first.keys, lambda t: any_of(x.condition(t) for x in ranges))
    return AnyOf(tuple(listed))
