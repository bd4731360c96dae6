"""What must hold whatever comes in; each law gives what is broken, in words, and nothing if all holds."""

import re
import traceback
from collections import Counter
from pathlib import Path
from random import Random

import msgspec

from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.bundles.write import name_of
from fhir_b12.datatypes import convert
from fhir_b12.definitions import R4
from fhir_b12.explanation import explain
from fhir_b12.issues import SEVERITIES, outcome
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.mapping.codecs import builtins, pruned
from fhir_b12.mapping.lens import MappingError, from_fhir, to_fhir, update
from fhir_b12.paths import leaves
from fhir_b12.plain import from_plain, to_plain
from tests.cli.shell import call
from tests.fuzz.mutants import copied, mutate

#: https://hl7.org/fhir/R4/valueset-issue-type.html
CODES = frozenset({
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired",
    "forbidden", "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found",
    "deleted", "too-long", "code-invalid", "extension", "too-costly", "business-rule", "conflict",
    "transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled", "informational",
})  # fmt: skip
_KINDS = "|".join(sorted(R4.resource_types))
START = re.compile(rf"(\$(this)?|{_KINDS}|\[\d+\])(?![A-Za-z])")
ANY_TYPE = re.compile(r"(\$this|[A-Z][A-Za-z]*)(?![A-Za-z])")  #: a text is not asked for its type
LONG = 6  #: characters; a shorter value stands in our own words by chance
PLAIN_WORD = re.compile("[a-z-]*")  #: so does a code of FHIR such as `actual`


def of_resource(value, seed):
    """The laws of one value, read as a resource."""
    before = dumps(value)
    reading = from_fhir(value)
    yield from issues_of(value, reading.issues)
    if [row.path for row in reading.ledger] != [path for path, _ in leaves(value)]:
        yield "the ledger of a resource is not its leaves"
    record = reading.record
    if record is not None:
        if dumps(update(value, record)) != before:
            yield "putting back what was read changes the resource"
        yield from written(record)
        other = changed(record, seed)
        if other is not None:
            yield from put(value, other)
    if dumps(value) != before:
        yield "the input was changed"


def written(record):
    """A record is refused with issues, or reads back equal and without any."""
    try:
        resource = to_fhir(record)
    except MappingError as error:
        yield from issues_of({}, error.issues)
        return
    again = from_fhir(resource)
    if is_withdrawn(again) or not is_sayable(record):
        return
    if again.record is None or exact(again.record) != exact(record):
        yield "what was written reads back otherwise"
    if again.issues:
        yield "what was written reads back with issues"
    known = dict(leaves(resource))
    if any(known[row.path] not in ({}, [], None) for row in again.ledger.residue):
        yield "what was written reads back with residue"


def put(resource, record):
    """A changed record is refused with issues, or stands in the resource then, to the last digit."""
    try:
        after = update(resource, record)
    except MappingError as error:
        yield from issues_of({}, error.issues)
        return
    again = from_fhir(after)
    if is_withdrawn(again) or not is_sayable(record) or not is_sayable(from_fhir(resource).record):
        return
    if again.record is None or exact(again.record) != exact(record):
        yield "what was put into a resource is not there"


def of_bundle(value, seed):
    """The laws of one value, read as a Bundle, a list or a resource."""
    before = dumps(value)
    reading = from_bundle(value)
    yield from issues_of(value, reading.issues)
    paths = [path for path, _ in leaves(value)]
    if [row.path for row in reading.ledger] != paths:
        yield "the ledger of a Bundle is not its leaves"
    if [leaf.path for leaf in explain(reading)] != paths:
        yield "the leaves explained are not all"
    for record in reading.records:
        yield from plainly(record)
    if isinstance(value, dict) and value.get("resourceType") == "Bundle":
        if dumps(update_bundle(value, reading.records)) != before:
            yield "putting back what was read changes the Bundle"
        yield from put_in_bundle(value, list(reading.records), seed)
    if dumps(value) != before:
        yield "the input was changed"


def plainly(record):
    """A therapy record goes to plain JSON and back."""
    again, issues = from_plain(loads(dumps(to_plain(record))))
    if issues or exact(again) != exact(record):
        yield "as plain JSON the record comes back otherwise"


def put_in_bundle(bundle, records, seed):
    """A Bundle with one record changed is refused with issues, or reads back as it was asked."""
    if not records:
        return
    at = Random(seed).randrange(len(records))
    other = changed(records[at], seed)
    if other is None:
        return
    wanted = [*records[:at], other, *records[at + 1 :]]
    try:
        after = update_bundle(bundle, wanted)
    except MappingError as error:
        yield from issues_of({}, error.issues)
        return
    again = from_bundle(after)
    if not is_comparable(again, wanted) or not is_comparable(again, records):
        return
    if each_named(records) != each_named(wanted):  # others refer to it by the name it had
        return
    if each_exact(again.records) != each_exact(wanted):
        yield "what was put into a Bundle is not there"


def of_plain(value, seed):
    """The laws of one value, read as a therapy record in plain JSON."""
    record, issues = from_plain(value)
    yield from issues_of(value, issues)
    if (record is None) != bool(issues):
        yield "there are both a record and issues, or neither"
    if record is not None:
        yield from plainly(record)
        try:
            bundle = to_bundle(record)
        except MappingError as error:
            yield from issues_of(value, error.issues)
            return
        again = from_bundle(bundle)
        if not is_comparable(again, [record]):
            return
        if each_exact(again.records) != each_exact([record]):
            yield "a whole record reads back otherwise"


def of_text(text, _):
    """The laws of bytes, read as JSON."""
    try:
        value = loads(text)
    except JsonError as error:
        yield from issues_of({}, error.issues, start=ANY_TYPE)
        if not all(issue.line and issue.column for issue in error.issues):
            yield "an issue of a text has no line and column"
        return
    said = dumps(value)
    if dumps(loads(said)) != said:
        yield "what was read and written reads otherwise"


COMMANDS = ("from-fhir", "explain", "ledger", "to-fhir")
FORMS = ("json", "ndjson", "text")


def of_command(text, seed):
    """The laws of bytes, given to a command."""
    rng = Random(seed)
    asked = rng.choice(COMMANDS), "-", "--format", rng.choice(FORMS)
    code, _, err = call(*asked, stdin=text)
    if code not in {0, 1, 2} or "Traceback" in err or "a defect" in err:
        yield f"{' '.join(asked)}: code {code}, {err.splitlines()[-1:]}"


def changed(record, seed):
    """The record changed in a few places and still a record; None where it is none any more."""
    plain = to_plain(record)
    rng = Random(seed)
    for _ in range(5):
        spoilt = mutate(plain, rng)
        try:
            other = convert(spoilt, type(record))
        except msgspec.ValidationError:
            continue
        return other
    return None


def issues_of(value, issues, start=START):
    """Every issue is one of FHIR's, says where and what, and holds no value of the input."""
    if not issues:
        return
    secrets = values_of(value)
    for issue in issues:
        if issue.severity not in SEVERITIES or issue.code not in CODES:
            yield f"an issue that FHIR does not know: {issue.severity} {issue.code}"
        if not start.match(issue.expression):
            yield f"an issue that says not where: {issue.expression!r}"
        if not issue.message:
            yield "an issue that says nothing"
        for secret in secrets:
            if secret in issue.message:
                yield f"a message with a value: {issue.message!r} has {secret!r}"
    dumps(outcome(issues))


def is_withdrawn(reading):
    """True of a resource that says it was entered in error: it is written and never read."""
    own = reading.lens is not None and reading.lens.refused(reading.resource) is not None
    return own or any(is_withdrawn(found) for _, _, found in reading.linked)


def is_sayable(record):
    """False for a record with something empty in it, which says nothing and is left out."""
    plain = builtins(record)
    return pruned(plain) == plain or not plain


def values_of(value):
    """The strings that stand in a value only as values, long enough to be told from our words."""
    names, found, left = set(), set(), [value]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            names |= node.keys()
            left += node.values()
        elif isinstance(node, list):
            left += node
        elif isinstance(node, str) and len(node) >= LONG and not PLAIN_WORD.fullmatch(node):
            found.add(node)
    return found - names - R4.resource_types


def exact(record):
    """A record to the last digit, whatever the order of names in what it carries."""
    return _sorted(to_plain(record))


_sorted = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def each_exact(records):
    """The records of therapies to the last digit, whatever their order."""
    return Counter(exact(each) for record in records for each in record)


def is_comparable(reading, wanted):
    """True where no record is withdrawn, and none has something empty in it."""
    if any(map(is_withdrawn, reading.readings)):
        return False
    return all(is_sayable(each) for record in wanted for each in record)


def each_named(records):
    """The business identifiers of records."""
    return Counter(name_of(each) for record in records for each in record)


def first_broken(law, value, seed):
    """The first thing that a law finds broken, also where it raises; None where all holds."""
    try:
        return next(law(value, seed), None)
    except Exception as error:  # noqa: BLE001  # what escapes is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.name} of {Path(last.filename).name}, line {last.lineno}"
        return f"{type(error).__name__} in {place}"


def shrunk(law, value, seed, found, tries=2000):
    """The value without the members and items that the same failure does not need."""
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for path in sorted(paths(value), key=len):
            tries -= 1
            less = without(value, path)
            if tries > 0 and first_broken(law, less, seed) == found:
                value, smaller = less, True
                break
    return value


def paths(node, path=()):
    """The path of every member and item."""
    if not isinstance(node, dict | list):
        return
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in members:
        yield (*path, key)
        yield from paths(child, (*path, key))


def without(value, path):
    """The value with the member at a path left out."""
    less = copied(value)
    node = less
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return less
