"""Reference parameters: references, canonicals, logical references.

https://hl7.org/fhir/R4/search.html#reference
"""

from typing import Any

import msgspec

from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search.criteria import Criterion, TextMatch, one_of
from fhir_b12.server.search.parameters import Parameter, Path, index_key
from fhir_b12.server.search.text_values import clip, unescape
from fhir_b12.server.search.types.parameter_type import Indexer, IndexWriter, ParameterType
from fhir_b12.server.search.types.token import token_criterion

_LONGEST_VERSION = 64  #: characters


# --- index


def reference_indexer(path: Path, leaf: str, _: str) -> Indexer:
    """Return the indexer of References, uris and canonicals."""
    key, identifier_key = path.key, index_key(path.text, path.type, "identifier")
    has_version = leaf == "canonical"

    def index(writer: IndexWriter, value: Any, part: int) -> None:
        if isinstance(value, str):
            url, _, version = value.partition("|") if has_version else (value, "", "")
            writer.texts.add((key, clip(url), clip(version), part))
            return
        if not isinstance(value, dict):
            return
        text = value.get("reference")
        if isinstance(text, str) and text[:1] not in {"#", ""}:
            text, _, version = text.removeprefix(writer.base).partition("/_history/")
            writer.texts.add((key, clip(text), version[:_LONGEST_VERSION], part))
        identifier = value.get("identifier")
        if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
            system = identifier.get("system")
            extra = clip(system) if isinstance(system, str) else ""
            writer.texts.add((identifier_key, clip(identifier["value"]), extra, part))

    return index


# --- criteria


def _refers_to(parameter: Parameter, value: str, base: str) -> Criterion:
    """Return the criterion of `Patient/1`, `1` or an absolute url, with or without a version."""
    target, _, version = unescape(value).removeprefix(f"{base}/").partition("/_history/")
    return one_of(
        _match(path, name, version)
        for path in parameter.paths
        for name in _names(parameter, path, target)
        if not path.target or name.startswith(f"{path.target}/")
    )


def _match(path: Path, name: str, version: str) -> TextMatch:
    clipped = clip(name)
    if version:
        return TextMatch((path.key,), lambda t: (t.value == clipped) & (t.extra == version))
    return TextMatch((path.key,), lambda t: t.value == clipped)


def _names(parameter: Parameter, path: Path, target: str) -> list[str]:
    """Return what an index row may contain: a bare id is one of each possible target type."""
    if "/" in target or ":" in target:
        url, _, _ = target.partition("|")
        return [url]
    return [f"{name}/{target}" for name in parameter.targets if path.target in {"", name}]


def _of_target_type(target_type: str) -> Any:
    """Return the builder of `subject:Patient=1`."""

    def criterion(parameter: Parameter, value: str, base: str) -> Criterion:
        return _refers_to(parameter, f"{target_type}/{unescape(value)}", base)

    return criterion


def _identifier(parameter: Parameter, value: str, base: str) -> Criterion:
    """Return the criterion of `subject:identifier=system|value`."""
    match = token_criterion(parameter, value, base)
    return msgspec.structs.replace(match, keys=parameter.keys_of("identifier"))


TYPE = ParameterType(
    indexer=reference_indexer,
    criteria={name: _of_target_type(name) for name in STORED}
    | {"": _refers_to, "identifier": _identifier},
)
