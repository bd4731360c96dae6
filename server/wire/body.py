"""Request bodies, read and unpacked within the limits of the settings."""

import zlib
from typing import Any

from flask import Request
from werkzeug.wsgi import get_input_stream

from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.wire.media_types import JSON, require_media_type

_MIN_UNPACKED = 64 * 1024  #: bytes that a gzip body may unpack to, however small it is


def read_body(request: Request, config: Config) -> bytes:
    """Read the body of a request, unpacked if it is gzip.

    Raises:
        RequestError: 413 longer than the limits, 415 unknown Content-Encoding, 400 invalid gzip.

    """
    raw = b""
    if (length := request.content_length or 0) <= config.max_body:
        raw = get_input_stream(request.environ).read(config.max_body + 1)
    if max(length, len(raw)) > config.max_body:
        message = f"the body is longer than {config.max_body} bytes: split it"
        raise RequestError(413, "too-long", message)
    encoding = request.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in {"", "identity"}:
        return raw
    if encoding not in {"gzip", "x-gzip"}:
        message = "Content-Encoding is not supported: send gzip or identity"
        raise RequestError(415, "not-supported", message, headers={"Accept-Encoding": "gzip"})
    return _unpack(raw, config)


def _unpack(raw: bytes, config: Config) -> bytes:
    limit = min(config.max_body, config.max_ratio * len(raw) + _MIN_UNPACKED)
    decompressor = zlib.decompressobj(wbits=31)
    try:
        text = decompressor.decompress(raw, limit + 1)
    except zlib.error as error:
        raise RequestError(
            400, "structure", "the body is not valid gzip: compress it again"
        ) from error
    if len(text) > limit:
        raise RequestError(
            413, "too-long", f"the body unpacks to more than {limit} bytes: send less"
        )
    if not decompressor.eof or decompressor.unused_data:
        message = "the gzip body is truncated or followed by other data: compress it again"
        raise RequestError(400, "structure", message)
    return text


def read_json(request: Request, config: Config) -> Any:
    """Read the body as JSON, whatever its Content-Type.

    Raises:
        JsonError: the body is not valid JSON.

    """
    return loads(read_body(request, config), max_bytes=config.max_body)


def read_resource(request: Request, config: Config, resource_type: str) -> dict[str, Any]:
    """Read the resource in the body; it must be of the type named in the URL."""
    require_media_type(request, JSON)
    return require_resource_type(read_json(request, config), resource_type)


def require_resource_type(value: Any, resource_type: str) -> dict[str, Any]:
    """Return a JSON value if it is a resource of a type.

    Raises:
        RequestError: 400 if it is not a JSON object, or of another type.

    """
    if not isinstance(value, dict):
        raise RequestError(400, "structure", "the body is not a JSON object: send one resource")
    if value.get("resourceType") != resource_type:
        message = f"resourceType must be {resource_type}, the type in the URL"
        raise RequestError(400, "invalid", message, "resourceType")
    return value
