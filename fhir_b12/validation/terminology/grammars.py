"""Code systems that are defined by a grammar.  https://hl7.org/fhir/R4/terminologies-systems.html

A grammar decides that a code is ill-formed, not that a well-formed code is registered. Well-formed
languages and MIME types count as valid, as BCP 47 and BCP 13 let any reader treat them; units,
currencies and countries that are not listed here are undecided.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from fhir_b12.aliases import UCUM
from fhir_b12.ucum import UnitError, parse

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
#: https://www.rfc-editor.org/rfc/rfc6838#section-4.2; parameters are not parsed
_MIME = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;.*)?", re.ASCII)
#: codes that CapabilityStatement.format allows beside MIME types
_SHORT_FORMATS = frozenset({"xml", "json", "ttl"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}|\d{3}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2,3}|\d{3}|[A-Z]{2}-[A-Z0-9]{1,3}", re.ASCII)
#: One component of a UCUM term without parentheses: https://ucum.org/ucum#section-Syntax-Rules
#: UCUM allows no white space in braces; it is accepted, for it is common and changes no meaning.
_COMPONENT = re.compile(
    r"(?=[^./()])(?:[!#-'*,0-9:;<>-Z\\^-z|~]|\[[!-Z\\^-z|~]+\])*(?:[+-]?\d+)?(?:\{[ -z|~]*\})?",
    re.ASCII,
)


def is_absolute(uri: str) -> bool:
    """Return True for an absolute URI that can identify a code system: http, https or urn.

    https://hl7.org/fhir/R4/datatypes-definitions.html#Coding.system
    """
    return uri.startswith(("http:", "https:", "urn:"))


def has_scheme(uri: str) -> bool:
    """Return True for any absolute URI.  https://www.rfc-editor.org/rfc/rfc3986#section-4.3"""
    return _SCHEME.match(uri) is not None


def language(code: str) -> bool | None:
    """Return whether a code is a well-formed language tag.  https://www.rfc-editor.org/info/bcp47"""
    return _LANGUAGE.fullmatch(code) is not None


def mime_type(code: str) -> bool | None:
    """Return whether a code is a well-formed media type, None for a short form.  https://www.rfc-editor.org/info/bcp13"""
    return None if code in _SHORT_FORMATS else _MIME.fullmatch(code) is not None


def ucum(code: str) -> bool | None:
    """Return whether a code is a UCUM unit, None for a well-formed one not in our table.

    https://ucum.org/ucum
    """
    try:
        parse(code)
    except UnitError:
        return None if _is_term(code) else False
    return True


def _is_term(code: str) -> bool:
    """Return True if components, operators and parentheses follow the syntax of UCUM."""
    position = 1 if code.startswith("/") else 0
    depth, needs_component = 0, True
    while position < len(code):
        sign = code[position]
        if needs_component and sign == "(":
            depth += 1
        elif needs_component:
            component = _COMPONENT.match(code, position)
            if component is None or component.end() == position:
                return False
            position, needs_component = component.end(), False
            continue
        elif sign == ")":
            depth -= 1
            if depth < 0:
                return False
        elif sign in "./":
            needs_component = True
        else:
            return False
        position += 1
    return depth == 0 and not needs_component


def _currency(code: str) -> bool | None:
    return None if _CURRENCY.fullmatch(code) else False


def _country(code: str) -> bool | None:
    return None if _COUNTRY.fullmatch(code) else False


class Grammar(msgspec.Struct, frozen=True):
    """A code system that is defined by a grammar."""

    accepts: Callable[[str], bool | None]
    reason: str  #: why a well-formed code is not decided
    is_trusted: bool = False  #: whether a well-formed code counts as valid


GRAMMARS: Mapping[str, Grammar] = {
    "urn:ietf:bcp:47": Grammar(language, "languages are checked against their grammar only", True),
    "urn:ietf:bcp:13": Grammar(
        mime_type, "MIME types are checked against their grammar only", True
    ),
    "urn:ietf:rfc:3986": Grammar(has_scheme, "URIs are checked against their grammar only", True),
    UCUM: Grammar(ucum, "the unit is well-formed, but not in our table of UCUM units"),
    "urn:iso:std:iso:4217": Grammar(_currency, "the list of currencies is not here"),
    "urn:iso:std:iso:3166": Grammar(_country, "the list of countries is not here"),
}
