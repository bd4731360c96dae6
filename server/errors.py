"""Errors of every layer, and their meaning in HTTP.

https://hl7.org/fhir/R4/http.html#Status-Codes https://www.rfc-editor.org/rfc/rfc9457
"""

import re
from collections.abc import Iterable
from typing import Any

from werkzeug.exceptions import HTTPException

from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError
from fhir_b12.server.resource_types import SHIPPED, STORED
from fhir_b12.suggestions import did_you_mean


class RequestError(Exception):
    """A request that is not carried out: HTTP status, issues, headers of the response.

    Raised by store, search, auth and interactions alike; one error handler formats it.
    """

    def __init__(
        self,
        status: int,
        code: str = "",
        message: str = "",
        expression: str = "",
        *,
        issues: Iterable[Issue] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Build the error for one reason, or for several `issues`.

        Args:
            status: HTTP status.
            code: a code of https://hl7.org/fhir/R4/valueset-issue-type.html.
            message: thing, place and remedy, without a value of the request.
            expression: FHIRPath of the faulty element.
            issues: all reasons, instead of code, message and expression.
            headers: headers of the response.

        """
        self.status = status
        self.issues = (
            (Issue("error", code, expression, message),) if issues is None else tuple(issues)
        )
        self.headers = headers or {}
        super().__init__(status, self.issues)

    def __str__(self) -> str:
        return "\n".join([str(self.status), *map(str, self.issues)])


def to_request_error(error: Exception, path: str) -> RequestError | None:
    """Return any exception as a RequestError; None for a defect of the server.

    `path` is the path of the request.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, JsonError):
        return RequestError(400, issues=error.issues)
    if isinstance(error, HTTPException):
        return _from_http(error, path)
    return None


def internal_error() -> RequestError:
    """Build the response to a defect of the server; the log has its location."""
    message = "internal server error: search the server's log for this X-Request-Id"
    return RequestError(500, issues=[Issue("fatal", "exception", "", message)])


#: https://hl7.org/fhir/R4/valueset-issue-type.html
_CODES = {404: "not-found", 405: "not-supported", 413: "too-long", 414: "too-long"}


def _from_http(error: HTTPException, path: str) -> RequestError:
    """Return what the routing raises: no such path, no such method."""
    status = error.code or 500
    headers = {}
    message = "the request is malformed: check its URL and headers"
    if status == 404:
        message = _not_found(path)
    elif status == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        headers = {"Allow": allowed}
        message = f"the method is not allowed for this URL: use one of {allowed}"
    issue = Issue("error", _CODES.get(status, "invalid"), "", message)
    return RequestError(status, issues=[issue], headers=headers)


def _not_found(path: str) -> str:
    """Say why a path is unknown; a name of the path is repeated only if it is a type of R4."""
    _, _, below = path.partition("/fhir/")
    resource_type = below.partition("/")[0]
    served = sorted((*STORED, *SHIPPED))
    if not resource_type or resource_type.startswith(("_", "$")) or resource_type in served:
        return "unknown URL: GET /fhir/metadata lists types and operations"
    if R4.is_resource(resource_type):
        return f"{resource_type} is not supported: GET /fhir/metadata lists the resource types"
    hint = did_you_mean(resource_type, served)
    return f"unknown resource type{hint or ': GET /fhir/metadata lists them'}"


def problem_details(error: RequestError) -> dict[str, Any]:
    """Return an error as problem details.  https://www.rfc-editor.org/rfc/rfc9457"""
    return {
        "type": "about:blank",
        "title": error.issues[0].message,
        "status": error.status,
        "errors": [_problem_row(issue) for issue in error.issues],
    }


def _problem_row(issue: Issue) -> dict[str, Any]:
    row: dict[str, Any] = {
        "pointer": _json_pointer(issue), "code": issue.code, "detail": issue.message,
    }  # fmt: skip
    if issue.line is not None:
        row |= {"line": issue.line, "column": issue.column or 1}
    return row


def _json_pointer(issue: Issue) -> str:
    """Return where an issue is: `/labResults/0/value` for `$.labResults[0].value`."""
    path = issue.pointer or issue.expression
    if not path.startswith("$"):
        return path
    return re.sub(r"[.\[]", "/", path.removeprefix("$this").removeprefix("$").replace("]", ""))
