"""Variables of an expression as evaluators.  https://hl7.org/fhir/R4/fhirpath.html#variables"""

from fhir_b12 import aliases
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Evaluator
from fhir_b12.suggestions import did_you_mean

_URLS = {
    "ucum": aliases.UCUM,
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_URL_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}
_NODES: dict[str, Evaluator] = {
    "resource": lambda _this, evaluation: evaluation.resource(),
    "rootResource": lambda _this, evaluation: evaluation.resource(root=True),
    "context": lambda _this, evaluation: [evaluation.context],
}

#: `$this`, `$index` and `$total`, without the dollar sign.  http://hl7.org/fhirpath/N1/#functions
SPECIAL_VARIABLES: dict[str, Evaluator] = {
    "this": lambda this, _evaluation: this,
    "index": lambda _this, evaluation: [evaluation.index],
    "total": lambda _this, evaluation: evaluation.total,
}


def build_environment_variable(name: str, column: int) -> Evaluator:
    """Return the evaluator of an environment variable, e.g. of `resource` for `%resource`.

    Raises:
        FhirPathError: The variable is unknown.

    """
    if name in _NODES:
        return _NODES[name]
    url = _URLS.get(name)
    for prefix, start in _URL_PREFIXES.items():
        if name.startswith(prefix):
            url = start + name.removeprefix(prefix)
    if url is None:
        known = (*_NODES, *_URLS)
        raise FhirPathError(f"unknown variable %{name}{did_you_mean(name, known)}", column)
    items = [url]
    return lambda _this, _evaluation: items
