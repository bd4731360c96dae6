"""The XHTML of a narrative: safely parsed and judged.  https://hl7.org/fhir/R4/narrative.html

The parser is expat, which is C and never calls out: a narrative with a document type is refused, so
there are no entities to expand. What may stand where is XHTML 1.0's; the tables below are facts of
its document type as HL7's validator applies them.
"""

import re
from collections.abc import Iterator
from html.entities import html5
from typing import Any
from xml.parsers import expat

from fhir_b12.validation.context import Context
from fhir_b12.validation.findings import Finding

_XHTML = "http://www.w3.org/1999/xhtml"
_XML = "http://www.w3.org/XML/1998/namespace"
_ANCHOR = re.compile(r"""(?:href|src)\s*=\s*["']#([^"']*)["']""")
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):").match
_BUILT_IN = {"amp", "lt", "gt", "quot", "apos"}
_ACTIVE = {"javascript", "vbscript"}
_BLANK = " \t\r\n"

_VOID = frozenset({"area", "br", "col", "hr", "img"})
_PHRASES = frozenset(
    {"a", "abbr", "acronym", "b", "bdo", "big", "cite", "code", "dfn", "em", "i", "kbd", "q",
     "samp", "small", "strong", "sub", "sup", "tt", "var"}
)  # fmt: skip
#: elements of one line, in which no block may stand
_LINES = _PHRASES | {"span", "p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "address", "caption",
                     "dt", "dd"}  # fmt: skip
_BLOCKS = frozenset({"div", "ol", "pre", "table", "ul"})
_NOT_IN_PARAGRAPH = frozenset({"blockquote", "div", "ol", "p", "table", "ul"})
#: what holds only certain children, and no text
_CHILDREN: dict[str, frozenset[str]] = {
    "table": frozenset({"caption", "col", "colgroup", "tbody", "tfoot", "thead", "tr"}),
    "thead": frozenset({"tr"}),
    "tbody": frozenset({"tr"}),
    "tfoot": frozenset({"tr"}),
    "tr": frozenset({"td", "th"}),
    "colgroup": frozenset({"col"}),
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "dl": frozenset({"dd", "dt"}),
    "map": frozenset({"area"}),
}
#: what stands only in certain parents
_PARENTS: dict[str, frozenset[str]] = {}
for _parent, _inside in _CHILDREN.items():
    for _child in _inside:
        _PARENTS[_child] = _PARENTS.get(_child, frozenset()) | {_parent}
_ELEMENTS = (
    _LINES | _BLOCKS | _VOID | frozenset(_CHILDREN) | frozenset(_PARENTS) | {"blockquote", "div"}
)
_EVERYWHERE = frozenset(
    {"abbr", "accesskey", "align", "axis", "char", "charoff", "class", "colspan", "dir", "headers",
     "id", "lang", "rowspan", "scope", "span", "style", "tabindex", "title", "valign", "width",
     f"{_XML} lang", f"{_XML} space"}
)  # fmt: skip
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "a": _EVERYWHERE | {"charset", "coords", "href", "hreflang", "name", "rel", "rev", "shape",
                        "type"},
    "area": _EVERYWHERE | {"alt", "coords", "href", "shape"},
    "blockquote": _EVERYWHERE | {"cite"},
    "img": _EVERYWHERE | {"alt", "border", "height", "ismap", "longdesc", "src", "usemap"},
    "map": _EVERYWHERE | {"name"},
    "q": _EVERYWHERE | {"cite"},
    "table": _EVERYWHERE | {"border", "cellpadding", "cellspacing", "frame", "rules", "summary"},
    "td": _EVERYWHERE | {"nowrap"},
}  # fmt: skip


def check_narrative(div: str, context: Context, found: list[Finding]) -> None:
    """One `text.div`: well formed, of permitted elements and attributes, with something to read."""
    text = div
    if "&" in div:
        text = _without_names(div, found)
    judge = _Judge(found)
    try:
        judge.parse(text)
    except (expat.ExpatError, ValueError) as error:
        found.append(Finding("narrative-malformed", reason=_reason(error)))
        return
    if not judge.has_content:
        found.append(Finding("narrative-empty", key="txt-2"))
    if judge.links:
        known = judge.names | _ids(context.root.resource)
        if not known.issuperset(judge.links):
            found.append(Finding("narrative-link"))


def anchors(div: str) -> Iterator[str]:
    """The ids that links and images of a narrative name by `#`."""
    yield from _ANCHOR.findall(div)


def _reason(error: Exception) -> str:
    """Why it cannot be parsed; expat's words name no content."""
    if isinstance(error, expat.ExpatError):
        return f"{expat.ErrorString(error.code)}, line {error.lineno}, column {error.offset + 1}"
    return str(error)


def _without_names(div: str, found: list[Finding]) -> str:
    """The text with characters for entities that only HTML names."""

    def character(match: re.Match[str]) -> str:
        name = match[1]
        if name in _BUILT_IN or f"{name};" not in html5:
            return match[0]
        found.append(Finding("narrative-entity", name=name))
        return html5[f"{name};"]

    return _NAMED.sub(character, div)


class _Judge:
    """Walks the elements of one narrative."""

    def __init__(self, found: list[Finding]) -> None:
        self._found = found
        self._open: list[str] = []  #: elements from the root to here
        self.has_content = False
        self.links: set[str] = set()  #: ids that are linked to
        self.names: set[str] = set()  #: ids there are

    def parse(self, text: str) -> None:
        """Judge all of the text.

        Raises:
            expat.ExpatError: it is not well-formed.
            ValueError: it has a document type.

        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refused
        parser.Parse(text, True)

    def _start(self, full: str, attributes: dict[str, str]) -> None:
        space, _, name = full.rpartition(" ")
        here = self._open
        if space != _XHTML:
            self._say("narrative-namespace")
        elif not here:
            if name != "div":
                self._say("narrative-root", name=name[:64])
        elif name not in _ELEMENTS:
            self._say("narrative-element", key="txt-1", name=name[:64])
        else:
            self._place(name, here[-1])
        if name == "img":
            self.has_content = True
        here.append(name)
        if attributes:
            self._attributes(name, attributes)

    def _place(self, name: str, parent: str) -> None:
        """Whether an element may stand in its parent."""
        inside = _CHILDREN.get(parent)
        if inside is not None and name not in inside:
            self._say("narrative-child", name=name, parent=parent)
        outside = _PARENTS.get(name)
        if outside is not None and parent not in outside:
            self._say("narrative-parent", name=name, parents=" or ".join(sorted(outside)))
        if parent in _VOID:
            self._say("narrative-void", name=parent)
        if name == parent and name in _PHRASES:
            self._say("narrative-nested", name=name)
        if (name in _BLOCKS and parent in _LINES) or (name in _NOT_IN_PARAGRAPH and parent == "p"):
            self._say("narrative-block", name=name, parent=parent)

    def _attributes(self, name: str, attributes: dict[str, str]) -> None:
        allowed = _ATTRIBUTES.get(name, _EVERYWHERE)
        for attribute in attributes.keys() - allowed:
            self._say("narrative-attribute", key="txt-1", name=attribute[:64], element=name[:64])
        for key in ("id", "name"):
            if key in attributes:
                self.names.add(attributes[key])
        for key in ("href", "src"):
            if key in attributes:
                self._url(attributes[key], key)

    def _url(self, url: str, attribute: str) -> None:
        if not url.strip():
            self._say("narrative-url-empty", name=attribute)
        elif url[0] == "#":
            if url != "#":
                self.links.add(url[1:])
        elif attribute == "href":
            scheme = _SCHEME(url.lstrip())
            if scheme and scheme[1].lower() in _ACTIVE:
                self._say("narrative-active")

    def _characters(self, text: str) -> None:
        if not text.strip(_BLANK):
            return
        self.has_content = True
        parent = self._open[-1]
        if parent in _CHILDREN:
            self._say("narrative-child", name="text", parent=parent)
        elif parent in _VOID:
            self._say("narrative-void", name=parent)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _say(self, rule: str, **values: Any) -> None:
        self._found.append(Finding(rule, **values))


def _refused(*_: Any) -> None:
    raise ValueError("a document type stands in it")


def _ids(resource: Any) -> set[str]:
    """Every id in a resource, of resources and of elements, those of its narratives too."""
    found: set[str] = set()
    waiting = [resource]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            name = node.get("id")
            if isinstance(name, str):
                found.add(name)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found
