"""Another FHIR server, asked by HTTP: within bounds of time and size, and never anywhere else.

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
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.wire.media_types import FHIR_JSON, JSON

_TRIES = 3  #: of what may be asked again
_PATIENCE = 2  #: seconds between two tries at most; who is told to wait longer tells the client so
_LONGEST = 3600  #: seconds that a client is told to wait
_CONNECT = 5  #: seconds to reach it
_CHUNK = 64 * 1024
_LATER = {429, 502, 503, 504}
_LOST = (requests.RequestException, HTTPError)
#: what stands behind the base: no step up, nothing encoded in which one may hide
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9\-._~$]+)*/?")
_PLACE = re.compile(r"[A-Z][A-Za-z]*(?:\.[a-z][A-Za-z0-9]*(?:\[\d{1,5}\])?)*")
#: statuses that a client is told as they are, with the issue where it has none of its own
_TOLD = {
    400: "invalid", 403: "forbidden", 404: "not-found", 409: "conflict", 410: "deleted",
    412: "conflict", 413: "too-long", 414: "too-long", 422: "processing",
}  # fmt: skip
_NOT_DONE = {405, 501}  #: something that we answer and it does not


class Answer(NamedTuple):
    """What it says."""

    status: int
    headers: Mapping[str, str]
    value: Any  #: the JSON, with its digits; None where there is none


class Upstream:
    """The server at one base url."""

    def __init__(self, base: str, config: Config) -> None:
        self.base = base
        self._token, self._seconds, self._most = (
            config.upstream_token, config.timeout, config.max_answer
        )  # fmt: skip
        # what it logs has urls in it, and those have patients
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._session = requests.Session()
        # what is signed here is not signed by a .netrc
        self._session.auth = self._signed
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=config.threads))

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Answer:
        """The answer to a request for what is at the base and `path`.

        `again` says that asking twice does no more than asking once.

        Raises:
            Refusal: 503 where it does not answer in time, 502 where it does not answer in FHIR.

        """
        hold(path)
        given = {"Accept": FHIR_JSON, "Content-Type": FHIR_JSON, **(headers or {})}
        answer = None
        for left in reversed(range(_TRIES if again else 1)):
            try:
                answer = self._once(method, self.base + path, body, given)
            except _LOST:
                answer = None
            if answer is not None and answer.status not in _LATER:
                return answer
            wait = _wait(answer)
            if not left or wait > _PATIENCE:
                break
            time.sleep(wait)
        message = "the server behind this one does not answer now; send it again later"
        if not again and (answer is None or answer.status not in {429, 503}):
            message = "the server behind this one did not answer; see whether it is done"
        raise refuse(503, "transient", message, Retry_After=str(min(wait, _LONGEST)))

    def _once(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        with self._session.request(
            method, url, data=body, headers=headers, timeout=(_CONNECT, self._seconds),
            allow_redirects=False, stream=True,
        ) as answer:  # fmt: skip
            text = b"".join(self._parts(answer.raw))
            status, told = answer.status_code, answer.headers
        media = told.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            value = loads(text, max_bytes=self._most) if text and media in JSON else None
        except JsonError:
            value = None
        if text and status < 300 and not isinstance(value, dict):
            raise strange("anything but a resource in JSON")
        return Answer(status, told, value)

    def _parts(self, raw: Any) -> Iterator[bytes]:
        """The body as it comes, until it is too long or takes too long."""
        end, left = time.monotonic() + self._seconds, self._most
        while part := raw.read1(_CHUNK, decode_content=True):
            left -= len(part)
            if left < 0:
                raise strange(f"more than {self._most} bytes")
            if time.monotonic() > end:
                raise requests.Timeout
            yield part

    def below(self, url: str) -> str | None:
        """What stands behind the base in a url, absolute or not; None where it leads elsewhere."""
        whole = urljoin(f"{self.base}/", url)
        rest = whole.removeprefix(self.base)
        return rest if rest != whole and _PATH.fullmatch(rest.partition("?")[0]) else None

    def close(self) -> None:
        """Let its connections go."""
        self._session.close()


def hold(path: str) -> None:
    """Refuse an id that would lead up from the base."""
    if not _PATH.fullmatch(path.partition("?")[0]):
        raise refuse(404, "not-found", "there is no such resource")


def _wait(answer: Answer | None) -> int:
    """Seconds that it asks for.  https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""
    told = answer.headers.get("Retry-After", "") if answer is not None else ""
    if told.isascii() and told.isdecimal():
        return int(told[:9])
    moment = parse_date(told)
    return 1 if moment is None else max(1, round(moment.timestamp() - time.time()))


# --- what is told of a refusal


def strange(what: str) -> Refusal:
    """The refusal of an answer that cannot be used."""
    return refuse(502, "exception", f"the server behind this one answers {what}")


def refused(answer: Answer) -> Refusal:
    """What a client may know of a refusal: status, codes and places, and no word of its texts.

    A text may hold a patient's values.
    """
    status = answer.status
    if status == 401:
        return refuse(502, "security", "the server behind this one does not know this one")
    if status in _NOT_DONE:
        return refuse(422, "not-supported", "the server behind this one does not do this")
    if status not in _TOLD:
        return strange(f"with the status {status}")
    rows = answer.value.get("issue") if isinstance(answer.value, dict) else None
    issues = [_issue(row, status) for row in rows or () if isinstance(row, dict)]
    return Refusal(status, issues or [_issue({}, status)])


def _issue(row: Mapping[str, Any], status: int) -> Issue:
    severity = next((each for each in SEVERITIES if each == row.get("severity")), SEVERITIES[1])
    code = row.get("code")
    known = R4.codes("OperationOutcome.issue.code") or ()
    code = code if isinstance(code, str) and code in known else _TOLD[status]
    places = row.get("expression")
    place = places[0] if isinstance(places, list) and places else ""
    message = "the server behind this one refuses it so; its log tells why"
    return Issue(severity, code, place if _is_place(place) else "", message)


def _is_place(text: Any) -> bool:
    """Whether it names an element and nothing else; entries are numbered otherwise here."""
    if not isinstance(text, str) or not _PLACE.fullmatch(text) or text.startswith("Bundle"):
        return False
    return R4.element(re.sub(r"\[\d+\]", "", text)) is not None
