"""Search for patients, the timeline of a patient, and the page to try the operations."""

import base64
import hashlib
import html
import json
import re
import threading
from contextlib import contextmanager

import pytest
from werkzeug.serving import make_server

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.app import create_app
from fhir_b12.server.therapy import openapi_document
from tests.requirements import skip_missing
from tests.server.auth.conftest import Server
from tests.server.browser import CHROMIUM, Browser
from tests.server.fhir.conftest import CONFIG
from tests.server.temporary import Temporary
from tests.server.test_therapy import COURSE, post, schema

HOSTILE = "\"><script>alert(1)</script><b a='"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SAFE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@pytest.fixture
def client():
    store = Temporary(CONFIG)
    yield create_app(CONFIG, store).test_client()
    store.close()


@pytest.fixture(scope="module")
def authorized_server():
    server = Server()
    yield server
    server.store.close()


def create_timeline(client, record):
    """Store a record; return the path of the timeline of its patient."""
    response = post(client, "/therapy/records", record)
    assert response.status_code == 201, response.data
    return f"/therapy/patients/{id_of(response, 'Patient')}/timeline"


def id_of(response, resource_type):
    rows = (row["resource"].split("/") for row in response.json["resources"])
    return next(name for stored_type, name in rows if stored_type == resource_type)


def lab_result(collected, value, unit="pg/mL", **more):
    """Return a result of the first test of the demo, with the digits of a text."""
    result = {**COURSE["labResults"][0], "collected": collected} | more
    result["identifier"] = [{"system": "urn:x", "value": f"{collected} {value} {unit}"}]
    amount = {"value": loads(value.lstrip("<").encode()), "unit": unit}
    result["value"] = amount | ({"comparator": "<"} if value[0] == "<" else {})
    result.pop("referenceRange", None)
    return {name: element for name, element in result.items() if element is not None}


def record_of(*labs, **more):
    return {"patient": COURSE["patient"], "labResults": list(labs)} | more


def get_page(client, path):
    response = client.get(path, headers={"Accept": BROWSER})
    assert (response.status_code, response.mimetype) == (200, "text/html")
    return response


def hash_of(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- patients


def test_patients_are_searched_by_the_parameters_of_fhir(client):
    path = create_timeline(client, COURSE)
    content = client.get("/therapy/patients?family=s%C3%B8ren&birthdate=1958&_total=accurate").json
    assert schema("PatientPage").is_valid(content)
    (row,) = content["patients"]
    assert (content["total"], content["next"], row["issues"]) == (1, None, [])
    assert {**row["patient"], "id": None} == {**COURSE["patient"], "id": None}
    assert row["timeline"] == f"https://fhir.clinic.test{path}"
    assert row["record"] == row["timeline"].removesuffix("/timeline")
    assert client.get("/therapy/patients?family=nobody").json["patients"] == []


def test_next_links_lead_through_all_pages_of_patients(client):
    for number in "abc":
        body = {"resourceType": "Patient", "name": [{"family": f"F{number}"}]}
        post(client, "/fhir/Patient", body)
    url, families = "https://fhir.clinic.test/therapy/patients?_count=2&_sort=family", []
    while url:
        assert url.startswith("https://fhir.clinic.test/therapy/patients?")
        content = client.get(url.removeprefix("https://fhir.clinic.test")).json
        families.append([row["patient"]["name"][0]["family"] for row in content["patients"]])
        url = content["next"]
    assert families == [["Fa", "Fb"], ["Fc"]]


def test_a_patient_that_cannot_be_mapped_is_listed_with_its_issues(client):
    changed = {"resourceType": "Patient", "modifierExtension": [{"url": "urn:x", "valueCode": "y"}]}
    post(client, "/fhir/Patient", changed)
    (row,) = client.get("/therapy/patients").json["patients"]
    assert (row["patient"], [issue["code"] for issue in row["issues"]]) == (None, ["extension"])
    text = get_page(client, row["timeline"].removeprefix("https://fhir.clinic.test")).text
    assert "Data that could not be read" in text


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("nmae=x", 1), ("birthdate=yesterday&_count=many&nmae=x", 3), ("_include=Patient:link", 1),
        ("_summary=true", 1), ("_revinclude:iterate=Observation:subject", 1), ("_page=!", 1),
    ],
)  # fmt: skip
def test_an_invalid_search_returns_problem_details(client, query, faults):
    response = client.get(f"/therapy/patients?{query}")
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert schema("Problem").is_valid(response.json)
    assert len(response.json["errors"]) == faults


# --- the timeline


def test_a_timeline_has_all_records_except_drugs_and_the_patient(client):
    content = loads(client.get(create_timeline(client, COURSE)).data)
    assert schema("Timeline").is_valid({**content, "patient": None})
    number = sum(len(records) for records in COURSE.values() if isinstance(records, list))
    assert len(content["entries"]) == number - len(COURSE["medications"])
    assert (content["issues"], content["patient"]["birthDate"]) == ([], "1958-07")
    first = next(event for event in content["entries"] if event["kind"] == "laboratory")
    resource_type, _, name = first.pop("resource").partition("/")
    assert client.get(f"/fhir/{resource_type}/{name}").status_code == 200
    assert first == {
        "date": "2025-11-12T09:40:00+01:00", "end": None, "dated": "collected",
        "kind": "laboratory", "status": "final", "title": "Serum vitamin B12, mass",
        "detail": "180.00 pg/mL; range 180.00 pg/mL to 914.00 pg/mL",
    }  # fmt: skip


def test_events_are_sorted_by_date_and_keep_their_precision(client):
    written = [
        "2026-03-09T00:30:00+02:00", "2026-03", "2026-03-08T23:00:00Z", "2026-03-09", "2026",
        "2026-03-09T00:00:00-01:00", "1999-12-31",
    ]  # fmt: skip
    record = record_of(*(lab_result(date, "1") for date in written), conditions=[
        {"code": {"text": "Fatigue"}, "onsetString": "after the war", "patient": COURSE["labResults"][0]["patient"]},
    ])  # fmt: skip
    content = client.get(create_timeline(client, record)).json["entries"]
    assert [event["date"] for event in content] == [
        "1999-12-31", "2026", "2026-03", "2026-03-09T00:30:00+02:00",
        "2026-03-08T23:00:00Z", "2026-03-09", "2026-03-09T00:00:00-01:00", None,
    ]  # fmt: skip
    assert content[-1]["detail"] == "onset: after the war"


def test_an_event_that_did_not_happen_is_marked(client):
    path = create_timeline(client, COURSE)
    content = client.get(path).json["entries"]
    (fever,) = (
        event for event in content if event["kind"] == "infusion" and event["status"] != "completed"
    )
    assert (fever["status"], "because: Fever" in fever["detail"]) == ("not-done", True)
    number = sum(event["status"] == "not-done" for event in content)
    assert get_page(client, path).text.count('class="bad">not-done<') == number


def test_an_order_not_to_perform_says_so(client):
    order = {"status": "active", "intent": "order", "drug": {"text": "Cyanocobalamin"},
             "doNotPerform": True, "patient": COURSE["labResults"][0]["patient"]}  # fmt: skip
    (content,) = client.get(create_timeline(client, record_of(orders=[order]))).json["entries"]
    assert content["detail"] == "not to be done: yes; intent: order"


@pytest.mark.parametrize("digits", ["180.00", "0.10", "1E+3", "12345678901234567890.10"])
def test_digits_are_shown_as_recorded(client, digits):
    path = create_timeline(
        client, record_of(lab_result("2026-01-01", digits), lab_result("2026-02-01", f"<{digits}"))
    )
    text = get_page(client, path).text
    details = [event["detail"] for event in client.get(path).json["entries"]]
    assert details == [f"{digits} pg/mL", f"<{digits} pg/mL"]
    assert f"</small> {digits}</li>" in text
    assert f"</small> &lt;{digits}</li>" in text


def test_results_of_one_test_in_one_unit_are_one_chart(client):
    record = record_of(
        lab_result("2026-01-01", "180.0"), lab_result("2026-01", "<150"), lab_result("2026-03-01", "250", "pmol/L"),
        lab_result("2026-02-01", "7", test={"text": "Another test"}), lab_result("2026-04-01", "900"),
    )  # fmt: skip
    text = get_page(client, create_timeline(client, record)).text
    assert text.count("<svg") == 1
    assert [text.count(mark) for mark in ("<circle", "point bound")] == [3, 1]
    bars = re.findall(r'x1="([\d.]+)" x2="([\d.]+)"', text)
    widths = [float(right) - float(left) for left, right in bars]
    assert widths[1] > 10 * widths[0]  # a month is drawn as a month
    assert re.search(r"<text[^>]*>900</text><text[^>]*>150</text>", text)


def test_markup_in_data_is_shown_as_text(client):
    record = record_of(lab_result("2026-01-01", "1", HOSTILE), lab_result("2026-02-01", "2", HOSTILE, test={"text": HOSTILE}),
                       lab_result("2026-03-01", "3", HOSTILE))  # fmt: skip
    record["patient"] = {
        **COURSE["patient"], "name": [{"family": HOSTILE}],
        "identifier": [*COURSE["patient"]["identifier"], {"system": "urn:x", "value": HOSTILE}],
    }  # fmt: skip
    text = get_page(client, create_timeline(client, record)).text
    assert (
        text.count(html.escape(HOSTILE).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")) > 6
    )
    assert "<script" not in text
    assert "<b " not in text


@pytest.mark.parametrize(
    ("accept", "expected_type"),
    [
        (BROWSER, "text/html"), ("text/html", "text/html"), ("application/json", "application/json"),
        ("*/*", "application/json"), (None, "application/json"), ("image/png", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
    ],
)  # fmt: skip
def test_browsers_get_html_and_other_clients_json(client, accept, expected_type):
    path = create_timeline(client, record_of(lab_result("2026", "1")))
    response = client.get(path, headers={} if accept is None else {"Accept": accept})
    assert (response.status_code, response.mimetype, response.headers["Vary"]) == (
        200,
        expected_type,
        "Accept",
    )


def test_a_page_loads_nothing_and_runs_only_its_own_script(client):
    timeline = get_page(client, create_timeline(client, COURSE))
    style = re.search(r"<style>(.*?)</style>", timeline.text, re.DOTALL)[1]
    policy = f"default-src 'none'; style-src 'sha256-{hash_of(style)}'; {SAFE}"
    assert timeline.headers["Content-Security-Policy"] == policy
    assert "<script" not in timeline.text
    operations_page = get_page(client, "/therapy")
    script = re.search(r"<script>(.*?)</script>", operations_page.text, re.DOTALL)[1]
    assert operations_page.headers["Content-Security-Policy"] == (
        f"{policy}; script-src 'sha256-{hash_of(script)}'; connect-src 'self'"
    )
    for response in (timeline, operations_page):
        assert not re.search(r"\bsrc=|\bstyle=|\bon\w+=|<link|@import|url\(", response.text)


# --- authorization


def test_patients_and_timelines_require_a_token_that_allows_them(authorized_server):
    client = authorized_server.app.test_client()

    def get_as(path, name=None):
        authorization = {"Authorization": f"Bearer {authorized_server.token(name)}"} if name else {}
        return client.get(path, headers=authorization | {"Accept": BROWSER})

    for path in ("/therapy/patients", "/therapy/patients/one/timeline"):
        assert get_as(path).status_code == 401
        assert get_as(path, "results").status_code == 403
    assert get_as("/therapy/patients/one/timeline", "of-one").status_code == 200
    assert get_as("/therapy/patients/two/timeline", "of-one").status_code == 404
    assert get_as("/therapy/patients/none/timeline", "reader").status_code == 404
    rows = get_as("/therapy/patients", "of-one").json["patients"]
    assert [row["id"] for row in rows] == ["one"]
    assert get_as("/therapy").status_code == 200


# --- the page of operations


def test_the_page_lists_all_operations_and_parameters(client):
    text = get_page(client, "/therapy").text
    forms = set(re.findall(r'data-method="(\w+)" data-path="([^"]+)"', text))
    content = client.get("/openapi.json").json["paths"]
    assert forms == {
        (method.upper(), path) for path, methods in content.items() for method in methods
    }
    names = {parameter["name"] for parameter in content["/therapy/patients"]["get"]["parameters"]}
    assert {"family", "identifier", "birthdate", "_count", "_page"} <= names
    assert names <= set(re.findall(r'<input name="([^"]+)"', text))


def test_the_examples_are_accepted(client):
    for path, methods in openapi_document("https://fhir.clinic.test")["paths"].items():
        if "post" in methods:
            content = methods["post"]["requestBody"]["content"]["application/json"]
            response = post(client, path, dumps(content["example"]))
            assert response.status_code in {200, 201}, response.data
            value = json.loads(dumps(content["example"]))
            assert schema(content["schema"]["$ref"].rpartition("/")[2]).is_valid(value)


# --- in a browser


@contextmanager
def run_app(app):
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def browser():
    if CHROMIUM is None:
        skip_missing("Chromium", "install it to see the pages in a browser")
    browser = Browser()
    yield browser
    browser.close()
    assert browser.faults == []


FITS_WIDTH = "document.documentElement.scrollWidth <= innerWidth"


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_shows_the_timeline(browser, client, width):
    path = create_timeline(
        client, record_of(lab_result("2026-01-01", "180.00"), lab_result("2026-02-01", "<150"))
    )
    with run_app(client.application) as root:
        browser.open(root + path, width)
        assert browser.run(FITS_WIDTH)
        assert browser.run("document.querySelectorAll('svg circle').length") == 2
        assert browser.run("document.querySelector('svg').getBoundingClientRect().height") > 50
        grounds = set()
        for dark in (False, True):
            browser.open(root + path, width, dark=dark)
            grounds.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2  # the style sheet is applied, and has a dark scheme


@pytest.mark.slow
def test_a_record_can_be_read_with_a_token_by_keyboard_only(browser, authorized_server):
    status = "[...document.querySelectorAll('.status')].map((output) => output.value).join('')"
    with run_app(authorized_server.app) as root:
        browser.open(f"{root}/therapy", 400)
        assert browser.run(FITS_WIDTH)
        find = "document.querySelector('[aria-labelledby=read_record] input').focus()"
        browser.run(find)
        browser.type("one")
        browser.press("Enter", 13)
        browser.wait(f"{status}.startsWith('401')")
        browser.faults.clear()  # the browser reports a 401 on its console
        browser.run("document.querySelector('#token').focus()")
        browser.type(authorized_server.token("of-one"))
        browser.run(find)
        browser.press("Enter", 13)
        browser.wait(f"{status}.startsWith('200')")
        text = browser.run(
            "document.querySelector('[aria-labelledby=read_record] .body').textContent"
        )
        assert json.loads(text)["records"][0]["patient"]["name"] == [{"family": "Zebedee"}]


@pytest.mark.slow
def test_json_is_indented_and_keeps_every_digit(browser, client):
    value = b'{"patient":{"name":[{"text":"a, b: {\\"c\\"} \\\\"}]},"labResults":[%b]}' % dumps(
        lab_result("2026-01-01", "12345678901234567890.10")
    )
    sent = client.post("/therapy/to-fhir", data=value, content_type="application/json")
    with run_app(client.application) as root:
        browser.open(f"{root}/therapy")
        form = "document.querySelector('[aria-labelledby=to_fhir]')"
        browser.run(f"{form}.elements.body.value = {json.dumps(value.decode())}")
        browser.run(f"{form}.requestSubmit()")
        browser.wait(f"{form}.querySelector('.status').value.startsWith('200')")
        text = browser.run(f"{form}.querySelector('.body').textContent")
        assert text.encode() == dumps(loads(sent.data), indent=2).strip()
