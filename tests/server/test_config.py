"""Settings: their precedence, invalid ones, and their documentation."""

from pathlib import Path

import pytest

from fhir_b12.server.config import Config, ConfigError, table

PAPER = Path(__file__).resolve().parents[2] / "docs" / "server.md"


def test_options_override_variables_and_variables_override_defaults():
    environ = {"FHIR_B12_PORT": "8081", "FHIR_B12_HOST": "::1", "OTHER": "x"}
    config = Config.from_environment(environ, port="8082", threads=None, open=True)
    assert (config.port, config.host, config.threads, config.open) == (8082, "::1", 8, True)


def test_lists_are_separated_by_commas():
    environ = {"FHIR_B12_CORS": "https://a.test, https://b.test,", "FHIR_B12_PROXIES": ""}
    config = Config.from_environment(environ)
    assert (config.cors, config.proxies) == (("https://a.test", "https://b.test"), ())


def test_all_invalid_settings_are_reported_at_once():
    environ = {
        "FHIR_B12_PORT": "x",
        "FHIR_B12_OPEN": "perhaps",
        "FHIR_B12_PUBLIC_URL": "clinic.test",
        "FHIR_B12_VALIDATION": "strict",
        "FHIR_B12_PLAUSIBILITY": "error,Nothing=off",
    }
    with pytest.raises(ConfigError) as error:
        Config.from_environment(environ, color="blue")
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        "FHIR_B12_PORT", "FHIR_B12_PUBLIC_URL", "FHIR_B12_OPEN", "FHIR_B12_VALIDATION",
        "FHIR_B12_PLAUSIBILITY", "FHIR_B12_COLOR",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["ftp://x", "https://", "https://x?y", "x", "https://x/#y"])
def test_an_invalid_public_url_is_refused(text):
    with pytest.raises(ConfigError):
        Config.from_environment({}, public_url=text)


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "http://127.0.0.1:8080/fhir"),
        ({"host": "::1", "port": "80"}, "http://[::1]:80/fhir"),
        ({"public_url": "https://clinic.test/b12/"}, "https://clinic.test/b12/fhir"),
    ],
)
def test_the_base_is_the_public_url_or_the_listening_address(settings, base):
    assert Config.from_environment({}, **settings).base == base


def test_a_type_has_its_own_rules_or_the_general_ones():
    config = Config(validation="profile,Patient=off", plausibility="Observation=error")
    assert [config.check(kind) for kind in ("Patient", "Observation")] == ["off", "profile"]
    assert [config.advice(kind) for kind in ("Patient", "Observation")] == ["advice", "error"]


def test_the_documentation_lists_every_setting():
    assert table() in PAPER.read_text("utf-8")
