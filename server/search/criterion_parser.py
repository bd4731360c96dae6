"""One search parameter and its value, parsed to a criterion.

https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Sequence

from fhir_b12.server.search.criteria import (
    Criterion,
    IndexMatch,
    Not,
    RangeMatch,
    TextMatch,
    one_of,
)
from fhir_b12.server.search.parameters import Parameter, Path, parameters
from fhir_b12.server.search.text_values import split_escaped
from fhir_b12.server.search.types import TYPES
from fhir_b12.server.search.types.composite import composite_criterion
from fhir_b12.server.search.types.parameter_type import InvalidValueError
from fhir_b12.server.search.types.special import (
    DEEPEST,
    chain_criterion,
    column_criterion,
    has_criterion,
)
from fhir_b12.server.sql.expressions import TRUE

MOST_VALUES = 200  #: alternatives of one parameter


def parse_criterion(
    resource_type: str, name: str, value: str, base: str, depth: int = DEEPEST
) -> Criterion | None:
    """Return the criterion of one parameter.

    Args:
        resource_type: the type that is searched.
        name: the parameter, with modifier or chain.
        value: its value, perhaps with alternatives separated by commas.
        base: the base url of this server.
        depth: how many links a chain may have.

    Returns:
        The criterion; None if the parameter is unknown.

    Raises:
        InvalidValueError: the value or the modifier is invalid.

    """

    def parse(other_type: str, rest: str, inner: str) -> Criterion | None:
        return parse_criterion(other_type, rest, inner, base, depth - 1)

    if name.startswith("_has:"):
        return has_criterion(name, value, depth, parse)
    head, dot, rest = name.partition(".")
    if dot:
        return chain_criterion(resource_type, head, rest, value, depth, parse)
    code, _, modifier = head.partition(":")
    values = [part for part in split_escaped(value, ",") if part]
    if not values:
        raise InvalidValueError("the value is missing")
    if len(values) > MOST_VALUES:
        raise InvalidValueError(f"at most {MOST_VALUES} values are allowed")
    criterion = column_criterion(resource_type, code, values)
    if criterion is not None:
        return criterion
    parameter = parameters(resource_type).get(code)
    if parameter is None:
        return None
    if modifier == "missing":
        return _missing(parameter, value)
    return _typed_criterion(parameter, modifier, values, base)


def _typed_criterion(
    parameter: Parameter, modifier: str, values: Sequence[str], base: str
) -> Criterion:
    """Return the criterion that one of the values matches.

    Raises:
        InvalidValueError: the value or the modifier is invalid.

    """
    if parameter.type == "composite":
        if modifier:
            raise InvalidValueError("a composite parameter has no modifiers")
        return one_of(
            composite_criterion(
                parameter, value, lambda part, text: _typed_criterion(part, "", [text], "")
            )
            for value in values
        )
    known = TYPES.get(parameter.type)
    build = None if known is None else known.criteria.get(modifier)
    if known is None or build is None:
        raise InvalidValueError("the parameter does not have this modifier")
    criterion = one_of(build(parameter, value, base) for value in values)
    return Not(criterion) if modifier in known.negated else criterion


def _missing(parameter: Parameter, value: str) -> Criterion:
    """Return the criterion of `date:missing=true`.  https://hl7.org/fhir/R4/search.html#missing

    Raises:
        InvalidValueError: neither true nor false, or a composite parameter.

    """
    if value not in {"true", "false"}:
        raise InvalidValueError("write true or false")
    if parameter.type == "composite":
        raise InvalidValueError("a composite parameter has no :missing")
    is_range = TYPES[parameter.type].is_range
    present = one_of(_any_value(path, is_range=is_range) for path in parameter.paths)
    return Not(present) if value == "true" else present


def _any_value(path: Path, *, is_range: bool) -> IndexMatch:
    if is_range:
        return RangeMatch((path.key,), lambda _: TRUE)
    if not path.target:
        return TextMatch((path.key,), lambda _: TRUE)
    # `0` is the character after `/`
    return TextMatch(
        (path.key,),
        lambda t: (t.value >= f"{path.target}/") & (t.value < f"{path.target}0"),
    )
