"""The application: routes, and the one place where errors become answers.

https://hl7.org/fhir/R4/http.html
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, g, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, MapAdapter

from fhir_b12.definitions import R4
from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import JsonError
from fhir_b12.server import telemetry, therapy
from fhir_b12.server.config import Config
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.fhir import (
    context,
    everything,
    export,
    history,
    metadata,
    read,
    search,
    terminology,
    transaction,
    validate,
    write,
)
from fhir_b12.server.fhir.context import Facade, Guard, Open, Witness, now
from fhir_b12.server.fhir.validation_policy import Policy
from fhir_b12.server.resource_types import SHIPPED, STORED, TYPES
from fhir_b12.server.store import Store
from fhir_b12.server.wire.request_origin import client_address, is_batch_entry
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.result_format import requested_format

#: one file an interaction; the CapabilityStatement tells of these
INTERACTIONS = (
    metadata, read, write, history, search, transaction, validate, terminology, everything, export,
)  # fmt: skip
_OWNERS = tuple(
    name for name in ("Device", "Encounter", "Patient", "Practitioner") if R4.compartment(name)
)
#: which types a rule is for: `<kept:kind>`
_KINDS = {
    "kept": TYPES,
    "stored": STORED,
    "shipped": SHIPPED,
    "owner": _OWNERS,
    "resource": sorted(R4.resource_types, key=len, reverse=True),
}
_BOUNDED = ("/fhir", "/therapy", "/auth")  #: where requests are counted
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _NoSessions(SessionInterface):
    """Nobody logs in."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        """The same for all, and never written."""
        return self._none


class Application(Flask):
    """Flask without what is not needed here: sessions, hosts, coroutines."""

    session_interface = _NoSessions()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Rules are for paths alone."""
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def create_app(
    config: Config,
    store: Store | None = None,
    *,
    guard: Guard | None = None,
    witness: Witness | None = None,
    clock: Callable[[], int] | None = None,
) -> Flask:
    """A WSGI application; store and guard are those that the settings name, if none are given."""
    store, clock = store or open_store(config), clock or now
    app = Application("fhir_b12.server", static_folder=None, template_folder="therapy")
    app.response_class = JsonResponse
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    routes = tuple(route for module in INTERACTIONS for route in module.ROUTES)
    app.extensions["fhir_b12"] = Facade(
        config=config,
        store=store,
        guard=guard or _guard(config, store, clock),
        witness=witness or _witness(config, store, clock),
        policy=Policy(config),
        routes=routes,
        rate=import_module("fhir_b12.server.rate_limit").Rate(config.rate) if config.rate else None,
        clock=clock,
    )
    for name, kinds in _KINDS.items():
        app.url_map.converters[name] = _converter(kinds)
    for number, route in enumerate(routes):
        rule = f"/fhir/{route.rule}" if route.rule else "/fhir"
        endpoint = f"{context.PUBLIC if route.public else ''}{route.code} {number}"
        app.add_url_rule(rule, endpoint, route.handler, methods=route.methods)
    for path in therapy.PATHS:
        endpoint = f"{path.code} {path.handler.__name__}"
        app.add_url_rule(path.rule, endpoint, path.handler, methods=[path.method])
    app.add_url_rule("/openapi.json", f"{context.PUBLIC}openapi", therapy.openapi)
    app.add_url_rule("/therapy", f"{context.PUBLIC}therapy", therapy.page)
    if (known := app.extensions["fhir_b12"].guard) and hasattr(known, "serve"):
        known.serve(app, context.PUBLIC)
    telemetry.watch(app)
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(Exception, _failed)
    return app


def open_store(config: Config) -> Store:
    """The store that the settings name."""
    store: Store = module(config).open_store(config)
    return store


def module(config: Config) -> Any:
    """The module of the store that the settings name; those of others are not loaded."""
    return import_module(f"fhir_b12.server.store.{config.store}")


def _guard(config: Config, store: Store, clock: Callable[[], int]) -> Guard:
    """Nobody but who shows a token; everybody, where that is asked for."""
    if config.open:
        return Open()
    guard: Guard = import_module("fhir_b12.server.auth.bearer").Guard(config, store, clock)
    return guard


def _witness(config: Config, store: Store, clock: Callable[[], int]) -> Witness | None:
    """Who did what is written down, unless nobody is asked who it is."""
    if config.open or not config.audit:
        return None
    made: Witness = import_module("fhir_b12.server.auth.audit").Auditor(config, store, clock)
    return made


def _converter(kinds: Iterable[str]) -> type[BaseConverter]:
    return type("Kind", (BaseConverter,), {"regex": "|".join(kinds)})


def _begin() -> None:
    """Refuse what no handler need see: before a body is read, it is known who sends it."""
    here = context.facade()
    # a proxy of Flask is looked through once, not at each word
    asked, state = context.current(request), context.current(g)
    telemetry.begin(asked, state)
    if isinstance(here.guard, Open):
        host = asked.environ.get("HTTP_HOST", "")
        if not _is_own(host, here.config.root):
            raise refuse(421, "security", "this server answers by its own name only")
    if asked.path.startswith("/fhir"):
        state.form = requested_format(asked, here.config)
    rule, client = asked.url_rule, None
    if rule and not rule.endpoint.startswith(context.PUBLIC) and asked.method != "OPTIONS":
        known = asked.environ.get("fhir_b12.access")
        state.access = here.guard.access(asked) if known is None else known
        client = getattr(state.access, "client", None)
    if here.rate is not None and asked.path.startswith(_BOUNDED) and not is_batch_entry(asked):
        here.rate.hold(client or client_address(asked, here.config))


@lru_cache(maxsize=64)
def _is_own(host: str, root: str) -> bool:
    """False for pages on the web that name themselves this machine.

    https://owasp.org/www-community/attacks/DNS_Rebinding
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name in LOOPBACK | {urlsplit(root).hostname}


def _end(response: Response) -> Response:
    """The headers of every answer, and its line in the log.

    https://owasp.org/www-project-secure-headers/
    """
    here = context.facade()
    headers = response.headers
    headers.add("X-Content-Type-Options", "nosniff")
    headers.add("Cache-Control", "no-store")
    if here.config.cors:
        _share(response, here.config.cors)
    telemetry.end(context.current(request), context.current(g), response, here.config)
    return response


def _share(response: Response, origins: tuple[str, ...]) -> None:
    """Let pages of these origins call.  https://fetch.spec.whatwg.org/#http-cors-protocol"""
    origin = request.headers.get("Origin", "")
    response.vary.add("Origin")
    if not origin or not {origin, "*"} & set(origins):
        return
    headers = response.headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "ETag, Location, Content-Location, Last-Modified"
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, PATCH, DELETE"
        headers["Access-Control-Allow-Headers"] = (
            "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist,"
            " If-None-Match, Prefer, X-Request-Id"
        )
        headers["Access-Control-Max-Age"] = "600"


# --- errors


def _failed(error: Exception) -> Response:
    """Any exception as an answer: an OperationOutcome, or a problem beside FHIR.

    https://hl7.org/fhir/R4/operationoutcome.html https://www.rfc-editor.org/rfc/rfc9457
    """
    status, issues, headers = _told(error)
    if not request.path.startswith("/therapy"):
        return json_response(outcome(issues), status, headers)
    answer = json_response(_problem(status, issues), status, headers)
    answer.mimetype = "application/problem+json"
    return answer


def _problem(status: int, issues: tuple[Issue, ...]) -> dict[str, Any]:
    rows = [
        {"pointer": _pointer(each), "code": each.code, "detail": each.message} for each in issues
    ]
    return {
        "type": "about:blank",
        "title": issues[0].message,
        "status": status,
        "errors": rows,
    }


def _pointer(issue: Issue) -> str:
    """The JSON Pointer of a place in a record: `$.labResults[0].value` is `/labResults/0/value`."""
    place = issue.pointer or issue.expression
    return re.sub(r"[.\[]", "/", place[1:].replace("]", "")) if place.startswith("$") else place


def _told(error: Exception) -> tuple[int, tuple[Issue, ...], dict[str, str]]:
    """Status, issues and headers of what was raised."""
    if isinstance(error, Refusal):
        return error.status, error.issues, error.headers
    if isinstance(error, JsonError):
        return 400, error.issues, {}
    if isinstance(error, HTTPException):
        return _of_http(error)
    telemetry.defect(error, g.get("request_id", ""))
    message = "the server failed; the log tells where under this request's id"
    return 500, (Issue("fatal", "exception", "", message),), {}


#: https://hl7.org/fhir/R4/valueset-issue-type.html
_CODES = {404: "not-found", 405: "not-supported", 413: "too-long", 414: "too-long"}


def _of_http(error: HTTPException) -> tuple[int, tuple[Issue, ...], dict[str, str]]:
    """What the routing says: no such path, no such method."""
    status = error.code or 500
    headers = {}
    message = "the request cannot be read"
    if status == 404:
        message = "nothing is served here; the CapabilityStatement lists the types"
    elif status == 405:
        allowed = sorted(getattr(error, "valid_methods", None) or ())
        headers = {"Allow": ", ".join(allowed)}
        message = f"this method is not answered here; {', '.join(allowed)} are"
    return status, (Issue("error", _CODES.get(status, "invalid"), "", message),), headers
