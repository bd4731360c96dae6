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
        self._known = {each["url"]: each for each in resources}

    def value_set(self, canonical):
        return self._of("ValueSet", canonical)

    def code_system(self, canonical):
        return self._of("CodeSystem", canonical)

    def _of(self, kind, canonical):
        url, _, version = canonical.partition("|")
        found = self._known.get(url)
        fits = found and found["resourceType"] == kind and version in {"", found.get("version")}
        return found if fits else None


def value_set(name, *include, exclude=(), **more):
    compose = {"include": list(include), **({"exclude": list(exclude)} if exclude else {}), **more}
    return {"resourceType": "ValueSet", "url": f"{BASE}/ValueSet/{name}", "compose": compose}


def held(*include, exclude=(), also=(), **more):
    """The codes of a value set, and why it cannot be told where it cannot."""
    made = value_set("it", *include, exclude=exclude, **more)
    terminology = Terminology(Definitions(COLOURS, made, *also))
    expanded = terminology.expand(made["url"])
    if expanded is not None:
        return {system: sorted(found) for system, found in expanded.items()}
    return [each.reason for each in terminology.unchecked]


def filtered(name, op, value):
    found = held({"system": SYSTEM, "filter": [{"property": name, "op": op, "value": value}]})
    return found[SYSTEM] if isinstance(found, dict) else found


def nested(depth, includes=1):
    """Value sets within each other, v0 in v1 in v2 ..., each as often as asked; v0 is undecided."""
    made = [value_set("v0", {"system": ELSEWHERE}, {"system": SYSTEM})]
    for number in range(1, depth):
        within = {"valueSet": [f"{BASE}/ValueSet/v{number - 1}"]}
        made.append(value_set(f"v{number}", *[within] * includes))
    return made


@pytest.fixture(scope="module")
def known():
    return Terminology(Canonicals())


def test_a_whole_code_system_is_all_its_codes():
    assert held({"system": SYSTEM}) == {SYSTEM: ["blue", "cold", "pink", "red", "rose", "ruby"]}


def test_listed_codes_need_no_code_system():
    assert held({"system": ELSEWHERE, "concept": [{"code": "a"}]}) == {ELSEWHERE: ["a"]}


def test_includes_add_and_excludes_take_away():
    found = held(
        {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "blue"}]},
        {"system": SYSTEM, "concept": [{"code": "rose"}]},
        exclude=[{"system": SYSTEM, "concept": [{"code": "blue"}]}],
    )
    assert found == {SYSTEM: ["red", "rose"]}


def test_an_include_is_what_its_system_and_all_its_value_sets_have_in_common():
    warm = value_set("warm", {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "rose"}]})
    few = value_set("few", {"system": SYSTEM, "concept": [{"code": "red"}, {"code": "blue"}]})
    both = {"valueSet": [warm["url"], few["url"]]}
    assert held(both, also=[warm, few]) == {SYSTEM: ["red"]}


def test_inactive_codes_are_in_unless_the_value_set_says_not():
    assert "ruby" not in held({"system": SYSTEM}, inactive=False)[SYSTEM]


@pytest.mark.parametrize(
    ("name", "op", "value", "found"),
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
def test_a_filter_chooses_concepts(name, op, value, found):
    assert filtered(name, op, value) == found


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
def test_what_cannot_be_listed_is_said_with_the_reason(include, reason):
    assert held(include) == [reason]


def test_a_code_of_a_known_part_is_decided_and_one_of_the_rest_is_not():
    mixed = value_set("mixed", {"system": SYSTEM}, {"system": ELSEWHERE})
    terminology = Terminology(Definitions(COLOURS, mixed))
    asked = [(SYSTEM, "red"), (SYSTEM, "green"), (BASE, "red"), (ELSEWHERE, "a")]
    assert [terminology.contains(mixed["url"], *each) for each in asked] == [
        True,
        False,
        False,
        None,
    ]
    assert terminology.unchecked == (
        Unchecked(mixed["url"], f"the code system {ELSEWHERE} is not here"),
    )


def test_what_is_unchecked_is_said_once_and_can_be_forgotten():
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


def test_case_does_not_matter_where_the_code_system_says_so():
    loose = {**COLOURS, "caseSensitive": False}
    made = value_set("it", {"system": SYSTEM, "concept": [{"code": "red"}]})
    terminology = Terminology(Definitions(loose, made))
    asked = [(SYSTEM, "RED"), (None, "RED"), (SYSTEM, "ROSE")]
    assert [terminology.contains(made["url"], *each) for each in asked] == [True, True, False]


def test_a_stored_expansion_stands_in_for_a_definition_in_words():
    rows = [{"system": SYSTEM, "code": "red"}, {"contains": [{"system": SYSTEM, "code": "rose"}]}]
    made = {"resourceType": "ValueSet", "url": BASE, "expansion": {"contains": rows}}
    assert Terminology(Definitions(made)).expand(BASE) == {SYSTEM: frozenset({"red", "rose"})}


def test_code_systems_known_in_part_never_make_a_code_wrong():
    for content in ("fragment", "example", "not-present", "supplement"):
        terminology = Terminology(Definitions({**COLOURS, "content": content}))
        assert terminology.validate_code(SYSTEM, "green") is not False


def test_a_code_is_validated_by_system_display_and_value_set():
    made = value_set("it", {"system": SYSTEM, "concept": [{"code": "red"}]})
    ask = Terminology(Definitions(COLOURS, made)).validate_code
    assert [
        ask(SYSTEM, "red"),
        ask(SYSTEM, "green"),
        ask(SYSTEM, "red", display="rED"),
        ask(SYSTEM, "red", display="Crimson"),
        ask(SYSTEM, "red", display="Blue"),
        ask(SYSTEM, "red", value_set=made["url"]),
        ask(SYSTEM, "blue", value_set=made["url"]),
        ask(ELSEWHERE, "a"),
    ] == [True, False, True, True, False, True, False, None]


def test_our_tables_answer_for_our_own_urls_and_name_codes_of_others():
    terminology = Terminology(Definitions())
    name = "outcomes"
    first = next(iter(codes.table(name)))
    own = codes.code_system(name)["url"]
    assert terminology.display(own, first.key) == first.text
    assert terminology.contains(codes.value_set(name)["url"], own, "no-such-key") is False
    coding = next(each for entry in codes.table("lab_tests") for each in entry.codings)
    assert terminology.display(coding.system, coding.code) == coding.display
    assert terminology.validate_code(coding.system, "no such code") is None


@pytest.mark.parametrize(
    "name", ["observation-status", "all-types", "condition-clinical", "days-of-week"]
)
def test_what_is_distilled_is_what_the_value_set_holds(known, name):
    url = f"http://hl7.org/fhir/ValueSet/{name}"
    assert known.expand(url) == dict(R4.value_set(url))


def test_a_version_may_stand_behind_the_url(known):
    url = "http://hl7.org/fhir/ValueSet/observation-status"
    assert known.contains(f"{url}|4.0.1", None, "final") is True
    assert known.contains(f"{url}|9.9", None, "final") is None


def test_a_deprecated_code_is_in_its_value_set_but_not_plain(known):
    url = "http://terminology.hl7.org/ValueSet/v2-0078"
    system = "http://terminology.hl7.org/CodeSystem/v2-0078"
    assert known.contains(url, system, "L") is True
    assert "L" not in known.codes_without_problems(url)
    assert [each.rule for each in known.validate_coding(system, "L").problems] == [
        "deprecated-code"
    ]


def test_looking_codes_through_beforehand_leaves_nothing_unchecked():
    made = value_set("it", {"system": ELSEWHERE, "concept": [{"code": "a"}]})
    terminology = Terminology(Definitions(made))
    assert terminology.codes_without_problems(made["url"]) == {"a"}
    assert terminology.unchecked == ()


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
def test_a_grammar_tells_what_is_ill_formed(grammar, code, answer):
    assert grammar(code) is answer


def test_trusted_grammars_say_that_they_are_no_registry(known):
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
    return answers, [each.reason for each in terminology.unchecked]


def test_value_sets_that_include_each_other_end():
    one = value_set("it", {"valueSet": [f"{BASE}/ValueSet/two"]})
    two = value_set("two", {"valueSet": [f"{BASE}/ValueSet/it"]})
    assert decided_within(1, one, two) == ([None, None], [f"{BASE}/ValueSet/it includes itself"])


def test_value_sets_deep_within_each_other_end():
    answers, reasons = decided_within(2, *nested(5000), url=f"{BASE}/ValueSet/v4999")
    assert (answers, reasons) == ([None, None], ["more than 30 value sets within each other"])


def test_value_sets_that_fan_out_end():
    wide = nested(25, includes=3)
    answers, reasons = decided_within(2, *wide, url=f"{BASE}/ValueSet/v24")
    assert (answers, reasons) == ([None, None], ["more than 20,000 includes"])


def test_a_code_system_too_large_is_undecided(monkeypatch):
    monkeypatch.setattr(code_systems, "MAX_CONCEPTS", 1000)
    large = {**COLOURS, "concept": [{"code": str(number)} for number in range(2000)]}
    answers, reasons = decided_within(1, large, value_set("it", {"system": SYSTEM}))
    assert (answers, reasons) == ([None, None], [f"{SYSTEM} has more than 1,000 concepts"])


def test_a_million_listed_codes_take_linear_time():
    listed = [{"code": str(number)} for number in range(1_000_000)]
    made = value_set("it", {"system": SYSTEM, "concept": listed})
    assert decided_within(5, made) == ([False, False], [])


def test_a_hundred_thousand_includes_end():
    includes = [{"system": SYSTEM, "concept": [{"code": str(n)}]} for n in range(100_000)]
    assert decided_within(5, value_set("it", *includes)) == (
        [None, None],
        ["more than 20,000 includes"],
    )


def test_concepts_within_concepts_however_deep_are_read():
    deep = {"code": "0"}
    for number in range(1, 20_000):
        deep = {"code": str(number), "concept": [deep]}
    system = {**COLOURS, "concept": [deep]}
    made = value_set(
        "it", {"system": SYSTEM, "filter": [{"property": "concept", "op": "is-a", "value": "5"}]}
    )
    found = Terminology(Definitions(system, made)).expand(made["url"])
    assert found == {SYSTEM: frozenset("012345")}


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
def test_a_definition_of_wrong_shape_is_no_exception(broken):
    made = {"resourceType": "ValueSet", "url": f"{BASE}/ValueSet/it", **broken}
    answers, _ = decided_within(1, COLOURS, made)
    assert set(answers) <= {None, False}


def test_answers_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr("fhir_b12.validation.terminology.service._MAX_REMEMBERED", 100)
    terminology = Terminology(Definitions(COLOURS))
    for number in range(1000):
        terminology.validate_coding(f"http://x/{number}", "a", display=str(number))
    assert len(terminology._results) <= 100
