"""HTTP client of the upstream FHIR server, bounded in time and size, that follows no redirects.

https://hl7.org/fhir/R4/http.html
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from werkzeug.http import parse_date

from fhir_b12.definitions import R4
from fhir_b12.issues import SEVERITIES, Issue
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.wire.media_types import FHIR_JSON, JSON

_TRIES = 3  #: of a request that may be repeated
_LONGEST_SLEEP = 2  #: seconds between two tries; the client is told to wait longer
_LONGEST_RETRY_AFTER = 3600  #: seconds
_CONNECT_TIMEOUT = 5  #: seconds
_CHUNK = 64 * 1024
_RETRIED = {429, 502, 503, 504}
_CONNECTION_ERRORS = (requests.RequestException, HTTPError)
#: path below the base url, without dot segments and percent encoding that may hide them
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~$]+)*/?")
_ELEMENT_PATH = re.compile(r"[A-Z][A-Za-z]*(?:\.[a-z][A-Za-z0-9]*(?:\[\d{1,5}\])?)*")
#: statuses passed on to the client, with the issue code to use if the response has none
_PASSED_ON = {
    400: "invalid", 403: "forbidden", 404: "not-found", 409: "conflict", 410: "deleted",
    412: "conflict", 413: "too-long", 414: "too-long", 422: "processing",
}  # fmt: skip
_UNSUPPORTED = {405, 501}  #: interactions that the upstream server does not support


class UpstreamResponse(NamedTuple):
    """The response of the upstream server."""

    status: int
    headers: Mapping[str, str]
    value: Any  #: the JSON, its numbers as Decimals; None if the body is empty or not JSON


class UpstreamClient:
    """A client of the FHIR server at one base url."""

    def __init__(self, base: str, config: Config) -> None:
        self.base = base
        self._token = config.upstream_token
        self._timeout, self._max_bytes = config.timeout, config.max_answer
        # its log has urls, which may contain patient data
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._session = requests.Session()
        # with an auth of our own a .netrc file is not read
        self._session.auth = self._authenticate
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=config.threads))

    def _authenticate(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = True,
    ) -> UpstreamResponse:
        """Send a request and return its response.

        Args:
            method: the HTTP method.
            path: path and query below the base url.
            body: the JSON to send.
            headers: further headers.
            idempotent: whether the request may be repeated after a failure.

        Raises:
            RequestError: 404 for a path that leaves the base, 503 if the server does not respond in
                time, 502 if the response is not FHIR JSON.

        """
        check_path(path)
        sent = {"Accept": FHIR_JSON, "Content-Type": FHIR_JSON, **(headers or {})}
        response = None
        for remaining in reversed(range(_TRIES if idempotent else 1)):
            try:
                response = self._send(method, self.base + path, body, sent)
            except _CONNECTION_ERRORS:
                response = None
            if response is not None and response.status not in _RETRIED:
                return response
            wait = _retry_after(response)
            if not remaining or wait > _LONGEST_SLEEP:
                break
            time.sleep(wait)
        message = "the upstream server is not available: try again later"
        if not idempotent and (response is None or response.status not in {429, 503}):
            message = "the upstream server did not respond: check whether the change is stored"
        retry_after = str(min(wait, _LONGEST_RETRY_AFTER))
        raise RequestError(503, "transient", message, headers={"Retry-After": retry_after})

    def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> UpstreamResponse:
        with self._session.request(
            method, url, data=body, headers=headers, timeout=(_CONNECT_TIMEOUT, self._timeout),
            allow_redirects=False, stream=True,
        ) as response:  # fmt: skip
            text = b"".join(self._chunks(response.raw))
            status, received = response.status_code, response.headers
        media_type = received.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            is_json = text and media_type in JSON
            value = loads(text, max_bytes=self._max_bytes) if is_json else None
        except JsonError:
            value = None
        if text and status < 300 and not isinstance(value, dict):
            raise bad_gateway("a body that is not a resource in JSON")
        return UpstreamResponse(status, received, value)

    def _chunks(self, raw: Any) -> Iterator[bytes]:
        """Yield the body in chunks.

        Raises:
            Timeout: it takes too long.
            RequestError: 502 if it is too long.

        """
        deadline, remaining = time.monotonic() + self._timeout, self._max_bytes
        while chunk := raw.read1(_CHUNK, decode_content=True):
            remaining -= len(chunk)
            if remaining < 0:
                raise bad_gateway(f"more than {self._max_bytes} bytes")
            if time.monotonic() > deadline:
                raise requests.Timeout
            yield chunk

    def path_below_base(self, url: str) -> str | None:
        """Return path and query of an absolute or relative url below the base, None outside it."""
        absolute = urljoin(f"{self.base}/", url)
        path = absolute.removeprefix(self.base)
        return path if path != absolute and _PATH.fullmatch(path.partition("?")[0]) else None

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


def check_path(path: str) -> None:
    """Refuse a path that leaves the base, made of an id with dot segments.

    Raises:
        RequestError: 404.

    """
    if not _PATH.fullmatch(path.partition("?")[0]):
        raise RequestError(404, "not-found", "unknown resource")


def _retry_after(response: UpstreamResponse | None) -> int:
    """Return the seconds to wait.  https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""
    text = response.headers.get("Retry-After", "") if response is not None else ""
    if text.isascii() and text.isdecimal():
        return int(text[:9])
    date = parse_date(text)
    return 1 if date is None else max(1, round(date.timestamp() - time.time()))


# --- errors


def bad_gateway(what: str) -> RequestError:
    """Return the refusal of a response that cannot be used."""
    return RequestError(502, "exception", f"the upstream server responded with {what}")


def upstream_refusal(response: UpstreamResponse) -> RequestError:
    """Return the refusal of the upstream server with status, codes and paths, without its texts.

    The texts may contain patient data.
    """
    status = response.status
    if status == 401:
        return RequestError(
            502, "security", "the upstream server does not accept the token of this one"
        )
    if status in _UNSUPPORTED:
        message = "the upstream server does not support this interaction"
        return RequestError(422, "not-supported", message)
    if status not in _PASSED_ON:
        return bad_gateway(f"status {status}")
    rows = response.value.get("issue") if isinstance(response.value, dict) else None
    issues = [_issue(row, status) for row in rows or () if isinstance(row, dict)]
    return RequestError(status, issues=issues or [_issue({}, status)])


def _issue(row: Mapping[str, Any], status: int) -> Issue:
    severity = next((known for known in SEVERITIES if known == row.get("severity")), SEVERITIES[1])
    code = row.get("code")
    known_codes = R4.codes("OperationOutcome.issue.code") or ()
    code = code if isinstance(code, str) and code in known_codes else _PASSED_ON[status]
    paths = row.get("expression")
    path = paths[0] if isinstance(paths, list) and paths else ""
    message = "the upstream server refused the request: see its log for the reason"
    return Issue(severity, code, path if _is_element_path(path) else "", message)


def _is_element_path(text: Any) -> bool:
    """Return True for an element of R4; entries of a Bundle are numbered differently upstream."""
    if not isinstance(text, str) or not _ELEMENT_PATH.fullmatch(text) or text.startswith("Bundle"):
        return False
    return R4.element(re.sub(r"\[\d+\]", "", text)) is not None
