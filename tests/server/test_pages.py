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


def keep(client, record):
    """The path of the timeline of a record's patient."""
    answer = post(client, "/therapy/records", record)
    assert answer.status_code == 201, answer.data
    return f"/therapy/patients/{named(answer, 'Patient')}/timeline"


def named(answer, kind):
    rows = (row["resource"].split("/") for row in answer.json["resources"])
    return next(name for type_, name in rows if type_ == kind)


def lab(collected, value, unit="pg/mL", **more):
    """A result of the demo's first test, with the digits of a text."""
    found = {**COURSE["labResults"][0], "collected": collected} | more
    found["identifier"] = [{"system": "urn:x", "value": f"{collected} {value} {unit}"}]
    amount = {"value": loads(value.lstrip("<").encode()), "unit": unit}
    found["value"] = amount | ({"comparator": "<"} if value[0] == "<" else {})
    found.pop("referenceRange", None)
    return {name: element for name, element in found.items() if element is not None}


def of(*labs, **more):
    return {"patient": COURSE["patient"], "labResults": list(labs)} | more


def page(client, path):
    answer = client.get(path, headers={"Accept": BROWSER})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    return answer


def hash_of(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- patients


def test_patients_are_searched_by_the_parameters_of_fhir(client):
    where = keep(client, COURSE)
    told = client.get("/therapy/patients?family=s%C3%B8ren&birthdate=1958&_total=accurate").json
    assert schema("PatientPage").is_valid(told)
    (row,) = told["patients"]
    assert (told["total"], told["next"], row["issues"]) == (1, None, [])
    assert {**row["patient"], "id": None} == {**COURSE["patient"], "id": None}
    assert row["timeline"] == f"https://fhir.clinic.test{where}"
    assert row["record"] == row["timeline"].removesuffix("/timeline")
    assert client.get("/therapy/patients?family=nobody").json["patients"] == []


def test_next_links_lead_through_all_pages_of_patients(client):
    for number in "abc":
        body = {"resourceType": "Patient", "name": [{"family": f"F{number}"}]}
        post(client, "/fhir/Patient", body)
    url, found = "https://fhir.clinic.test/therapy/patients?_count=2&_sort=family", []
    while url:
        assert url.startswith("https://fhir.clinic.test/therapy/patients?")
        told = client.get(url.removeprefix("https://fhir.clinic.test")).json
        found.append([row["patient"]["name"][0]["family"] for row in told["patients"]])
        url = told["next"]
    assert found == [["Fa", "Fb"], ["Fc"]]


def test_a_patient_that_cannot_be_mapped_is_listed_with_its_issues(client):
    changed = {"resourceType": "Patient", "modifierExtension": [{"url": "urn:x", "valueCode": "y"}]}
    post(client, "/fhir/Patient", changed)
    (row,) = client.get("/therapy/patients").json["patients"]
    assert (row["patient"], [issue["code"] for issue in row["issues"]]) == (None, ["extension"])
    shown = page(client, row["timeline"].removeprefix("https://fhir.clinic.test")).text
    assert "Data that could not be read" in shown


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("nmae=x", 1), ("birthdate=yesterday&_count=many&nmae=x", 3), ("_include=Patient:link", 1),
        ("_summary=true", 1), ("_revinclude:iterate=Observation:subject", 1), ("_page=!", 1),
    ],
)  # fmt: skip
def test_an_invalid_search_returns_problem_details(client, query, faults):
    answer = client.get(f"/therapy/patients?{query}")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert schema("Problem").is_valid(answer.json)
    assert len(answer.json["errors"]) == faults


# --- the timeline


def test_a_timeline_has_all_records_except_drugs_and_the_patient(client):
    told = loads(client.get(keep(client, COURSE)).data)
    assert schema("Timeline").is_valid({**told, "patient": None})
    number = sum(len(records) for records in COURSE.values() if isinstance(records, list))
    assert len(told["entries"]) == number - len(COURSE["medications"])
    assert (told["issues"], told["patient"]["birthDate"]) == ([], "1958-07")
    first = next(event for event in told["entries"] if event["kind"] == "laboratory")
    kind, _, name = first.pop("resource").partition("/")
    assert client.get(f"/fhir/{kind}/{name}").status_code == 200
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
    record = of(*(lab(date, "1") for date in written), conditions=[
        {"code": {"text": "Fatigue"}, "onsetString": "after the war", "patient": COURSE["labResults"][0]["patient"]},
    ])  # fmt: skip
    told = client.get(keep(client, record)).json["entries"]
    assert [event["date"] for event in told] == [
        "1999-12-31", "2026", "2026-03", "2026-03-09T00:30:00+02:00",
        "2026-03-08T23:00:00Z", "2026-03-09", "2026-03-09T00:00:00-01:00", None,
    ]  # fmt: skip
    assert told[-1]["detail"] == "onset: after the war"


def test_an_event_that_did_not_happen_is_marked(client):
    path = keep(client, COURSE)
    told = client.get(path).json["entries"]
    (fever,) = (
        event for event in told if event["kind"] == "infusion" and event["status"] != "completed"
    )
    assert (fever["status"], "because: Fever" in fever["detail"]) == ("not-done", True)
    number = sum(event["status"] == "not-done" for event in told)
    assert page(client, path).text.count('class="bad">not-done<') == number


def test_an_order_not_to_perform_says_so(client):
    order = {"status": "active", "intent": "order", "drug": {"text": "Cyanocobalamin"},
             "doNotPerform": True, "patient": COURSE["labResults"][0]["patient"]}  # fmt: skip
    (told,) = client.get(keep(client, of(orders=[order]))).json["entries"]
    assert told["detail"] == "not to be done: yes; intent: order"


@pytest.mark.parametrize("digits", ["180.00", "0.10", "1E+3", "12345678901234567890.10"])
def test_digits_are_shown_as_recorded(client, digits):
    path = keep(client, of(lab("2026-01-01", digits), lab("2026-02-01", f"<{digits}")))
    shown = page(client, path).text
    details = [event["detail"] for event in client.get(path).json["entries"]]
    assert details == [f"{digits} pg/mL", f"<{digits} pg/mL"]
    assert f"</small> {digits}</li>" in shown
    assert f"</small> &lt;{digits}</li>" in shown


def test_results_of_one_test_in_one_unit_are_one_chart(client):
    record = of(
        lab("2026-01-01", "180.0"), lab("2026-01", "<150"), lab("2026-03-01", "250", "pmol/L"),
        lab("2026-02-01", "7", test={"text": "Another test"}), lab("2026-04-01", "900"),
    )  # fmt: skip
    shown = page(client, keep(client, record)).text
    assert shown.count("<svg") == 1
    assert [shown.count(mark) for mark in ("<circle", "point bound")] == [3, 1]
    bars = re.findall(r'x1="([\d.]+)" x2="([\d.]+)"', shown)
    widths = [float(right) - float(left) for left, right in bars]
    assert widths[1] > 10 * widths[0]  # a month is drawn as a month
    assert re.search(r"<text[^>]*>900</text><text[^>]*>150</text>", shown)


def test_markup_in_data_is_shown_as_text(client):
    record = of(lab("2026-01-01", "1", HOSTILE), lab("2026-02-01", "2", HOSTILE, test={"text": HOSTILE}),
                lab("2026-03-01", "3", HOSTILE))  # fmt: skip
    record["patient"] = {
        **COURSE["patient"], "name": [{"family": HOSTILE}],
        "identifier": [*COURSE["patient"]["identifier"], {"system": "urn:x", "value": HOSTILE}],
    }  # fmt: skip
    shown = page(client, keep(client, record)).text
    assert (
        shown.count(html.escape(HOSTILE).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")) > 6
    )
    assert "<script" not in shown
    assert "<b " not in shown


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html"), ("text/html", "text/html"), ("application/json", "application/json"),
        ("*/*", "application/json"), (None, "application/json"), ("image/png", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
    ],
)  # fmt: skip
def test_browsers_get_html_and_other_clients_json(client, accept, kind):
    path = keep(client, of(lab("2026", "1")))
    answer = client.get(path, headers={} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.mimetype, answer.headers["Vary"]) == (200, kind, "Accept")


def test_a_page_loads_nothing_and_runs_only_its_own_script(client):
    shown = page(client, keep(client, COURSE))
    style = re.search(r"<style>(.*?)</style>", shown.text, re.DOTALL)[1]
    policy = f"default-src 'none'; style-src 'sha256-{hash_of(style)}'; {SAFE}"
    assert shown.headers["Content-Security-Policy"] == policy
    assert "<script" not in shown.text
    tried = page(client, "/therapy")
    script = re.search(r"<script>(.*?)</script>", tried.text, re.DOTALL)[1]
    assert tried.headers["Content-Security-Policy"] == (
        f"{policy}; script-src 'sha256-{hash_of(script)}'; connect-src 'self'"
    )
    for response in (shown, tried):
        assert not re.search(r"\bsrc=|\bstyle=|\bon\w+=|<link|@import|url\(", response.text)


# --- who may see


def test_patients_and_timelines_require_a_token_that_allows_them(authorized_server):
    client = authorized_server.app.test_client()

    def asked(path, name=None):
        shown = {"Authorization": f"Bearer {authorized_server.token(name)}"} if name else {}
        return client.get(path, headers=shown | {"Accept": BROWSER})

    for path in ("/therapy/patients", "/therapy/patients/one/timeline"):
        assert asked(path).status_code == 401
        assert asked(path, "results").status_code == 403
    assert asked("/therapy/patients/one/timeline", "of-one").status_code == 200
    assert asked("/therapy/patients/two/timeline", "of-one").status_code == 404
    assert asked("/therapy/patients/none/timeline", "reader").status_code == 404
    rows = asked("/therapy/patients", "of-one").json["patients"]
    assert [row["id"] for row in rows] == ["one"]
    assert asked("/therapy").status_code == 200


# --- the page to try it


def test_the_page_lists_all_operations_and_parameters(client):
    shown = page(client, "/therapy").text
    forms = set(re.findall(r'data-method="(\w+)" data-path="([^"]+)"', shown))
    told = client.get("/openapi.json").json["paths"]
    assert forms == {(method.upper(), path) for path, methods in told.items() for method in methods}
    names = {parameter["name"] for parameter in told["/therapy/patients"]["get"]["parameters"]}
    assert {"family", "identifier", "birthdate", "_count", "_page"} <= names
    assert names <= set(re.findall(r'<input name="([^"]+)"', shown))


def test_the_examples_are_accepted(client):
    for path, methods in openapi_document("https://fhir.clinic.test")["paths"].items():
        if "post" in methods:
            content = methods["post"]["requestBody"]["content"]["application/json"]
            answer = post(client, path, dumps(content["example"]))
            assert answer.status_code in {200, 201}, answer.data
            value = json.loads(dumps(content["example"]))
            assert schema(content["schema"]["$ref"].rpartition("/")[2]).is_valid(value)


# --- in a browser


@contextmanager
def served(app):
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
    found = Browser()
    yield found
    found.close()
    assert found.faults == []


FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_shows_the_timeline(browser, client, width):
    path = keep(client, of(lab("2026-01-01", "180.00"), lab("2026-02-01", "<150")))
    with served(client.application) as root:
        browser.open(root + path, width)
        assert browser.run(FITS)
        assert browser.run("document.querySelectorAll('svg circle').length") == 2
        assert browser.run("document.querySelector('svg').getBoundingClientRect().height") > 50
        grounds = set()
        for dark in (False, True):
            browser.open(root + path, width, dark=dark)
            grounds.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2  # the style is let in, and knows the dark


@pytest.mark.slow
def test_a_record_can_be_read_with_a_token_by_keyboard_only(browser, authorized_server):
    answer = "[...document.querySelectorAll('.status')].map((output) => output.value).join('')"
    with served(authorized_server.app) as root:
        browser.open(f"{root}/therapy", 400)
        assert browser.run(FITS)
        find = "document.querySelector('[aria-labelledby=read_record] input').focus()"
        browser.run(find)
        browser.type("one")
        browser.press("Enter", 13)
        browser.wait(f"{answer}.startsWith('401')")
        browser.faults.clear()  # the browser tells of a 401 on its console
        browser.run("document.querySelector('#token').focus()")
        browser.type(authorized_server.token("of-one"))
        browser.run(find)
        browser.press("Enter", 13)
        browser.wait(f"{answer}.startsWith('200')")
        shown = browser.run(
            "document.querySelector('[aria-labelledby=read_record] .body').textContent"
        )
        assert json.loads(shown)["records"][0]["patient"]["name"] == [{"family": "Zebedee"}]


@pytest.mark.slow
def test_json_is_indented_and_keeps_every_digit(browser, client):
    value = b'{"patient":{"name":[{"text":"a, b: {\\"c\\"} \\\\"}]},"labResults":[%b]}' % dumps(
        lab("2026-01-01", "12345678901234567890.10")
    )
    sent = client.post("/therapy/to-fhir", data=value, content_type="application/json")
    with served(client.application) as root:
        browser.open(f"{root}/therapy")
        form = "document.querySelector('[aria-labelledby=to_fhir]')"
        browser.run(f"{form}.elements.body.value = {json.dumps(value.decode())}")
        browser.run(f"{form}.requestSubmit()")
        browser.wait(f"{form}.querySelector('.status').value.startsWith('200')")
        shown = browser.run(f"{form}.querySelector('.body').textContent")
        assert shown.encode() == dumps(loads(sent.data), indent=2).strip()
