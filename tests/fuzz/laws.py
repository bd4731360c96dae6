"""Laws that hold for any input; each yields a description of every violation."""

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
from tests.fuzz.mutations import deep_copy, mutate

#: https://hl7.org/fhir/R4/valueset-issue-type.html
CODES = frozenset({
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired",
    "forbidden", "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found",
    "deleted", "too-long", "code-invalid", "extension", "too-costly", "business-rule", "conflict",
    "transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled", "informational",
})  # fmt: skip
_TYPES = "|".join(sorted(R4.resource_types))
LOCATION = re.compile(rf"(\$(this)?|{_TYPES}|\[\d+\])(?![A-Za-z])")
LOCATION_OF_ANY_TYPE = re.compile(
    r"(\$this|[A-Z][A-Za-z]*)(?![A-Za-z])"
)  #: for texts, whose type is not checked
MIN_LENGTH = 6  #: characters; a shorter value can be part of a message by chance
CODE_LIKE = re.compile("[a-z-]*")  #: a code of FHIR such as `actual` can be part of a message too


def check_resource(value, seed):
    """Check the laws of one value, read as a resource."""
    before = dumps(value)
    reading = from_fhir(value)
    yield from check_issues(value, reading.issues)
    if [row.path for row in reading.ledger] != [path for path, _ in leaves(value)]:
        yield "the ledger of a resource does not list its leaves"
    record = reading.record
    if record is not None:
        if dumps(update(value, record)) != before:
            yield "updating a resource with what was read from it changes it"
        yield from check_write(record)
        mutated = changed_record(record, seed)
        if mutated is not None:
            yield from check_update(value, mutated)
    if dumps(value) != before:
        yield "the input was modified"


def check_write(record):
    """Check that a record is rejected with issues, or reads back equal and without issues."""
    try:
        resource = to_fhir(record)
    except MappingError as error:
        yield from check_issues({}, error.issues)
        return
    reread = from_fhir(resource)
    if is_entered_in_error(reread) or not has_no_empty_parts(record):
        return
    if reread.record is None or canonical_json(reread.record) != canonical_json(record):
        yield "what was written reads back different"
    if reread.issues:
        yield "what was written reads back with issues"
    leaves_by_path = dict(leaves(resource))
    if any(leaves_by_path[row.path] not in ({}, [], None) for row in reread.ledger.residue):
        yield "what was written reads back with residue"


def check_update(resource, record):
    """Check that a changed record is rejected with issues, or reads back from the updated resource."""
    try:
        after = update(resource, record)
    except MappingError as error:
        yield from check_issues({}, error.issues)
        return
    reread = from_fhir(after)
    if (
        is_entered_in_error(reread)
        or not has_no_empty_parts(record)
        or not has_no_empty_parts(from_fhir(resource).record)
    ):
        return
    if reread.record is None or canonical_json(reread.record) != canonical_json(record):
        yield "what was written into a resource by an update is not in it"


def check_bundle(value, seed):
    """Check the laws of one value, read as a Bundle, a list or a resource."""
    before = dumps(value)
    reading = from_bundle(value)
    yield from check_issues(value, reading.issues)
    paths = [path for path, _ in leaves(value)]
    if [row.path for row in reading.ledger] != paths:
        yield "the ledger of a Bundle does not list its leaves"
    if [leaf.path for leaf in explain(reading)] != paths:
        yield "not every leaf is explained"
    for record in reading.records:
        yield from check_plain_round_trip(record)
    if isinstance(value, dict) and value.get("resourceType") == "Bundle":
        if dumps(update_bundle(value, reading.records)) != before:
            yield "updating a Bundle with what was read from it changes it"
        yield from check_bundle_update(value, list(reading.records), seed)
    if dumps(value) != before:
        yield "the input was modified"


def check_plain_round_trip(record):
    """Check that a therapy record survives plain JSON."""
    reread, issues = from_plain(loads(dumps(to_plain(record))))
    if issues or canonical_json(reread) != canonical_json(record):
        yield "the record reads back different from plain JSON"


def check_bundle_update(bundle, records, seed):
    """Check that a Bundle with a changed record is rejected with issues, or reads back as expected."""
    if not records:
        return
    at = Random(seed).randrange(len(records))
    mutated = changed_record(records[at], seed)
    if mutated is None:
        return
    expected = [*records[:at], mutated, *records[at + 1 :]]
    try:
        after = update_bundle(bundle, expected)
    except MappingError as error:
        yield from check_issues({}, error.issues)
        return
    reread = from_bundle(after)
    if not is_comparable(reread, expected) or not is_comparable(reread, records):
        return
    if count_names(records) != count_names(expected):  # others refer to it by its old name
        return
    if count_records(reread.records) != count_records(expected):
        yield "what was written into a Bundle by an update is not in it"


def check_plain_record(value, seed):
    """Check the laws of one value, read as a plain therapy record."""
    record, issues = from_plain(value)
    yield from check_issues(value, issues)
    if (record is None) != bool(issues):
        yield "both a record and issues, or neither"
    if record is not None:
        yield from check_plain_round_trip(record)
        try:
            bundle = to_bundle(record)
        except MappingError as error:
            yield from check_issues(value, error.issues)
            return
        reread = from_bundle(bundle)
        if not is_comparable(reread, [record]):
            return
        if count_records(reread.records) != count_records([record]):
            yield "a whole record reads back different"


def check_json_text(text, _):
    """Check the laws of bytes, read as JSON."""
    try:
        value = loads(text)
    except JsonError as error:
        yield from check_issues({}, error.issues, start=LOCATION_OF_ANY_TYPE)
        if not all(issue.line and issue.column for issue in error.issues):
            yield "an issue of a text without line and column"
        return
    text_again = dumps(value)
    if dumps(loads(text_again)) != text_again:
        yield "what was read and written reads back different"


COMMANDS = ("from-fhir", "explain", "ledger", "to-fhir")
FORMATS = ("json", "ndjson", "text")


def check_command(text, seed):
    """Check the laws of bytes as standard input of a command."""
    rng = Random(seed)
    arguments = rng.choice(COMMANDS), "-", "--format", rng.choice(FORMATS)
    code, _, err = call(*arguments, stdin=text)
    if code not in {0, 1, 2} or "Traceback" in err or "a defect" in err:
        yield f"{' '.join(arguments)}: code {code}, {err.splitlines()[-1:]}"


def changed_record(record, seed):
    """Return a mutated record that is still valid, None if five attempts fail."""
    plain = to_plain(record)
    rng = Random(seed)
    for _ in range(5):
        mutant = mutate(plain, rng)
        try:
            mutated = convert(mutant, type(record))
        except msgspec.ValidationError:
            continue
        return mutated
    return None


def check_issues(value, issues, start=LOCATION):
    """Check that issues have a FHIR code, a location and a message without values of the input."""
    if not issues:
        return
    confidential = confidential_strings(value)
    for issue in issues:
        if issue.severity not in SEVERITIES or issue.code not in CODES:
            yield f"an unknown severity or code: {issue.severity} {issue.code}"
        if not start.match(issue.expression):
            yield f"an invalid location: {issue.expression!r}"
        if not issue.message:
            yield "an issue without message"
        for secret in confidential:
            if secret in issue.message:
                yield f"a message with a value: {issue.message!r} contains {secret!r}"
    dumps(outcome(issues))


def is_entered_in_error(reading):
    """Return True for a resource that is entered in error: it is written and never read."""
    own = reading.lens is not None and reading.lens.refused(reading.resource) is not None
    return own or any(is_entered_in_error(found) for _, _, found in reading.linked)


def has_no_empty_parts(record):
    """Return False if a part of the record is empty: it is not written."""
    plain = builtins(record)
    return pruned(plain) == plain or not plain


def confidential_strings(value):
    """Return the strings that are values and no names, long enough not to match by chance."""
    names, found, left = set(), set(), [value]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            names |= node.keys()
            left += node.values()
        elif isinstance(node, list):
            left += node
        elif isinstance(node, str) and len(node) >= MIN_LENGTH and not CODE_LIKE.fullmatch(node):
            found.add(node)
    return found - names - R4.resource_types


def canonical_json(record):
    """Return a record as JSON with all digits and sorted names."""
    return _encode_sorted(to_plain(record))


_encode_sorted = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def count_records(records):
    """Count the records by their canonical JSON."""
    return Counter(canonical_json(item) for record in records for item in record)


def is_comparable(reading, expected):
    """Return True if no record is entered in error, and none has an empty part."""
    if any(map(is_entered_in_error, reading.readings)):
        return False
    return all(has_no_empty_parts(item) for record in expected for item in record)


def count_names(records):
    """Count the records by their business identifiers."""
    return Counter(name_of(item) for record in records for item in record)


def first_violation(law, value, seed):
    """Return the first violation of a law or the exception that it raises; None if it holds."""
    try:
        return next(law(value, seed), None)
    except Exception as error:  # noqa: BLE001  # an exception is a violation
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.name} of {Path(last.filename).name}, line {last.lineno}"
        return f"{type(error).__name__} in {place}"


def shrink(law, value, seed, found, tries=2000):
    """Return the value without the members and items that the violation does not need."""
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for path in sorted(paths(value), key=len):
            tries -= 1
            reduced = without_path(value, path)
            if tries > 0 and first_violation(law, reduced, seed) == found:
                value, smaller = reduced, True
                break
    return value


def paths(node, path=()):
    """Yield the path of every member and item."""
    if not isinstance(node, dict | list):
        return
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in members:
        yield (*path, key)
        yield from paths(child, (*path, key))


def without_path(value, path):
    """Return a copy without the member at a path."""
    reduced = deep_copy(value)
    node = reduced
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return reduced
