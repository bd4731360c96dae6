"""What a search parameter type registers, and what is shared by the types."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fhir_b12.server.search.criteria import Criterion
from fhir_b12.server.search.parameters import Parameter, Path

#: index key, value, extra (system, exact text, version), component
TextRow = tuple[int, str, str, int]
#: index key, low, high, unit, component
RangeRow = tuple[int, float, float, str, int]


class InvalidValueError(Exception):
    """A search value that cannot be parsed; the message says what to write."""

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter  #: if it is not the one being parsed


class IndexWriter:
    """The index rows of one resource while it is walked."""

    __slots__ = ("base", "molar_mass", "ranges", "texts")

    def __init__(self, base: str, molar_mass: str | None) -> None:
        self.base = base  #: what precedes `Patient/1` in absolute references to this server
        self.molar_mass = molar_mass  #: g/mol of the analyte of an Observation, None if unknown
        self.texts: set[TextRow] = set()
        self.ranges: set[RangeRow] = set()


#: writes the rows of one value: the value, and the number of its component
Indexer = Callable[[IndexWriter, Any, int], None]
#: the criterion of one value: the parameter, the value, the base url of this server
CriterionBuilder = Callable[[Parameter, str, str], Criterion]


class ParameterType(NamedTuple):
    """One search parameter type.  https://hl7.org/fhir/R4/search.html#ptypes"""

    #: returns the indexer of a path; its arguments: path, type of the value, element path or ""
    indexer: Callable[[Path, str, str], Indexer]
    #: builds the criterion of a value, by modifier; "" for none
    criteria: Mapping[str, CriterionBuilder]
    negated: frozenset[str] = frozenset()  #: modifiers whose criterion is negated
    is_range: bool = False  #: indexed in the range index
