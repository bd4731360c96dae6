"""What is done before and after every handler: authorization, limits, headers, errors, log."""

import re
import time
from functools import lru_cache
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, g, request

from fhir_b12.issues import outcome
from fhir_b12.server import telemetry
from fhir_b12.server.auth.audit import REQUEST_ID
from fhir_b12.server.auth.authorizer import OpenAccess
from fhir_b12.server.config import is_loopback
from fhir_b12.server.context import ACCESS, ServerContext
from fhir_b12.server.errors import RequestError, internal_error, problem_details, to_request_error
from fhir_b12.server.routing import PUBLIC, unwrap
from fhir_b12.server.wire.request_origin import client_address, is_batch_entry
from fhir_b12.server.wire.response import json_response
from fhir_b12.server.wire.result_format import requested_format

_RATE_LIMITED = ("/fhir", "/therapy", "/auth")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}\Z")


class Middleware:
    """Runs before and after the handlers of one server."""

    def __init__(self, server: ServerContext) -> None:
        self._server = server

    def install(self, app: Flask) -> None:
        """Add the middleware to an application."""
        app.before_request(self._before)
        app.after_request(self._after)
        app.register_error_handler(Exception, self._handle_error)

    def _before(self) -> None:
        """Identify, authorize and count a request before its body is read."""
        # the proxies of Flask are resolved once, not on each access
        incoming, state = unwrap(request), unwrap(g)
        server = self._server
        state.begun = time.perf_counter_ns()
        state.request_id = _request_id(incoming)
        incoming.environ[REQUEST_ID] = state.request_id
        if isinstance(server.authorizer, OpenAccess):
            _require_own_host(incoming, server.config.root)
        if incoming.path.startswith("/fhir"):
            state.result_format = requested_format(incoming, server.config)
        rule, client = incoming.url_rule, None
        is_protected = rule and not rule.endpoint.startswith(PUBLIC)
        if is_protected and incoming.method != "OPTIONS":
            access = incoming.environ.get(ACCESS)
            state.access = server.authorizer.authorize(incoming) if access is None else access
            client = getattr(state.access, "client", None)
        if (
            server.rate_limiter is not None
            and incoming.path.startswith(_RATE_LIMITED)
            and not is_batch_entry(incoming)
        ):
            server.rate_limiter.count_request(client or client_address(incoming, server.config))

    def _after(self, response: Response) -> Response:
        """Add the headers of every response, and log the request.

        https://owasp.org/www-project-secure-headers/
        """
        incoming, state, server = unwrap(request), unwrap(g), self._server
        headers = response.headers
        headers.add("X-Content-Type-Options", "nosniff")
        headers.add("Cache-Control", "no-store")
        if server.config.cors:
            _add_cors_headers(incoming, response, server.config.cors)
        headers.add("X-Request-Id", state.request_id)
        if is_batch_entry(incoming):  # it is logged with the batch
            return response
        milliseconds = (time.perf_counter_ns() - state.begun) / 1e6
        client = getattr(state.get("access"), "client", None)
        telemetry.log_request(
            incoming,
            state.request_id,
            None if client is None else str(client),
            response.status_code,
            milliseconds,
            is_slow=milliseconds > server.config.slow,
        )
        if server.metrics is not None:
            server.metrics.observe(incoming, response.status_code, milliseconds)
        return response

    def _handle_error(self, error: Exception) -> Response:
        """Return any exception as OperationOutcome; as problem details below `/therapy`.

        https://hl7.org/fhir/R4/operationoutcome.html https://www.rfc-editor.org/rfc/rfc9457
        """
        path = request.path
        request_error = to_request_error(error, path)
        if request_error is None:
            telemetry.log_defect(error, g.get("request_id", ""))
            request_error = internal_error()
        if not path.startswith("/therapy"):
            return json_response(
                outcome(request_error.issues), request_error.status, request_error.headers
            )
        response = json_response(
            problem_details(request_error), request_error.status, request_error.headers
        )
        response.mimetype = "application/problem+json"
        return response


def _request_id(incoming: Request) -> str:
    """Return the client's X-Request-Id if it is valid, a random one otherwise."""
    header: str = incoming.environ.get("HTTP_X_REQUEST_ID", "")
    return header if _REQUEST_ID.match(header) else token_hex(16)


def _require_own_host(incoming: Request, root: str) -> None:
    """Raise 421 for a web page that reaches an open server by another host name.

    https://owasp.org/www-community/attacks/DNS_Rebinding

    Raises:
        RequestError: 421 if the Host header is another.

    """
    if not _is_own_host(incoming.environ.get("HTTP_HOST", ""), root):
        message = "the Host header is not that of this server: use its own address"
        raise RequestError(421, "security", message)


@lru_cache(maxsize=64)
def _is_own_host(host: str, root: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and (name == urlsplit(root).hostname or is_loopback(name))


def _add_cors_headers(incoming: Request, response: Response, origins: tuple[str, ...]) -> None:
    """Allow pages of these origins to call.  https://fetch.spec.whatwg.org/#http-cors-protocol"""
    origin = incoming.headers.get("Origin", "")
    response.vary.add("Origin")
    if not origin or not {origin, "*"} & set(origins):
        return
    headers: Any = response.headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "ETag, Location, Content-Location, Last-Modified"
    if incoming.method == "OPTIONS" and "Access-Control-Request-Method" in incoming.headers:
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, PATCH, DELETE"
        headers["Access-Control-Allow-Headers"] = (
            "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist,"
            " If-None-Match, Prefer, X-Request-Id"
        )
        headers["Access-Control-Max-Age"] = "600"
