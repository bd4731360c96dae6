"""Check where references lead.  https://hl7.org/fhir/R4/references.html"""

import hashlib
import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.bundle import check_from_entry
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding

_SEARCH = re.compile(r"[A-Za-z]+\?.").match
_SPACE = re.compile(r"\s").search
#: a server's base, a type, an id, and perhaps a version
_LITERAL = re.compile(
    r"(?P<base>[a-zA-Z][a-zA-Z0-9+.\-]*://\S*/)?(?P<type>[A-Z][A-Za-z]+)/"
    r"(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
).fullmatch


_MOST = 4096  #: references that are remembered for each place


def literal_type(reference: str) -> str | None:
    """The type of resource a literal reference names; None where it does not tell."""
    match = _LITERAL(reference.partition("#")[0])
    return match["type"] if match and R4.is_resource(match["type"]) else None


def is_relative(reference: str) -> bool:
    """True of `Patient/1`, which is read from the place its own resource has."""
    match = _LITERAL(reference)
    return match is not None and match["base"] is None


class ReferenceCheck:
    """The check of a Reference that may lead to certain types: its text, its type, its target."""

    __slots__ = ("_allowed", "_right", "_targets")

    def __init__(self, targets: tuple[str, ...]) -> None:
        self._targets = targets
        self._allowed = bool(targets) and "Resource" not in targets
        self._right: set[str | None] = set()  #: of which nothing is to be said without a Bundle

    def __call__(
        self, node: dict[str, Any], context: ResourceContext, found: list[Finding]
    ) -> None:
        """Append what is wrong with one Reference."""
        reference = node.get("reference")
        alone = context.root.bundle_entries is None
        if alone and reference in self._right and "type" not in node:
            return
        if not isinstance(reference, str) or not reference:
            if not ("identifier" in node or "display" in node or "extension" in node):
                found.append(Finding("reference-empty"))
            return
        if _SPACE(reference):
            found.append(Finding("reference-text"))
            return
        mark = len(found)
        self._type(node.get("type"), reference, found)
        if reference[0] == "#":
            self._contained(reference, context, found)
            return
        self._target(reference, context, found)
        if alone and len(found) == mark and len(self._right) < _MOST:
            self._right.add(reference)

    def _type(self, said: Any, reference: str, found: list[Finding]) -> None:
        if said is None or not self._allowed:
            return
        named = literal_type(reference)
        if said not in self._targets or (named is not None and named != said):
            found.append(self._wrong(str(said)))

    def _contained(self, reference: str, context: ResourceContext, found: list[Finding]) -> None:
        context.referenced_ids.add(reference[1:])
        target = context.resolve(reference)
        if target is None:
            found.append(Finding("contained-missing"))
        elif self._allowed and target.type not in self._targets:
            found.append(self._wrong(target.type))

    def _target(self, reference: str, context: ResourceContext, found: list[Finding]) -> None:
        """What a reference leads to outside its own resource."""
        target = context.resolve(reference)
        bundle_entries = context.root.bundle_entries
        if target is not None:
            if self._allowed and target.type not in self._targets:
                found.append(self._wrong(target.type))
        elif _SEARCH(reference):
            if bundle_entries is None or bundle_entries.type != "transaction":
                found.append(Finding("conditional-reference"))
            return
        elif self._allowed:
            named = literal_type(reference)
            if named is not None and named not in self._targets:
                allowed = ", ".join(sorted(self._targets))
                found.append(Finding("target-type-named", type=named, allowed=allowed))
        if bundle_entries is not None:
            check_from_entry(reference, context, found)

    def _wrong(self, kind: str) -> Finding:
        allowed = ", ".join(sorted(self._targets))
        return Finding("target-type", type=kind[:64], allowed=allowed)


def check_attachment(node: dict[str, Any], _: ResourceContext, found: list[Finding]) -> None:
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
