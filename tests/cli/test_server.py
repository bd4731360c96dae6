"""The commands of the server: arguments, missing extras, databases and clients."""

import re
import shlex
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fhir_b12 import cli
from fhir_b12.cli import server
from fhir_b12.server import telemetry
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.store import Change, FullAccess
from fhir_b12.server.store.sqlite import open_store
from tests.cli.shell import call
from tests.cli.test_demo import COMMANDS, SERVER_COMMANDS

EXAMPLES = [
    line.strip()
    for name in SERVER_COMMANDS
    for line in COMMANDS[name].epilog.splitlines()
    if line.startswith("  fhir-b12 ")
]


@pytest.fixture(autouse=True)
def _unbuffered_log(monkeypatch):
    """Write the request log at once: a delayed line would appear in the output of a later test."""
    monkeypatch.setattr(telemetry, "configure_log", lambda _=None: None)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_in_help_are_parsed(example):
    arguments = cli.build_parser().parse_args(shlex.split(example)[1:])
    assert arguments.run.__module__ == "fhir_b12.cli.server"


def test_a_setting_that_is_not_given_is_left_to_the_environment():
    arguments = cli.build_parser().parse_args(["serve"])
    settings = {name: value for name, value in vars(arguments).items() if name != "run"}
    assert set(settings.values()) == {None}


@pytest.mark.parametrize(
    ("missing", "extra"),
    [
        ("flask", "server"),
        ("waitress.server", "server"),
        ("joserfc.jwk", "server"),
        ("psycopg_pool", "postgres"),
        ("granian", "postgres"),
    ],
)
def test_a_missing_extra_is_named(demo_folder, monkeypatch, missing, extra):
    def absent(name):
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(server, "import_module", absent)
    for name in ("serve", "reindex"):
        message = f"fhir-b12: {missing} is not installed: run pip install 'fhir-b12[{extra}]'\n"
        assert call(name) == (2, "", message)


def test_a_missing_module_of_the_project_is_a_defect(demo_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "fhir_b12.server.admin", None)
    code, _, err = call("reindex")
    assert (code, "defect" in err) == (3, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "serve --open --host 0.0.0.0",
            "FHIR_B12_OPEN: an open server must listen on loopback: set FHIR_B12_HOST to 127.0.0.1",
        ),
        ("serve --port x", "FHIR_B12_PORT: must be a whole number"),
        ("backup bundle.json", "bundle.json exists: choose another file"),
        ("restore x --database bundle.json", "bundle.json exists already: name another file"),
    ],
)
def test_an_invalid_setting_exits_with_2_and_a_message(demo_folder, line, message):
    assert call(*line.split()) == (2, "", f"fhir-b12: {message}\n")


def test_an_unreachable_database_is_reported_without_its_password(demo_folder):
    url = "postgresql://someone:secret@127.0.0.1:1/none"
    code, _, err = call("serve", "--open", "--database", url)
    assert (code, "the database cannot be used" in err, "secret" in err) == (2, True, False)


def test_a_database_is_backed_up_restored_and_reindexed(demo_folder):
    store = open_store(Config(database="clinic.db"))
    change = Change(method="POST", type="Patient", resource={"resourceType": "Patient"})
    store.apply([change], FullAccess(), clock=lambda: 0)
    assert call("backup", "copy.db", "--database", "clinic.db")[::2] == (
        0,
        f"copy.db: {Path('copy.db').stat().st_size} bytes written\n",
    )
    store.close()
    message = "database restored from copy.db\n"
    assert call("restore", "copy.db", "--database", "back.db") == (0, "", message)
    assert call("reindex", "--database", "back.db") == (0, "", "1 resources indexed\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no database" * 1000, "cannot be opened as a SQLite database"),
        (None, "was written by a newer version of fhir-b12: use that version"),
        ("CREATE TABLE other (a)", "is a database of another program: name another file"),
    ],
)
def test_a_file_that_is_not_a_database_of_the_project_is_rejected_and_unchanged(
    demo_folder, content, message
):
    path = Path("other.db")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(content or "PRAGMA user_version = 99; CREATE TABLE a (b);")
    before = path.read_bytes()
    code, _, err = call("reindex", "--database", "other.db")
    assert (code, message in err, path.read_bytes()) == (2, True, before)


def test_a_client_is_registered_listed_and_removed(demo_folder):
    code, keys, err = call("clients", "key", "--jwks", "private.json")
    assert (code, err) == (
        0,
        "private key written to private.json: keep it on the client's machine\n",
    )
    assert '"d"' not in keys
    assert Path("private.json").stat().st_mode & 0o777 == 0o600
    Path("jwks.json").write_text(keys, "utf-8")
    again = call("clients", "key", "--jwks", "private.json")
    assert again == (2, "", "fhir-b12: private.json exists: choose another file with --jwks\n")
    add = ("clients", "add", "ehr", "--jwks", "jwks.json", "--scope", "system/*.rs")
    assert call(*add) == (0, "", "")
    assert call("clients", "list") == (0, "ehr\tsystem/*.rs\n", "")
    other = (*add[:-1], "system/*.cruds")
    code, _, err = call(*other)
    assert (code, "client ehr is registered already" in err, "--replace" in err) == (2, True, True)
    assert call("clients", "list") == (0, "ehr\tsystem/*.rs\n", "")
    assert call(*other, "--replace") == (0, "", "")
    assert call("clients", "list") == (0, "ehr\tsystem/*.cruds\n", "")
    private = ("clients", "add", "a", "--jwks", "private.json", "--scope", "system/*.rs")
    assert call(*private)[0] == 2
    assert call("clients", "remove", "ehr") == (0, "", "")
    assert call("clients", "remove", "ehr") == (
        2,
        "",
        "fhir-b12: no client ehr is registered: see fhir-b12 clients list\n",
    )


def test_keys_may_be_at_a_url_of_an_allowed_host(demo_folder, monkeypatch):
    add = ("clients", "add", "ehr", "--jwks", "https://ehr.test/jwks", "--scope", "system/*.rs")
    code, _, err = call(*add)
    assert (code, "FHIR_B12_JWKS_HOSTS" in err) == (2, True)
    monkeypatch.setenv("FHIR_B12_JWKS_HOSTS", "ehr.test")
    assert call(*add) == (0, "", "")
    assert call("clients", "list") == (0, "ehr\tsystem/*.rs\n", "")


def test_the_steps_of_docs_authorization_lead_to_an_access_token(demo_folder):
    text = (Path(__file__).parents[2] / "docs" / "authorization.md").read_text("utf-8")
    shell = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    for line in shell.splitlines():
        command, _, target = line.partition(" > ")
        code, out, _ = call(*shlex.split(command)[1:])
        assert code == 0
        if target:
            Path(target).write_text(out, "utf-8")
    namespace = {}
    snippet = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    exec(compile(snippet, "authorization.md", "exec"), namespace)
    config = Config(public_url="https://fhir.clinic.test")
    store = open_store(config)
    client = create_app(config, store).test_client()
    url = client.get("/.well-known/smart-configuration").json["token_endpoint"]
    signed = namespace["assertion"]("ehr", url, Path("private-key.json").read_text("utf-8"))
    answer = client.post("/auth/token", data=namespace["form"] | {"client_assertion": signed})
    assert (answer.status_code, answer.json["scope"]) == (200, "system/Observation.rs")
    headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert client.get("/fhir/Observation", headers=headers).status_code == 200
    assert client.get("/fhir/Patient", headers=headers).status_code == 403
    store.close()
