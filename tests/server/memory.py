# ruff: noqa: ARG002, ARG005  # a stand-in has the signatures of what it stands for
"""A store of dicts and a search of few parameters, until `server/store` and `server/search` run.

`install()` does nothing where they are there. Of search it knows `_id`, `identifier`, `code`,
`status`, `subject` and `_count`, `_page`, `_total`, `_summary`; it knows no limits.
"""

import copy
import sys
import threading
import types
import uuid
from importlib import import_module
from importlib.util import find_spec

import jsonpatch
import msgspec

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server import search, wire
from fhir_b12.server.outcomes import refuse
from fhir_b12.server.store import Done, Page, Version

IS_REAL = bool(
    find_spec("fhir_b12.server.search.query") and find_spec("fhir_b12.server.store.sqlite")
)
_TESTS = {"_id", "identifier", "code", "status", "subject"}
_KNOWN = _TESTS | {"_count", "_page", "_total", "_summary", "_elements"}
_ORDER = ["DELETE", "POST", "PUT", "PATCH"]


def install():
    """Stand in for what is missing."""
    if IS_REAL:
        return
    module = types.ModuleType("fhir_b12.server.search.query")
    module.Query, module.parse, module.within = Query, parse, within
    sys.modules[module.__name__] = search.query = module
    import_module("fhir_b12.server.app").opened = lambda config: Memory()


class Query(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    tests: tuple
    pairs: tuple
    count: int
    cursor: int
    total: bool


def parse(kind, pairs, *, strict, base):
    known = [pair for pair in pairs if pair[0] in _KNOWN]
    if strict and len(known) < len(pairs):
        raise refuse(400, "not-supported", "an unknown parameter")
    asked = dict(known)
    counted = asked.get("_summary") == "count" or asked.get("_count") == "0"
    try:
        wanted = int(asked.get("_count", 20))
        if wanted < 0:
            raise ValueError
        return Query(
            type=kind,
            tests=tuple(pair for pair in known if pair[0] in _TESTS),
            pairs=tuple(known),
            count=0 if counted else wanted,
            cursor=int(asked.get("_page", 0)),
            total=counted or asked.get("_total") == "accurate",
        )
    except ValueError as error:
        raise refuse(400, "value", "no number") from error


def within(kind, name):
    return ("subject", f"{kind}/{name}")


def _matches(resource, name, value):
    if name == "_id":
        return resource["id"] == value
    if name == "subject":
        return resource.get("subject", {}).get("reference") == value
    if name == "status":
        return resource.get("status") == value
    rows = (
        resource.get("identifier", [])
        if name == "identifier"
        else resource.get("code", {}).get("coding", [])
    )
    return any(
        f"{row.get('system', '')}|{row.get('value', row.get('code'))}" == value for row in rows
    )


class Memory:
    """Every version of every resource, by type and id."""

    def __init__(self):
        self._rows = {}
        self._lock = threading.RLock()

    def ready(self):
        return True

    def close(self):
        self._rows.clear()

    def read(self, kind, name, access):
        versions = self._rows.get((kind, name))
        return versions[-1] if versions else None

    def vread(self, kind, name, version, access):
        versions = self._rows.get((kind, name), [])
        return next((each for each in versions if each.version == version), None)

    def history(self, kind, name, *, since, at, count, cursor, access):
        rows = [
            v
            for key, vs in self._rows.items()
            if key[0] == kind and name in {None, key[1]}
            for v in vs
        ]
        rows = [each for each in rows if since is None or each.updated >= since]
        rows.sort(key=lambda each: -each.updated)
        return _page(rows, int(cursor or 0), count, counted=True)

    def search(self, query, access):
        rows = [vs[-1] for key, vs in self._rows.items() if key[0] == query.type and vs[-1].body]
        rows = [v for v in rows if all(_matches(loads(v.body), *test) for test in query.tests)]
        return _page(rows, query.cursor, query.count, counted=query.total)

    def apply(self, changes, access, *, now, check=None, audit=None):
        with self._lock:
            before = {key: list(versions) for key, versions in self._rows.items()}
            names = [change.id or str(uuid.uuid4()) for change in changes]
            places = {
                c.full_url: f"{c.type}/{n}"
                for c, n in zip(changes, names, strict=True)
                if c.full_url
            }
            order = sorted(
                range(len(changes)), key=lambda index: _ORDER.index(changes[index].method)
            )
            dones = {}
            try:
                for index in order:
                    dones[index] = self._done(changes[index], names[index], places, now, check)
            except BaseException:
                self._rows = before
                raise
            return [dones[index] for index in range(len(changes))]

    def _done(self, change, name, places, now, check):
        found = self._found(change)
        if found is not None and change.method == "POST":
            return Done(version=found, what="found")
        if found is not None and change.id not in {None, found.id}:
            raise refuse(400, "invalid", "the id is not that of the match")
        name = found.id if found is not None else name
        old = self.read(change.type, name, None)
        if change.if_match is not None and (old is None or old.version != change.if_match):
            raise refuse(412, "conflict", "another version")
        if change.method == "DELETE":
            if old is None or old.body is None:
                return Done(version=old, what="absent")
            return Done(version=self._keep(change, name, old, None, now), what="deleted")
        resource = (
            _patched(change, old, check)
            if change.method == "PATCH"
            else copy.deepcopy(change.resource)
        )
        resource = _stamped(_renamed(resource, places), name)
        if (
            old is not None
            and old.body
            and dumps(_stamped(loads(old.body), name)) == dumps(resource)
        ):
            return Done(version=old, what="same")
        what = "updated" if old is not None and old.body else "created"
        return Done(version=self._keep(change, name, old, resource, now), what=what)

    def _found(self, change):
        if change.criteria is None:
            return None
        matches = self.search(msgspec.structs.replace(change.criteria, count=2), None).matches
        if len(matches) > 1:
            raise refuse(412, "multiple-matches", "several match")
        return matches[0] if matches else None

    def _keep(self, change, name, old, resource, now):
        number = old.version + 1 if old else 1
        if resource is not None:
            resource["meta"] |= {"versionId": str(number), "lastUpdated": wire.instant(now)}
        body = None if resource is None else dumps(resource)
        version = Version(
            type=change.type, id=name, version=number, updated=now, method=change.method, body=body
        )
        self._rows.setdefault((change.type, name), []).append(version)
        return version


def _page(rows, start, count, *, counted):
    following = str(start + count) if count and start + count < len(rows) else None
    return Page(
        matches=tuple(rows[start : start + count]),
        total=len(rows) if counted else None,
        next=following,
    )


def _patched(change, old, check):
    if old is None:
        raise refuse(404, "not-found", "nothing to patch")
    if old.body is None:
        raise refuse(410, "deleted", "deleted")
    try:
        resource = jsonpatch.apply_patch(loads(old.body), change.patch)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise refuse(422, "processing", "the patch cannot be applied") from error
    check(resource)
    return resource


def _stamped(resource, name):
    meta = {"versionId": "", "lastUpdated": ""}
    meta |= {key: value for key, value in resource.get("meta", {}).items() if key not in meta}
    head = {"resourceType": resource["resourceType"], "id": name, "meta": meta}
    return head | {key: value for key, value in resource.items() if key not in head}


def _renamed(value, places):
    """The value with the names of entries made places, in references and narrative links."""
    text = dumps(value).decode()
    for name, place in places.items():
        text = text.replace(f'"reference":"{name}"', f'"reference":"{place}"')
        text = text.replace(f'href=\\"{name}\\"', f'href=\\"{place}\\"')
    return loads(text)
