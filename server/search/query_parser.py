"""Search parameters of a request, parsed to a query.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search import cursor
from fhir_b12.server.search.criteria import Criterion  # noqa: TC001 - no import waits for a type checker
from fhir_b12.server.search.criterion_parser import parse_criterion
from fhir_b12.server.search.parameters import Parameter, parameter_names, parameters
from fhir_b12.server.search.query import Include, Query, Sort
from fhir_b12.server.search.types import TYPES
from fhir_b12.server.search.types.parameter_type import InvalidValueError
from fhir_b12.suggestions import did_you_mean

Pairs = Sequence[tuple[str, str]]
MOST_INCLUDES = 20
#: parameters that change how results look, not what matches
_RESULT_FORMAT = {"_summary", "_elements", "_contained", "_containedType"}


def parse_query(
    resource_type: str, pairs: Pairs, *, strict: bool, base: str, count: int = 20, most: int = 1000
) -> Query:
    """Parse the parameters of a search.

    Args:
        resource_type: the type that is searched.
        pairs: the names and values of the parameters.
        strict: whether unknown parameters are an error (`Prefer: handling=strict`).
        base: the base url of this server, without a slash at its end.
        count: matches per page if `_count` is missing.
        most: upper bound of `_count`.

    Raises:
        RequestError: 400 with an issue for each invalid parameter.

    """
    parser = _QueryParser(resource_type, base, count, most)
    for name, value in pairs:
        try:
            if parser.add(name, value):
                parser.pairs.append((name, value))
            else:
                parser.unknown.append(name)
        except InvalidValueError as error:
            message = f"{error.parameter or name}: {error}"
            parser.issues.append(Issue("error", "value", "", message))
    if strict:
        parser.issues += [_unknown(resource_type, name) for name in parser.unknown]
    if parser.issues:
        raise RequestError(400, issues=parser.issues)
    return parser.query()


def _unknown(resource_type: str, name: str) -> Issue:
    """Return the issue of an unknown parameter; its name may hold a value and is not repeated."""
    code = name.partition(":")[0].partition(".")[0]
    names = parameter_names(resource_type)
    hint = "" if code in names else did_you_mean(code, names)
    message = (
        f"unknown search parameter for {resource_type}{hint or '; see searchParam in /metadata'}"
    )
    return Issue("error", "not-supported", "", message)


class _QueryParser:
    """One query being parsed."""

    def __init__(self, resource_type: str, base: str, count: int, most: int) -> None:
        self.resource_type, self.base, self.most = resource_type, base, most
        self.criteria: list[Criterion] = []
        self.sort: tuple[Sort, ...] = ()
        self.count = count
        self.cursor: tuple[Any, ...] | None = None
        self.includes: list[Include] = []
        self.total = False
        self.pairs: list[tuple[str, str]] = []
        self.unknown: list[str] = []
        self.issues: list[Issue] = []

    def query(self) -> Query:
        """Return the query.

        Raises:
            RequestError: 400 if the cursor is of a search with another order.

        """
        row = self.cursor
        keys = 0 if row is not None and isinstance(row[-1], str) else len(self.sort)
        if row is not None and len(row) != keys + 1:
            raise RequestError(
                400, issues=[Issue("error", "value", "", f"_page: {cursor.INVALID}")]
            )
        return Query(
            type=self.resource_type,
            criteria=tuple(self.criteria),
            sort=self.sort,
            count=self.count,
            cursor=row,
            includes=tuple(self.includes),
            total=self.total,
            pairs=tuple(self.pairs),
            unknown=tuple(self.unknown),
        )

    def add(self, name: str, value: str) -> bool:
        """Parse one parameter; return False if it is unknown."""
        control = _CONTROLS.get(name)
        if control is not None:
            control(self, value)
            return True
        if name.partition(":")[0] in {"_include", "_revinclude"}:
            self._add_include(name, value)
            return True
        if name in _RESULT_FORMAT:
            if name == "_summary" and value == "count":
                self.count, self.total = 0, True
            return True
        criterion = parse_criterion(self.resource_type, name, value, self.base)
        if criterion is None:
            return False
        self.criteria.append(criterion)
        return True

    # --- results  https://hl7.org/fhir/R4/search.html#return

    def set_count(self, value: str) -> None:
        """Parse `_count`; 0 asks for the total only.

        Raises:
            InvalidValueError: not a whole number.

        """
        if not (value.isascii() and value.isdecimal()):
            raise InvalidValueError("write a whole number", "_count")
        self.count = min(int(value[:9]), self.most)
        self.total |= self.count == 0

    def set_total(self, value: str) -> None:
        """Parse `_total`.

        Raises:
            InvalidValueError: not one of its codes.

        """
        if value not in {"none", "estimate", "accurate"}:
            raise InvalidValueError("write none, estimate or accurate", "_total")
        self.total |= value != "none"

    def set_page(self, value: str) -> None:
        """Parse `_page`, the cursor of a next link.

        Raises:
            InvalidValueError: not a cursor.

        """
        try:
            row = cursor.decode_cursor(value)
        except ValueError as error:
            raise InvalidValueError(str(error), "_page") from None
        if not row or not isinstance(row[-1], int | str):
            raise InvalidValueError(cursor.INVALID, "_page")
        self.cursor = row

    def set_sort(self, value: str) -> None:
        """Parse `_sort`."""
        self.sort = tuple(_parse_sort(self.resource_type, key) for key in value.split(","))

    def _add_include(self, name: str, value: str) -> None:
        modifier = name.partition(":")[2]
        if modifier not in {"", "iterate", "recurse"}:
            raise InvalidValueError("the only modifier is :iterate")
        if len(self.includes) >= MOST_INCLUDES:
            raise InvalidValueError(f"at most {MOST_INCLUDES} includes are allowed")
        reverse, iterate = name.startswith("_rev"), modifier != ""
        source, _, rest = value.partition(":")
        code, _, target = rest.partition(":")
        if value == "*":
            source, code = self.resource_type, "*"
        if source not in STORED or (target and target not in STORED):
            hint = did_you_mean(source if source not in STORED else target, STORED)
            message = f"write Type:parameter or Type:parameter:Target, with types stored here{hint}"
            raise InvalidValueError(message)
        for parameter in _included_parameters(source, code, self.resource_type, reverse=reverse):
            for path in parameter.paths:
                goal = target or path.target
                self.includes.append(Include(source, (path.key,), goal, reverse, iterate))


def _included_parameters(
    source: str, code: str, searched: str, *, reverse: bool
) -> Sequence[Parameter]:
    references = [
        parameter for parameter in parameters(source).values() if parameter.type == "reference"
    ]
    known = [parameter for parameter in references if code in {"*", parameter.code}]
    if not known:
        hint = did_you_mean(code, [parameter.code for parameter in references])
        raise InvalidValueError(f"unknown reference parameter of {source}{hint}")
    if reverse and code == "*":
        known = [parameter for parameter in known if searched in parameter.targets]
    return known


_CONTROLS: Mapping[str, Callable[[_QueryParser, str], None]] = {
    "_count": _QueryParser.set_count,
    "_total": _QueryParser.set_total,
    "_page": _QueryParser.set_page,
    "_sort": _QueryParser.set_sort,
}


def _parse_sort(resource_type: str, key: str) -> Sort:
    """Parse one key of `_sort`, with a minus in front if descending.

    Raises:
        InvalidValueError: unknown or composite parameter.

    """
    descending, code = key.startswith("-"), key.removeprefix("-")
    column = {"_id": "name", "_lastUpdated": "updated"}.get(code)
    if column is not None:
        return Sort(column=column, descending=descending)
    parameter = parameters(resource_type).get(code)
    if parameter is None or parameter.type == "composite":
        hint = did_you_mean(code, parameter_names(resource_type))
        message = f"write search parameters of the type, separated by commas{hint}"
        raise InvalidValueError(message, "_sort")
    is_range = TYPES[parameter.type].is_range
    return Sort(is_range=is_range, keys=parameter.keys, descending=descending)
