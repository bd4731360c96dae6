"""A parsed search: criteria, sort order, includes and page; and the permissions that bound it.

https://hl7.org/fhir/R4/search.html
"""

from typing import Any, Protocol

import msgspec

from fhir_b12.server.search.criteria import Criterion


class Sort(msgspec.Struct, frozen=True):
    """One key of a sort order; resources without a value come last."""

    column: str = ""  #: "name" or "updated" of the resource; "" for index rows
    is_range: bool = False  #: rows of the range index, not of the text index
    keys: tuple[int, ...] = ()  #: index keys
    descending: bool = False


class Include(msgspec.Struct, frozen=True):
    """One _include or _revinclude.  https://hl7.org/fhir/R4/search.html#revinclude"""

    source: str  #: the type with the reference
    keys: tuple[int, ...]  #: index keys of the reference
    target: str = ""  #: only references to this type
    reverse: bool = False  #: _revinclude
    iterate: bool = False  #: :iterate


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One search of one resource type."""

    type: str
    criteria: tuple[Criterion, ...] = ()  #: all must be fulfilled
    sort: tuple[Sort, ...] = ()
    count: int = 20  #: matches per page
    #: the last row of the previous page: its sort keys and its number; or the text of a ProxyStore
    cursor: tuple[Any, ...] | None = None
    includes: tuple[Include, ...] = ()
    total: bool = False  #: whether all matches are counted
    pairs: tuple[tuple[str, str], ...] = ()  #: the parameters that were understood, for `self`
    unknown: tuple[str, ...] = ()  #: the names of unknown parameters


class Access(Protocol):
    """The permissions of a client."""

    def limits(self, resource_type: str, action: str) -> tuple[Query, ...] | None:
        """Return the restrictions of an action on a resource type.

        Args:
            resource_type: the type of the resources.
            action: one letter of `cruds`: create, read, update, delete, search.

        Returns:
            None if the action is forbidden, () if it is unrestricted. Otherwise a resource is
            accessible if it matches at least one of the queries: compartments and scope
            restrictions.

        """


class FullAccess:
    """Unrestricted permissions, used by `--open` and by the server itself."""

    def limits(self, resource_type: str, action: str) -> tuple[Query, ...] | None:  # noqa: ARG002
        """Return (): every action is unrestricted."""
        return ()
