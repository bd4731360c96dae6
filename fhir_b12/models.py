"""Conversion to and from the models of `fhir.resources` (extra `models`).

That library has no R4: R4B is the nearest, and R5 refuses much of R4. It changes some data, e.g.
`180.00` to `180.0`; `changes` lists the elements, and `as_model` warns.
"""

import warnings
from importlib import import_module
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps, loads
from fhir_b12.jsonscan import expression
from fhir_b12.paths import leaves

RELEASES = {"R4B": "fhir.resources.R4B", "R5": "fhir.resources"}


class ModelError(ValueError):
    """A resource that `fhir.resources` refuses; `issues` say where, without its values."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__("; ".join(map(str, issues)))
        self.issues = issues


class ModelWarning(UserWarning):
    """Warning that `fhir.resources` does not keep some of the data."""


def as_model(resource: dict[str, Any], release: str = "R4B") -> Any:
    """Return the `fhir.resources` model of a resource.

    Args:
        resource: FHIR resource as plain JSON.
        release: FHIR release of the model, `R4B` or `R5`.

    Returns:
        A pydantic model. A ModelWarning names the elements that the model does not keep.

    Raises:
        ImportError: the extra `models` is not installed.
        ModelError: the model refuses the resource.
        ValueError: the release is unknown, or it has no such resource type.

    """
    if release not in RELEASES:
        raise ValueError(f"unknown release {release!r}: write one of {', '.join(RELEASES)}")
    try:
        package = import_module(RELEASES[release])
    except ImportError as error:
        raise ImportError("fhir.resources is missing: pip install 'fhir-b12[models]'") from error
    resource_type = resource.get("resourceType")
    try:
        model_class = package.get_fhir_model_class(resource_type)
    except (LookupError, TypeError, ValueError):
        raise ValueError(f"fhir.resources has no such resource type in {release}") from None
    try:
        model = model_class.model_validate_json(dumps(resource))
    except ValueError as error:
        raise ModelError(tuple(_refused(str(resource_type), error))) from None
    changed = changes(resource, model)
    if changed:
        paths = ", ".join(issue.expression for issue in changed)
        warnings.warn(f"fhir.resources does not keep {paths}", ModelWarning, stacklevel=2)
    return model


def _refused(resource_type: str, error: Any) -> list[Issue]:
    """Return pydantic's errors as issues, without the values that its messages contain."""
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    return [
        Issue(
            "error",
            "structure",
            expression(resource_type, item["loc"]),
            f"fhir.resources refuses this: {item['type'].replace('_', ' ')}",
        )
        for item in errors
    ]


def as_resource(model: Any) -> Any:
    """Return the plain JSON of a `fhir.resources` model.

    Args:
        model: a model, or any other value.

    Returns:
        The resource as a dict with Decimals; a value that is no model is returned unchanged.

    """
    if isinstance(model, dict | list) or not hasattr(model, "model_dump_json"):
        return model
    return loads(model.model_dump_json().encode())


def changes(resource: dict[str, Any], model: Any) -> tuple[Issue, ...]:
    """Return an issue for each element whose value differs between a model and its resource."""
    before, after = dict(leaves(resource)), dict(leaves(as_resource(model)))
    resource_type = resource.get("resourceType", "$this")
    what = "fhir.resources does not keep this value: take it from the resource"
    return tuple(
        Issue("warning", "value", f"{resource_type}.{path}", what)
        for path in {**before, **after}
        if path not in before or path not in after or _text(before[path]) != _text(after[path])
    )


def _text(value: Any) -> bytes:
    """Return a value as JSON, so that digits and types compare."""
    return dumps(value)
