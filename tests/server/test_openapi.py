"""The server conforms to its OpenAPI document, tested by schemathesis.

https://schemathesis.readthedocs.io
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis

from fhir_b12.bundles import to_bundle
from fhir_b12.jsonio import dumps
from fhir_b12.server import therapy
from fhir_b12.server.app import create_app
from tests.server.durability import serve
from tests.server.fhir.conftest import CONFIG
from tests.server.temporary import Temporary
from tests.server.test_therapy import COURSE, JSON, RECORD

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
#: one body of each schema that the document names; as JSON has them, without our decimals
BODIES = {"TherapyRecord": json.loads(dumps(COURSE)), "Bundle": json.loads(dumps(to_bundle(RECORD)))}  # fmt: skip


def run(root, document, folder, *options):
    """Run schemathesis; return its report if it finds failures, else an empty string."""
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "run", document, "--url", root, "--checks", CHECKS, "--seed", "1",
               "--suppress-health-check", "all", "--no-shrink", "--no-color", *options]  # fmt: skip
    completed = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)  # noqa: PLW1510
    assert completed.returncode in {0, 1}, completed.stdout + completed.stderr
    return completed.stdout[-8000:] if completed.returncode else ""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    process, port = serve(tmp_path_factory.mktemp("served") / "try.db")
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


#: every boundary of a schema; those of a record are tens of thousands, which are drawn from instead
COVERAGE = ("--phases", "coverage", "--exclude-path", "/therapy/records", "--exclude-path", "/therapy/to-fhir")  # fmt: skip
DRAWN = ("--phases", "fuzzing", "--max-examples", "20")
ALLOWED = (*DRAWN, "--mode", "positive", "--generation-allow-x00", "false")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [COVERAGE, DRAWN, ALLOWED], ids=["coverage", "drawn", "allowed"]
)
def test_responses_conform_to_the_openapi_document(root, tmp_path, options):
    assert run(root, f"{root}/openapi.json", tmp_path, *options) == ""


@pytest.mark.slow
@pytest.mark.parametrize("status", ["200", "415"])
def test_an_undocumented_status_is_detected(root, tmp_path, status):
    document = json.loads(dumps(therapy.openapi_document(root, is_open=True)))
    del document["paths"]["/therapy/from-fhir"]["post"]["responses"][status]
    (tmp_path / "changed.json").write_text(json.dumps(document), "utf-8")
    report = run(root, "changed.json", tmp_path, *COVERAGE, "--include-path", "/therapy/from-fhir")
    assert f"Received: {status}\n" in report


def test_each_operation_answers_the_demo_as_documented():
    store = Temporary(CONFIG)
    app = create_app(CONFIG, store)
    stored = app.test_client().post("/therapy/records", data=dumps(COURSE), headers=JSON).json
    patients = [row["resource"] for row in stored["resources"] if "Patient/" in row["resource"]]
    path_parameters = {"id": patients[0].partition("/")[2]}
    statuses = {}
    for result in schemathesis.openapi.from_wsgi("/openapi.json", app).get_all_operations():
        operation = result.ok()
        case_options = {"path_parameters": path_parameters} if "{id}" in operation.path else {}
        if request_body := operation.definition.raw.get("requestBody"):
            schema = request_body["content"]["application/json"]["schema"]["$ref"]
            case_options |= {
                "body": BODIES[schema.rpartition("/")[2]],
                "media_type": "application/json",
            }
        response = operation.Case(**case_options).call_and_validate()
        statuses[operation.label] = response.status_code
    assert len(statuses) == len(therapy.OPERATIONS)
    assert {label: status for label, status in statuses.items() if status >= 400} == {}
    store.close()
