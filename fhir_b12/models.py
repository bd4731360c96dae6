"""The models of `fhir.resources`, for programs that use them (extra `models`).

That library has no R4; R4B is the nearest. It changes some data: `changes` says where.
"""

from importlib import import_module
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps, loads
from fhir_b12.paths import leaves

RELEASES = {"R4B": "fhir.resources.R4B", "R5": "fhir.resources"}


def as_model(resource: dict[str, Any], release: str = "R4B") -> Any:
    """The `fhir.resources` model of a resource.

    Raises:
        ImportError: the extra is not installed.
        ValueError: the release is unknown, or the model refuses the resource.

    """
    if release not in RELEASES:
        raise ValueError(f"no release {release!r}: give one of {', '.join(RELEASES)}")
    try:
        package = import_module(RELEASES[release])
    except ImportError as error:
        raise ImportError("fhir.resources is missing: pip install 'fhir-b12[models]'") from error
    model = package.get_fhir_model_class(resource["resourceType"])
    return model.model_validate_json(dumps(resource))


def as_resource(model: Any) -> Any:
    """The plain resource of a model; anything else comes back as it is."""
    if isinstance(model, dict | list) or not hasattr(model, "model_dump_json"):
        return model
    return loads(model.model_dump_json().encode())


def changes(resource: dict[str, Any], model: Any) -> tuple[Issue, ...]:
    """Where the model says something else than the resource, e.g. 180.0 for 180.00."""
    other = dict(leaves(as_resource(model)))
    kind = resource.get("resourceType", "$this")
    return tuple(
        Issue("warning", "value", f"{kind}.{path}", "fhir.resources does not keep this value")
        for path, value in leaves(resource)
        if path not in other or str(other[path]) != str(value)
    )
