"""Token parameters: codes, identifiers, booleans.  https://hl7.org/fhir/R4/search.html#token"""

from functools import cache
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.server.search.criteria import Criterion, TextMatch, one_of
from fhir_b12.server.search.parameters import Parameter, Path, index_key
from fhir_b12.server.search.text_values import clip, fold, split_escaped, unescape
from fhir_b12.server.search.types.parameter_type import (
    Indexer,
    IndexWriter,
    InvalidValueError,
    ParameterType,
)

_MOST_CODES = 1_000  #: codes of a value set in :in and :not-in


# --- index


def _indexer(path: Path, leaf: str, element_path: str) -> Indexer:
    """Return the indexer of codes, Codings, CodeableConcepts, ContactPoints and booleans."""
    key, text_key = path.key, index_key(path.text, path.type, "text")
    if leaf == "Identifier":
        return _identifier_indexer(key, text_key, index_key(path.text, path.type, "of-type"))
    element = R4.element(element_path) if element_path and leaf == "code" else None
    systems = R4.required_value_set(element) if element else None
    system_of = {code: system for system, codes in (systems or {}).items() for code in codes}

    def index(writer: IndexWriter, value: Any, part: int) -> None:
        if isinstance(value, str):
            writer.texts.add((key, clip(value), system_of.get(value, ""), part))
        elif isinstance(value, bool):
            writer.texts.add((key, "true" if value else "false", "", part))
        elif isinstance(value, dict):
            codings = value.get("coding")
            for coding in codings if isinstance(codings, list) else (value,):
                _index_coding(writer, coding, part, key, text_key)
            if isinstance(text := value.get("text"), str):
                writer.texts.add((text_key, fold(text), "", part))
            if isinstance(text := value.get("value"), str):  # a ContactPoint
                writer.texts.add((key, clip(text), "", part))

    return index


def _index_coding(writer: IndexWriter, coding: Any, part: int, key: int, text_key: int) -> None:
    if not isinstance(coding, dict):
        return
    if isinstance(code := coding.get("code"), str):
        writer.texts.add((key, clip(code), _system(coding), part))
    if isinstance(display := coding.get("display"), str):
        writer.texts.add((text_key, fold(display), "", part))


def _system(value: dict[str, Any]) -> str:
    system = value.get("system")
    return clip(system) if isinstance(system, str) else ""


def _identifier_indexer(key: int, text_key: int, of_type_key: int) -> Indexer:
    def index(writer: IndexWriter, value: Any, part: int) -> None:
        if not isinstance(value, dict):
            return
        text = value.get("value")
        if isinstance(text, str):
            writer.texts.add((key, clip(text), _system(value), part))
        identifier_type = value.get("type")
        if not isinstance(identifier_type, dict):
            return
        if isinstance(identifier_type.get("text"), str):
            writer.texts.add((text_key, fold(identifier_type["text"]), "", part))
        codings = identifier_type.get("coding")
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, dict) and isinstance(text, str):
                typed = f"{coding.get('system', '')}|{coding.get('code', '')}|{text}"
                writer.texts.add((of_type_key, clip(typed), "", part))

    return index


# --- criteria


def token_criterion(parameter: Parameter, value: str, _: str) -> TextMatch:
    """Return the criterion of `code`, `system|code`, `|code` or `system|`.

    Raises:
        InvalidValueError: the value has more than two parts.

    """
    parts = [unescape(part) for part in split_escaped(value, "|")]
    if len(parts) > 2:
        raise InvalidValueError("write code, system|code, |code or system|")
    if len(parts) == 1:
        code = clip(parts[0])
        return TextMatch(parameter.keys, lambda t: t.value == code)
    system, code = map(clip, parts)
    if not code:
        return TextMatch(parameter.keys, lambda t: t.extra == system)
    return _coded(parameter, system, code)


def _coded(parameter: Parameter, system: str, code: str) -> TextMatch:
    return TextMatch(parameter.keys, lambda t: (t.value == code) & (t.extra == system))


def _text(parameter: Parameter, value: str, _: str) -> Criterion:
    """Return the criterion of `code:text=cobal`: the display or text begins with the value."""
    prefix = fold(unescape(value))
    return TextMatch(parameter.keys_of("text"), lambda t: t.value.starts_with(prefix))


def _of_type(parameter: Parameter, value: str, _: str) -> Criterion:
    """Return the criterion of `identifier:of-type=system|code|value`.

    Raises:
        InvalidValueError: not three parts.

    """
    parts = [unescape(part) for part in split_escaped(value, "|")]
    if len(parts) != 3:
        raise InvalidValueError("write system|code|value")
    typed = clip("|".join(parts))
    return TextMatch(parameter.keys_of("of-type"), lambda t: t.value == typed)


def _in(parameter: Parameter, value: str, _: str) -> Criterion:
    """Return the criterion of `code:in=url`: the code is in the expansion of a value set.

    Raises:
        InvalidValueError: the value set is unknown or too large.

    """
    systems = _expansion(unescape(value))
    if systems is None:
        raise InvalidValueError("unknown value set, or one without an enumerable expansion")
    pairs = [(system, code) for system, codes in systems.items() for code in sorted(codes)]
    if len(pairs) > _MOST_CODES:
        raise InvalidValueError(f"the value set has more than {_MOST_CODES} codes")
    return one_of(_coded(parameter, system, code) for system, code in pairs)


@cache
def _expansion(url: str) -> Any:
    from fhir_b12.validation import Validator  # noqa: PLC0415 - few searches need the validator

    return Validator().terminology.expand(url)


TYPE = ParameterType(
    indexer=_indexer,
    criteria={
        "": token_criterion, "not": token_criterion, "text": _text, "of-type": _of_type,
        "in": _in, "not-in": _in,
    },
    negated=frozenset({"not", "not-in"}),
)  # fmt: skip
