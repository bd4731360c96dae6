"""Two systems that exchange a patient's therapy over this server, for `fhir-b12 demo`.

All of it is real: a SQLite file, HTTP over loopback, keys, tokens, scopes.
"""

import io
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
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
from fhir_b12.server.app import create_app, open_store
from fhir_b12.server.auth.clients import registered
from fhir_b12.server.config import Config

_FORM = "application/x-www-form-urlencoded"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Claim(NamedTuple):
    """Something that was tried: what should be, whether it was, what came of it."""

    what: str
    holds: bool
    how: str


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def value(self) -> Any:
        """The body, read."""
        return loads(self.body)


def exchange(record: TherapyRecord, bundle: dict[str, Any]) -> Iterator[Claim]:
    """The clinic sends the record, the hospital asks for it; each step with its proof."""
    telemetry.set_up(io.StringIO())  # its log is another story
    with TemporaryDirectory() as folder, _served(Path(folder)) as (root, store):
        clinic = _System(root, store, "clinic", "system/*.cruds")
        hospital = _System(root, store, "hospital", "system/*.rs")
        yield _denied(root)
        sent = clinic.ask("POST", "/fhir", dumps(bundle)).value
        made = [each["response"]["status"] for each in sent.get("entry", ())]
        yield Claim(
            "the clinic sends it: all or nothing",
            made == ["201 Created"] * len(bundle["entry"]),
            f"one transaction, {len(made)} resources made",
        )
        yield from _asked(hospital, record)
        refused = hospital.ask("POST", "/fhir/Patient", dumps({"resourceType": "Patient"}))
        how = f"{refused.status}: its token is for reading"
        yield Claim("the hospital may not write", refused.status == 403, how)
        yield _exported(hospital, len(made))
        kept = hospital.ask("GET", "/fhir/AuditEvent?_summary=count").value["total"]
        yield Claim("who did what is written down", kept > len(made), f"{kept} AuditEvents")


def _denied(root: str) -> Claim:
    status = _send(f"{root}/fhir/Patient", "GET").status
    return Claim("without a token nobody reads", status == 401, str(status))


def _asked(hospital: "_System", record: TherapyRecord) -> Iterator[Claim]:
    """The hospital searches across units, asks for everything, and reads it back."""
    unit = quote("lt148|http://unitsofmeasure.org|pmol/L", safe="")
    asked = f"/fhir/Observation?code:text=serum%20vitamin%20b12&value-quantity={unit}"
    page = hospital.ask("GET", asked).value
    units = {each["resource"]["valueQuantity"]["code"] for each in page.get("entry", ())}
    number = len(page.get("entry", ()))
    how = f"{number} results below 148 pmol/L of vitamin B12, kept in {', '.join(units)}"
    yield Claim("a search knows units", bool(units) and units != {"pmol/L"}, how)
    patient = hospital.ask("GET", "/fhir/Patient").value["entry"][0]["resource"]["id"]
    whole = hospital.ask("GET", f"/fhir/Patient/{patient}/$everything").value
    drugs = hospital.ask("GET", "/fhir/Medication").value  # a drug is in nobody's compartment
    known = {each["fullUrl"] for each in whole["entry"]}
    whole["entry"] += [each for each in drugs.get("entry", ()) if each["fullUrl"] not in known]
    reading = from_bundle(whole)
    same = [_nameless(each) for each in reading.records] == [_nameless(record)]
    yield Claim(
        "the record at the other end is the same",
        same and not reading.issues,
        f"{sum(1 for _ in record)} records; only the server's ids are new",
    )


def _nameless(record: TherapyRecord) -> dict[str, list[Any]]:
    """A record without the ids that a server gives, in no order."""
    found: dict[str, list[Any]] = {}
    for each in record:
        bare = dumps(msgspec.to_builtins(msgspec.structs.replace(each, id=None), enc_hook=str))
        found.setdefault(type(each).__name__, []).append(bare)
    return {name: sorted(rows) for name, rows in found.items()}


def _exported(hospital: "_System", number: int) -> Claim:
    begun = hospital.ask("GET", "/fhir/$export", Prefer="respond-async")
    place = begun.headers["Content-Location"]
    state = hospital.ask("GET", place)
    while state.status == 202:
        time.sleep(0.05)
        state = hospital.ask("GET", place)
    files = [each["url"] for each in state.value["output"]]
    lines = sum(hospital.ask("GET", each).body.count(b"\n") for each in files)
    how = f"{lines} lines of NDJSON in {len(files)} files"
    return Claim("all of it in files", lines == number, how)


# --- a server, and who asks it


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, Any]]:
    """A server on a free port, and its store."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    config = replace(
        Config(), port=port, database=str(folder / "demo.db"), export_folder=str(folder / "export")
    )
    store = open_store(config)
    server = serve.listening(create_app(config, store), config)
    stop = serve.Stop(server, 5)
    thread = threading.Thread(target=stop.loop, daemon=True)
    thread.start()
    try:
        yield config.root, store
    finally:
        stop.ask()
        thread.join()
        store.close()


class _System:
    """A client with a key of its own, and a token."""

    def __init__(self, root: str, store: Any, name: str, scope: str) -> None:
        self._root = root
        key = ECKey.generate_key("P-384", {"use": "sig"}, auto_kid=True)
        store.put_client(registered(name, scope, {"keys": [key.as_dict(private=False)]}, None))
        url = f"{root}/auth/token"
        claims = {"iss": name, "sub": name, "aud": url, "exp": int(time.time()) + 240,
                  "jti": str(uuid.uuid4())}  # fmt: skip
        signed = jwt.encode({"alg": "ES384", "kid": key.kid}, claims, key, algorithms=["ES384"])
        form = {"grant_type": "client_credentials", "scope": scope,
                "client_assertion_type": _ASSERTION, "client_assertion": signed}  # fmt: skip
        answer = _send(url, "POST", urlencode(form).encode(), {"Content-Type": _FORM})
        self._token = json.loads(answer.body)["access_token"]

    def ask(self, method: str, place: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request with the token."""
        url = place if place.startswith("http") else f"{self._root}{place}"
        named = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/fhir+json"}
        return _send(url, method, body, named | headers)


class _AsItIs(HTTPErrorProcessor):
    """An error is an answer too."""

    def http_response(self, _: Any, response: Any) -> Any:
        """The answer as it came."""
        return response


def _send(
    url: str, method: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    asked = Request(url, body, headers or {}, method=method)  # noqa: S310 - to ourselves
    with build_opener(_AsItIs).open(asked, timeout=30) as answer:
        return Answer(answer.status, answer.headers, answer.read())
