"""AuditEvents: who did what to which patient's data.  https://profiles.ihe.net/ITI/BALP/

The event of a change is stored in the same transaction, the event of a read before the response is
sent. Reads, searches, creates, updates and deletes follow IHE's patterns Read, Query, Create,
Update and Delete; histories and operations have no pattern.
"""

import base64
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from flask import Request

from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config
from fhir_b12.server.search.index_rows import extract_rows
from fhir_b12.server.search.parameters import compartment_keys
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Change, ChangeResult, FullAccess, Store, Version
from fhir_b12.server.wire.request_origin import client_address
from fhir_b12.server.wire.timestamps import format_instant

Json = dict[str, Any]
REQUEST_ID = "fhir_b12.request_id"  #: key of the request's id in the WSGI environment
_INTERACTIONS = "http://hl7.org/fhir/restful-interaction"
_TYPES = "http://hl7.org/fhir/resource-types"
#: action and interaction of each result of a change
_CHANGES = {
    "created": ("C", "create"), "updated": ("U", "update"), "deleted": ("D", "delete"),
    "matched": ("R", "read"),
}  # fmt: skip
#: roles of client and server by action; by default source and destination of the data
_ROLES = {"R": ("destination", "source"), "D": ("program", "custodian")}
_MAX_RESOURCES = 100  #: that one event of a search lists


def create_audit_recorder(
    config: Config, store: Store, clock: Callable[[], int]
) -> "AuditRecorder | None":
    """Return the audit recorder; None when authorization or audit is off.

    `clock` returns µs since 1970.
    """
    return None if config.open or not config.audit else AuditRecorder(config, store, clock)


class AuditRecorder:
    """Builds AuditEvents, and stores those of reads."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock

    def events_for_changes(
        self, request: Request, access: Access, results: Sequence[ChangeResult]
    ) -> list[Json]:
        """Return the AuditEvents to store together with changes; none for what changed nothing."""
        events = []
        for result in results:
            if result.version is not None and result.outcome in _CHANGES:
                action, code = _CHANGES[result.outcome]
                if result.version.method == "PATCH" and result.outcome == "updated":
                    code = "patch"
                entities = self._entities((result.version,), request)
                events.append(self._event(request, access, action, code, entities))
        return events

    def record_access(
        self, request: Request, access: Access, versions: Sequence[Version], query: Query | None
    ) -> None:
        """Store the AuditEvent of versions that are about to be returned.

        `query` is the search that found them, None for other interactions.
        """
        code = request.url_rule.endpoint.split()[0] if request.url_rule else "read"
        code = "search" if code == "search-compartment" else code
        code = "operation" if code.startswith("$") else code
        action = "E" if query is not None or code == "operation" else "R"
        entities = self._entities(versions[:_MAX_RESOURCES], request, is_search=query is not None)
        if query is not None:
            raw = request.query_string.decode("latin-1")
            parameters = raw if request.method == "GET" else urlencode(query.pairs)
            text = base64.b64encode(f"{request.path}?{parameters}".encode()).decode()
            entities.append({
                "type": _coding("object"), "role": _coding("query"), "query": text,
            })  # fmt: skip
        event = self._event(request, access, action, code, entities)
        change = Change(method="POST", type="AuditEvent", resource=event)
        self._store.apply([change], FullAccess(), clock=self._clock)

    def _event(
        self, request: Request, access: Access, action: str, code: str, entities: list[Json]
    ) -> Json:
        client = str(getattr(access, "client", ""))
        server = {"display": self._config.root}
        roles = _ROLES.get(action, ("source", "destination"))
        address = client_address(request, self._config)
        return {
            "resourceType": "AuditEvent",
            "type": _coding("rest"),
            "subtype": [{"system": _INTERACTIONS, "code": code}],
            "action": action,
            "recorded": format_instant(self._clock()),
            "outcome": "0",
            "agent": [
                {
                    "type": {"coding": [_coding(roles[0])]},
                    "who": {"identifier": {"value": client}},
                    "requestor": True,
                    "network": {"address": address, "type": "2"},
                },
                {
                    "type": {"coding": [_coding(roles[1])]},
                    "who": server,
                    "requestor": False,
                    "network": {"address": self._config.root, "type": "5"},
                },
            ],
            "source": {"observer": server, "type": [_coding("application")]},
            "entity": entities,
        }

    def _entities(
        self, versions: Iterable[Version], request: Request, *, is_search: bool = False
    ) -> list[Json]:
        """Return the resources, the patients they are about, and the id of the request."""
        entities: list[Json] = []
        patients: dict[str, None] = {}
        for version in versions:
            name = f"{version.type}/{version.id}"
            history = f"/_history/{version.version_id}" if version.version_id else ""
            # in the pattern Query only the query is an object
            kind = {"system": _TYPES, "code": version.type} if is_search else _coding("object")
            entities.append({
                "what": {"reference": name + history},
                "type": kind, "role": _coding("resource"),
            })  # fmt: skip
            patients |= dict.fromkeys(self._patients(version, name))
        entities += [
            {
                "what": {"reference": patient},
                "type": _coding("person"),
                "role": _coding("patient"),
            }
            for patient in patients
        ]
        request_id = request.environ[REQUEST_ID]
        entities.append({
            "what": {"identifier": {"value": request_id}}, "type": _coding("request"),
        })  # fmt: skip
        return entities

    def _patients(self, version: Version, name: str) -> Iterator[str]:
        """Yield the references to the patients whose compartment a version is in."""
        if version.type == "Patient":
            yield name
        keys = compartment_keys("Patient", version.type)
        if version.body is None or not keys:
            return
        for key, value, _, _ in extract_rows(loads(version.body), self._config.base, keys).texts:
            if key in keys and value.startswith("Patient/"):
                yield value


@cache
def _codes() -> dict[str, list[str]]:
    return tomllib.loads(files("fhir_b12.server.auth").joinpath("audit.toml").read_text("utf-8"))


def _coding(name: str) -> dict[str, str]:
    system, code = _codes()[name]
    return {"system": system, "code": code}
