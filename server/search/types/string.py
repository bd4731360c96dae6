"""String parameters: names, addresses, texts.  https://hl7.org/fhir/R4/search.html#string"""

from typing import Any

from fhir_b12.server.search.criteria import Criterion, TextMatch
from fhir_b12.server.search.parameters import Parameter, Path
from fhir_b12.server.search.text_values import clip, fold, unescape
from fhir_b12.server.search.types.parameter_type import Indexer, IndexWriter, ParameterType

_HUMAN_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


# --- index


def _indexer(path: Path, leaf: str, _: str) -> Indexer:
    """Return the indexer of strings and of the elements of HumanName and Address."""
    key, elements = path.key, _ADDRESS if leaf == "Address" else _HUMAN_NAME

    def index(writer: IndexWriter, value: Any, part: int) -> None:
        if isinstance(value, str):
            writer.texts.add((key, fold(value), clip(value), part))
        elif isinstance(value, dict):
            for name in elements:
                texts = value.get(name)
                for text in texts if isinstance(texts, list) else (texts,):
                    if isinstance(text, str):
                        writer.texts.add((key, fold(text), clip(text), part))

    return index


# --- criteria


def _starts_with(parameter: Parameter, value: str, _: str) -> Criterion:
    prefix = fold(unescape(value))
    return TextMatch(parameter.keys, lambda t: t.value.starts_with(prefix))


def _exact(parameter: Parameter, value: str, _: str) -> Criterion:
    folded, exact = fold(unescape(value)), clip(unescape(value))
    return TextMatch(parameter.keys, lambda t: (t.value == folded) & (t.extra == exact))


def _contains(parameter: Parameter, value: str, _: str) -> Criterion:
    text = fold(unescape(value))
    return TextMatch(parameter.keys, lambda t: t.value.contains(text))


TYPE = ParameterType(
    indexer=_indexer, criteria={"": _starts_with, "exact": _exact, "contains": _contains}
)
