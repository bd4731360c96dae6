"""JSON values and texts spoilt in many ways; the same `random.Random` spoils them the same way."""

from decimal import Decimal
from random import Random

from fhir_b12.jsonio import JsonError, dumps


def nested(depth):
    """Lists within each other."""
    return [] if depth == 1 else [nested(depth - 1)]


#: What may stand where something else should.
ODD = (
    None, True, False, 0, -1, 7, 10**40, 2**63, Decimal("-0.0"), Decimal("1E+400"), Decimal("0.10"),
    Decimal("180.00"), "", " ", "x", "42", "\U0001f9ec", "e\u0301", "a\u202eb", "#", "#x", "Maja-Secret",
    [], {}, [[]], [None], [{}], [{"id": "x"}], {"id": "x"}, {"extension": []}, {"": ""}, ["a", "b"],
    {"value": Decimal("1.50")}, {"reference": "#"}, {"coding": {"code": "Maja-Secret"}},
    {"coding": [{"code": "a"}, {"code": "b"}], "text": "Maja-Secret"},
)  # fmt: skip
#: Names that no element has, or that others have.
NAMES = (
    "", "stauts", "_status", "_value", "value[x]", "a.b", "`", "it's \"quoted\"", "\\", "\n", "é", "x" * 300,
    "[0]", "contained", "modifierExtension", "implicitRules", "extension", "id", "valueString",
    "valueQuantity", "valueInteger", "effectiveDateTime", "effectivePeriod", "medicationReference",
    "medicationCodeableConcept", "onsetAge", "onsetString", "performedString", "status", "entry",
)  # fmt: skip
DATES = (
    "2026-02-30", "2025-02-29", "0000-00-00", "2026-13", "26", "2026-02-23T24:00:00Z", "2026-02-23T09:15",
    "2026-02-23T23:59:60+14:00", "2026-02-23T09:15:00.000-00:00", " 2026", "9999-12-31", "2026-2-3",
)  # fmt: skip
SYSTEMS = (
    "urn:oid:2.16.840.1.113883.6.1", "http://loinc.org/", "http://unitsofmeasure.org", "loinc", "",
    "http://hl7.org/fhir/observation-category", "urn:oid:2.16.840.1.113883.6.96",
)  # fmt: skip
UNITS = ("mcg", "\u00b5g", "\u03bcg", "IU", "furlong", "pg/mL", "mL/h", "", "min")
TYPES = (
    "Observation", "MedicationAdministration", "Medication", "Patient", "Bundle", "Claim", "Procedure",
    "Condition", "Encounter", "AdverseEvent", "Appointment", "ServiceRequest", "MedicationRequest",
    "MedicationStatement", "Maja-Secret", "", 7, None, [], {},
)  # fmt: skip
ADDRESSES = (
    "#", "#x", "#medication", "#contained[0]", "contained[0]", "contained[", "contained[x]", "Patient/x",
    "urn:uuid:0", "urn:uuid:", "http://a/b", "http://a/Patient/x/_history/1",
    "Medication/x", "http://", "://", "/_history/", "", "Maja-Secret",
)  # fmt: skip
STATUSES = ("entered-in-error", "unknown", "final", "FINAL", "", "on-hold", "Maja-Secret")
CODES = {
    "status": STATUSES,
    "system": SYSTEMS,
    "unit": UNITS,
    "code": (*UNITS, "Maja-Secret", "iv"),
    "reference": ADDRESSES,
    "fullUrl": ADDRESSES,
    "url": ADDRESSES,
    "id": ("x", "medication", "", "contained[0]", "a/b"),
    "resourceType": TYPES,
    "valueString": ("<150", ">2000 pg/mL", "\u2264 1.50 mcg", "1", "Maja-Secret", ""),
    "comparator": ("<", ">=", "~", ""),
    "value": (Decimal("180.00"), Decimal("180.0"), 180, Decimal("1.8E+2"), "180", 0, Decimal("-0")),
}


def copied(node):
    """The same value, nothing of it shared."""
    if isinstance(node, dict):
        return {name: copied(child) for name, child in node.items()}
    return [copied(child) for child in node] if isinstance(node, list) else node


def spots(node):
    """(container, key) of every value inside another."""
    for key, child in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(child, dict | list):
            yield from spots(child)


def mutate(value, rng: Random):
    """The value spoilt in one to four places, still one that JSON can say."""
    while True:
        box = [copied(value)]
        for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
            found = list(spots(box))
            rng.choice(OPERATORS)(rng, found)
        try:
            dumps([[[[box]]]])  # a record stands deeper in a therapy record than in a Bundle
        except JsonError:  # nested too deeply: no text gives this value
            continue
        return box[0]


def replace(rng, found):
    node, key = rng.choice(found)
    node[key] = copied(rng.choice(ODD))


def deepen(rng, found):
    node, key = rng.choice(found)
    node[key] = nested(rng.choice((2, 70, 90)))


def drop(rng, found):
    node, key = rng.choice(found)
    if len(found) > 1 and node is not found[0][0]:
        del node[key]


def rename(rng, found):
    node, key = rng.choice(found)
    if isinstance(node, dict):
        said = node.pop(key)
        node[rng.choice((*NAMES, f"_{key}", f"{key}x", key.upper()))] = said


def insert(rng, found):
    """Something more in an object or in a list, or an item of the list again."""
    nodes = [node for node, _ in found[1:]]
    if not nodes:
        return
    node = rng.choice(nodes)
    if isinstance(node, dict):
        node[rng.choice(NAMES)] = copied(rng.choice(ODD))
    else:
        again = rng.choice(node) if rng.random() < 0.7 else rng.choice(ODD)
        node.insert(rng.randrange(len(node) + 1), copied(again))


def swap(rng, found):
    (node, key), (other, name) = rng.choice(found), rng.choice(found)
    first, second = copied(node[key]), copied(other[name])
    node[key], other[name] = second, first


def wrap(rng, found):
    node, key = rng.choice(found)
    node[key] = rng.choice(([node[key]], {"value": node[key]}, [node[key], copied(node[key])]))


def unwrap(rng, found):
    inner = [(node, key) for node, key in found if isinstance(node[key], list) and node[key]]
    if inner:
        node, key = rng.choice(inner)
        node[key] = node[key][0]


def as_text(rng, found):
    numbers = [(n, k) for n, k in found if isinstance(n[k], int | Decimal) or n[k] is None]
    if numbers:
        node, key = rng.choice(numbers)
        node[key] = str(node[key])


def respell(rng, found):
    """A code, unit, address or date that is another one, odd or wrong."""
    named = [(node, key) for node, key in found if isinstance(node, dict) and key in CODES]
    dated = [(n, k) for n, k in found if isinstance(n[k], str) and n[k][:2] in {"19", "20"}]
    if named and (not dated or rng.random() < 0.7):
        name = rng.choice(sorted({key for _, key in named}))
        node, key = rng.choice([each for each in named if each[1] == name])
        node[key] = copied(rng.choice(CODES[name]))
    elif dated:
        node, key = rng.choice(dated)
        node[key] = rng.choice(DATES)


def modify(rng, found):
    """What changes the meaning of the object that it stands in."""
    nodes = [node[key] for node, key in found if isinstance(node[key], dict)]
    if nodes:
        name, value = rng.choice(
            (
                ("modifierExtension", [{"url": "u"}]),
                ("implicitRules", "u"),
                ("modifierExtension", None),
            )
        )
        rng.choice(nodes)[name] = value


def resources(found):
    return [n[k] for n, k in found if isinstance(n[k], dict) and "resourceType" in n[k]]


def contain(rng, found):
    """Resources contained, the same id twice, in each other, or no list of them."""
    known = resources(found)
    if not known:
        return
    outer, inner = rng.choice(known), copied(rng.choice(known))
    inner["id"] = rng.choice(("x", "medication", inner.get("id")))
    held = rng.choice(
        (
            [inner],
            [inner, copied(inner)],
            inner,
            None,
            [None, inner],
            [{**inner, "contained": [inner]}],
        )
    )
    outer["contained"] = copied(held)
    refer(rng, list(spots([outer])))


def refer(rng, found):
    """References to what is contained, to the resource itself, or to another entry."""
    known = [
        (n, k)
        for n, k in found
        if isinstance(n[k], dict) and ("reference" in n[k] or k == "medicationReference")
    ]
    targets = resources(found)
    urls = [n[k] for n, k in found if k == "fullUrl" and isinstance(n[k], str)]
    ids = [f"#{each.get('id')}" for each in targets]
    if not known and targets:
        target = rng.choice(targets)
        target.pop("medicationCodeableConcept", None)
        target["medicationReference"] = {}
        known = [(target, "medicationReference")]
    if known:
        node, key = rng.choice(known)
        node[key]["reference"] = rng.choice((*ADDRESSES, *urls, *ids))


def name_twice(rng, found):
    """Two resources of the same business identifier, id or full URL."""
    known = resources(found)
    if len(known) > 1:
        one, other = rng.choice(known), rng.choice(known)
        for name in rng.sample(("identifier", "id", "resourceType"), 2):
            if name in one:
                other[name] = copied(one[name])
    entries = [n[k] for n, k in found if isinstance(n[k], dict) and "fullUrl" in n[k]]
    if len(entries) > 1:
        one, other = rng.choice(entries), rng.choice(entries)
        other["fullUrl"] = one["fullUrl"]


def identify(rng, found):
    """A business identifier, or none, or one that is no identifier."""
    known = resources(found)
    if known:
        names = [{"system": "https://c.example", "value": "x"}]
        rng.choice(known)["identifier"] = rng.choice(
            (names, names * 2, names[0], [{}], [None], None, [{"value": "x"}])
        )


def choose_twice(rng, found):
    """A second type for an element that may have one of several."""
    known = resources(found)
    if known:
        rng.choice(known)[rng.choice(NAMES)] = copied(rng.choice(ODD))


OPERATORS = (
    replace, replace, replace, deepen, drop, drop, drop, rename, rename, insert, insert, swap, wrap,
    unwrap, as_text, respell, respell, respell, respell, modify, contain, refer, refer, name_twice,
    identify, choose_twice,
)  # fmt: skip

#: Bytes that mean something to a reader of JSON, or nothing at all.
TOKENS = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\u0000", b"\\ud83e", b"\\udd00", b"null", b"true", b"NaN",
    b"-", b"-0", b"1e5", b"1E+400", b"1E99999", b"0.10", b"01", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n",
    b"\r", b"\x1f", b"//", b"'", b"[" * 120, b'{"":' * 120, b"9" * 5000, b'"resourceType":"Patient",', b'"id":"a","id":"b"',
)  # fmt: skip


def mutate_text(text: bytes, other: bytes, rng: Random) -> bytes:
    """A text with bytes flipped, cut out, put in or taken from another text."""
    out = bytearray(text)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(out) + 1)
        to = min(len(out), at + rng.choice((1, 1, 2, 5, 40, 1000)))
        match rng.randrange(6):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at:to]
            case 2:
                out[at:at] = rng.choice(TOKENS)
            case 3:
                out[at:to] = rng.choice(TOKENS)
            case 4:
                out[at:at] = out[at:to]
            case _:
                start = rng.randrange(len(other) + 1)
                out[at:] = other[start:]
    return bytes(out)
