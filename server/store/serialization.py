"""Resources as stored JSON: id and meta first, so that a version is inserted without parsing."""

import copy
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from fhir_b12.jsonio import dumps
from fhir_b12.server.search.index_rows import IndexRows, extract_rows
from fhir_b12.server.wire.timestamps import format_instant

Resource = dict[str, Any]
_SERVER_META = {"versionId", "lastUpdated"}  #: elements of meta that the server sets


class PreparedBody(NamedTuple):
    """Everything of a version that does not depend on its number and time."""

    head: bytes  #: JSON before the version id
    tail: bytes  #: JSON after lastUpdated
    digest: bytes  #: of the resource without version id and lastUpdated
    rows: IndexRows

    def body(self, version_id: int, last_updated: int) -> bytes:
        """Return the JSON of a version; `last_updated` is in microseconds since 1970 UTC."""
        meta = f'{version_id}","lastUpdated":"{format_instant(last_updated)}"'
        return b"%b%b%b" % (self.head, meta.encode(), self.tail)


def prepare_body(resource: Resource, resource_id: str, base: str) -> PreparedBody:
    """Serialize and index a resource under its id; `base` is the base url of this server."""
    sent = resource.get("meta")
    meta = (
        {k: v for k, v in sent.items() if k not in _SERVER_META} if isinstance(sent, dict) else {}
    )
    first = {"resourceType": None, "id": resource_id, "meta": {"versionId": ""} | meta}
    whole = first | resource | {"id": resource_id, "meta": first["meta"]}
    head, mark, tail = dumps(whole).partition(b'"versionId":"')
    head, tail = head + mark, tail[1:]
    digest = blake2b(head + tail, digest_size=16).digest()
    return PreparedBody(head, tail, digest, extract_rows(whole, base))


def replace_references(resource: Resource, targets: Mapping[str, str]) -> Resource:
    """Return a copy with references to transaction entries replaced.

    https://hl7.org/fhir/R4/http.html#trules

    Args:
        resource: the resource of an entry.
        targets: `Type/id` of each entry by its fullUrl.

    """
    if not targets or not any(url.encode() in dumps(resource) for url in targets):
        return resource
    result: Resource = copy.deepcopy(resource)
    pending: list[Any] = [result]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, str):
                    node[key] = _replaced(key, value, targets)
                else:
                    pending.append(value)
    return result


def _replaced(key: str, value: str, targets: Mapping[str, str]) -> str:
    if key == "div":
        for url, target in targets.items():
            for quote in "\"'":
                value = value.replace(f"href={quote}{url}{quote}", f"href={quote}{target}{quote}")
        return value
    return targets.get(value, value) if key == "reference" else value
