"""Uri parameters: urls compared as a whole.  https://hl7.org/fhir/R4/search.html#uri"""

from fhir_b12.server.search.criteria import Criterion, TextMatch
from fhir_b12.server.search.parameters import Parameter
from fhir_b12.server.search.text_values import clip, unescape
from fhir_b12.server.search.types.parameter_type import ParameterType
from fhir_b12.server.search.types.reference import reference_indexer


def _equals(parameter: Parameter, value: str, _: str) -> Criterion:
    url = clip(unescape(value))
    return TextMatch(parameter.keys, lambda t: t.value == url)


TYPE = ParameterType(indexer=reference_indexer, criteria={"": _equals})
