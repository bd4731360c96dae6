"""AuditEvents: who did what to which patient's data.  https://profiles.ihe.net/ITI/BALP/

What is written has its event in the same transaction; of what is shown one is kept before it goes
out. Reads, searches, creates, updates and deletes follow IHE's patterns Read, Query, Create, Update
and Delete; for histories and operations it has none.
"""

import base64
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from flask import Request

from fhir_b12.definitions import R4
from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config
from fhir_b12.server.search.index_rows import extract_rows
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Change, ChangeResult, FullAccess, Store, Version
from fhir_b12.server.wire.request_origin import client_address
from fhir_b12.server.wire.timestamps import format_instant

Event = dict[str, Any]
_INTERACTIONS = "http://hl7.org/fhir/restful-interaction"
_TYPES = "http://hl7.org/fhir/resource-types"
#: how a change is called: the action, and the interaction
_WRITTEN = {
    "created": ("C", "create"), "updated": ("U", "update"), "deleted": ("D", "delete"),
    "matched": ("R", "read"),
}  # fmt: skip
#: what client and server are in an event: whence data come and where they go, by action
_PARTS = {"R": ("destination", "source"), "D": ("program", "custodian")}
_MOST = 100  #: resources that one event of a search names


class Auditor:
    """Makes the events, and keeps those of what is shown."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock

    def written(
        self, request: Request, access: Access, dones: Sequence[ChangeResult]
    ) -> list[Event]:
        """The events of changes; what changed nothing and showed nothing has none."""
        found = []
        for done in dones:
            if done.version is not None and done.outcome in _WRITTEN:
                action, code = _WRITTEN[done.outcome]
                if done.version.method == "PATCH" and done.outcome == "updated":
                    code = "patch"
                entities = self._data((done.version,), request)
                found.append(self._event(request, access, action, code, entities))
        return found

    def seen(
        self, request: Request, access: Access, versions: Sequence[Version], query: Query | None
    ) -> None:
        """Keep the event of what is about to be shown."""
        code = request.url_rule.endpoint.split()[0] if request.url_rule else "read"
        code = "search" if code == "search-compartment" else code
        code = "operation" if code.startswith("$") else code
        action = "E" if query is not None or code == "operation" else "R"
        entities = self._data(versions[:_MOST], request, is_search=query is not None)
        if query is not None:
            raw = request.query_string.decode("latin-1")
            asked = f"{request.path}?{raw if request.method == 'GET' else urlencode(query.pairs)}"
            text = base64.b64encode(asked.encode()).decode()
            entities.append({
                "type": _coding("object"), "role": _coding("query"), "query": text,
            })  # fmt: skip
        event = self._event(request, access, action, code, entities)
        change = Change(method="POST", type="AuditEvent", resource=event)
        self._store.apply([change], FullAccess(), clock=self._clock)

    def _event(
        self, request: Request, access: Access, action: str, code: str, entities: list[Event]
    ) -> Event:
        client = str(getattr(access, "client", ""))
        own = {"display": self._config.root}
        parts = _PARTS.get(action, ("source", "destination"))
        return {
            "resourceType": "AuditEvent",
            "type": _coding("rest"),
            "subtype": [{"system": _INTERACTIONS, "code": code}],
            "action": action,
            "recorded": format_instant(self._clock()),
            "outcome": "0",
            "agent": [
                {
                    "type": {"coding": [_coding(parts[0])]},
                    "who": {"identifier": {"value": client}},
                    "requestor": True,
                    "network": {"address": client_address(request, self._config), "type": "2"},
                },
                {
                    "type": {"coding": [_coding(parts[1])]},
                    "who": own,
                    "requestor": False,
                    "network": {"address": self._config.root, "type": "5"},
                },
            ],
            "source": {"observer": own, "type": [_coding("application")]},
            "entity": entities,
        }

    def _data(
        self, versions: Iterable[Version], request: Request, *, is_search: bool = False
    ) -> list[Event]:
        """The resources, the patients whose they are, and the request."""
        found: list[Event] = []
        patients: dict[str, None] = {}
        for version in versions:
            name = f"{version.type}/{version.id}"
            which = f"/_history/{version.version_id}" if version.version_id else ""
            # of a search the query alone is an object
            kind = {"system": _TYPES, "code": version.type} if is_search else _coding("object")
            found.append({
                "what": {"reference": name + which},
                "type": kind, "role": _coding("resource"),
            })  # fmt: skip
            patients |= dict.fromkeys(self._patients(version, name))
        found += [
            {
                "what": {"reference": each},
                "type": _coding("person"),
                "role": _coding("patient"),
            }
            for each in patients
        ]
        number = request.environ["fhir_b12.request_id"]
        found.append({"what": {"identifier": {"value": number}}, "type": _coding("request")})
        return found

    def _patients(self, version: Version, name: str) -> Iterator[str]:
        if version.type == "Patient":
            yield name
        keys = _keys(version.type)
        if version.body is None or not keys:
            return
        for key, value, _, _ in extract_rows(loads(version.body), self._config.base, keys).texts:
            if key in keys and value.startswith("Patient/"):
                yield value


@cache
def _keys(kind: str) -> frozenset[int]:
    """Of the references that put a resource in a patient's compartment."""
    known = parameters(kind)
    codes = R4.compartment("Patient").get(kind, ())
    return frozenset(key for code in codes if code in known for key in known[code].keys)


@cache
def _codes() -> dict[str, list[str]]:
    return tomllib.loads(files("fhir_b12.server.auth").joinpath("audit.toml").read_text("utf-8"))


def _coding(name: str) -> dict[str, str]:
    system, code = _codes()[name]
    return {"system": system, "code": code}
