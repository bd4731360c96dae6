"""Check the XHTML of a narrative.  https://hl7.org/fhir/R4/narrative.html

Most narratives are plain: two regular expressions and a table show that they are valid. All others
are parsed with expat, which opens no files or URLs. A narrative with a document type is rejected,
so there are no entities to expand.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from html.entities import html5
from typing import Any, NamedTuple
from xml.parsers import expat

from fhir_b12.validation import xhtml
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding

_ANCHOR = re.compile(r"""(?:href|src)\s*=\s*["']#([^"']*)["']""")
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):").match
_BUILT_IN = {"amp", "lt", "gt", "quot", "apos"}
_ACTIVE = {"javascript", "vbscript"}
_BLANK = " \t\r\n"
_MAX_CACHED_LENGTH = 8192  #: characters of a narrative whose verdict is cached
_MAX_FAULTS = 100  #: in one narrative; a malicious one could have a million


class Verdict(NamedTuple):
    """Faults and links of a narrative, whatever its resource."""

    faults: tuple[tuple[str, dict[str, Any]], ...] = ()  #: rule and values of each finding
    links: frozenset[str] = frozenset()  #: ids that links refer to
    names: frozenset[str] = frozenset()  #: ids and anchor names of the narrative


def check_narrative(div: str, context: ResourceContext, findings: list[Finding]) -> None:
    """Check one `text.div`: syntax, elements, attributes, links, and that it has content."""
    verdict = _cached_verdict(div) if len(div) <= _MAX_CACHED_LENGTH else get_verdict(div)
    if verdict is _VALID:
        return
    findings += [Finding(rule, **values) for rule, values in verdict.faults]
    outward_links = verdict.links - verdict.names
    if outward_links and not outward_links <= _collect_ids(context.root.resource):
        findings.append(Finding("narrative-link"))


def find_local_links(div: str) -> Iterator[str]:
    """Yield the ids that links and images of a narrative refer to by `#`."""
    yield from _ANCHOR.findall(div)


def get_verdict(div: str) -> Verdict:
    """Return faults and links of a narrative."""
    return _VALID if is_plain(div) else parse(div)


_cached_verdict = lru_cache(maxsize=1024)(get_verdict)
_VALID = Verdict()


def _collect_ids(resource: Any) -> set[str]:
    """Return the ids of a resource, of its elements and of its contained resources."""
    ids: set[str] = set()
    stack = [resource]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            node_id = node.get("id")
            if isinstance(node_id, str):
                ids.add(node_id)
            stack += node.values()
        elif isinstance(node, list):
            stack += node
    return ids


# --- the quick check

_TAG = re.compile(r'<(/?[a-z][a-z0-9]*)((?: [a-z:]+="[^"<&]*")*) ?(/?)>([^<]*)')
_UNKNOWN_ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;)")
_CHARACTERS = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_ATTRIBUTE = re.compile(r' ([a-z:]+)="([^"]*)"')
_HARMLESS = xhtml.EVERYWHERE - {"id", f"{xhtml.XML} lang", f"{xhtml.XML} space"}
_PAGE = re.compile(r"(?:https?://|[A-Z][A-Za-z]+/)[\w.\-/]+", re.ASCII)
_ROOT = f'<div xmlns="{xhtml.XHTML}">'
#: allowed children, by the end tag of their parent
_ALLOWED_CHILDREN = {
    f"/{parent}": frozenset(
        name
        for name in xhtml.ELEMENTS
        if xhtml.is_allowed_in(name, parent)
        and (parent != "p" or name not in xhtml.NOT_IN_PARAGRAPH)
    )
    for parent in xhtml.ELEMENTS
}
#: end tag of the ancestor that an element must not have
_FORBIDDEN_ANCESTOR = dict.fromkeys(xhtml.NOT_IN_PARAGRAPH, "/p") | {
    name: f"/{name}" for name in xhtml.PHRASES
}


def is_plain(div: str) -> bool:
    """Return True only if `parse` finds no fault and no link; False if it may find one."""
    tags = _TAG.findall(div)
    if div.count("<") != len(tags) or not div.startswith(_ROOT) or not _is_text(div):
        return False
    text = tags.pop(0)[-1]
    has_content = bool(text) and not text.isspace()
    end_tags = ["", "/div"]  #: of the open elements
    end_tag = "/div"
    for name, attributes, empty, text in tags:
        if name == end_tag:
            if attributes or empty:
                return False
            end_tags.pop()
            end_tag = end_tags[-1]
        elif not (
            name in _ALLOWED_CHILDREN.get(end_tag, ())
            and (not attributes or _has_harmless_attributes(name, attributes))
            and (name not in _FORBIDDEN_ANCESTOR or _FORBIDDEN_ANCESTOR[name] not in end_tags)
        ):
            return False
        elif not empty:
            end_tag = f"/{name}"
            end_tags.append(end_tag)
        if text and not text.isspace():
            has_content = True
            if end_tag in _TEXTLESS:
                return False
    return has_content and not end_tag and not text


def _is_text(div: str) -> bool:
    """Return True if XML allows every character and entity."""
    if "]]>" in div or ("&" in div and _UNKNOWN_ENTITY.search(div)):
        return False
    return _CHARACTERS.fullmatch(div) is not None


_TEXTLESS = {f"/{name}" for name in (*xhtml.CHILDREN, *xhtml.VOID)} | {""}


@lru_cache(maxsize=2048)
def _has_harmless_attributes(name: str, attributes: str) -> bool:
    """Return True if each attribute is allowed and unique, and none is an id or a local link."""
    pairs = _ATTRIBUTE.findall(attributes)
    if len({key for key, _ in pairs}) < len(pairs):
        return False
    allowed = xhtml.ATTRIBUTES.get(name, _HARMLESS)
    return all(
        (name in {"a", "img"} and _PAGE.fullmatch(value) is not None)
        if key in {"href", "src"}
        else key in _HARMLESS or (key in allowed and key not in {"id", "name"})
        for key, value in pairs
    )


# --- the thorough check


def parse(div: str) -> Verdict:
    """Parse a narrative as XML and return its faults and links."""
    parser = _NarrativeParser()
    try:
        parser.parse(parser.replace_entities(div) if "&" in div else div)
    except (expat.ExpatError, ValueError) as error:
        return Verdict(
            (*parser.faults, ("narrative-malformed", {"reason": _parse_error_reason(error)}))
        )
    parser.finish()
    faults = tuple(parser.faults[:_MAX_FAULTS])
    return Verdict(faults, frozenset(parser.links), frozenset(parser.names))


def _parse_error_reason(error: Exception) -> str:
    """Return why a narrative cannot be parsed; expat's messages repeat no content."""
    if isinstance(error, expat.ExpatError):
        return f"{expat.ErrorString(error.code)}, line {error.lineno}, column {error.offset + 1}"
    return str(error)


def _reject_document_type(*_: Any) -> None:
    """Reject a document type.

    Raises:
        ValueError: Always.

    """
    raise ValueError("it has a document type")


class _NarrativeParser:
    """Checks the elements of one narrative as expat parses them."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, dict[str, Any]]] = []
        self.links: set[str] = set()
        self.names: Counter[str] = Counter()
        self._open: list[str] = []  #: open elements, the root first
        self._open_counts: Counter[str] = Counter()  #: number of open elements by name
        self._has_content = False
        self._in_cdata = False
        self._languages = [0, 0]  #: number of children of the root with a language, and without

    def replace_entities(self, div: str) -> str:
        """Return the text with characters instead of entities that only HTML defines."""

        def character(match: re.Match[str]) -> str:
            name = match[1]
            if name in _BUILT_IN or f"{name};" not in html5:
                return match[0]
            self._add("narrative-entity", name=name)
            return html5[f"{name};"]

        return _NAMED.sub(character, div)

    def parse(self, text: str) -> None:
        """Parse the whole text.

        Raises:
            expat.ExpatError: The text is not well-formed.
            ValueError: The text has a document type, or a character that XML does not allow.

        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start_element
        parser.EndElementHandler = self._end_element
        parser.CharacterDataHandler = self._add_characters
        parser.StartDoctypeDeclHandler = _reject_document_type
        parser.StartCdataSectionHandler = lambda: self._set_cdata(in_cdata=True)
        parser.EndCdataSectionHandler = lambda: self._set_cdata(in_cdata=False)
        parser.Parse(text, True)

    def finish(self) -> None:
        """Add the faults of the narrative as a whole."""
        if not self._has_content:
            self._add("narrative-empty", key="txt-2")
        if any(number > 1 for number in self.names.values()):
            self._add("narrative-ids")
        if all(self._languages):
            self._add("narrative-languages")

    def _add(self, rule: str, **values: Any) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append((rule, values))

    def _start_element(self, full: str, attributes: dict[str, str]) -> None:
        space, _, name = full.rpartition(" ")
        if space != xhtml.XHTML:
            self._add("narrative-namespace")
        elif not self._open:
            if name != "div":
                self._add("narrative-root", name=name[:64])
        elif name not in xhtml.ELEMENTS:
            self._add("narrative-element", key="txt-1", name=name[:64])
        else:
            self._check_parent(name, self._open[-1])
        if name == "img":
            self._has_content = True
        if len(self._open) == 1:
            self._languages[f"{xhtml.XML} lang" not in attributes] += 1
        self._open.append(name)
        self._open_counts[name] += 1
        if attributes:
            self._check_attributes(name, attributes)

    def _check_parent(self, name: str, parent: str) -> None:
        """Check that an element is allowed in its parent."""
        children, parents = xhtml.CHILDREN.get(parent), xhtml.PARENTS.get(name)
        if children is not None and name not in children:
            self._add("narrative-child", name=name, parent=parent)
        if parents is not None and parent not in parents:
            self._add("narrative-parent", name=name, parents=" or ".join(sorted(parents)))
        if parent in xhtml.VOID:
            self._add("narrative-void", name=parent)
        if name in xhtml.PHRASES and self._open_counts[name]:
            self._add("narrative-nested", name=name)
        if xhtml.is_block_in_inline(name, parent):
            self._add("narrative-block", name=name, parent=parent)
        elif name in xhtml.NOT_IN_PARAGRAPH and self._open_counts["p"]:
            self._add("narrative-block", name=name, parent="p")

    def _check_attributes(self, name: str, attributes: dict[str, str]) -> None:
        allowed = xhtml.ATTRIBUTES.get(name, xhtml.EVERYWHERE)
        for attribute in attributes.keys() - allowed:
            self._add("narrative-attribute", key="txt-1", name=attribute[:64], element=name[:64])
        if "id" in attributes:
            self.names[attributes["id"]] += 1
        if "name" in attributes and name == "a":
            self.names[attributes["name"]] += 1
        for key in ("href", "src"):
            if key in attributes:
                self._check_url(name, key, attributes[key])

    def _check_url(self, name: str, attribute: str, url: str) -> None:
        scheme = _SCHEME(url.lstrip())
        if scheme and scheme[1].lower() in _ACTIVE:
            self._add("narrative-active")
        if name not in {"a", "img"}:
            return
        if not url.strip():
            self._add("narrative-url-empty", name=attribute)
        elif not xhtml.is_url(url):
            self._add("narrative-url", name=attribute)
        elif url[0] == "#" and url != "#":
            self.links.add(url[1:])
        elif url.startswith(xhtml.UNRESOLVABLE):
            self._add("narrative-url-literal")

    def _add_characters(self, text: str) -> None:
        if self._in_cdata or not text.strip(_BLANK):
            return
        self._has_content = True
        parent = self._open[-1]
        if parent in xhtml.NO_TEXT:
            self._add("narrative-child", name="text", parent=parent)
        elif parent in xhtml.VOID:
            self._add("narrative-void", name=parent)
        elif len(self._open) == 1:
            self._languages[1] += 1

    def _set_cdata(self, *, in_cdata: bool) -> None:
        self._in_cdata = in_cdata

    def _end_element(self, _: str) -> None:
        self._open_counts[self._open.pop()] -= 1
