"""What is known of codes without a server: value sets, code systems, grammars, and what is left."""

import time

import pytest

from fhir_b12 import codes
from fhir_b12.definitions import R4
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.validation.terminology import code_systems
from fhir_b12.validation.terminology.grammars import is_absolute, language, mime_type, ucum
from fhir_b12.validation.terminology.results import Unchecked
from fhir_b12.validation.terminology.service import Terminology

BASE = "http://example.org"
SYSTEM = f"{BASE}/CodeSystem/colours"
ELSEWHERE = f"{BASE}/CodeSystem/elsewhere"

COLOURS = {
    "resourceType": "CodeSystem",
    "url": SYSTEM,
    "version": "1.0",
    "content": "complete",
    "caseSensitive": True,
    "concept": [
        {
            "code": "red",
            "display": "Red",
            "designation": [{"language": "de", "value": "Rot"}, {"value": "Crimson"}],
            "property": [{"code": "warm", "valueBoolean": True}],
            "concept": [
                {"code": "rose", "display": "Rose", "concept": [{"code": "pink"}]},
                {"code": "ruby", "property": [{"code": "status", "valueCode": "retired"}]},
            ],
        },
        {"code": "blue", "property": [{"code": "parent", "valueCode": "cold"}]},
        {"code": "cold", "property": [{"code": "status", "valueCode": "deprecated"}]},
    ],
}


class Definitions:
    """Definitions that a test writes."""

    def __init__(self, *resources):
        self._known = {resource["url"]: resource for resource in resources}

    def value_set(self, canonical):
        return self._of("ValueSet", canonical)

    def code_system(self, canonical):
        return self._of("CodeSystem", canonical)

    def _of(self, kind, canonical):
        url, _, version = canonical.partition("|")
        resource = self._known.get(url)
        fits = (
            resource
            and resource["resourceType"] == kind
            and version in {"", resource.get("version")}
        )
        return resource if fits else None


def value_set(name, *include, exclude=(), **more):
    compose = {"include": list(include), **({"exclude": list(exclude)} if exclude else {}), **more}
    return {"resourceType": "ValueSet", "url": f"{BASE}/ValueSet/{name}", "compose": compose}


def expand(*include, exclude=(), also=(), **more):
    """Return the codes of a value set by system, or why it cannot be expanded."""
    selection = value_set("it", *include, exclude=exclude, **more)
    terminology = Terminology(Definitions(COLOURS, selection, *also))
    expanded = terminology.expand(selection["url"])
    if expanded is not None:
        return {system: sorted(codes) for system, codes in expanded.items()}
    return [row.reason for row in terminology.unchecked]


def filter_codes(name, op, value):
    codes = expand({"system": SYSTEM, "filter": [{"property": name, "op": op, "value": value}]})
    return codes[SYSTEM] if isinstance(codes, dict) else codes


def nested(depth, includes=1):
    """Value sets within each other, v0 in v1 in v2 ..., each as often as asked; v0 is undecided."""
    value_sets = [value_set("v0", {"system": ELSEWHERE}, {"system": SYSTEM})]
    for number in range(1, depth):
        within = {"valueSet": [f"{BASE}/ValueSet/v{number - 1}"]}
        value_sets.append(value_set(f"v{number}", *[within] * includes))
    return value_sets


@pytest.fixture(scope="module")
def known():
    return Terminology(Canonicals())


def test_an_include_of_a_system_contains_all_its_codes():
    assert expand({"system": SYSTEM}) == {SYSTEM: ["blue", "cold", "pink", "red", "rose", "ruby"]}


def test_listed_codes_need_no_code_system():
    assert expand({"system": ELSEWHERE, "concept": [{"code": "a"}]}) == {ELSEWHERE: ["a"]}


def test_includes_are_united_and_excludes_subtracted():
    codes = expand(
        {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "blue"}]},
        {"system": SYSTEM, "concept": [{"code": "rose"}]},
        exclude=[{"system": SYSTEM, "concept": [{"code": "blue"}]}],
    )
    assert codes == {SYSTEM: ["red", "rose"]}


def test_an_include_is_the_intersection_of_its_system_and_value_sets():
    warm = value_set("warm", {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "rose"}]})
    few = value_set("few", {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "blue"}]})
    both = {"valueSet": [warm["url"], few["url"]]}
    assert expand(both, also=[warm, few]) == {SYSTEM: ["red"]}


def test_inactive_codes_are_included_unless_compose_inactive_is_false():
    assert "ruby" not in expand({"system": SYSTEM}, inactive=False)[SYSTEM]


@pytest.mark.parametrize(
    ("name", "op", "value", "expected"),
    [
        ("concept", "is-a", "red", ["pink", "red", "rose", "ruby"]),
        ("concept", "descendent-of", "red", ["pink", "rose", "ruby"]),
        ("concept", "is-not-a", "red", ["blue", "cold"]),
        ("concept", "generalizes", "pink", ["pink", "red", "rose"]),
        ("concept", "is-a", "cold", ["blue", "cold"]),
        ("concept", "is-a", "green", []),
        ("concept", "in", "red, blue", ["blue", "red"]),
        ("concept", "not-in", "red,blue,rose,pink", ["cold", "ruby"]),
        ("warm", "=", "true", ["red"]),
        ("warm", "exists", "true", ["red"]),
        ("status", "exists", "false", ["blue", "pink", "red", "rose"]),
        ("parent", "=", "rose", ["pink"]),
        ("display", "=", "Rose", ["rose"]),
        ("code", "regex", "r[a-z]+", ["red", "rose", "ruby"]),
        (
            "code",
            "regex",
            "(?=a)b",
            [
                (
                    "the regular expression cannot be run (invalid perl operator): "
                    "use RE2 syntax, without look-around and back references"
                )
            ],
        ),
        ("code", "resembles", "red", ["the filter operator 'resembles' is unknown"]),
    ],
)
def test_a_filter_selects_concepts(name, op, value, expected):
    assert filter_codes(name, op, value) == expected


@pytest.mark.parametrize(
    ("include", "reason"),
    [
        ({"system": ELSEWHERE}, f"the code system {ELSEWHERE} is not here"),
        (
            {"system": SYSTEM, "version": "2"},
            f"the code system {SYSTEM} version 2 is not here",
        ),
        (
            {"valueSet": [f"{BASE}/ValueSet/none"]},
            f"the value set {BASE}/ValueSet/none is not here",
        ),
        ({"system": "urn:ietf:bcp:47"}, "urn:ietf:bcp:47 is defined by a grammar, not by a list"),
        ({"valueSet": [f"{BASE}/ValueSet/it"]}, f"{BASE}/ValueSet/it includes itself"),
        ({}, "an include names neither system nor value set"),
    ],
)
def test_a_value_set_that_cannot_be_expanded_is_unchecked_with_the_reason(include, reason):
    assert expand(include) == [reason]


def test_a_code_is_decided_if_its_include_can_be_evaluated():
    mixed = value_set("mixed", {"system": SYSTEM}, {"system": ELSEWHERE})
    terminology = Terminology(Definitions(COLOURS, mixed))
    pairs = [(SYSTEM, "red"), (SYSTEM, "green"), (BASE, "red"), (ELSEWHERE, "a")]
    assert [terminology.contains(mixed["url"], *pair) for pair in pairs] == [
        True,
        False,
        False,
        None,
    ]
    assert terminology.unchecked == (
        Unchecked(mixed["url"], f"the code system {ELSEWHERE} is not here"),
    )


def test_unchecked_is_reported_once_and_can_be_cleared():
    terminology = Terminology(Definitions())
    for _ in range(3):
        assert terminology.contains(f"{BASE}/ValueSet/none", None, "a") is None
    assert terminology.unchecked == (
        Unchecked(f"{BASE}/ValueSet/none", "the value set is not here"),
    )
    terminology.forget_unchecked()
    assert terminology.unchecked == ()
    assert terminology.contains(f"{BASE}/ValueSet/none", None, "a") is None
    assert len(terminology.unchecked) == 1


def test_case_does_not_matter_in_a_case_insensitive_code_system():
    loose = {**COLOURS, "caseSensitive": False}
    one_code = value_set("it", {"system": SYSTEM, "concept": [{"code": "red"}]})
    terminology = Terminology(Definitions(loose, one_code))
    pairs = [(SYSTEM, "RED"), (None, "RED"), (SYSTEM, "ROSE")]
    assert [terminology.contains(one_code["url"], *pair) for pair in pairs] == [True, True, False]


def test_a_stored_expansion_is_used_if_there_is_no_compose():
    rows = [{"system": SYSTEM, "code": "red"}, {"contains": [{"system": SYSTEM, "code": "rose"}]}]
    expansion = {"resourceType": "ValueSet", "url": BASE, "expansion": {"contains": rows}}
    assert Terminology(Definitions(expansion)).expand(BASE) == {SYSTEM: frozenset({"red", "rose"})}


def test_an_incomplete_code_system_never_makes_a_code_invalid():
    for content in ("fragment", "example", "not-present", "supplement"):
        terminology = Terminology(Definitions({**COLOURS, "content": content}))
        assert terminology.validate_code(SYSTEM, "green") is not False


def test_a_code_is_validated_by_system_display_and_value_set():
    one_code = value_set("it", {"system": SYSTEM, "concept": [{"code": "red"}]})
    validate_code = Terminology(Definitions(COLOURS, one_code)).validate_code
    assert [
        validate_code(SYSTEM, "red"),
        validate_code(SYSTEM, "green"),
        validate_code(SYSTEM, "red", display="rED"),
        validate_code(SYSTEM, "red", display="Crimson"),
        validate_code(SYSTEM, "red", display="Blue"),
        validate_code(SYSTEM, "red", value_set=one_code["url"]),
        validate_code(SYSTEM, "blue", value_set=one_code["url"]),
        validate_code(ELSEWHERE, "a"),
    ] == [True, False, True, True, False, True, False, None]


def test_code_tables_define_their_own_systems_and_displays_of_other_codes():
    terminology = Terminology(Definitions())
    name = "outcomes"
    first = next(iter(codes.table(name)))
    own = codes.code_system(name)["url"]
    assert terminology.display(own, first.key) == first.text
    assert terminology.contains(codes.value_set(name)["url"], own, "no-such-key") is False
    coding = next(coding for entry in codes.table("lab_tests") for coding in entry.codings)
    assert terminology.display(coding.system, coding.code) == coding.display
    assert terminology.validate_code(coding.system, "no such code") is None


@pytest.mark.parametrize(
    "name", ["observation-status", "all-types", "condition-clinical", "days-of-week"]
)
def test_the_distilled_codes_of_r4_equal_the_expansion(known, name):
    url = f"http://hl7.org/fhir/ValueSet/{name}"
    assert known.expand(url) == dict(R4.value_set(url))


def test_a_value_set_can_be_found_by_url_and_version(known):
    url = "http://hl7.org/fhir/ValueSet/observation-status"
    assert known.contains(f"{url}|4.0.1", None, "final") is True
    assert known.contains(f"{url}|9.9", None, "final") is None


def test_a_deprecated_code_is_in_its_value_set_but_has_a_problem(known):
    url = "http://terminology.hl7.org/ValueSet/v2-0078"
    system = "http://terminology.hl7.org/CodeSystem/v2-0078"
    assert known.contains(url, system, "L") is True
    assert "L" not in known.codes_without_problems(url)
    assert [problem.rule for problem in known.validate_coding(system, "L").problems] == [
        "deprecated-code"
    ]


def test_validating_codes_in_advance_adds_nothing_to_unchecked():
    elsewhere = value_set("it", {"system": ELSEWHERE, "concept": [{"code": "a"}]})
    terminology = Terminology(Definitions(elsewhere))
    assert terminology.codes_without_problems(elsewhere["url"]) == {"a"}
    assert terminology.unchecked == ()


def test_a_coded_value_is_in_a_value_set_if_one_of_its_codings_is():
    mixed = value_set(
        "mixed", {"system": SYSTEM, "concept": [{"code": "red"}]}, {"system": ELSEWHERE}
    )
    terminology = Terminology(Definitions(COLOURS, mixed))
    red, blue = ({"system": SYSTEM, "code": code} for code in ("red", "blue"))
    undecided = {"system": ELSEWHERE, "code": "a"}
    values = [
        red,
        blue,
        undecided,
        {"coding": [blue, red]},
        {"coding": [blue, undecided]},
        {"coding": [undecided, red]},
        {"coding": [{"code": "red"}]},
        "red",
        7,
    ]
    answers = [terminology.contains_any(mixed["url"], value) for value in values]
    assert answers == [True, False, None, True, None, True, False, True, None]


def test_an_abstract_code_of_a_stored_expansion_is_not_in_the_value_set():
    rows = [{"system": SYSTEM, "code": "red", "abstract": True}, {"system": SYSTEM, "code": "rose"}]
    resource = {"resourceType": "ValueSet", "url": BASE, "expansion": {"contains": rows}}
    assert Terminology(Definitions(resource)).expand(BASE) == {SYSTEM: frozenset({"rose"})}


def test_a_code_is_excluded_or_inactive_also_where_the_value_set_cannot_be_expanded():
    includes = ({"system": SYSTEM}, {"system": ELSEWHERE})
    exclude = [{"system": SYSTEM, "concept": [{"code": "red"}]}]
    partial = value_set("partial", *includes, exclude=exclude, inactive=False)
    terminology = Terminology(Definitions(COLOURS, partial))
    answers = [terminology.contains(partial["url"], SYSTEM, c) for c in ("red", "ruby", "rose")]
    assert answers == [False, False, True]


def test_the_number_of_unchecked_is_limited():
    terminology = Terminology(Definitions())
    for number in range(1100):
        terminology.add_unchecked(f"http://x/{number}", "the value set is not here")
    assert len(terminology.unchecked) == 1000


# --- grammars


@pytest.mark.parametrize(
    ("grammar", "code", "answer"),
    [
        (language, "en", True),
        (language, "de-AT-1996", True),
        (language, "zh-Hant-TW", True),
        (language, "x-private", True),
        (language, "i-klingon", True),
        (language, "en_US", False),
        (language, "english language", False),
        (language, "a", False),
        (language, "", False),
        (mime_type, "text/plain", True),
        (mime_type, "application/fhir+json; fhirVersion=4.0", True),
        (mime_type, 'multipart/mixed; boundary="a b"', True),
        (mime_type, "application/dicom; variant=DICOM WADO-RS", True),
        (mime_type, "json", None),
        (mime_type, "pdf", False),
        (mime_type, "text/", False),
        (ucum, "pg/mL", True),
        (ucum, "mm[Hg]", True),
        (ucum, "{score}", True),
        (ucum, "10*3/uL", True),
        (ucum, "frobnitz/(d.L)", None),
        (ucum, "{wine glasses}/d", None),
        (ucum, "per day", False),
        (ucum, "mg//L", False),
        (ucum, "(mg", False),
        (ucum, "mg)", False),
        (ucum, "", False),
        (is_absolute, "http://loinc.org", True),
        (is_absolute, "urn:oid:2.16", True),
        (is_absolute, "mailto:x", False),
        (is_absolute, "loinc", False),
    ],
)
def test_a_grammar_rejects_ill_formed_codes(grammar, code, answer):
    assert grammar(code) is answer


def test_codes_of_a_trusted_grammar_are_valid_and_unchecked(known):
    known.forget_unchecked()
    assert known.contains("http://hl7.org/fhir/ValueSet/mimetypes", None, "text/plain") is True
    assert known.contains("http://hl7.org/fhir/ValueSet/mimetypes", None, "plain text") is False
    assert known.unchecked == (
        Unchecked("urn:ietf:bcp:13", "MIME types are checked against their grammar only"),
    )


def test_currencies_are_undecided_or_ill_formed(known):
    url = "http://hl7.org/fhir/ValueSet/currencies"
    assert [known.contains(url, None, code) for code in ("EUR", "euro")] == [None, False]


# --- hostile definitions


def regex_value_set(pattern):
    condition = {"property": "code", "op": "regex", "value": pattern}
    return value_set("it", {"system": SYSTEM, "filter": [condition]})


@pytest.mark.parametrize(
    ("pattern", "red", "nothing"),
    [
        ("[a-z]{3}", True, False),
        ("red|blue", True, False),
        ("(r|x)?ed", True, False),
        ("r.*", True, False),
        ("^[a-z]+$", True, False),
        ("e", False, False),  # the whole code must match
        ("(r+)+ed", True, False),
        ("([a-z]|[a-z][a-z])+d", True, False),
    ],
)
def test_a_regex_filter_selects_codes_that_match_as_a_whole(pattern, red, nothing):
    assert decided_within(1, COLOURS, regex_value_set(pattern)) == ([red, nothing], [])


@pytest.mark.parametrize("pattern", [r"(r)\1", "(?=r)red", "(", "[", "a{99999}", "a" * 2001])
def test_a_regex_filter_that_cannot_be_run_is_undecided(pattern):
    codes, reasons = decided_within(1, COLOURS, regex_value_set(pattern))
    assert codes == [None, False]  # "nothing" is no code of the system
    assert len(reasons) == 1


def decided_within(seconds, *resources, url=f"{BASE}/ValueSet/it"):
    start = time.process_time()
    terminology = Terminology(Definitions(*resources))
    answers = [terminology.contains(url, SYSTEM, code) for code in ("red", "nothing")]
    assert time.process_time() - start < seconds
    return answers, [row.reason for row in terminology.unchecked]


def test_circular_value_sets_are_undecided():
    one = value_set("it", {"valueSet": [f"{BASE}/ValueSet/two"]})
    two = value_set("two", {"valueSet": [f"{BASE}/ValueSet/it"]})
    assert decided_within(1, one, two) == ([None, None], [f"{BASE}/ValueSet/it includes itself"])


def test_deeply_nested_value_sets_are_undecided():
    answers, reasons = decided_within(2, *nested(5000), url=f"{BASE}/ValueSet/v4999")
    assert (answers, reasons) == ([None, None], ["more than 30 value sets within each other"])


def test_value_sets_that_fan_out_are_undecided():
    wide = nested(25, includes=3)
    answers, reasons = decided_within(2, *wide, url=f"{BASE}/ValueSet/v24")
    assert (answers, reasons) == ([None, None], ["more than 20,000 includes"])


def test_a_code_system_that_is_too_large_is_undecided(monkeypatch):
    monkeypatch.setattr(code_systems, "MAX_CONCEPTS", 1000)
    large = {**COLOURS, "concept": [{"code": str(number)} for number in range(2000)]}
    answers, reasons = decided_within(1, large, value_set("it", {"system": SYSTEM}))
    assert (answers, reasons) == ([None, None], [f"{SYSTEM} has more than 1,000 concepts"])


def test_a_million_listed_codes_take_linear_time():
    listed = [{"code": str(number)} for number in range(1_000_000)]
    listed_set = value_set("it", {"system": SYSTEM, "concept": listed})
    assert decided_within(5, listed_set) == ([False, False], [])


def test_more_than_20_000_includes_are_undecided():
    includes = [{"system": SYSTEM, "concept": [{"code": str(n)}]} for n in range(20_001)]
    assert decided_within(5, value_set("it", *includes)) == (
        [None, None],
        ["more than 20,000 includes"],
    )


def test_concepts_are_read_at_any_depth():
    deep = {"code": "0"}
    for number in range(1, 20_000):
        deep = {"code": str(number), "concept": [deep]}
    system = {**COLOURS, "concept": [deep]}
    narrow = value_set(
        "it", {"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "5"}]}
    )
    expanded = Terminology(Definitions(system, narrow)).expand(narrow["url"])
    assert expanded == {SYSTEM: frozenset("012345")}


@pytest.mark.parametrize(
    "broken",
    [
        {"compose": 7},
        {"compose": {"include": {"system": SYSTEM}}},
        {"compose": {"include": [None, 3, {"system": 7}]}},
        {"compose": {"include": [{"system": SYSTEM, "concept": [{"code": {}}], "filter": "x"}]}},
        {"compose": {"include": [{"valueSet": "http://x"}]}, "expansion": []},
        {},
    ],
)
def test_a_malformed_value_set_raises_no_exception(broken):
    invalid = {"resourceType": "ValueSet", "url": f"{BASE}/ValueSet/it", **broken}
    answers, _ = decided_within(1, COLOURS, invalid)
    assert set(answers) <= {None, False}


def test_the_cache_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr("fhir_b12.validation.terminology.service._MAX_REMEMBERED", 100)
    terminology = Terminology(Definitions(COLOURS))
    for number in range(1000):
        terminology.validate_coding(f"http://x/{number}", "a", display=str(number))
    assert len(terminology._results) <= 100
