"""Parameters that are not indexed by a path: `_id`, `_lastUpdated`, chains and `_has`.

`_id` and `_lastUpdated` are columns of the resource; a chain and `_has` follow the index of a
reference parameter.
"""

from collections.abc import Callable, Iterator, Sequence

from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search.criteria import (
    Chain,
    ColumnMatch,
    Criterion,
    ReverseChain,
    one_of,
)
from fhir_b12.server.search.parameters import Parameter, parameters
from fhir_b12.server.search.text_values import unescape
from fhir_b12.server.search.types.date import last_updated_criterion
from fhir_b12.server.search.types.parameter_type import InvalidValueError

DEEPEST = 3  #: links of a chain
#: returns the criterion of a resource type, parameter name and value; None if unknown
Parse = Callable[[str, str, str], Criterion | None]


def column_criterion(resource_type: str, code: str, values: Sequence[str]) -> Criterion | None:
    """Return the criterion of `_id` or `_lastUpdated`; None for other parameters."""
    if code == "_id":
        names = [f"{resource_type}/{unescape(value)}" for value in values]
        return ColumnMatch(lambda r: r.name.one_of(names))
    if code == "_lastUpdated":
        return one_of(map(last_updated_criterion, values))
    return None


def chain_criterion(  # noqa: PLR0917 - the parts of a chain
    resource_type: str, head: str, rest: str, value: str, depth: int, parse: Parse
) -> Criterion | None:
    """Return the criterion of `subject:Patient.name=x`; None if a parameter is unknown.

    https://hl7.org/fhir/R4/search.html#chaining

    Args:
        resource_type: the type with the reference.
        head: the reference parameter, perhaps with a type: `subject:Patient`.
        rest: the parameter of the target.
        value: its value.
        depth: how many more links are allowed.
        parse: parses a parameter of the target.

    Raises:
        InvalidValueError: the chain is too long, or not of references.

    """
    code, _, target_type = head.partition(":")
    parameter = parameters(resource_type).get(code)
    if parameter is None:
        return None
    if parameter.type != "reference":
        raise InvalidValueError("only reference parameters can be chained")
    if depth <= 0:
        raise InvalidValueError(f"a chain has at most {DEEPEST} links")
    if target_type and target_type not in STORED:
        raise InvalidValueError("the type in the chain is not stored here")
    chains = [
        Chain(path.key, target, criterion)
        for path in parameter.paths
        for target in _targets(parameter, path.target, target_type)
        if (criterion := parse(target, rest, value)) is not None
    ]
    return one_of(chains) if chains else None


def _targets(parameter: Parameter, only: str, target_type: str) -> Iterator[str]:
    for target in parameter.targets:
        if target in STORED and only in {"", target} and target_type in {"", target}:
            yield target


def has_criterion(name: str, value: str, depth: int, parse: Parse) -> Criterion | None:
    """Return the criterion of `_has:Observation:patient:code=x`; None if a parameter is unknown.

    https://hl7.org/fhir/R4/search.html#has

    Args:
        name: the whole parameter name.
        value: the value of its last part.
        depth: how many more links are allowed.
        parse: parses a parameter of the referring type.

    Raises:
        InvalidValueError: the name is malformed, or not of a reference.

    """
    _, other, *more = name.split(":", 3)
    if len(more) < 2 or other not in STORED:
        message = "write _has:Type:reference:parameter, with a type that is stored here"
        raise InvalidValueError(message, "_has")
    if depth <= 0:
        raise InvalidValueError(f"a chain has at most {DEEPEST} links", "_has")
    link = parameters(other).get(more[0])
    if link is None or link.type != "reference":
        raise InvalidValueError("the second part is not a reference parameter of its type", "_has")
    criterion = parse(other, more[1], value)
    return None if criterion is None else ReverseChain(other, link.keys, criterion)
