"""Requests read and answers written: bodies, headers, forms.  https://hl7.org/fhir/R4/http.html"""

import re
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.http import http_date, parse_date
from werkzeug.wsgi import get_input_stream

from fhir_b12.dates import DateTime
from fhir_b12.definitions import children, element
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import refuse

Pairs = list[tuple[str, str]]  #: of a query, decoded, in their order

FHIR_JSON = "application/fhir+json"
PATCH_JSON = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"
#: https://hl7.org/fhir/R4/http.html#mime-type and what R4's predecessors called it
JSON = frozenset({FHIR_JSON, "application/json", "application/json+fhir", "text/json"})
#: what may be asked for by its short name https://hl7.org/fhir/R4/http.html#parameters
_FORMATS = JSON | {"json"}
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")  #: https://hl7.org/fhir/R4/datatypes.html#id
_ETAG = re.compile(r'\s*(?:W/)?("?)([A-Za-z0-9\-.]{1,64})\1\s*\Z')
_ROOM = 64 * 1024  #: what a packed body may unfold to whatever its size


# --- what comes in


def is_id(text: Any) -> bool:
    """True for what may be the id of a resource; nothing but ASCII is."""
    return isinstance(text, str) and _ID.match(text) is not None


def body(request: Request, config: Config) -> bytes:
    """The body, unpacked, within the limits."""
    raw = b""
    if (length := request.content_length or 0) <= config.max_body:
        raw = get_input_stream(request.environ).read(config.max_body + 1)
    if max(length, len(raw)) > config.max_body:
        message = f"the body is longer than {config.max_body} bytes; split it"
        raise refuse(413, "too-long", message)
    packing = request.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if packing in {"", "identity"}:
        return raw
    if packing not in {"gzip", "x-gzip"}:
        message = "Content-Encoding is neither gzip nor identity; send the body unpacked"
        raise refuse(415, "not-supported", message, Accept_Encoding="gzip")
    return _unpacked(raw, config)


def _unpacked(raw: bytes, config: Config) -> bytes:
    limit = min(config.max_body, config.max_ratio * len(raw) + _ROOM)
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(raw, limit + 1)
    except zlib.error as error:
        raise refuse(400, "structure", "the body is no gzip; pack it again") from error
    if len(text) > limit:
        raise refuse(413, "too-long", f"the body unfolds to more than {limit} bytes; send less")
    if not unpacking.eof or unpacking.unused_data:
        raise refuse(400, "structure", "the packed body is cut short or has more behind it")
    return text


def check_media(request: Request, allowed: Iterable[str]) -> None:
    """Refuse a body of another media type or charset."""
    named = request.environ.get("CONTENT_TYPE", "")
    if (refusal := _media_fault(named, frozenset(allowed))) is not None:
        raise refuse(415, "not-supported", refusal)


@lru_cache(maxsize=256)
def _media_fault(named: str, allowed: frozenset[str]) -> str | None:
    kind, *parameters = (part.strip().lower() for part in named.split(";"))
    first = min(allowed)
    if not kind:
        return f"there is no Content-Type; send {first}"
    if kind not in allowed:
        return f"this Content-Type is not accepted here; send {first}"
    charsets = [part[8:].strip(' "') for part in parameters if part.startswith("charset=")]
    if any(each not in {"utf-8", "utf8", "us-ascii"} for each in charsets):
        return "the charset is not utf-8; FHIR knows no other"
    return None


def resource(request: Request, config: Config, kind: str) -> dict[str, Any]:
    """The resource in the body, of the type that the path names."""
    check_media(request, JSON)
    value = loads(body(request, config), max_bytes=config.max_body)
    return a_resource(value, kind)


def a_resource(value: Any, kind: str) -> dict[str, Any]:
    """The value, if it is a resource of this type."""
    if not isinstance(value, dict):
        raise refuse(400, "structure", "the body is no JSON object; send one resource")
    if value.get("resourceType") != kind:
        message = f"resourceType is not {kind}, which the path names"
        raise refuse(400, "invalid", message, "resourceType")
    return value


def pairs(query: bytes | str, config: Config) -> Pairs:
    """Names and values of a query, decoded; every oddity is refused.

    Raises:
        Refusal: 414 too long, 400 too many, no UTF-8, or U+0000 in it.

    """
    if len(query) > config.max_query:
        raise refuse(414, "too-long", f"the query is longer than {config.max_query}; POST _search")
    return form_pairs(query, config)


def form_pairs(query: bytes | str, config: Config) -> Pairs:
    """As `pairs`, of a body: as long as a body may be."""
    try:
        text = query.decode("ascii") if isinstance(query, bytes) else query
        if text.count("&") >= config.max_parameters:
            message = f"more than {config.max_parameters} parameters; ask less"
            raise refuse(400, "too-costly", message)
        found = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError as error:
        raise refuse(400, "invalid", "the query is not percent-encoded UTF-8") from error
    if any("\0" in name or "\0" in value for name, value in found):
        raise refuse(400, "value", "the character U+0000 stands in the query; remove it")
    return found


def criteria(text: str, kind: str, config: Config) -> Pairs:
    """The search of an If-None-Exist: a query, `Type?query`, or an absolute url, encoded or not.

    https://hl7.org/fhir/R4/http.html#ccreate
    """
    if "?" not in text and "=" not in text:
        text = unquote(text)
    path, mark, query = text.strip().rpartition("?")
    named = path.rstrip("/").rpartition("/")[2]
    if mark and named not in {"", kind}:
        raise refuse(400, "invalid", f"the condition is a search for another type than {kind}")
    found = pairs(query, config)
    if not found:
        raise refuse(412, "incomplete", "the condition is empty; name what must match")
    return found


def moment(text: str, name: str) -> int:
    """The µs since 1970 of a dateTime, where it begins; a `+` may have come as a space."""
    try:
        first, _ = DateTime(text.replace(" ", "+")).interval
    except ValueError as error:
        raise refuse(400, "value", f"{name} is no moment, 2026-03-09T09:15:00Z") from error
    return int((first - _EPOCH) * 1_000_000)


_EPOCH = DateTime("1970-01-01T00:00:00Z").interval[0]


def version_of(header: str | None) -> int | None:
    """The version that an If-Match names: `W/"3"`, `"3"` or bare; None for none or `*`.

    https://hl7.org/fhir/R4/http.html#concurrency
    """
    if header is None or header.strip() in {"", "*"}:
        return None
    found = _ETAG.match(header)
    if found is None or not found[2].isdecimal():
        raise refuse(412, "conflict", "If-Match names no version of this server")
    return int(found[2][:18])


def names_version(header: str, version: int) -> bool:
    """True where an If-None-Match names the version, in any of three spellings, or `*`."""
    for part in header.split(","):
        found = _ETAG.match(part)
        if part.strip() == "*" or (found is not None and found[2] == str(version)):
            return True
    return False


INNER = "fhir_b12.inner"  #: in the environment of an entry of a batch, asked as a request


def is_inner(request: Request) -> bool:
    """Whether a request is an entry of a batch, and so a part of another."""
    return INNER in request.environ


def sender(request: Request, config: Config) -> str:
    """The address a request comes from; what a proxy says of it only where that is a known one."""
    address = request.environ.get("REMOTE_ADDR", "")
    if address not in config.proxies:
        return str(address)
    passed = [each.strip() for each in request.headers.get("X-Forwarded-For", "").split(",")]
    behind = [each for each in passed if each and each not in config.proxies]
    return behind[-1] if behind else str(address)


def is_modified(request: Request, version: int, updated: int) -> bool:
    """False where the client has this version.  https://hl7.org/fhir/R4/http.html#cread"""
    environ = request.environ
    if (known := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        return not names_version(known, version)
    if (since := environ.get("HTTP_IF_MODIFIED_SINCE")) is not None:
        moment = parse_date(since)
        return moment is None or updated // 1_000_000 > moment.timestamp()
    return True


@lru_cache(maxsize=256)
def preferences(header: str) -> dict[str, str]:
    """What a Prefer asks for, `{"return": "minimal"}`; what is unknown does no harm.

    https://www.rfc-editor.org/rfc/rfc7240
    """
    found: dict[str, str] = {}
    for part in re.split("[,;]", header):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def prefers(request: Request, name: str) -> str:
    """One preference of a request, empty where it has none."""
    header = request.environ.get("HTTP_PREFER")
    return preferences(header).get(name, "") if header else ""


# --- the form of what goes out


class Form(NamedTuple):
    """How an answer is to look.  https://hl7.org/fhir/R4/http.html#parameters"""

    pretty: bool = False
    summary: str = "false"  #: https://hl7.org/fhir/R4/search.html#summary
    elements: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """True where resources go out as they are kept."""
        return self.summary in {"false", "count"} and not self.elements


PLAIN = Form()
_SUMMARIES = ("true", "text", "data", "count", "false")


def form(request: Request, config: Config) -> Form:
    """The form that is asked for; 406 where it is not JSON."""
    accept = request.environ.get("HTTP_ACCEPT", "")
    query = request.environ.get("QUERY_STRING", "")
    if not query:
        if not _accepts(accept):
            raise _not_acceptable()
        return PLAIN
    asked: dict[str, str] = {}
    for name, value in pairs(query.encode("latin-1"), config):
        asked.setdefault(name, value)
    return form_of(asked, accept)


def form_of(asked: dict[str, str], accept: str) -> Form:
    """The form that parameters and an Accept ask for."""
    named = asked.get("_format", "").partition(";")[0].strip().lower().replace(" ", "+")
    if not (named in _FORMATS if named else _accepts(accept)):
        raise _not_acceptable()
    summary = asked.get("_summary", "false")
    if summary not in _SUMMARIES:
        raise refuse(400, "value", f"_summary is none of {', '.join(_SUMMARIES)}")
    elements = tuple(filter(None, asked.get("_elements", "").split(",")))
    return Form(asked.get("_pretty") == "true", summary, elements)


@lru_cache(maxsize=256)
def _accepts(header: str) -> bool:
    """True where an Accept leaves room for JSON, whatever else it likes better."""
    if not header.strip():
        return True
    for part in header.lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        weights = [each[2:] for each in parameters if each.startswith("q=")]
        if weights and re.fullmatch(r"0(\.0*)?", weights[0]):
            continue
        if kind in JSON or kind in {"*/*", "application/*", "*"}:
            return True
    return False


def _not_acceptable() -> Exception:
    return refuse(406, "not-supported", f"only JSON is spoken here; accept {FHIR_JSON}")


def shaped(text: bytes, wanted: Form) -> bytes:
    """A resource as the form asks for it: whole, or with elements left out and marked so."""
    if wanted.is_whole:
        return text
    value = loads(text)
    keep = _kept(value["resourceType"], wanted)
    cut = {name: each for name, each in value.items() if keep(name.lstrip("_"))}
    meta = dict(cut.get("meta", {}))
    meta["tag"] = [*meta.get("tag", ()), _SUBSETTED]
    return dumps(
        {"resourceType": cut.pop("resourceType"), "id": cut.pop("id"), "meta": meta}
        | {name: each for name, each in cut.items() if name != "meta"}
    )


_SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_ALWAYS = {"resourceType", "id", "meta"}


def _kept(kind: str, wanted: Form) -> Callable[[str], bool]:
    """Whether an element is in the answer."""
    if wanted.summary == "data":
        return lambda name: name != "text"
    asked = {name.removeprefix(f"{kind}.").partition(".")[0] for name in wanted.elements}
    names = _ALWAYS | _of_summary(kind, wanted.summary) | asked
    return lambda name: name in names or any(f"{each}[x]" == _choice(kind, name) for each in asked)


def _choice(kind: str, name: str) -> str:
    found = element(f"{kind}.{name}")
    return found.defined.partition(".")[2] if found else ""


@lru_cache(maxsize=256)
def _of_summary(kind: str, summary: str) -> frozenset[str]:
    """The elements that a summary has; the mandatory ones are in each."""
    found = {"text"} if summary == "text" else set()
    for name in children(kind):
        known = element(f"{kind}.{name}")
        if known and (known.min or (summary == "true" and known.is_summary)):
            found.add(name)
    return frozenset(found)


# --- what goes out


def etag(version: int) -> str:
    """`W/"3"`"""
    return f'W/"{version}"'


@lru_cache(maxsize=1024)
def instant(updated: int) -> str:
    """Microseconds since 1970 as FHIR writes them.  https://hl7.org/fhir/R4/datatypes.html#instant"""
    moment = datetime.fromtimestamp(updated // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{updated // 1000 % 1000:03d}Z"


@lru_cache(maxsize=1024)
def last_modified(second: int) -> str:
    """Seconds since 1970 as HTTP writes them."""
    return http_date(second)


_CONTENT_TYPE = f"{FHIR_JSON}; charset=utf-8"


class Answer(Response):
    """An answer in FHIR's JSON."""

    default_mimetype = FHIR_JSON

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """The headers as they are: length and absolute places are there from the first."""
        if self.status_code in {204, 304}:  # these have no length
            return super().get_wsgi_headers(environ)
        return self.headers


def answer(
    value: bytes | dict[str, Any],
    status: int = 200,
    headers: dict[str, str] | None = None,
    wanted: Form = PLAIN,
) -> Answer:
    """A value as an answer; bytes go out as they are."""
    text = dumps(value) if isinstance(value, dict) else value
    if wanted.pretty and text:
        text = dumps(loads(text), indent=2)
    return Answer(text, status, {"Content-Type": _CONTENT_TYPE} | (headers or {}))
