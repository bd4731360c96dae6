"""The models of `fhir.resources`, for programs that use them (extra `models`).

That library has no R4: R4B is the nearest, and R5 refuses much of R4. It changes some data, e.g.
`180.00` to `180.0`; `changes` says where, and `as_model` warns.
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
    """`fhir.resources` does not keep some of the data."""


def as_model(resource: dict[str, Any], release: str = "R4B") -> Any:
    """The `fhir.resources` model of a resource; a ModelWarning names what it changes.

    Raises:
        ImportError: the extra is not installed.
        ValueError: the release is unknown, or the resource has no resourceType of that release.
        ModelError: the model refuses the resource.

    """
    if release not in RELEASES:
        raise ValueError(f"no release {release!r}: give one of {', '.join(RELEASES)}")
    try:
        package = import_module(RELEASES[release])
    except ImportError as error:
        raise ImportError("fhir.resources is missing: pip install 'fhir-b12[models]'") from error
    kind = resource.get("resourceType")
    try:
        model_class = package.get_fhir_model_class(kind)
    except (LookupError, TypeError, ValueError):
        raise ValueError(f"fhir.resources has no such resource type in {release}") from None
    try:
        model = model_class.model_validate_json(dumps(resource))
    except ValueError as error:
        raise ModelError(tuple(_refused(str(kind), error))) from None
    changed = changes(resource, model)
    if changed:
        paths = ", ".join(issue.expression for issue in changed)
        warnings.warn(f"fhir.resources does not keep {paths}", ModelWarning, stacklevel=2)
    return model


def _refused(kind: str, error: Any) -> list[Issue]:
    """Pydantic's errors as issues; its own messages would show the values."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [
        Issue(
            "error",
            "structure",
            expression(kind, each["loc"]),
            f"fhir.resources refuses this: {each['type'].replace('_', ' ')}",
        )
        for each in found
    ]


def as_resource(model: Any) -> Any:
    """The plain resource of a model; anything else comes back as it is."""
    if isinstance(model, dict | list) or not hasattr(model, "model_dump_json"):
        return model
    return loads(model.model_dump_json().encode())


def changes(resource: dict[str, Any], model: Any) -> tuple[Issue, ...]:
    """An issue for each place where the model says something else than the resource."""
    before, after = dict(leaves(resource)), dict(leaves(as_resource(model)))
    kind = resource.get("resourceType", "$this")
    what = "fhir.resources does not keep this value: take it from the resource"
    return tuple(
        Issue("warning", "value", f"{kind}.{path}", what)
        for path in {**before, **after}
        if path not in before or path not in after or _text(before[path]) != _text(after[path])
    )


def _text(value: Any) -> bytes:
    """A value with its digits and its type."""
    return dumps(value)
