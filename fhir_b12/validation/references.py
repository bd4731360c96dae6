"""Check where references lead.  https://hl7.org/fhir/R4/references.html"""

import hashlib
import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from fhir_b12 import definitions
from fhir_b12.validation.bundle import check_from_entry
from fhir_b12.validation.context import Context
from fhir_b12.validation.findings import Finding

_SEARCH = re.compile(r"[A-Za-z]+\?.").match
_SPACE = re.compile(r"\s").search
#: a server's base, a type, an id, and perhaps a version
_LITERAL = re.compile(
    r"(?P<base>[a-zA-Z][a-zA-Z0-9+.\-]*://\S*/)?(?P<type>[A-Z][A-Za-z]+)/"
    r"(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
).fullmatch


_MOST = 4096
#: references of which nothing is to be said where no Bundle is about, at most so many
_PLAIN: set[str | None] = set()


def literal_type(reference: str) -> str | None:
    """The type of resource a literal reference names; None where it does not tell."""
    match = _LITERAL(reference.partition("#")[0])
    return match["type"] if match and definitions.is_resource(match["type"]) else None


def is_relative(reference: str) -> bool:
    """True of `Patient/1`, which is read from the place its own resource has."""
    match = _LITERAL(reference)
    return match is not None and match["base"] is None


def check_reference(
    node: dict[str, Any], targets: tuple[str, ...], context: Context, found: list[Finding]
) -> None:
    """One Reference: its text, its type, and its target where that is at hand."""
    reference = node.get("reference")
    if reference in _PLAIN and context.root.neighbours is None and "type" not in node:
        return
    said = node.get("type")
    if not isinstance(reference, str) or not reference:
        if not ("identifier" in node or "display" in node or "extension" in node):
            found.append(Finding("reference-empty"))
        return
    if _SPACE(reference):
        found.append(Finding("reference-text"))
        return
    allowed = targets and "Resource" not in targets
    if said is not None and allowed:
        named = literal_type(reference)
        if said not in targets or (named is not None and named != said):
            found.append(_wrong(said, targets))
    if reference[0] == "#":
        context.pointed_at.add(reference[1:])
    target = context.resolve(reference)
    if target is not None:
        if allowed and target.type not in targets:
            found.append(_wrong(target.type, targets))
        if reference[0] == "#":
            return
    elif reference[0] == "#":
        found.append(Finding("contained-missing"))
        return
    elif _SEARCH(reference):
        neighbours = context.root.neighbours
        if neighbours is None or neighbours.type != "transaction":
            found.append(Finding("conditional-reference"))
        return
    if context.root.neighbours is not None:
        check_from_entry(reference, context, found)
    elif len(_PLAIN) < _MOST:
        _PLAIN.add(reference)


def _wrong(kind: str, targets: tuple[str, ...]) -> Finding:
    allowed = ", ".join(sorted(targets))
    return Finding("target-type", type=kind[:64], allowed=allowed)


def check_attachment(node: dict[str, Any], _: Context, found: list[Finding]) -> None:
    """One Attachment: its size and hash against its data, where it holds them.

    https://hl7.org/fhir/R4/datatypes.html#Attachment
    """
    data, size, sha1 = node.get("data"), node.get("size"), node.get("hash")
    if not isinstance(data, str) or (size is None and sha1 is None):
        return
    try:
        raw = b64decode("".join(data.split()), validate=True)
    except (NotBase64, ValueError):
        return  # said where the data is checked
    if isinstance(size, int) and size != len(raw):
        found.append(Finding("attachment-size", actual=len(raw)))
    if isinstance(sha1, str):
        digest = hashlib.sha1(raw, usedforsecurity=False).digest()
        try:
            told = b64decode("".join(sha1.split()), validate=True)
        except (NotBase64, ValueError):
            return
        if told != digest:
            found.append(Finding("attachment-hash"))
