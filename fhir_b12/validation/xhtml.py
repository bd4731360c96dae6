"""Elements and attributes that are allowed in a narrative, and their nesting.

https://hl7.org/fhir/R4/narrative.html#xhtml
The tables are those of the document type of XHTML 1.0, as HL7's validator applies them.
"""

import re

XHTML = "http://www.w3.org/1999/xhtml"
XML = "http://www.w3.org/XML/1998/namespace"

VOID = frozenset({"area", "br", "col", "hr", "img"})
PHRASES = frozenset(
    {"a", "abbr", "acronym", "b", "bdo", "big", "cite", "code", "dfn", "em", "i", "kbd", "q",
     "samp", "small", "strong", "sub", "sup", "tt", "var"}
)  # fmt: skip
#: elements in which no block is allowed
INLINES = PHRASES | {"span", "p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "address", "caption",
                     "dt", "dd"}  # fmt: skip
BLOCKS = frozenset({"div", "ol", "pre", "table", "ul"})
NOT_IN_PARAGRAPH = frozenset({"blockquote", "div", "ol", "p", "table", "ul"})
#: allowed children of elements that have no text
CHILDREN: dict[str, frozenset[str]] = {
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
#: allowed parents of elements that are not allowed elsewhere
PARENTS: dict[str, frozenset[str]] = {}
for _parent, _children in CHILDREN.items():
    for _child in _children - {"area"}:
        PARENTS[_child] = PARENTS.get(_child, frozenset()) | {_parent}
ELEMENTS = (
    INLINES | BLOCKS | VOID | frozenset(CHILDREN) | frozenset(PARENTS) | {"blockquote", "div"}
)
EVERYWHERE = frozenset(
    {"abbr", "accesskey", "align", "axis", "char", "charoff", "class", "colspan", "dir", "headers",
     "id", "lang", "rowspan", "scope", "span", "style", "tabindex", "title", "valign", "width",
     f"{XML} lang", f"{XML} space"}
)  # fmt: skip
ATTRIBUTES: dict[str, frozenset[str]] = {
    "a": EVERYWHERE | {"charset", "coords", "href", "hreflang", "name", "rel", "rev", "shape",
                        "type"},
    "area": EVERYWHERE | {"alt", "coords", "href", "nohref", "shape"},
    "blockquote": EVERYWHERE | {"cite"},
    "img": EVERYWHERE | {"alt", "border", "height", "ismap", "longdesc", "src", "usemap"},
    "map": EVERYWHERE | {"name"},
    "pre": EVERYWHERE | {"space"},
    "q": EVERYWHERE | {"cite"},
    "table": EVERYWHERE | {"border", "cellpadding", "cellspacing", "frame", "rules", "summary"},
    "td": EVERYWHERE | {"nowrap"},
}  # fmt: skip
#: elements without text of their own
NO_TEXT = frozenset(CHILDREN) - {"colgroup"}

_URL = re.compile(r"[\w;?:@&=+$.,/%\-~#\[\]!'()*|]*")
_DATA = re.compile(r"data:(?:[\w.+*/;=\-\s]*;base64,[A-Za-z0-9+/\s]+={0,2}|[^,]*,[^,]+)")
#: schemes of URLs that a reader cannot follow
UNRESOLVABLE = ("urn:", "cid:")


def is_url(text: str) -> bool:
    """Return True if a link or the source of an image has only characters of URLs."""
    return (_DATA if text.startswith("data:") else _URL).fullmatch(text) is not None


def is_allowed_in(name: str, parent: str) -> bool:
    """Return True if an element is allowed directly in a parent."""
    children, parents = CHILDREN.get(parent), PARENTS.get(name)
    return (
        (children is None or name in children)
        and (parents is None or parent in parents)
        and parent not in VOID
        and not is_block_in_inline(name, parent)
    )


def is_block_in_inline(name: str, parent: str) -> bool:
    """Return True for a block in an inline element."""
    return name in BLOCKS and parent in INLINES
