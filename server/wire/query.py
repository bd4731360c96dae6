"""Query strings and form bodies, decoded."""

from urllib.parse import parse_qsl, unquote

from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError

Pairs = list[tuple[str, str]]  #: names and values of a query, decoded, in their order


def parse_query_string(query: bytes | str, config: Config) -> Pairs:
    """Decode a query string.

    Raises:
        RequestError: 414 longer than the limit; 400 too many parameters, not UTF-8, or with U+0000.

    """
    if len(query) > config.max_query:
        message = f"the query is longer than {config.max_query} characters: use POST _search"
        raise RequestError(414, "too-long", message)
    return parse_form(query, config)


def parse_form(query: bytes | str, config: Config) -> Pairs:
    """Decode a form body; its length is limited by that of bodies alone.

    Raises:
        RequestError: 400 too many parameters, not UTF-8, or with U+0000.

    """
    try:
        text = query.decode("ascii") if isinstance(query, bytes) else query
        if text.count("&") >= config.max_parameters:
            message = f"the query has more than {config.max_parameters} parameters: send fewer"
            raise RequestError(400, "too-costly", message)
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError as error:
        message = "the query is not percent-encoded UTF-8: encode it again"
        raise RequestError(400, "invalid", message) from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise RequestError(400, "value", "the query contains the character U+0000: remove it")
    return pairs


def parse_criteria(text: str, resource_type: str, config: Config) -> Pairs:
    """Decode the criteria of an If-None-Exist.  https://hl7.org/fhir/R4/http.html#ccreate

    Clients send a query, `Type?query` or an absolute URL, percent-encoded as a whole or not.

    Raises:
        RequestError: 400 the criteria name another type; 412 they are empty.

    """
    if "?" not in text and "=" not in text:
        text = unquote(text)
    path, question_mark, query = text.strip().rpartition("?")
    type_in_path = path.rstrip("/").rpartition("/")[2]
    if question_mark and type_in_path not in {"", resource_type}:
        message = f"the criteria search another type: search {resource_type}"
        raise RequestError(400, "invalid", message)
    pairs = parse_query_string(query, config)
    if not pairs:
        raise RequestError(412, "incomplete", "the criteria are empty: add a search parameter")
    return pairs
