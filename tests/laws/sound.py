"""Records that R4 itself finds sound, whatever their profile asks: for judging profiles.

Values are drawn from the definitions: required elements always, others now and then, codes from
required bindings, references to a type that may stand there. R4's invariants are kept by hand.
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


def some(required, optional):
    """An object with all of the one kind and some of the other; never empty."""
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
CONCEPT = some(
    {}, {"text": TEXT, "coding": st.just([{"system": "https://clinic.example/x", "code": "1"}])}
)
PERIOD = st.tuples(MOMENTS, st.booleans(), st.booleans()).map(
    lambda t: {"start": t[0], "end": t[0]} if t[1] else {"start" if t[2] else "end": t[0]}
)
RANGE = st.sampled_from([{"low": 1}, {"high": 2}, {"low": 1, "high": 2}]).map(
    lambda r: {k: {"value": v, "unit": "mL", "system": UCUM, "code": "mL"} for k, v in r.items()}
)
RATIO = st.fixed_dictionaries({"numerator": UNITS, "denominator": UNITS})
IDENTIFIER = some(
    {"system": PRIMITIVES["uri"], "value": TEXT},
    {"use": st.just("official"), "period": PERIOD, "type": st.just({"text": "MRN"})},
)
REPEAT = st.sampled_from([
    {"count": 4, "frequency": 1, "period": 1, "periodUnit": "wk"},
    {"boundsPeriod": {"start": "2026"}, "duration": Decimal("20.0"), "durationUnit": "min"},
    {"frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["09:15:00"]},
])  # fmt: skip
TIMING = some({}, {"event": st.lists(MOMENTS, min_size=1, max_size=2), "repeat": REPEAT})
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
    "Annotation": some({"text": TEXT}, {"time": PRIMITIVES["dateTime"], "authorString": TEXT}),
    "HumanName": some({}, {"family": TEXT, "given": st.lists(TEXT, min_size=1, max_size=2)}),
    "Address": some({}, {"city": TEXT, "line": st.just(["Fjordgata 7"])}),
    "Dosage": some(
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
#: Where R4 binds to value sets that no list here has: any of a few codes of theirs.
LANGUAGE = {"coding": [{"system": "urn:ietf:bcp:47", "code": "nb"}]}


@cache
def value(path):
    """One value of an element, as plain JSON."""
    if path == "Patient.communication.language":
        return st.just(LANGUAGE)
    found = R4.element(path)
    (kind,) = found.types or ("BackboneElement",)
    if kind == "code" and (permitted := R4.required_codes(found)):
        return st.sampled_from(sorted(permitted))
    if kind == "Reference":
        return reference(found.targets)
    if kind == "CodeableConcept" and found.strength == "required":
        return st.sampled_from(
            [
                {"coding": [{"system": system, "code": code}]}
                for system, known in sorted(R4.value_set(found.binding).items())
                for code in sorted(known)
            ]
        )
    if kind == "BackboneElement":
        return part(found.content or path)
    known = [each for each in (*found.profiles, kind) if each in DATATYPES]
    return DATATYPES[known[0]] if known else PRIMITIVES[kind]


def reference(targets):
    """To one of the types that may stand there: by address, by identifier or in words."""
    kind = st.sampled_from([t for t in targets if t != "Resource"] or ["Observation"])
    return st.one_of(
        kind.map(lambda t: {"reference": f"{t}/a1", "display": "one"}),
        kind.map(
            lambda t: {
                "type": t,
                "identifier": {"system": "https://clinic.example/b12", "value": "1"},
            }
        ),
        st.just({"display": "in words"}),
    )


def repeated(path):
    """A value, or a list of them where the element repeats."""
    one = value(path)
    many = R4.element(path).max is None
    return st.lists(one, min_size=1, max_size=2) if many else one


@cache
def part(path):
    """Some children of a part; of a choice one spelling."""
    required, choices = {}, {}
    for name in R4.children(path):
        child = R4.element(f"{path}.{name}")
        if name in INNER or name.startswith("_") or len(child.types) > 1:
            continue
        if child.types == ("BackboneElement",) and path.count(".") > 1:
            continue
        if child.min and not child.defined.endswith("[x]"):
            required[name] = repeated(f"{path}.{name}")
        else:
            choices.setdefault(child.defined, (child.min, []))[1].append(name)
    return pick(path, required, choices, 3)


def pick(path, required, choices, most):
    """An object of the required elements, those chosen, and of each choice one spelling."""
    always = [spelled for least, spelled in choices.values() if least]
    optional = [spelled for least, spelled in choices.values() if not least]

    def drawn(groups):
        names = st.tuples(*[st.sampled_from(group) for group in groups])
        return names.flatmap(
            lambda chosen: st.fixed_dictionaries(
                required | {name: repeated(f"{path}.{name}") for name in chosen}
            )
        )

    some_of = st.lists(
        st.sampled_from(optional or [[]]), max_size=most if optional else 0, unique_by=tuple
    )
    return some_of.flatmap(lambda groups: drawn([*always, *groups])).map(
        lambda made: mended(path, made)
    )


@cache
def resource(kind):
    """A resource as the table of a kind of record reads it."""
    table = _by_record()[kind].table
    required, choices = {}, {}
    for row in table.rows:
        name = row.ways[0].element
        found = R4.element(f"{table.resource}.{name}")
        if name in LEFT_OUT or "." in name:
            continue
        if name == "category" and issubclass(kind, records.Observed):
            continue
        if found.min and not found.defined.endswith("[x]"):
            required[name] = coded(row, name, table.resource)
        else:
            choices.setdefault(found.defined, (found.min, []))[1].append(name)
    made = pick(table.resource, required, choices, 8)
    return made.flatmap(lambda r: whole(kind, table, {"resourceType": table.resource, **r}))


def coded(row, name, kind):
    """A concept of the code table, or any."""
    free = repeated(f"{kind}.{name}")
    if row.codes is None or R4.element(f"{kind}.{name}").max is None:
        return free
    known = st.sampled_from([builtins(entry.concept) for entry in codes.table(row.codes)])
    return st.one_of(known, free)


def whole(kind, table, made):
    """What each kind of record has beyond its elements."""
    category = next(
        (f.default for f in msgspec.structs.fields(kind) if f.name == "category" and f.default),
        None,
    )
    if category not in {None, msgspec.NODEFAULT}:
        made |= {"category": builtins(category)}
    if kind is records.Infusion:
        made |= {
            "dosage": {"route": {"text": "IV"}, "dose": {"value": Decimal(1000), "unit": "ug"}}
        }
    if kind is records.VitalSign:
        return vital(made)
    return st.just(made)


VALUES = [n for n in R4.children("Observation") if n.startswith("value")]


#: R4 wants these in a panel only.
PRESSURES = ("systolic-bp", "diastolic-bp")


def vital(made):
    """R4 asks more of a vital sign: patient, day, and the value that its code says."""
    kept = {n: v for n, v in made.items() if not n.startswith(("effective", "value"))}
    kept = {n: v for n, v in kept.items() if n not in {"component", "dataAbsentReason"}}
    kept |= {"subject": {"reference": "Patient/a1"}, "effectiveDateTime": "2026-03-09"}
    alone = [e for e in codes.table("vital_signs") if e.key not in PRESSURES]
    entries = st.sampled_from([None, *alone])
    return entries.map(lambda entry: kept | measured(entry))


def measured(entry):
    """A code and the value it asks for."""
    table = codes.table("vital_signs")
    if entry is None:
        return {"code": {"text": "Perfusion"}, "valueString": "warm"}
    amount = {"value": Decimal("71.0"), "unit": entry.unit, "system": UCUM, "code": entry.unit}
    concept = builtins(entry.concept)
    if entry.key != "blood-pressure-panel":
        return {"code": concept, "valueQuantity": amount}
    parts = [{"code": builtins(table[key].concept), "valueQuantity": amount} for key in PRESSURES]
    return {"code": concept, "component": parts}


# --- R4's invariants, each by its key


def mended(path, made):
    """The same without what an invariant of R4 forbids."""
    change = INVARIANTS.get(path)
    return change(dict(made)) if change else made


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
    if a["status"] != "cancelled":  # app-4, which spells noshow otherwise than its code
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
def record(kind):
    """A sound record of a kind; some hold a bag, some an extension of ours."""
    lens = _by_record()[kind]

    def read(made):
        reading = lens.from_fhir(made)
        assert reading.issues == (), (made, reading.issues)
        return reading.record

    # what is withdrawn is written and never read
    drawn = resource(kind).filter(lambda r: "entered-in-error" not in str(r)).map(read)
    if "status" in lens.table.refuse:
        withdrawn = st.sampled_from([False] * 9 + [True])
        drawn = st.tuples(drawn, withdrawn).map(
            lambda t: msgspec.structs.replace(t[0], status="entered-in-error") if t[1] else t[0]
        )
    if kind in {records.Condition, records.Procedure, records.MedicationUse, records.Lifestyle}:
        drawn = st.tuples(drawn, st.booleans()).map(
            lambda t: msgspec.structs.replace(t[0], extension=(ABSORPTION,)) if t[1] else t[0]
        )
    if kind in {records.Infusion, records.InfusionOrder, records.MedicationUse}:
        drawn = st.tuples(drawn, st.none() | record(records.Medication)).map(bagged)
    return drawn


def bagged(pair):
    """A record that holds the bag instead of its reference, where there is one."""
    made, bag = pair
    if bag is None:
        return made
    return msgspec.structs.replace(made, bag=bag, medication=None, drug=None)
