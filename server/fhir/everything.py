"""`Patient/id/$everything`: the patient, the compartment, and what these refer to.

https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from collections.abc import Iterator
from itertools import chain

from fhir_b12.definitions import R4
from fhir_b12.jsonio import loads
from fhir_b12.references import walk_references
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import responses
from fhir_b12.server.fhir.context import Route, access, facade, form, seen
from fhir_b12.server.fhir.parameters import Inputs, inputs
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.search.criteria import in_compartment
from fhir_b12.server.store import Version
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.response import JsonResponse

_KNOWN = ("start", "end", "_since", "_type")
#: what is in no compartment and is referred to from there
_SHARED = tuple(name for name in TYPES if name not in R4.compartment("Patient"))


def everything(name: str) -> JsonResponse:
    """`GET or POST Patient/id/$everything`; of some types, of some time, changed since."""
    asked = inputs(_KNOWN)
    patient = facade().store.read("Patient", name, access()) if is_id(name) else None
    if patient is None:
        raise responses.unknown("Patient")
    if patient.body is None:
        raise responses.gone(patient)
    found = versions(patient, wanted_types(asked.text("_type")), asked)
    seen(found)
    entries = responses.matches(found, "match", form())
    links = {"self": f"{responses.url(patient)}/$everything"}
    return responses.bundle("searchset", entries, total=len(found), links=links, wanted=form())


def versions(
    patient: Version, kinds: frozenset[str] = frozenset(TYPES), asked: Inputs | None = None
) -> list[Version]:
    """The patient, the compartment, and what these refer to."""
    room = facade().config.max_answer
    found: dict[tuple[str, str], Version] = {}
    own = _compartment(patient.id, kinds, asked or Inputs([]))
    for version in chain(_own(patient, kinds), own):
        found[version.type, version.id] = version
        room -= len(version.body or b"")
        if room < 0:
            message = "this is more than one answer holds; ask by _type, start and end, or export"
            raise refuse(413, "too-costly", message)
    for version in _referred(list(found.values()), kinds):
        found.setdefault((version.type, version.id), version)
    return list(found.values())


def wanted_types(text: str | None) -> frozenset[str]:
    """The types that `_type` names, all where it is not given."""
    if text is None:
        return frozenset(TYPES)
    names = frozenset(filter(None, text.split(",")))
    if not names or names - set(TYPES):
        raise refuse(400, "value", f"_type names types of {', '.join(TYPES)}")
    return names


def _own(patient: Version, kinds: frozenset[str]) -> Iterator[Version]:
    if "Patient" in kinds:
        yield patient


def _compartment(name: str, kinds: frozenset[str], asked: Inputs) -> Iterator[Version]:
    for kind in sorted(kinds & set(R4.compartment("Patient")) - {"Patient"}):
        if access().limits(kind, "s") is None:
            continue
        pairs = []
        if (since := asked.text("_since")) is not None:
            pairs.append(("_lastUpdated", f"ge{since}"))
        if "date" in R4.search_parameters(kind):
            for mark, text in (("ge", asked.text("start")), ("le", asked.text("end"))):
                if text is not None:
                    pairs.append(("date", f"{mark}{text}"))
        yield from facade().pages(access(), kind, pairs, in_compartment("Patient", name))


def _referred(versions: list[Version], kinds: frozenset[str]) -> Iterator[Version]:
    """Who and what is named in these and lies outside of the compartment: drugs, clinicians."""
    shared = kinds & set(_SHARED)
    known: set[str] = set()
    for text in chain.from_iterable(map(_references, versions)):
        kind, _, name = text.partition("/")
        if kind in shared and text not in known and access().limits(kind, "r") is not None:
            known.add(text)
            version = facade().store.read(kind, name, access())
            if version is not None and version.body is not None:
                yield version


def _references(version: Version) -> Iterator[str]:
    base = f"{facade().config.base}/"
    for _, node in walk_references(loads(version.body or b"{}")):
        yield "/".join(node["reference"].removeprefix(base).split("/")[:2])


_URL = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
ROUTES = (Route("$everything", ("GET", "POST"), "Patient/<name>/$everything", everything, _URL),)
