"""Random mutations of JSON values and texts, reproducible from the seed of `random.Random`."""

from decimal import Decimal
from random import Random

from fhir_b12.jsonio import JsonError, dumps


def nested(depth):
    """Return lists nested to a depth."""
    return [] if depth == 1 else [nested(depth - 1)]


#: Values that replace a value of another type or form.
UNEXPECTED = (
    None, True, False, 0, -1, 7, 10**40, 2**63, Decimal("-0.0"), Decimal("1E+400"), Decimal("0.10"),
    Decimal("180.00"), "", " ", "x", "42", "\U0001f9ec", "e\u0301", "a\u202eb", "#", "#x", "Maja-Secret",
    [], {}, [[]], [None], [{}], [{"id": "x"}], {"id": "x"}, {"extension": []}, {"": ""}, ["a", "b"],
    {"value": Decimal("1.50")}, {"reference": "#"}, {"coding": {"code": "Maja-Secret"}},
    {"coding": [{"code": "a"}, {"code": "b"}], "text": "Maja-Secret"},
)  # fmt: skip
#: Names of no element, or of an element of another type.
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


def deep_copy(node):
    """Return a deep copy."""
    if isinstance(node, dict):
        return {name: deep_copy(child) for name, child in node.items()}
    return [deep_copy(child) for child in node] if isinstance(node, list) else node


def find_positions(node):
    """Yield (container, key) of every nested value."""
    for key, child in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(child, dict | list):
            yield from find_positions(child)


def mutate(value, rng: Random):
    """Return a copy with one to four mutations that JSON can represent."""
    while True:
        box = [deep_copy(value)]
        for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
            positions = list(find_positions(box))
            rng.choice(OPERATORS)(rng, positions)
        try:
            dumps([[[[box]]]])  # a record is nested deeper in a therapy record than in a Bundle
        except JsonError:  # nested too deeply: no text has this value
            continue
        return box[0]


def replace(rng, positions):
    node, key = rng.choice(positions)
    node[key] = deep_copy(rng.choice(UNEXPECTED))


def deepen(rng, positions):
    node, key = rng.choice(positions)
    node[key] = nested(rng.choice((2, 70, 90)))


def drop(rng, positions):
    node, key = rng.choice(positions)
    if len(positions) > 1 and node is not positions[0][0]:
        del node[key]


def rename(rng, positions):
    node, key = rng.choice(positions)
    if isinstance(node, dict):
        value = node.pop(key)
        node[rng.choice((*NAMES, f"_{key}", f"{key}x", key.upper()))] = value


def insert(rng, positions):
    """Add a member to an object, or an item to a list, possibly a duplicate."""
    nodes = [node for node, _ in positions[1:]]
    if not nodes:
        return
    node = rng.choice(nodes)
    if isinstance(node, dict):
        node[rng.choice(NAMES)] = deep_copy(rng.choice(UNEXPECTED))
    else:
        copy = rng.choice(node) if rng.random() < 0.7 else rng.choice(UNEXPECTED)
        node.insert(rng.randrange(len(node) + 1), deep_copy(copy))


def swap(rng, positions):
    (node, key), (other, name) = rng.choice(positions), rng.choice(positions)
    first, second = deep_copy(node[key]), deep_copy(other[name])
    node[key], other[name] = second, first


def wrap(rng, positions):
    node, key = rng.choice(positions)
    node[key] = rng.choice(([node[key]], {"value": node[key]}, [node[key], deep_copy(node[key])]))


def unwrap(rng, positions):
    inner = [(node, key) for node, key in positions if isinstance(node[key], list) and node[key]]
    if inner:
        node, key = rng.choice(inner)
        node[key] = node[key][0]


def as_text(rng, positions):
    numbers = [(n, k) for n, k in positions if isinstance(n[k], int | Decimal) or n[k] is None]
    if numbers:
        node, key = rng.choice(numbers)
        node[key] = str(node[key])


def respell(rng, positions):
    """Replace a code, unit, reference or date by another one, unusual or invalid."""
    named = [(node, key) for node, key in positions if isinstance(node, dict) and key in CODES]
    dated = [(n, k) for n, k in positions if isinstance(n[k], str) and n[k][:2] in {"19", "20"}]
    if named and (not dated or rng.random() < 0.7):
        name = rng.choice(sorted({key for _, key in named}))
        node, key = rng.choice([position for position in named if position[1] == name])
        node[key] = deep_copy(rng.choice(CODES[name]))
    elif dated:
        node, key = rng.choice(dated)
        node[key] = rng.choice(DATES)


def modify(rng, positions):
    """Add a modifier extension or implicit rules to an object."""
    nodes = [node[key] for node, key in positions if isinstance(node[key], dict)]
    if nodes:
        name, value = rng.choice(
            (
                ("modifierExtension", [{"url": "u"}]),
                ("implicitRules", "u"),
                ("modifierExtension", None),
            )
        )
        rng.choice(nodes)[name] = value


def resources(positions):
    return [n[k] for n, k in positions if isinstance(n[k], dict) and "resourceType" in n[k]]


def contain(rng, positions):
    """Add contained resources: one, two with one id, nested, or not as a list."""
    candidates = resources(positions)
    if not candidates:
        return
    outer, inner = rng.choice(candidates), deep_copy(rng.choice(candidates))
    inner["id"] = rng.choice(("x", "medication", inner.get("id")))
    contained_value = rng.choice(
        (
            [inner],
            [inner, deep_copy(inner)],
            inner,
            None,
            [None, inner],
            [{**inner, "contained": [inner]}],
        )
    )
    outer["contained"] = deep_copy(contained_value)
    refer(rng, list(find_positions([outer])))


def refer(rng, positions):
    """Change a reference to a contained resource, to the resource itself, or to another entry."""
    candidates = [
        (n, k)
        for n, k in positions
        if isinstance(n[k], dict) and ("reference" in n[k] or k == "medicationReference")
    ]
    targets = resources(positions)
    urls = [n[k] for n, k in positions if k == "fullUrl" and isinstance(n[k], str)]
    ids = [f"#{position.get('id')}" for position in targets]
    if not candidates and targets:
        target = rng.choice(targets)
        target.pop("medicationCodeableConcept", None)
        target["medicationReference"] = {}
        candidates = [(target, "medicationReference")]
    if candidates:
        node, key = rng.choice(candidates)
        node[key]["reference"] = rng.choice((*ADDRESSES, *urls, *ids))


def name_twice(rng, positions):
    """Give two resources the same business identifier, id or fullUrl."""
    candidates = resources(positions)
    if len(candidates) > 1:
        one, other = rng.choice(candidates), rng.choice(candidates)
        for name in rng.sample(("identifier", "id", "resourceType"), 2):
            if name in one:
                other[name] = deep_copy(one[name])
    entries = [n[k] for n, k in positions if isinstance(n[k], dict) and "fullUrl" in n[k]]
    if len(entries) > 1:
        one, other = rng.choice(entries), rng.choice(entries)
        other["fullUrl"] = one["fullUrl"]


def identify(rng, positions):
    """Set a business identifier: valid, duplicate, missing or malformed."""
    candidates = resources(positions)
    if candidates:
        names = [{"system": "https://c.example", "value": "x"}]
        rng.choice(candidates)["identifier"] = rng.choice(
            (names, names * 2, names[0], [{}], [None], None, [{"value": "x"}])
        )


def choose_twice(rng, positions):
    """Add a second member of a choice element."""
    candidates = resources(positions)
    if candidates:
        rng.choice(candidates)[rng.choice(NAMES)] = deep_copy(rng.choice(UNEXPECTED))


OPERATORS = (
    replace, replace, replace, deepen, drop, drop, drop, rename, rename, insert, insert, swap, wrap,
    unwrap, as_text, respell, respell, respell, respell, modify, contain, refer, refer, name_twice,
    identify, choose_twice,
)  # fmt: skip

#: Tokens of JSON, and bytes that are none.
TOKENS = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\u0000", b"\\ud83e", b"\\udd00", b"null", b"true", b"NaN",
    b"-", b"-0", b"1e5", b"1E+400", b"1E99999", b"0.10", b"01", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n",
    b"\r", b"\x1f", b"//", b"'", b"[" * 120, b'{"":' * 120, b"9" * 5000, b'"resourceType":"Patient",', b'"id":"a","id":"b"',
)  # fmt: skip


def mutate_text(text: bytes, other: bytes, rng: Random) -> bytes:
    """Return a text with bits flipped, bytes removed, inserted, or copied from another text."""
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
