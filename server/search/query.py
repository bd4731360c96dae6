"""What is searched for: parameters read into tests.  https://hl7.org/fhir/R4/search.html

A query is a type, tests that all must hold, an order, and what is shown beside the matches. Tests
say what rows of the index there must be; `sql` asks for them.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.server.errors import Refusal
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search import conditions
from fhir_b12.server.search.conditions import (
    COUNTED,
    Column,
    Linked,
    Not,
    Reverse,
    Test,
    WrongError,
    any_of,
    updated,
)
from fhir_b12.server.search.parameters import Parameter, parameters
from fhir_b12.server.search.values import plain, split

Pairs = Sequence[tuple[str, str]]
DEEPEST = 3  #: links of a chain
MOST_VALUES = 200  #: alternatives of one parameter
MOST_INCLUDES = 20
_SHOWN = {"_summary", "_elements", "_contained", "_containedType"}


class Sort(msgspec.Struct, frozen=True):
    """One key of an order; what has no value comes last."""

    column: str  #: "name", "updated", or "" for rows of the index
    table: str = ""
    keys: tuple[int, ...] = ()
    descending: bool = False


class Include(msgspec.Struct, frozen=True):
    """What is shown beside: what `source` refers to by these keys, or reverse."""

    source: str
    keys: tuple[int, ...]
    target: str = ""
    reverse: bool = False
    iterate: bool = False


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One search."""

    type: str
    criteria: tuple[Test, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int = 20
    #: after which row: its sort keys, its number; or the one text that another server needs
    cursor: tuple[Any, ...] | None = None
    includes: tuple[Include, ...] = ()
    total: bool = False
    pairs: tuple[tuple[str, str], ...] = ()  #: what was understood, for `self`
    unknown: tuple[str, ...] = ()  #: names that were not


def parse(
    kind: str, asked: Pairs, *, strict: bool, base: str, count: int = 20, most: int = 1000
) -> Query:
    """The query of a type.

    Raises:
        Refusal: 400, with everything that cannot be understood; where `strict`, unknown names too.

    """
    reading = _Reading(kind, base, count, most)
    for name, value in asked:
        try:
            if reading.take(name, value):
                reading.pairs.append((name, value))
            else:
                reading.unknown.append(name)
        except WrongError as error:
            reading.wrong.append(Issue("error", "value", "", f"{error.name or name}: {error}"))
    if strict and reading.unknown:
        message = f"{len(reading.unknown)} parameters are not known for {kind}; see its searchParam"
        reading.wrong.append(Issue("error", "not-supported", "", message))
    if reading.wrong:
        raise Refusal(400, reading.wrong)
    return reading.query()


def in_compartment(owner: str, name: str) -> Test:
    """The test for the compartment of `Patient/1`.

    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    return conditions.Within(owner, name)


class _Reading:
    """One query being read."""

    def __init__(self, kind: str, base: str, count: int, most: int) -> None:
        self.kind, self.base, self.most = kind, base, most
        self.criteria: list[Test] = []
        self.sort: tuple[Sort, ...] = ()
        self.count = count
        self.cursor: tuple[Any, ...] | None = None
        self.includes: list[Include] = []
        self.total = False
        self.pairs: list[tuple[str, str]] = []
        self.unknown: list[str] = []
        self.wrong: list[Issue] = []

    def query(self) -> Query:
        """What was read."""
        cursor = self.cursor
        keys = 0 if cursor is not None and isinstance(cursor[-1], str) else len(self.sort)
        if cursor is not None and len(cursor) != keys + 1:
            raise Refusal(400, [Issue("error", "value", "", "_page is not of this search")])
        return Query(
            type=self.kind,
            criteria=tuple(self.criteria),
            sort=self.sort,
            count=self.count,
            cursor=cursor,
            includes=tuple(self.includes),
            total=self.total,
            pairs=tuple(self.pairs),
            unknown=tuple(self.unknown),
        )

    def take(self, name: str, value: str) -> bool:
        """Read one parameter; False where it is not known."""
        known = _CONTROLS.get(name)
        if known is not None:
            known(self, value)
            return True
        first = name.partition(":")[0]
        if first in {"_include", "_revinclude"}:
            self._include(name, value)
            return True
        if name in _SHOWN:
            if name == "_summary" and value == "count":
                self.count, self.total = 0, True
            return True
        test = tests_of(self.kind, name, value, self.base, DEEPEST)
        if test is None:
            return False
        self.criteria.append(test)
        return True

    # --- how it is shown

    def _count(self, value: str) -> None:
        if not (value.isascii() and value.isdecimal()):
            raise WrongError("write a whole number", "_count")
        self.count = min(int(value[:9]), self.most)
        self.total |= self.count == 0

    def _total(self, value: str) -> None:
        if value not in {"none", "estimate", "accurate"}:
            raise WrongError("write none, estimate or accurate", "_total")
        self.total |= value != "none"

    def _page(self, value: str) -> None:
        try:
            raw = base64.urlsafe_b64decode(value.encode() + b"=" * (-len(value) % 4))
            read = msgspec.json.decode(raw, type=list[int | float | str | None])
        except (binascii.Error, ValueError, msgspec.DecodeError, UnicodeError):
            raise WrongError("it is not what a next link said", "_page") from None
        if not read or not isinstance(read[-1], int | str):
            raise WrongError("it is not what a next link said", "_page")
        self.cursor = tuple(read)

    def _sort(self, value: str) -> None:
        self.sort = tuple(_sorted(self.kind, each) for each in value.split(","))

    def _include(self, name: str, value: str) -> None:
        modifier = name.partition(":")[2]
        if modifier not in {"", "iterate", "recurse"}:
            raise WrongError("only :iterate is a modifier here")
        if len(self.includes) >= MOST_INCLUDES:
            raise WrongError(f"ask for at most {MOST_INCLUDES}")
        reverse, iterate = name.startswith("_rev"), modifier != ""
        source, _, rest = value.partition(":")
        code, _, target = rest.partition(":")
        if value == "*":
            source, code = self.kind, "*"
        if source not in STORED or (target and target not in STORED):
            raise WrongError("write Type:parameter or Type:parameter:Target, of types kept here")
        known = [
            each
            for each in parameters(source).values()
            if each.kind == "reference" and code in {"*", each.code}
        ]
        if not known:
            raise WrongError("this is no reference parameter of that type")
        if reverse and code == "*":
            known = [each for each in known if self.kind in each.targets]
        for each in known:
            for path in each.paths:
                goal = target or path.target
                self.includes.append(Include(source, (path.key,), goal, reverse, iterate))


_CONTROLS: dict[str, Any] = {
    "_count": _Reading._count,  # noqa: SLF001
    "_total": _Reading._total,  # noqa: SLF001
    "_page": _Reading._page,  # noqa: SLF001
    "_sort": _Reading._sort,  # noqa: SLF001
}


def page(values: Iterable[Any]) -> str:
    """The cursor of a row, for `_page`."""
    raw = msgspec.json.encode(list(values))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _sorted(kind: str, text: str) -> Sort:
    descending, code = text.startswith("-"), text.removeprefix("-")
    column = {"_id": "name", "_lastUpdated": "updated"}.get(code)
    if column is not None:
        return Sort(column, descending=descending)
    known = parameters(kind).get(code)
    if known is None or known.kind == "composite":
        raise WrongError("it is sorted by parameters of the type, by commas", "_sort")
    table = "range" if known.kind in COUNTED else "text"
    return Sort("", table, known.keys, descending)


# --- tests


def tests_of(kind: str, name: str, value: str, base: str, deepest: int) -> Test | None:
    """The test of one parameter, with its modifiers and chains; None where it is not known."""
    if name.startswith("_has:"):
        return _has(name, value, base, deepest)
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    if dot:
        return _chained(kind, code, modifier, rest, value, base, deepest)
    values = [each for each in split(value, ",") if each]
    if not values:
        raise WrongError("there is no value")
    if len(values) > MOST_VALUES:
        raise WrongError(f"ask for at most {MOST_VALUES} values")
    if code == "_id":
        names = [f"{kind}/{plain(each)}" for each in values]
        marks = ", ".join("?" * len(names))
        return Column(f"{{r}}.name IN ({marks})", tuple(names))
    if code == "_lastUpdated":
        return any_of([updated(each) for each in values])
    known = parameters(kind).get(code)
    if known is None:
        return None
    if modifier == "missing":
        if value not in {"true", "false"}:
            raise WrongError("write true or false")
        present = conditions.present(known)
        return Not(present) if value == "true" else present
    return conditions.test(known, modifier, values, base)


def _chained(  # noqa: PLR0917 - what a link of a chain is
    kind: str, code: str, modifier: str, rest: str, value: str, base: str, deepest: int
) -> Test | None:
    """`subject:Patient.name=x`  https://hl7.org/fhir/R4/search.html#chaining"""
    known = parameters(kind).get(code)
    if known is None:
        return None
    if known.kind != "reference":
        raise WrongError("only references have a chain")
    if deepest <= 0:
        raise WrongError(f"a chain has at most {DEEPEST} links")
    if modifier and modifier not in STORED:
        raise WrongError("the type in the chain is not kept here")
    found = [
        Linked(path.key, other, test)
        for path in known.paths
        for other in _targets(known, path.target, modifier)
        if (test := tests_of(other, rest, value, base, deepest - 1)) is not None
    ]
    return any_of(found) if found else None


def _targets(known: Parameter, only: str, modifier: str) -> Iterator[str]:
    for each in known.targets:
        if each in STORED and only in {"", each} and modifier in {"", each}:
            yield each


def _has(name: str, value: str, base: str, deepest: int) -> Test | None:
    """`_has:Observation:patient:code=x`  https://hl7.org/fhir/R4/search.html#has"""
    _, other, *more = name.split(":", 3)
    if len(more) < 2 or other not in STORED:
        raise WrongError("write _has:Type:reference:parameter, of a type kept here", "_has")
    if deepest <= 0:
        raise WrongError(f"a chain has at most {DEEPEST} links", "_has")
    link = parameters(other).get(more[0])
    if link is None or link.kind != "reference":
        raise WrongError("the second part is no reference parameter of that type", "_has")
    test = tests_of(other, more[1], value, base, deepest - 1)
    return None if test is None else Reverse(other, link.keys, test)
