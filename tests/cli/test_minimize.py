"""The smallest resource that shows a finding: what is removed, replaced and kept."""

import pytest

from fhir_b12.cli import minimize as minimizing
from fhir_b12.cli.minimize import minimize
from fhir_b12.issues import Issue

TARGET = Issue("error", "invalid", "Observation.status", "wrong", rule="target")


def issue(rule, expression="Observation.status", pointer=None, severity="error"):
    return Issue(severity, "invalid", expression, "wrong", rule=rule, pointer=pointer)


def shows(condition, *others):
    """Return a validator that reports the target if a condition holds, and other rules if theirs do."""

    def validate(value):
        issues = [TARGET] if condition(value) else []
        return issues + [issue(rule) for rule, also in others if also(value)]

    return validate


def test_a_step_that_causes_a_new_error_is_not_taken():
    validate = shows(lambda value: "a" in value, ("new", lambda value: "b" not in value))
    resource = {"resourceType": "Observation", "a": 1, "b": 1, "c": 1}
    assert minimize(resource, TARGET, validate).resource == {
        "resourceType": "Observation",
        "a": 1,
        "b": 1,
    }


def test_other_errors_of_the_input_are_removed_in_the_end():
    validate = shows(lambda value: "a" in value, ("other", lambda value: "b" in value))
    resource = {"a": 1, "b": 1}
    assert minimize(resource, TARGET, validate).resource == {"a": 1}


def test_a_finding_is_the_same_if_rule_severity_and_element_are():
    def validate(value):
        if "keep" in value:
            return [issue("target", f"X[{len(value)}].status")]
        return [issue("target", "X.code")] if len(value) else [issue("target", severity="warning")]

    assert minimize({"keep": 1, "a": 2, "b": 3}, TARGET, validate).resource == {"keep": 1}


def test_an_entry_is_extracted_from_its_bundle_if_it_shows_the_finding_alone():
    target = issue("target", pointer="/entry/1/resource/status")
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": {}}, {"resource": {"resourceType": "Observation", "status": "a"}}],
    }
    alone = shows(lambda value: "status" in value or "entry" in value)
    assert minimize(bundle, target, alone).resource == {
        "resourceType": "Observation",
        "status": "x1",
    }
    in_bundle = shows(lambda value: bool(value.get("entry")))
    assert minimize(bundle, target, in_bundle).resource["resourceType"] == "Bundle"


def test_equal_strings_are_replaced_together():
    validate = shows(lambda value: value.get("a") is not None and value["a"] == value.get("b"))
    minimized = minimize({"a": "same", "b": "same"}, TARGET, validate)
    assert minimized.resource == {"a": "x1", "b": "x1"}
    assert minimized.original_values == ()


def test_of_equal_strings_each_is_replaced_alone_if_they_cannot_be_together():
    validate = shows(lambda value: value.get("a") == "same" and value.get("b") is not None)
    minimized = minimize({"a": "same", "b": "same"}, TARGET, validate)
    assert minimized.resource == {"a": "same", "b": "x1"}
    assert minimized.original_values == (("a",),)


@pytest.mark.parametrize(
    ("value", "accepts", "expected"),
    [
        (False, lambda value: isinstance(value, bool), True),
        (47, lambda value: isinstance(value, int), 1),
        (-47, lambda value: value < 0, -1),
        (0, lambda value: value == 0, 0),
        ("abc", lambda value: isinstance(value, str), "x1"),
        ("1958-07-03", lambda value: len(value) == 10 and value[4] == "-", "2000-01-01"),
        ("1958-07", lambda value: len(value) == 7 and value[4] == "-", "2000-01"),
        ("1958-07-03T01:02:03+01:00", lambda value: "T" in value, "2000-01-01T00:00:00Z"),
        ("urn:oid:1.2", lambda value: ":" in value, "http://example.org/x1"),
        ("Group/Maja", lambda value: value.startswith("Group/"), "Group/x1"),
        ("Maja/Maja", lambda value: value.count("/") == 1 and ":" not in value, "Patient/x1"),
        ("Ab-12", lambda value: len(value) == 5 and value[2] == "-", "xx-00"),
        ("Ab-12", lambda value: value.endswith("-12"), "xx-12"),
        ("Ab-12", lambda value: value.startswith("Ab-"), "Ab-00"),
    ],
)
def test_a_value_is_replaced_by_the_simplest_neutral_value(value, accepts, expected):
    validate = shows(lambda resource: "v" in resource and accepts(resource["v"]))
    minimized = minimize({"v": value}, TARGET, validate)
    assert minimized == ({"v": expected}, ())


def test_a_value_that_the_finding_needs_is_kept_and_listed():
    validate = shows(lambda value: value.get("a") == "Maja")
    assert minimize({"a": "Maja", "b": 1}, TARGET, validate) == ({"a": "Maja"}, (("a",),))


def test_the_resource_type_is_never_replaced():
    validate = shows(lambda value: value is not None)
    assert minimize({"resourceType": "Patient", "id": "x"}, TARGET, validate) == (
        {"resourceType": "Patient"},
        (),
    )


def test_the_number_of_trials_is_bounded(monkeypatch):
    monkeypatch.setattr(minimizing, "_MAX_TRIALS", 400)
    trials = 0

    def validate(value):
        nonlocal trials
        trials += 1
        return [TARGET] if len(value.get("items", ())) == 500 else []

    minimize({"items": list(range(500))}, TARGET, validate)
    assert trials <= 401
