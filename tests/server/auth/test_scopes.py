"""What scopes allow, as limits of searches and writes."""

import pytest

from fhir_b12.server.auth.scopes import Grant, ScopedAccess, ScopeError, intersect, parse_scopes


def limits(scope, resource_type, action, patient=None):
    """The search parameters or criteria of each limit; None if the action is not allowed."""
    queries = ScopedAccess("client", parse_scopes(scope), patient).limits(resource_type, action)
    return None if queries is None else [list(query.pairs) for query in queries]


@pytest.mark.parametrize(
    ("scope", "resource_type", "action", "expected"),
    [
        ("system/Observation.rs", "Observation", "r", []),
        ("system/Observation.rs", "Observation", "u", None),
        ("system/Observation.rs", "Patient", "r", None),
        ("system/*.rs", "Patient", "s", []),
        ("system/*.cruds", "AuditEvent", "r", []),
        ("system/*.cruds", "AuditEvent", "s", []),
        ("system/*.cruds", "AuditEvent", "c", None),
        ("system/*.cruds", "AuditEvent", "u", None),
        ("system/*.cruds", "AuditEvent", "d", None),
        ("system/Observation.rs?status=final", "Observation", "r", [[("status", "final")]]),
        (
            "system/Observation.rs?status=final system/Observation.r?status=amended",
            "Observation", "r", [[("status", "final")], [("status", "amended")]],
        ),
        (
            "system/Observation.rs?status=final system/Observation.r?status=amended",
            "Observation", "s", [[("status", "final")]],
        ),
        ("system/Observation.rs?status=final system/*.r", "Observation", "r", []),
        ("patient/*.rs", "Observation", "r", None),
    ],
)  # fmt: skip
def test_limits_of_system_scopes(scope, resource_type, action, expected):
    assert limits(scope, resource_type, action) == expected


def test_a_patient_scope_is_limited_to_the_compartment():
    access = ScopedAccess("client", parse_scopes("patient/*.rs"), "one")
    (query,) = access.limits("Observation", "r")
    assert len(query.criteria) == 1
    assert access.limits("Organization", "r") is None
    assert access.limits("Observation", "d") is None


def test_a_patient_scope_keeps_its_restriction():
    scope = "patient/Observation.rs?status=final"
    (query,) = ScopedAccess("client", parse_scopes(scope), "one").limits("Observation", "s")
    assert len(query.criteria) == 2


@pytest.mark.parametrize(
    ("requested", "registered", "result"),
    [
        ("system/*.rs", "system/Observation.cruds", "system/Observation.rs"),
        ("system/Observation.cruds", "system/*.rs", "system/Observation.rs"),
        ("system/*.cr", "system/*.rs", "system/*.r"),
        ("system/Observation.rs", "system/Patient.rs", ""),
        ("patient/Observation.rs", "system/Observation.rs", ""),
        ("system/Observation.c", "system/Observation.rs", ""),
        ("system/Observation.rs", "system/*.r system/Observation.s", "system/Observation.r system/Observation.s"),
        ("system/Observation.rs system/Observation.rs", "system/*.rs", "system/Observation.rs"),
        ("system/Observation.r?status=final", "system/Observation.r?code=a",
         "system/Observation.r?code=a&status=final"),
        ("system/Observation.r?code=a", "system/Observation.r?code=a", "system/Observation.r?code=a"),
    ],
)  # fmt: skip
def test_a_token_has_what_is_both_requested_and_registered(requested, registered, result):
    grants = intersect(parse_scopes(requested), parse_scopes(registered))
    assert " ".join(map(str, grants)) == result


def test_scopes_are_parsed():
    text = (
        "system/Observation.read system/Observation.write patient/*.* system/Patient.cu?active=true"
    )
    assert parse_scopes(text) == (
        Grant("system", "Observation", "rs"),
        Grant("system", "Observation", "cud"),
        Grant("patient", "*", "cruds"),
        Grant("system", "Patient", "cu", (("active", "true"),)),
    )


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("", "1 to 50 scopes are required"),
        (" ".join(["system/*.rs"] * 51), "1 to 50 scopes are required"),
        ("system/Observation.sr", "malformed scope"),
        ("system/Observation.", "malformed scope"),
        ("user/Observation.rs", "malformed scope"),
        ("system/Observations.rs", "did you mean Observation?"),
        ("system/*.rs?status=final", "must name a resource type"),
        ("system/Observation.rs?_count=1", "must test the resource itself"),
        ("system/Observation.rs?subject.name=a", "must test the resource itself"),
        ("system/Observation.rs?_has:Observation:subject:code=a", "not a search|must test"),
        ("system/Observation.rs?colour=blue", "not a search of Observation"),
    ],
)
def test_an_invalid_scope_is_explained(scope, message):
    with pytest.raises(ScopeError, match=message):
        parse_scopes(scope)


def test_fifty_scopes_are_allowed():
    assert len(parse_scopes(" ".join(["system/*.rs"] * 50))) == 50
