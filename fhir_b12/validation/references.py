"""Check references and attachments.  https://hl7.org/fhir/R4/references.html"""

import hashlib
import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.bundle import check_reference_from_entry
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding

_SEARCH = re.compile(r"[A-Za-z]+\?.").match
_SPACE = re.compile(r"\s").search
#: base of a server, type, id, and perhaps a version
_LITERAL = re.compile(
    r"(?:[a-zA-Z][a-zA-Z0-9+.\-]*://\S*/)?(?P<type>[A-Z][A-Za-z]+)/"
    r"[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
).fullmatch

_CACHE_SIZE = 4096  #: valid references cached for each element


def literal_type(reference: str) -> str | None:
    """Return the resource type that a literal reference names; None if it names none of R4."""
    match = _LITERAL(reference.partition("#")[0])
    return match["type"] if match and R4.is_resource(match["type"]) else None


class ReferenceCheck:
    """The check of the References of one element: text, type and target."""

    __slots__ = ("_restricted", "_targets", "_valid")

    def __init__(self, targets: tuple[str, ...]) -> None:
        self._targets = targets
        self._restricted = bool(targets) and "Resource" not in targets
        self._valid: set[str | None] = set()  #: references without findings outside of Bundles

    def __call__(
        self, node: dict[str, Any], context: ResourceContext, findings: list[Finding]
    ) -> None:
        """Append the faults of one Reference."""
        reference = node.get("reference")
        in_bundle = context.root.bundle_entries is not None
        if not in_bundle and reference in self._valid and "type" not in node:
            return
        if not isinstance(reference, str) or not reference:
            if not ("identifier" in node or "display" in node or "extension" in node):
                findings.append(Finding("reference-empty"))
            return
        if _SPACE(reference):
            findings.append(Finding("reference-text"))
            return
        mark = len(findings)
        self._check_type(node.get("type"), reference, findings)
        if reference[0] == "#":
            self._check_contained(reference, context, findings)
            return
        self._check_target(reference, context, findings)
        if not in_bundle and len(findings) == mark and len(self._valid) < _CACHE_SIZE:
            self._valid.add(reference)

    def _check_type(self, declared_type: Any, reference: str, findings: list[Finding]) -> None:
        """Check Reference.type against the allowed types and the type in the text."""
        if declared_type is None or not self._restricted:
            return
        named_type = literal_type(reference)
        if declared_type not in self._targets or named_type not in {None, declared_type}:
            findings.append(self._target_type_finding(str(declared_type)))

    def _check_contained(
        self, reference: str, context: ResourceContext, findings: list[Finding]
    ) -> None:
        context.referenced_ids.add(reference[1:])
        target = context.resolve(reference)
        if target is None:
            findings.append(Finding("contained-missing"))
        elif self._restricted and target.type not in self._targets:
            findings.append(self._target_type_finding(target.type))

    def _check_target(
        self, reference: str, context: ResourceContext, findings: list[Finding]
    ) -> None:
        """Check a reference that leads out of its resource."""
        target = context.resolve(reference)
        bundle_entries = context.root.bundle_entries
        if target is not None:
            if self._restricted and target.type not in self._targets:
                findings.append(self._target_type_finding(target.type))
        elif _SEARCH(reference):
            if bundle_entries is None or bundle_entries.type != "transaction":
                findings.append(Finding("conditional-reference"))
            return
        elif self._restricted:
            named_type = literal_type(reference)
            if named_type is not None and named_type not in self._targets:
                allowed = ", ".join(sorted(self._targets))
                findings.append(Finding("target-type-named", type=named_type, allowed=allowed))
        if bundle_entries is not None:
            check_reference_from_entry(reference, context, findings)

    def _target_type_finding(self, resource_type: str) -> Finding:
        allowed = ", ".join(sorted(self._targets))
        return Finding("target-type", type=resource_type[:64], allowed=allowed)


def check_attachment(node: dict[str, Any], _: ResourceContext, findings: list[Finding]) -> None:
    """Check size and hash of one Attachment against its data, if it has data.

    https://hl7.org/fhir/R4/datatypes.html#Attachment
    """
    data, size, sha1 = node.get("data"), node.get("size"), node.get("hash")
    if not isinstance(data, str) or (size is None and sha1 is None):
        return
    content = _decode_base64(data)
    if content is None:
        return
    if isinstance(size, int) and size != len(content):
        findings.append(Finding("attachment-size", actual=len(content)))
    if isinstance(sha1, str):
        digest = hashlib.sha1(content, usedforsecurity=False).digest()
        if _decode_base64(sha1) not in {None, digest}:
            findings.append(Finding("attachment-hash"))


def _decode_base64(text: str) -> bytes | None:
    """Return the bytes; None if the text is not base64, which the primitive's check reports."""
    try:
        return b64decode("".join(text.split()), validate=True)
    except (NotBase64, ValueError):
        return None
