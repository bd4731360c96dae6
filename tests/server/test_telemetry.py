"""Log, health checks and metrics, none of which contains patient data."""

import io
import re
import threading
from dataclasses import replace

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.server import telemetry
from fhir_b12.server.app import create_app
from tests.server.fhir.conftest import CONFIG, PATIENT, Client, observation
from tests.server.temporary import Temporary

CANARY = "Zebedee"


class Broken(Temporary):
    """Fails with what must not be told, and is not ready."""

    def read(self, kind, name, access):  # noqa: ARG002
        raise RuntimeError(f"{CANARY} {name}")

    def ready(self):
        return False


@pytest.fixture
def log():
    stream = io.StringIO()
    telemetry.configure_log(stream)
    return stream


def client(store=None, **settings):
    return Client(create_app(replace(CONFIG, **settings), store or Temporary()))


def lines(log):
    return [loads(line) for line in log.getvalue().splitlines()]


def test_a_request_is_one_line_of_json(log):
    client().get("Patient/one", X_Request_Id="asked-1")
    (line,) = lines(log)
    assert set(line) == {"event", "id", "method", "ms", "request", "route", "status", "timestamp"}
    assert (line["event"], line["request"], line["method"], line["status"]) == (
        "request",
        "asked-1",
        "GET",
        404,
    )
    assert line["route"] == "/fhir/Patient/<resource_id>"
    assert re.fullmatch("[0-9a-f]{16}", line["id"])


def test_the_log_never_contains_patient_data(log):
    here = client()
    patient = PATIENT | {"name": [{"family": CANARY}], "identifier": [{"value": CANARY}]}
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    here.put(f"Patient/{CANARY}", patient | {"id": CANARY})
    here.post("Patient", patient, If_None_Exist=f"identifier={CANARY}")
    here.get(f"Patient?identifier={CANARY}&{CANARY}=1")
    here.post("Patient/_search", f"identifier={CANARY}", **form)
    here.get(f"Patient/{CANARY}/_history/{CANARY}")
    here.post("Observation", observation(status=CANARY))
    here.post("Patient", f'{{"{CANARY}"')
    here.post("", {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"Patient/{CANARY}"}},
    ]})  # fmt: skip
    here.get(
        f"/{CANARY}", Authorization=CANARY, X_Request_Id=f"{CANARY} {CANARY}", User_Agent=CANARY
    )
    client(Broken()).get(f"Patient/{CANARY}")
    assert len(lines(log)) == 11
    assert CANARY.lower() not in log.getvalue().lower()


def test_error_messages_never_repeat_values():
    here = client()
    responses = [
        here.post("Observation", observation(status=CANARY, effectiveDateTime=CANARY)),
        here.post("Patient", f'{{"resourceType":"Patient","gender":"{CANARY}'),
        here.get(f"Patient/{CANARY}"),
        here.put("Patient/x", PATIENT | {"id": CANARY}),
        here.get(f"/{CANARY}"),
        client(Broken()).get("Patient/x"),
    ]
    assert [response.status_code for response in responses] == [422, 400, 404, 400, 404, 500]
    assert [response for response in responses if CANARY.encode() in response.data] == []


def test_an_unexpected_error_is_logged_by_type_and_location(log):
    response = client(Broken()).get("Patient/x")
    assert (response.status_code, response.json["issue"][0]["severity"]) == (500, "fatal")
    defect, request = lines(log)
    assert (defect["event"], defect["error"], defect["request"]) == (
        "defect",
        "RuntimeError",
        request["request"],
    )
    assert all(re.fullmatch(r"\w+\.py:\d+", place) for place in defect["where"])


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 65, "é", "a\tb", '"'])
def test_an_invalid_request_id_is_replaced(request_id):
    assert re.fullmatch(
        "[0-9a-f]{32}", client().get("metadata", X_Request_Id=request_id).headers["X-Request-Id"]
    )


def test_a_valid_request_id_is_returned():
    assert client().get("metadata", X_Request_Id="a-1.b_2").headers["X-Request-Id"] == "a-1.b_2"


class CountingStream(io.StringIO):
    """A stream that counts its writes."""

    writes = 0

    def write(self, text):
        self.writes += 1
        return super().write(text)


def test_log_lines_are_written_in_groups_and_none_is_lost():
    stream = CountingStream()
    json_log = telemetry.JsonLog(stream, 3600)
    writers = [
        threading.Thread(target=lambda: [json_log.append({"a": 1}) for _ in range(500)])
        for _ in range(8)
    ]
    for writer in writers:
        writer.start()
    for _ in range(20):
        json_log.flush()
    for writer in writers:
        writer.join()
    json_log.flush()
    assert stream.getvalue() == '{"a":1}\n' * 4000
    assert stream.writes <= 21


def test_the_last_log_line_is_written_by_a_timer():
    stream, written = io.StringIO(), threading.Event()
    stream.flush = written.set
    telemetry.JsonLog(stream, 0.01).append({"a": 1})
    assert written.wait(20)
    assert stream.getvalue() == '{"a":1}\n'


def test_a_closed_log_stream_fails_no_request(log):
    log.close()
    assert client().get("metadata").status_code == 200


def test_slow_requests_are_logged_as_slow(log):
    client(slow=0).get("Patient?identifier=x")
    (line,) = lines(log)
    assert (line["event"], line["route"]) == ("slow", "/fhir/Patient")


def test_health_and_readiness():
    assert client().get("/healthz").json == {"status": "ok"}
    assert client().get("/readyz").status_code == 200
    response = client(Broken()).get("/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_metrics_count_by_route_without_ids():
    here = client(metrics=True)
    here.get(f"Patient/{CANARY}?{CANARY}=1")
    text = here.get("/metrics").get_data(as_text=True)
    assert (
        'fhir_b12_request_seconds_count{method="GET",route="/fhir/Patient/<resource_id>",status="404"} 1.0'
        in text
    )
    assert CANARY not in text


def test_metrics_are_off_by_default():
    assert client().get("/metrics").status_code == 404


def test_responses_forbid_sniffing_and_caching():
    response = client().get("metadata")
    assert (response.headers["X-Content-Type-Options"], response.headers["Cache-Control"]) == (
        "nosniff",
        "no-store",
    )
