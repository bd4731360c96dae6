"""Code systems that are no lists but grammars.  https://hl7.org/fhir/R4/terminologies-systems.html

A grammar says for sure that a code is ill-formed. That a well-formed one is registered it cannot
say: languages and MIME types are taken at their word, as BCP 47 and BCP 13 let any reader do;
units, currencies and countries that are not listed here are left undecided.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from fhir_b12.units import UnitError, parse

UCUM = "http://unitsofmeasure.org"

#: https://www.rfc-editor.org/rfc/rfc5646#section-2.1
_LANGUAGE = re.compile(
    r"""(?:
        (?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})     # language, extended
        (?:-[a-z]{4})?                                  # script
        (?:-(?:[a-z]{2}|\d{3}))?                        # region
        (?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*             # variants
        (?:-[a-wy-z\d](?:-[a-z\d]{2,8})+)*              # extensions
        (?:-x(?:-[a-z\d]{1,8})+)?                       # private use
      | x(?:-[a-z\d]{1,8})+
      | en-GB-oed | sgn-(?:BE-FR|BE-NL|CH-DE)
      | i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)
    )""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
#: https://www.rfc-editor.org/rfc/rfc6838#section-4.2; parameters are not looked into
_MIME = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;.*)?", re.ASCII)
#: what CapabilityStatement.format allows beside MIME types
_SHORT_FORMATS = frozenset({"xml", "json", "ttl"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}|\d{3}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2,3}|\d{3}|[A-Z]{2}-[A-Z0-9]{1,3}", re.ASCII)
#: One component of a UCUM term without parentheses: https://ucum.org/ucum#section-Syntax-Rules
#: White space in braces is no UCUM either, but means nothing to anybody and is widely written.
_COMPONENT = re.compile(
    r"(?=[^./()])(?:[!#-'*,0-9:;<>-Z\\^-z|~]|\[[!-Z\\^-z|~]+\])*(?:[+-]?\d+)?(?:\{[ -z|~]*\})?",
    re.ASCII,
)


def is_absolute(uri: str) -> bool:
    """True of the absolute URIs that identify a code system: http, https and urn.

    https://hl7.org/fhir/R4/datatypes-definitions.html#Coding.system
    """
    return uri.startswith(("http:", "https:", "urn:"))


def has_scheme(uri: str) -> bool:
    """True of any absolute URI.  https://www.rfc-editor.org/rfc/rfc3986#section-4.3"""
    return _SCHEME.match(uri) is not None


def language(code: str) -> bool | None:
    """Whether a code is a well-formed language tag.  https://www.rfc-editor.org/info/bcp47"""
    return _LANGUAGE.fullmatch(code) is not None


def mime_type(code: str) -> bool | None:
    """Whether a code is a well-formed media type.  https://www.rfc-editor.org/info/bcp13"""
    return None if code in _SHORT_FORMATS else _MIME.fullmatch(code) is not None


def ucum(code: str) -> bool | None:
    """Whether a code is a UCUM unit; None for one that may be but is not in our table.

    https://ucum.org/ucum
    """
    try:
        parse(code)
    except UnitError:
        return None if _is_term(code) else False
    return True


def _is_term(code: str) -> bool:
    """Whether components, operators and parentheses stand as UCUM has them."""
    place = 1 if code.startswith("/") else 0
    depth, wanted = 0, True  # whether a component must come next
    while place < len(code):
        sign = code[place]
        if wanted and sign == "(":
            depth += 1
        elif wanted:
            found = _COMPONENT.match(code, place)
            if found is None or found.end() == place:
                return False
            place, wanted = found.end(), False
            continue
        elif sign == ")":
            depth -= 1
            if depth < 0:
                return False
        elif sign in "./":
            wanted = True
        else:
            return False
        place += 1
    return depth == 0 and not wanted


def _currency(code: str) -> bool | None:
    return None if _CURRENCY.fullmatch(code) else False


def _country(code: str) -> bool | None:
    return None if _COUNTRY.fullmatch(code) else False


class Grammar(msgspec.Struct, frozen=True):
    """A code system whose codes have a form and are no list."""

    knows: Callable[[str], bool | None]
    reason: str  #: what cannot be told of a well-formed code
    is_trusted: bool = False  #: whether a well-formed code counts as one


GRAMMARS: Mapping[str, Grammar] = {
    "urn:ietf:bcp:47": Grammar(language, "languages are held to their grammar only", True),
    "urn:ietf:bcp:13": Grammar(mime_type, "MIME types are held to their grammar only", True),
    "urn:ietf:rfc:3986": Grammar(has_scheme, "URIs are held to their grammar only", True),
    UCUM: Grammar(ucum, "the unit is well-formed, but not in our table of UCUM units"),
    "urn:iso:std:iso:4217": Grammar(_currency, "the list of currencies is not here"),
    "urn:iso:std:iso:3166": Grammar(_country, "the list of countries is not here"),
}
