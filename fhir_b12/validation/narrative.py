"""The XHTML of a narrative: safely parsed and judged.  https://hl7.org/fhir/R4/narrative.html

Most narratives are plain: a pass of two regular expressions and a table sees that all is well with
them. Whatever it does not know goes to expat, which is C and never calls out: a narrative with a
document type is refused, so there are no entities to expand.
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
_REMEMBERED = 8192  #: a longer narrative is judged anew each time
_MOST_FAULTS = 100  #: in one narrative; a hostile one could have a million


class Verdict(NamedTuple):
    """What a narrative's own text says, whatever the resource around it."""

    faults: tuple[tuple[str, dict[str, Any]], ...] = ()  #: rule and values of each finding
    links: frozenset[str] = frozenset()  #: ids that are linked to
    names: frozenset[str] = frozenset()  #: ids there are


def check_narrative(div: str, context: ResourceContext, found: list[Finding]) -> None:
    """One `text.div`: well formed, of permitted elements and attributes, with something to read."""
    verdict = _judged(div) if len(div) <= _REMEMBERED else judge(div)
    if verdict is _WELL:
        return
    found += [Finding(rule, **values) for rule, values in verdict.faults]
    lost = verdict.links - verdict.names
    if lost and not lost <= _ids(context.root.resource):
        found.append(Finding("narrative-link"))


def anchors(div: str) -> Iterator[str]:
    """The ids that links and images of a narrative name by `#`."""
    yield from _ANCHOR.findall(div)


def judge(div: str) -> Verdict:
    """All that is wrong with a narrative in itself."""
    return _WELL if is_plain(div) else parsed(div)


_judged = lru_cache(maxsize=1024)(judge)
_WELL = Verdict()


def _ids(resource: Any) -> set[str]:
    """Every id in a resource, of resources and of elements."""
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


# --- the quick pass

_TAG = re.compile(r'<(/?[a-z][a-z0-9]*)((?: [a-z:]+="[^"<&]*")*) ?(/?)>([^<]*)')
_REFERENCE = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;)")
_CHARACTERS = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_ATTRIBUTE = re.compile(r' ([a-z:]+)="([^"]*)"')
_HARMLESS = xhtml.EVERYWHERE - {"id", f"{xhtml.XML} lang", f"{xhtml.XML} space"}
_PAGE = re.compile(r"(?:https?://|[A-Z][A-Za-z]+/)[\w.\-/]+", re.ASCII)
_ROOT = f'<div xmlns="{xhtml.XHTML}">'
#: what may stand in an element, by the name that ends it
_FITTING = {
    f"/{parent}": frozenset(
        name
        for name in xhtml.ELEMENTS
        if xhtml.can_contain(name, parent) and (parent != "p" or name not in xhtml.NOT_IN_PARAGRAPH)
    )
    for parent in xhtml.ELEMENTS
}
#: the name that ends the element in which one may not stand at whatever depth
_DEEP = dict.fromkeys(xhtml.NOT_IN_PARAGRAPH, "/p") | {name: f"/{name}" for name in xhtml.PHRASES}


def is_plain(div: str) -> bool:
    """True only where `parsed` would find nothing; it knows less of XML and of links."""
    tags = _TAG.findall(div)
    if div.count("<") != len(tags) or not div.startswith(_ROOT) or not _is_text(div):
        return False
    text = tags.pop(0)[-1]
    content = bool(text) and not text.isspace()
    inside = ["", "/div"]  #: what ends each element that is open
    here = "/div"
    for name, attributes, empty, text in tags:
        if name == here:
            if attributes or empty:
                return False
            inside.pop()
            here = inside[-1]
        elif not (
            name in _FITTING.get(here, ())
            and (not attributes or _harmless(name, attributes))
            and (name not in _DEEP or _DEEP[name] not in inside)
        ):
            return False
        elif not empty:
            here = f"/{name}"
            inside.append(here)
        if text and not text.isspace():
            content = True
            if here in _TEXTLESS:
                return False
    return content and not here and not text


def _is_text(div: str) -> bool:
    """Whether XML allows every character and reference."""
    if "]]>" in div or ("&" in div and _REFERENCE.search(div)):
        return False
    return _CHARACTERS.fullmatch(div) is not None


_TEXTLESS = {f"/{name}" for name in (*xhtml.CHILDREN, *xhtml.VOID)} | {""}


@lru_cache(maxsize=2048)
def _harmless(name: str, attributes: str) -> bool:
    """Whether every attribute is allowed, once, and none is an id or a link to one."""
    found = _ATTRIBUTE.findall(attributes)
    if len({key for key, _ in found}) < len(found):
        return False
    allowed = xhtml.ATTRIBUTES.get(name, _HARMLESS)
    return all(
        (name in {"a", "img"} and _PAGE.fullmatch(value) is not None)
        if key in {"href", "src"}
        else key in _HARMLESS or (key in allowed and key not in {"id", "name"})
        for key, value in found
    )


# --- the thorough one


def parsed(div: str) -> Verdict:
    """The verdict of a parser of XML on a narrative."""
    reader = _Reader()
    try:
        reader.parse(reader.without_names(div) if "&" in div else div)
    except (expat.ExpatError, ValueError) as error:
        return Verdict((*reader.faults, ("narrative-malformed", {"reason": _reason(error)})))
    reader.conclude()
    faults = tuple(reader.faults[:_MOST_FAULTS])
    return Verdict(faults, frozenset(reader.links), frozenset(reader.names))


def _reason(error: Exception) -> str:
    """Why it cannot be parsed; expat's words name no content."""
    if isinstance(error, expat.ExpatError):
        return f"{expat.ErrorString(error.code)}, line {error.lineno}, column {error.offset + 1}"
    return str(error)


def _refused(*_: Any) -> None:
    raise ValueError("a document type stands in it")


class _Reader:
    """Walks the elements of one narrative."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, dict[str, Any]]] = []
        self.links: set[str] = set()
        self.names: Counter[str] = Counter()
        self._open: list[str] = []  #: elements from the root to here
        self._around: Counter[str] = Counter()  #: the same, counted
        self._has_content = False
        self._is_literal = False  #: in a CDATA section
        self._languages = [0, 0]  #: parts of the root with a language, and without

    def without_names(self, div: str) -> str:
        """The text with characters for entities that only HTML names."""

        def character(match: re.Match[str]) -> str:
            name = match[1]
            if name in _BUILT_IN or f"{name};" not in html5:
                return match[0]
            self._say("narrative-entity", name=name)
            return html5[f"{name};"]

        return _NAMED.sub(character, div)

    def parse(self, text: str) -> None:
        """Judge all of the text.

        Raises:
            expat.ExpatError: it is not well-formed.
            ValueError: it has a document type, or a character that is none.

        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refused
        parser.StartCdataSectionHandler = lambda: self._literally(is_so=True)
        parser.EndCdataSectionHandler = lambda: self._literally(is_so=False)
        parser.Parse(text, True)

    def conclude(self) -> None:
        """What can be said of the whole only."""
        if not self._has_content:
            self._say("narrative-empty", key="txt-2")
        if any(number > 1 for number in self.names.values()):
            self._say("narrative-ids")
        if all(self._languages):
            self._say("narrative-languages")

    def _say(self, rule: str, **values: Any) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append((rule, values))

    def _start(self, full: str, attributes: dict[str, str]) -> None:
        space, _, name = full.rpartition(" ")
        if space != xhtml.XHTML:
            self._say("narrative-namespace")
        elif not self._open:
            if name != "div":
                self._say("narrative-root", name=name[:64])
        elif name not in xhtml.ELEMENTS:
            self._say("narrative-element", key="txt-1", name=name[:64])
        else:
            self._place(name, self._open[-1])
        if name == "img":
            self._has_content = True
        if len(self._open) == 1:
            self._languages[f"{xhtml.XML} lang" not in attributes] += 1
        self._open.append(name)
        self._around[name] += 1
        if attributes:
            self._attributes(name, attributes)

    def _place(self, name: str, parent: str) -> None:
        """Whether an element may stand here."""
        inside, outside = xhtml.CHILDREN.get(parent), xhtml.PARENTS.get(name)
        if inside is not None and name not in inside:
            self._say("narrative-child", name=name, parent=parent)
        if outside is not None and parent not in outside:
            self._say("narrative-parent", name=name, parents=" or ".join(sorted(outside)))
        if parent in xhtml.VOID:
            self._say("narrative-void", name=parent)
        if name in xhtml.PHRASES and self._around[name]:
            self._say("narrative-nested", name=name)
        if xhtml.is_block_in_line(name, parent):
            self._say("narrative-block", name=name, parent=parent)
        elif name in xhtml.NOT_IN_PARAGRAPH and self._around["p"]:
            self._say("narrative-block", name=name, parent="p")

    def _attributes(self, name: str, attributes: dict[str, str]) -> None:
        allowed = xhtml.ATTRIBUTES.get(name, xhtml.EVERYWHERE)
        for attribute in attributes.keys() - allowed:
            self._say("narrative-attribute", key="txt-1", name=attribute[:64], element=name[:64])
        if "id" in attributes:
            self.names[attributes["id"]] += 1
        if "name" in attributes and name == "a":
            self.names[attributes["name"]] += 1
        for key in ("href", "src"):
            if key in attributes:
                self._url(name, key, attributes[key])

    def _url(self, name: str, attribute: str, url: str) -> None:
        scheme = _SCHEME(url.lstrip())
        if scheme and scheme[1].lower() in _ACTIVE:
            self._say("narrative-active")
        if name not in {"a", "img"}:
            return
        if not url.strip():
            self._say("narrative-url-empty", name=attribute)
        elif not xhtml.is_url(url):
            self._say("narrative-url", name=attribute)
        elif url[0] == "#" and url != "#":
            self.links.add(url[1:])
        elif url.startswith(xhtml.LITERAL):
            self._say("narrative-url-literal")

    def _characters(self, text: str) -> None:
        if self._is_literal or not text.strip(_BLANK):
            return
        self._has_content = True
        parent = self._open[-1]
        if parent in xhtml.NO_TEXT:
            self._say("narrative-child", name="text", parent=parent)
        elif parent in xhtml.VOID:
            self._say("narrative-void", name=parent)
        elif len(self._open) == 1:
            self._languages[1] += 1

    def _literally(self, *, is_so: bool) -> None:
        self._is_literal = is_so

    def _end(self, _: str) -> None:
        self._around[self._open.pop()] -= 1
