"""Composite parameters: values of one component.

Indexed by the parameters they combine.  https://hl7.org/fhir/R4/search.html#combining
"""

from collections.abc import Callable

from fhir_b12.server.search.criteria import Composite, Criterion, IndexMatch
from fhir_b12.server.search.parameters import Parameter
from fhir_b12.server.search.text_values import split_escaped
from fhir_b12.server.search.types.parameter_type import InvalidValueError


def composite_criterion(
    parameter: Parameter, value: str, component_criterion: Callable[[Parameter, str], Criterion]
) -> Criterion:
    """Return the criterion of `component-code-value-quantity=code$gt100`.

    Args:
        parameter: the composite parameter.
        value: one value for each component, separated by `$`.
        component_criterion: returns the criterion of a component and its value.

    Raises:
        InvalidValueError: a value is missing or invalid.

    """
    values = list(split_escaped(value, "$"))
    if len(values) != len(parameter.components):
        raise InvalidValueError(f"write {len(parameter.components)} values separated by $")
    matches = []
    for component, part in zip(parameter.components, values, strict=True):
        criterion = component_criterion(component, part)
        if not isinstance(criterion, IndexMatch):
            raise InvalidValueError("a component of this parameter cannot be searched")
        matches.append(criterion)
    return Composite(tuple(matches))
