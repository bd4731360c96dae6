"""Strategies for records that are valid by R4, used to test profiles.

Values are drawn from the definitions: always the required elements, sometimes others, codes from
required bindings, references to allowed types. Functions here make values satisfy R4's invariants.
"""

from decimal import Decimal
from functools import cache

import msgspec
from hypothesis import strategies as st

from fhir_b12 import codes, records
from fhir_b12.definitions import R4
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.lens import _by_record

UCUM = "http://unitsofmeasure.org"
TEXT = st.sampled_from(["B12", "½ Wirkung", "é", "مريض", "see note", "<150 or so", "a\nb", "1"])
DAYS = st.dates().map(str)
MOMENTS = st.builds(
    "{}T{}{}".format,
    DAYS,
    st.sampled_from(["00:00:00", "23:59:59.999", "09:15:00.120"]),
    st.sampled_from(["Z", "+05:45", "-11:00"]),
)
PRIMITIVES = {
    "string": TEXT,
    "markdown": TEXT,
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "positiveInt": st.integers(1, 2**31 - 1),
    "unsignedInt": st.integers(0, 2**31 - 1),
    "decimal": st.sampled_from([Decimal(t) for t in ("1.50", "0.10", "180", "-2", "1E+2")]),
    "date": st.one_of(DAYS, DAYS.map(lambda d: d[:7]), DAYS.map(lambda d: d[:4])),
    "dateTime": st.one_of(DAYS, DAYS.map(lambda d: d[:7]), DAYS.map(lambda d: d[:4]), MOMENTS),
    "instant": MOMENTS,
    "time": st.sampled_from(["09:15:00", "23:59:59.5"]),
    "uri": st.sampled_from(["https://clinic.example/a", "urn:oid:2.16.840.1.113883.6.1"]),
    "url": st.just("https://clinic.example/a"),
    "canonical": st.just("https://clinic.example/PlanDefinition/b12"),
    "code": st.just("en"),
    "id": st.sampled_from(["a", "A-1.b", "x" * 64]),
    "base64Binary": st.just("QjEy"),
}


def draw_object(required, optional):
    """Draw an object with all required and some optional members; never empty."""
    whole = st.fixed_dictionaries(required, optional=optional)
    return whole if required else whole.filter(bool)


AMOUNTS = [("ug", Decimal(1000)), ("mL", Decimal("250.0")), ("min", Decimal(30)), ("{score}", 4)]
UNITS = st.sampled_from(AMOUNTS).map(
    lambda a: {"value": a[1], "unit": a[0], "system": UCUM, "code": a[0]}
)
SIMPLE = st.one_of(UNITS, st.just({"value": Decimal("0.00")}), st.just({"value": 2, "unit": "bag"}))
QUANTITY = st.one_of(
    SIMPLE, st.builds(lambda q, c: q | {"comparator": c}, UNITS, st.sampled_from(["<", ">="]))
)
YEARS = st.integers(1, 90).map(lambda n: {"value": n, "unit": "a", "system": UCUM, "code": "a"})
MINUTES = st.integers(1, 90).map(
    lambda n: {"value": n, "unit": "min", "system": UCUM, "code": "min"}
)
CONCEPT = draw_object(
    {}, {"text": TEXT, "coding": st.just([{"system": "https://clinic.example/x", "code": "1"}])}
)
PERIOD = st.tuples(MOMENTS, st.booleans(), st.booleans()).map(
    lambda t: {"start": t[0], "end": t[0]} if t[1] else {"start" if t[2] else "end": t[0]}
)
RANGE = st.sampled_from([{"low": 1}, {"high": 2}, {"low": 1, "high": 2}]).map(
    lambda r: {k: {"value": v, "unit": "mL", "system": UCUM, "code": "mL"} for k, v in r.items()}
)
RATIO = st.fixed_dictionaries({"numerator": UNITS, "denominator": UNITS})
IDENTIFIER = draw_object(
    {"system": PRIMITIVES["uri"], "value": TEXT},
    {"use": st.just("official"), "period": PERIOD, "type": st.just({"text": "MRN"})},
)
REPEAT = st.sampled_from([
    {"count": 4, "frequency": 1, "period": 1, "periodUnit": "wk"},
    {"boundsPeriod": {"start": "2026"}, "duration": Decimal("20.0"), "durationUnit": "min"},
    {"frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["09:15:00"]},
])  # fmt: skip
TIMING = draw_object({}, {"event": st.lists(MOMENTS, min_size=1, max_size=2), "repeat": REPEAT})
ABSORPTION = {
    "url": "https://fhir-b12.org/StructureDefinition/absorption-mechanism",
    "valueCodeableConcept": {"text": "Ageing"},
}
DATATYPES = {
    "Quantity": QUANTITY,
    "SimpleQuantity": SIMPLE,
    "Age": YEARS,
    "Duration": MINUTES,
    "CodeableConcept": CONCEPT,
    "Coding": st.just({"system": "https://clinic.example/x", "code": "1", "display": "one"}),
    "Period": PERIOD,
    "Range": RANGE,
    "Ratio": RATIO,
    "Identifier": IDENTIFIER,
    "Timing": TIMING,
    "SampledData": st.just(
        {"origin": {"value": 0}, "period": Decimal("10.0"), "dimensions": 1, "data": "1 E 2.0"}
    ),
    "Attachment": st.just({"contentType": "image/png", "data": "QjEy"}),
    "ContactPoint": st.just({"system": "phone", "value": "+47 555 0100"}),
    "Annotation": draw_object(
        {"text": TEXT}, {"time": PRIMITIVES["dateTime"], "authorString": TEXT}
    ),
    "HumanName": draw_object({}, {"family": TEXT, "given": st.lists(TEXT, min_size=1, max_size=2)}),
    "Address": draw_object({}, {"city": TEXT, "line": st.just(["Fjordgata 7"])}),
    "Dosage": draw_object(
        {},
        {
            "text": TEXT,
            "timing": TIMING,
            "route": CONCEPT,
            "asNeededBoolean": st.booleans(),
            "doseAndRate": st.fixed_dictionaries({"doseQuantity": SIMPLE}).map(lambda d: [d]),
        },
    ),
    "Extension": st.just({"url": "https://example.org/x", "valueDecimal": Decimal("1.10")}),
}
INNER = {"id", "extension", "modifierExtension"}
LEFT_OUT = {*INNER, "contained", "language"}
#: A value for the binding to all languages, whose codes are not listed here.
LANGUAGE = {"coding": [{"system": "urn:ietf:bcp:47", "code": "nb"}]}


@cache
def draw_value(path):
    """Draw a value of an element, as plain JSON."""
    if path == "Patient.communication.language":
        return st.just(LANGUAGE)
    definition = R4.element(path)
    (type_name,) = definition.types or ("BackboneElement",)
    if type_name == "code" and (permitted := R4.required_codes(definition)):
        return st.sampled_from(sorted(permitted))
    if type_name == "Reference":
        return draw_reference(definition.targets)
    if type_name == "CodeableConcept" and definition.strength == "required":
        return st.sampled_from(
            [
                {"coding": [{"system": system, "code": code}]}
                for system, known in sorted(R4.value_set(definition.binding).items())
                for code in sorted(known)
            ]
        )
    if type_name == "BackboneElement":
        return draw_part(definition.content or path)
    known = [name for name in (*definition.profiles, type_name) if name in DATATYPES]
    return DATATYPES[known[0]] if known else PRIMITIVES[type_name]


def draw_reference(targets):
    """Draw a reference to an allowed type: literal, by identifier or with a display only."""
    target = st.sampled_from([t for t in targets if t != "Resource"] or ["Observation"])
    return st.one_of(
        target.map(lambda t: {"reference": f"{t}/a1", "display": "one"}),
        target.map(
            lambda t: {
                "type": t,
                "identifier": {"system": "https://clinic.example/b12", "value": "1"},
            }
        ),
        st.just({"display": "in words"}),
    )


def draw_one_or_more(path):
    """Draw a value, or a list of values if the element repeats."""
    one = draw_value(path)
    many = R4.element(path).max is None
    return st.lists(one, min_size=1, max_size=2) if many else one


@cache
def draw_part(path):
    """Draw a backbone element with some of its children and one type of each choice."""
    required, choices = {}, {}
    for name in R4.children(path):
        child = R4.element(f"{path}.{name}")
        if name in INNER or name.startswith("_") or len(child.types) > 1:
            continue
        if child.types == ("BackboneElement",) and path.count(".") > 1:
            continue
        if child.min and not child.defined.endswith("[x]"):
            required[name] = draw_one_or_more(f"{path}.{name}")
        else:
            choices.setdefault(child.defined, (child.min, []))[1].append(name)
    return draw_elements(path, required, choices, 3)


def draw_elements(path, required, choices, most):
    """Draw an object with the required elements, some optional ones and one type of each choice."""
    always = [names for least, names in choices.values() if least]
    optional = [names for least, names in choices.values() if not least]

    def draw_named(groups):
        names = st.tuples(*[st.sampled_from(group) for group in groups])
        return names.flatmap(
            lambda chosen: st.fixed_dictionaries(
                required | {name: draw_one_or_more(f"{path}.{name}") for name in chosen}
            )
        )

    some_of = st.lists(
        st.sampled_from(optional or [[]]), max_size=most if optional else 0, unique_by=tuple
    )
    return some_of.flatmap(lambda groups: draw_named([*always, *groups])).map(
        lambda values: satisfy_invariants(path, values)
    )


@cache
def draw_resource(record_type):
    """Draw a resource that the mapping table of a record type reads."""
    table = _by_record()[record_type].table
    required, choices = {}, {}
    for row in table.rows:
        name = row.ways[0].element
        definition = R4.element(f"{table.resource}.{name}")
        if name in LEFT_OUT or "." in name:
            continue
        if name == "category" and issubclass(record_type, records.Observed):
            continue
        if definition.min and not definition.defined.endswith("[x]"):
            required[name] = draw_concept(row, name, table.resource)
        else:
            choices.setdefault(definition.defined, (definition.min, []))[1].append(name)
    elements = draw_elements(table.resource, required, choices, 8)
    return elements.flatmap(
        lambda r: complete_resource(record_type, table, {"resourceType": table.resource, **r})
    )


def draw_concept(row, name, resource_type):
    """Draw a concept of the row's code table, or any concept."""
    free = draw_one_or_more(f"{resource_type}.{name}")
    if row.codes is None or R4.element(f"{resource_type}.{name}").max is None:
        return free
    known = st.sampled_from([builtins(entry.concept) for entry in codes.table(row.codes)])
    return st.one_of(known, free)


def complete_resource(record_type, table, resource):
    """Add what a record type requires beyond the elements of its table."""
    category = next(
        (
            f.default
            for f in msgspec.structs.fields(record_type)
            if f.name == "category" and f.default
        ),
        None,
    )
    if category not in {None, msgspec.NODEFAULT}:
        resource |= {"category": builtins(category)}
    if record_type is records.Infusion:
        resource |= {
            "dosage": {"route": {"text": "IV"}, "dose": {"value": Decimal(1000), "unit": "ug"}}
        }
    if record_type is records.VitalSign:
        return complete_vital_sign(resource)
    return st.just(resource)


VALUES = [n for n in R4.children("Observation") if n.startswith("value")]


#: Allowed by R4 only within a panel.
PRESSURES = ("systolic-bp", "diastolic-bp")


def complete_vital_sign(resource):
    """Add what R4 requires of a vital sign: patient, date, and the value type of its code."""
    elements = {n: v for n, v in resource.items() if not n.startswith(("effective", "value"))}
    elements = {n: v for n, v in elements.items() if n not in {"component", "dataAbsentReason"}}
    elements |= {"subject": {"reference": "Patient/a1"}, "effectiveDateTime": "2026-03-09"}
    alone = [e for e in codes.table("vital_signs") if e.key not in PRESSURES]
    entries = st.sampled_from([None, *alone])
    return entries.map(lambda entry: elements | value_for_code(entry))


def value_for_code(entry):
    """Return a code and a value of the type it requires."""
    table = codes.table("vital_signs")
    if entry is None:
        return {"code": {"text": "Perfusion"}, "valueString": "warm"}
    amount = {"value": Decimal("71.0"), "unit": entry.unit, "system": UCUM, "code": entry.unit}
    concept = builtins(entry.concept)
    if entry.key != "blood-pressure-panel":
        return {"code": concept, "valueQuantity": amount}
    parts = [{"code": builtins(table[key].concept), "valueQuantity": amount} for key in PRESSURES]
    return {"code": concept, "component": parts}


# --- R4's invariants, by key


def satisfy_invariants(path, values):
    """Return the values changed so that R4's invariants are satisfied."""
    change = INVARIANTS.get(path)
    return change(dict(values)) if change else values


def observation(o):
    if any(name in o for name in VALUES):
        o.pop("dataAbsentReason", None)  # obs-6
    return o


def reference_range(r):
    return r if r.keys() & {"low", "high", "text"} else r | {"text": "to 900"}  # obs-3


def condition(c):
    verification = c.get("verificationStatus", {}).get("coding", [{}])[0].get("code")
    if verification == "entered-in-error":
        c.pop("clinicalStatus", None)  # con-5
        return {n: v for n, v in c.items() if not n.startswith("abatement")}
    status = c.get("clinicalStatus", {}).get("coding", [{}])[0].get("code")
    if status not in {"inactive", "resolved", "remission"}:  # con-4
        return {n: v for n, v in c.items() if not n.startswith("abatement")}
    return c


def appointment(a):
    a.pop("end", None)
    a.pop("start", None)
    a |= {"start": "2026-05-18T09:00:00+02:00", "end": "2026-05-18T10:00:00+02:00"}  # app-2, app-3
    if a["status"] != "cancelled":  # app-4, whose expression misspells the code noshow
        a.pop("cancelationReason", None)
    return a


INVARIANTS = {
    "Observation": observation,
    "Observation.referenceRange": reference_range,
    "Observation.component": lambda c: observation(c) | {"code": {"text": "part"}},  # obs-7
    "Condition": condition,
    "Condition.stage": lambda s: s | {"summary": {"text": "II"}},  # con-1
    "Condition.evidence": lambda e: e | {"code": [{"text": "seen"}]},  # con-2
    "Appointment": appointment,
    "Appointment.participant": lambda p: p | {"actor": {"reference": "Patient/a1"}},  # app-1
    "Patient.contact": lambda c: c | {"name": {"text": "Next"}},  # pat-1
    "ServiceRequest": lambda s: s | {"code": s.get("code", {"text": "B12"})},  # prr-1
}


@cache
def draw_record(record_type):
    """Draw a valid record of a type, sometimes with a bag or an extension of ours."""
    lens = _by_record()[record_type]

    def read(resource):
        reading = lens.from_fhir(resource)
        assert reading.issues == (), (resource, reading.issues)
        return reading.record

    # records entered in error can be written but are never read
    strategy = (
        draw_resource(record_type).filter(lambda r: "entered-in-error" not in str(r)).map(read)
    )
    if "status" in lens.table.refuse:
        withdrawn = st.sampled_from([False] * 9 + [True])
        strategy = st.tuples(strategy, withdrawn).map(
            lambda t: msgspec.structs.replace(t[0], status="entered-in-error") if t[1] else t[0]
        )
    if record_type in {
        records.Condition,
        records.Procedure,
        records.MedicationUse,
        records.Lifestyle,
    }:
        strategy = st.tuples(strategy, st.booleans()).map(
            lambda t: msgspec.structs.replace(t[0], extension=(ABSORPTION,)) if t[1] else t[0]
        )
    if record_type in {records.Infusion, records.InfusionOrder, records.MedicationUse}:
        strategy = st.tuples(strategy, st.none() | draw_record(records.Medication)).map(
            replace_reference_by_bag
        )
    return strategy


def replace_reference_by_bag(pair):
    """Return the record with the bag instead of its medication, unchanged if there is no bag."""
    record, bag = pair
    if bag is None:
        return record
    return msgspec.structs.replace(record, bag=bag, medication=None, drug=None)
