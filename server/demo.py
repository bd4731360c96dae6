"""Two systems that exchange a patient's therapy over this server, for `fhir-b12 demo`.

FullAccess is real: a SQLite file, HTTP over loopback, keys, tokens and scopes.
"""

import io
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from urllib.request import HTTPErrorProcessor, Request, build_opener

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_b12.bundles import from_bundle
from fhir_b12.jsonio import dumps, loads
from fhir_b12.records import TherapyRecord
from fhir_b12.server import serve, telemetry
from fhir_b12.server.app import create_app
from fhir_b12.server.auth.clients import build_client
from fhir_b12.server.config import Config
from fhir_b12.server.open_store import open_store
from fhir_b12.server.store import Store
from fhir_b12.server.wire.media_types import FHIR_JSON, FORM

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Check(NamedTuple):
    """One property that the demo verifies."""

    claim: str
    is_true: bool
    evidence: str


class HttpResponse(NamedTuple):
    """A response of the server."""

    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return loads(self.body)


def exchange(record: TherapyRecord, bundle: dict[str, Any]) -> Iterator[Check]:
    """Send a record from a clinic to a hospital; yield what each step verifies.

    Args:
        record: the record.
        bundle: the transaction that it maps to.

    """
    telemetry.configure_log(io.StringIO())  # not a part of the demo's output
    with TemporaryDirectory() as folder, _running_server(Path(folder)) as (root, store):
        clinic = _Client(root, store, "clinic", "system/*.cruds")
        hospital = _Client(root, store, "hospital", "system/*.rs")
        yield _check_unauthorized(root)
        response = clinic.send("POST", "/fhir", dumps(bundle)).json()
        statuses = [entry["response"]["status"] for entry in response.get("entry", ())]
        yield Check(
            "the clinic sends one transaction",
            statuses == ["201 Created"] * len(bundle["entry"]),
            f"{len(statuses)} resources created, all or none",
        )
        yield from _check_search_and_read(hospital, record)
        status = hospital.send("POST", "/fhir/Patient", dumps({"resourceType": "Patient"})).status
        yield Check(
            "the hospital cannot write", status == 403, f"{status}: its scopes are read-only"
        )
        yield _check_export(hospital, len(statuses))
        events = hospital.send("GET", "/fhir/AuditEvent?_summary=count").json()["total"]
        yield Check("every access is audited", events > len(statuses), f"{events} AuditEvents")


def _check_unauthorized(root: str) -> Check:
    status = _send(f"{root}/fhir/Patient", "GET").status
    return Check("reads require an access token", status == 401, str(status))


def _check_search_and_read(hospital: "_Client", record: TherapyRecord) -> Iterator[Check]:
    """Search results by a value in another unit, then read everything back as a record."""
    limit = quote("lt148|http://unitsofmeasure.org|pmol/L", safe="")
    path = f"/fhir/Observation?code:text=serum%20vitamin%20b12&value-quantity={limit}"
    matches = hospital.send("GET", path).json().get("entry", ())
    units = {match["resource"]["valueQuantity"]["code"] for match in matches}
    evidence = f"{len(matches)} results below 148 pmol/L of vitamin B12, in {', '.join(units)}"
    yield Check("search converts units", bool(units) and units != {"pmol/L"}, evidence)
    patient = hospital.send("GET", "/fhir/Patient").json()["entry"][0]["resource"]["id"]
    everything = hospital.send("GET", f"/fhir/Patient/{patient}/$everything").json()
    drugs = hospital.send("GET", "/fhir/Medication").json()  # not in a patient's compartment
    known = {entry["fullUrl"] for entry in everything["entry"]}
    everything["entry"] += [
        entry for entry in drugs.get("entry", ()) if entry["fullUrl"] not in known
    ]
    reading = from_bundle(everything)
    is_same = [_without_ids(received) for received in reading.records] == [_without_ids(record)]
    yield Check(
        "the hospital reads the same record",
        is_same and not reading.issues,
        f"{sum(1 for _ in record)} records; only the ids are new",
    )


def _without_ids(record: TherapyRecord) -> dict[str, list[Any]]:
    """Return the parts of a record by class, without ids and order."""
    parts: dict[str, list[Any]] = {}
    for part in record:
        text = dumps(msgspec.to_builtins(msgspec.structs.replace(part, id=None), enc_hook=str))
        parts.setdefault(type(part).__name__, []).append(text)
    return {name: sorted(texts) for name, texts in parts.items()}


def _check_export(hospital: "_Client", expected: int) -> Check:
    response = hospital.send("GET", "/fhir/$export", Prefer="respond-async")
    url = response.headers["Content-Location"]
    state = hospital.send("GET", url)
    while state.status == 202:
        time.sleep(0.05)
        state = hospital.send("GET", url)
    files = [row["url"] for row in state.json()["output"]]
    lines = sum(hospital.send("GET", file).body.count(b"\n") for file in files)
    evidence = f"{lines} lines of NDJSON in {len(files)} files"
    return Check("bulk export has every resource", lines == expected, evidence)


# --- server and clients


@contextmanager
def _running_server(folder: Path) -> Iterator[tuple[str, Store]]:
    """Run a server on a free port; provide its URL and its store."""
    config = serve.with_free_port(
        Config(port=0, database=str(folder / "demo.db"), export_folder=str(folder / "export"))
    )
    store = open_store(config)
    server = serve.create_listening_server(create_app(config, store), config)
    loop = serve.ServerLoop(server, 5)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    try:
        yield config.root, store
    finally:
        loop.stop()
        thread.join()
        store.close()


class _Client:
    """A registered client with its own key and an access token."""

    def __init__(self, root: str, store: Store, client_id: str, scope: str) -> None:
        self._root = root
        key = ECKey.generate_key("P-384", {"use": "sig"}, auto_kid=True)
        jwks = {"keys": [key.as_dict(private=False)]}
        store.put_client(build_client(client_id, scope, jwks, None))
        url = f"{root}/auth/token"
        claims = {
            "iss": client_id, "sub": client_id, "aud": url, "exp": int(time.time()) + 240,
            "jti": str(uuid.uuid4()),
        }  # fmt: skip
        header = {"alg": "ES384", "kid": key.kid}
        form = {
            "grant_type": "client_credentials", "scope": scope,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": jwt.encode(header, claims, key, algorithms=["ES384"]),
        }  # fmt: skip
        response = _send(url, "POST", urlencode(form).encode(), {"Content-Type": FORM})
        self._token = json.loads(response.body)["access_token"]

    def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> HttpResponse:
        """Send a request with the access token; `path` may be a URL."""
        url = path if path.startswith("http") else f"{self._root}{path}"
        own = {"Authorization": f"Bearer {self._token}", "Content-Type": FHIR_JSON}
        return _send(url, method, body, own | headers)


class _KeepErrors(HTTPErrorProcessor):
    """Returns responses with an error status instead of raising."""

    def http_response(self, _: Any, response: Any) -> Any:
        """Return the response unchanged."""
        return response


def _send(
    url: str, method: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> HttpResponse:
    request = Request(url, body, headers or {}, method=method)  # noqa: S310 - our own server
    with build_opener(_KeepErrors).open(request, timeout=30) as response:
        return HttpResponse(response.status, response.headers, response.read())
