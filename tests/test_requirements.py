"""A run reports the tests that it skipped, and fails if it should have had what they need."""

from types import SimpleNamespace

import pytest

from tests.requirements import count_missing, missing, required_but_missing


def skipped(reason):
    return SimpleNamespace(longrepr=("file.py", 1, f"Skipped: {reason}"))


def test_skipped_tests_are_counted_by_what_is_missing():
    reports = [skipped(missing("npm", "install it")), skipped(missing("npm", "install it"))]
    assert count_missing([*reports, skipped("too old")]) == {"npm": 2, None: 1}


@pytest.mark.parametrize(
    ("required", "unavailable", "expected"),
    [
        ("", "", []),
        ("npm", "", ["npm"]),
        ("Maven, npm", "npm", ["npm"]),
        ("all", "", ["PostgreSQL", "npm"]),
        ("all", "PostgreSQL, Maven", ["npm"]),
    ],
)
def test_what_is_required_must_not_be_missing(monkeypatch, required, unavailable, expected):
    monkeypatch.setenv("FHIR_B12_REQUIRE", required)
    monkeypatch.setenv("FHIR_B12_UNAVAILABLE", unavailable)
    assert required_but_missing(["npm", "PostgreSQL", None]) == expected
