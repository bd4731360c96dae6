"""Resources, and the ids of those that each search matches.  https://hl7.org/fhir/R4/search.html"""

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
SCT = "http://snomed.info/sct"


def quantity(value, code, **more):
    return {"value": value, "unit": code, "system": UCUM, "code": code} | more


def result(name, code, day, value, patient="one", **more):
    return {
        "resourceType": "Observation", "id": name, "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code, "display": "Cobalamin"}], "text": "B12"},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": day,
        "valueQuantity": value,
    } | more  # fmt: skip


RESOURCES = [
    {
        "resourceType": "Patient", "id": "one", "active": True, "gender": "female",
        "birthDate": "1961-09-03", "name": [{"family": "Müller-Lüdenscheidt", "given": ["Ana", "Eva"]}],
        "identifier": [{
            "system": "urn:mrn", "value": "42",
            "type": {"coding": [{"system": "urn:types", "code": "MR"}], "text": "Record number"},
        }],
        "telecom": [{"system": "phone", "value": "555-1"}, {"system": "email", "value": "a@b.c"}],
        "address": [{"city": "Zürich", "line": ["100% Road_1"]}],
        "meta": {"tag": [{"system": "urn:tags", "code": "seen"}]},
    },
    {
        "resourceType": "Patient", "id": "two", "active": False, "gender": "male",
        "birthDate": "1970", "name": [{"family": "Muller", "given": ["Bob"]}],
        "identifier": [{"value": "42"}], "deceasedDateTime": "2026-01-05",
        "managingOrganization": {"reference": "Organization/clinic"},
        "generalPractitioner": [{"identifier": {"system": "urn:gp", "value": "7"}}],
    },
    {"resourceType": "Organization", "id": "clinic", "name": "B12 Clinic",
     "partOf": {"reference": "Organization/group"}},
    {"resourceType": "Organization", "id": "group", "name": "Group of Clinics"},
    result("low", "2132-9", "2026-03-09T09:15:00+01:00", quantity(132, "pg/mL")),
    result("high", "2132-9", "2026-03-10", quantity(250, "pg/mL")),
    result("moles", "14685-2", "2026-04", quantity(200, "pmol/L"), "two",
           performer=[{"reference": "Organization/clinic"}]),
    result("below", "14685-2", "2025", quantity(150, "pmol/L", comparator="<"), "two", status="amended"),
    {
        "resourceType": "Observation", "id": "panel", "status": "final",
        "code": {"coding": [{"system": "urn:ours", "code": "panel"}]},
        "subject": {"reference": "Patient/one"},
        "effectivePeriod": {"start": "2026-03-01", "end": "2026-03-31"},
        "component": [
            {"code": {"coding": [{"system": "urn:ours", "code": "upper"}]}, "valueQuantity": quantity(120, "mm[Hg]")},
            {"code": {"coding": [{"system": "urn:ours", "code": "lower"}]}, "valueQuantity": quantity(80, "mm[Hg]")},
        ],
    },
    {"resourceType": "Observation", "id": "words", "status": "final", "code": {"text": "Fatigue"},
     "valueString": "Worse, at night"},
]  # fmt: skip

CASES = {
    "Patient": [
        # strings
        ("name=muller", ["one", "two"]), ("name=MÜLL", ["one", "two"]), ("family=Lüden", []),
        ("family:contains=luden", ["one"]), ("family:exact=Muller", ["two"]),
        ("family:exact=muller", []), ("given=ev", ["one"]), ("name=ana,bob", ["one", "two"]),
        ("name=ana&name=eva", ["one"]), ("name=ana&name=bob", []), ("address=zurich", ["one"]),
        ("address:contains=%25 road_", ["one"]), ("address:contains=_____%25", []),
        ("family:missing=true", []), ("address:missing=true", ["two"]),
        ("address:missing=false", ["one"]),
        # tokens
        ("identifier=42", ["one", "two"]), ("identifier=urn:mrn|42", ["one"]),
        ("identifier=|42", ["two"]), ("identifier=urn:mrn|", ["one"]), ("identifier=urn:mrn|43", []),
        ("identifier:of-type=urn:types|MR|42", ["one"]), ("identifier:text=record", ["one"]),
        ("gender=female", ["one"]), ("gender=http://hl7.org/fhir/administrative-gender|male", ["two"]),
        ("gender=urn:other|male", []), ("gender:not=female", ["two"]), ("active=true", ["one"]),
        ("phone=555-1", ["one"]), ("email=a@b.c", ["one"]), ("email=555-1", []),
        ("telecom=555-1,a@b.c", ["one"]), ("deceased=true", ["two"]), ("_tag=urn:tags|seen", ["one"]),
        ("_tag:not=seen", ["two"]), ("_id=one,two,none", ["one", "two"]),
        # dates
        ("birthdate=1961", ["one"]), ("birthdate=1961-09-03", ["one"]), ("birthdate=1970", ["two"]),
        ("birthdate=1970-05", []), ("birthdate=lt1965", ["one"]), ("birthdate=ge1970", ["two"]),
        ("birthdate=ne1961", ["two"]), ("birthdate=sa1961-09-03", ["two"]),
        ("birthdate=eb1970", ["one"]), ("death-date=2026-01", ["two"]),
        ("_lastUpdated=gt2000-01-01", ["one", "two"]), ("_lastUpdated=lt2000-01-01", []),
        # references and chains
        ("organization=clinic", ["two"]), ("organization=Organization/clinic", ["two"]),
        ("organization=https://fhir.clinic.test/fhir/Organization/clinic", ["two"]),
        ("organization=https://other.test/fhir/Organization/clinic", []),
        ("organization:Organization=clinic", ["two"]),
        ("organization.name=b12", ["two"]), ("organization:Organization.name=b12", ["two"]),
        ("organization.partof.name=group", ["two"]), ("organization.name=none", []),
        ("general-practitioner:identifier=urn:gp|7", ["two"]),
        ("general-practitioner:identifier=urn:gp|8", []),
        ("_has:Observation:patient:code=14685-2", ["two"]),
        ("_has:Observation:patient:status=final&gender=male", ["two"]),
        ("_has:Observation:subject:performer:Organization.name=b12", ["two"]),
    ],
    "Observation": [
        ("code=2132-9", ["low", "high"]), (f"code={LOINC}|2132-9,{LOINC}|14685-2", ["low", "high", "moles", "below"]),
        ("code:text=cobal", ["low", "high", "moles", "below"]), ("code:text=fat", ["words"]),
        ("code:in=https://fhir-b12.org/ValueSet/lab-tests", ["low", "high", "moles", "below"]),
        ("code:not-in=https://fhir-b12.org/ValueSet/lab-tests", ["panel", "words"]),
        ("status:not=final", ["below"]), ("patient=one", ["low", "high", "panel"]),
        ("patient=Patient/one", ["low", "high", "panel"]), ("subject:Patient=two", ["moles", "below"]),
        ("subject=Organization/one", []), ("patient.name=ana", ["low", "high", "panel"]),
        ("patient.organization.name=b12", ["moles", "below"]),
        # dates: a day, a period, a month, a year
        ("date=2026-03-09", ["low"]), ("date=2026-03-09T08:15:00Z", ["low"]), ("date=2026-03", ["low", "high", "panel"]),
        ("date=2026", ["low", "high", "moles", "panel"]), ("date=ge2026-03-10", ["high", "moles", "panel"]),
        ("date=gt2026-03-10", ["moles", "panel"]), ("date=lt2026-03-09", ["below", "panel"]),
        ("date=le2026-03-09", ["low", "below", "panel"]), ("date=sa2026-03-09", ["high", "moles"]),
        ("date=eb2026-03-01", ["below"]), ("date=ge2026-03-09&date=le2026-03-10", ["low", "high", "panel"]),
        # quantities, whatever the unit
        ("value-quantity=132", ["low"]), ("value-quantity=132||pg/mL", ["low"]), ("value-quantity=132||mg", []),
        (f"value-quantity=132|{UCUM}|pg/mL", ["low"]), (f"value-quantity=132|{UCUM}|ng/L", ["low"]),
        (f"value-quantity=0.132|{UCUM}|ng/mL", ["low"]), (f"value-quantity=gt140|{UCUM}|pg/mL", ["high", "moles", "below"]),
        (f"value-quantity=gt148|{UCUM}|pmol/L", ["high", "moles", "below"]), (f"value-quantity=lt148|{UCUM}|pmol/L", ["low", "below"]),
        (f"value-quantity=97.4|{UCUM}|pmol/L", ["low"]), (f"value-quantity=ge250|{UCUM}|pg/mL", ["high", "moles"]),
        (f"value-quantity=sa249|{UCUM}|pg/mL", ["high", "moles"]), (f"value-quantity=ap130|{UCUM}|pg/mL", ["low", "below"]),
        (f"value-quantity=gt1|{UCUM}|mm[Hg]", []), ("component-value-quantity=gt100", ["panel"]),
        ("combo-value-quantity=80", ["panel"]), ("value-quantity=1|urn:other|pg/mL", []),
        # what belongs together
        ("code-value-quantity=2132-9$lt200", ["low"]), ("code-value-quantity=2132-9$gt300", []),
        ("component-code-value-quantity=upper$gt100", ["panel"]), ("component-code-value-quantity=lower$gt100", []),
        (f"combo-code-value-quantity={LOINC}|2132-9$132|{UCUM}|pg/mL", ["low"]),
        ("value-string=worse\\,", ["words"]), ("value-string=worse", ["words"]), ("value-string=at night", []),
        ("value-quantity:missing=true", ["panel", "words"]), ("performer=Organization/clinic", ["moles"]),
        # text that is SQL elsewhere
        ("code=' OR 1=1 --", []), ("value-string:contains=%25", []), ("value-string:contains=_", []),
        ("code=2132-9&_id=low", ["low"]), ("_has:Provenance:target:agent=x", []),
    ],
}  # fmt: skip

ORDERS = [
    ("Observation?_sort=date&patient=one", ["panel", "low", "high"]),
    ("Observation?_sort=-date&patient=one", ["panel", "high", "low"]),
    ("Observation?_sort=-_id", ["words", "panel", "moles", "low", "high", "below"]),
    ("Observation?_sort=status,-_id", ["below", "words", "panel", "moles", "low", "high"]),
    ("Observation?_sort=value-quantity", ["below", "low", "moles", "high", "panel", "words"]),
    ("Patient?_sort=family", ["two", "one"]),
    ("Patient?_sort=-birthdate,_id", ["two", "one"]),
    ("Patient?_sort=organization", ["two", "one"]),
]
