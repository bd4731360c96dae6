"""URL rules: from a path to the handler, which is called with the request context.

https://werkzeug.palletsprojects.com/en/stable/routing/
"""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Request, Response, g, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import BaseConverter, MapAdapter

from fhir_b12.definitions import R4
from fhir_b12.server.auth.authorizer import PublicRoute
from fhir_b12.server.context import RequestContext, Route, ServerContext
from fhir_b12.server.resource_types import SHIPPED, STORED, TYPES
from fhir_b12.server.store import Access
from fhir_b12.server.wire.result_format import DEFAULT

PUBLIC = "public "  #: begin of the endpoint of a URL that needs no access token
_OWNER_TYPES = tuple(
    name for name in ("Device", "Encounter", "Patient", "Practitioner") if R4.compartment(name)
)
#: converter -> the types that `<converter:resource_type>` matches
_CONVERTERS: dict[str, Iterable[str]] = {
    "writable": TYPES,
    "stored": STORED,
    "shipped": SHIPPED,
    "owner": _OWNER_TYPES,
    # a type whose name begins with that of another one comes first
    "any_type": sorted(R4.resource_types, key=len, reverse=True),
}


class _NoSessions(SessionInterface):
    """Sessions that are always empty and never saved: there is no login."""

    _null = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        """Return the same empty session for every request."""
        return self._null


class Application(Flask):
    """Flask without sessions, host matching and coroutines, which cost time on every request."""

    session_interface = _NoSessions()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match rules by path and method alone."""
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function unchanged: no handler is a coroutine."""
        return func

    def dispatch_environ(self, environ: dict[str, Any]) -> Response:
        """Answer a WSGI environment, within the request that is being answered or outside."""
        with self.app_context(), self.request_context(environ):
            return self.full_dispatch_request()


class _NoAccess:
    """Access of a request to a public URL: none to stored resources."""

    def limits(self, resource_type: str, action: str) -> None:
        """Return None: no action is allowed."""


_NO_ACCESS: Access = _NoAccess()


def add_converters(app: Flask) -> None:
    """Add the converters by which rules match resource types."""
    for name, types in _CONVERTERS.items():
        app.url_map.converters[name] = type("_Type", (BaseConverter,), {"regex": "|".join(types)})


def add_fhir_routes(app: Flask, server: ServerContext) -> None:
    """Add the routes of the FHIR API below `/fhir`."""
    for number, route in enumerate(server.routes):
        add_route(app, server, _below_base(route), f"{route.code} {number}")


def _below_base(route: Route) -> Route:
    return route._replace(rule=f"/fhir/{route.rule}" if route.rule else "/fhir")


def add_route(app: Flask, server: ServerContext, route: Route, endpoint: str) -> None:
    """Add a route whose rule begins at the root; its endpoint begins with its code."""
    endpoint = f"{PUBLIC if route.is_public else ''}{endpoint}"
    app.add_url_rule(
        route.rule, endpoint, _with_context(server, route.handler), methods=route.methods
    )


def add_public_route(app: Flask, route: PublicRoute) -> None:
    """Add a URL that the authorizer answers."""
    app.add_url_rule(
        route.path,
        f"{PUBLIC}{route.path.replace('.', '')}",  # Flask reserves dots for blueprints
        lambda: route.handler(unwrap(request)),
        methods=[route.method],
    )


def _with_context(server: ServerContext, handler: Callable[..., Response]) -> Callable[..., Any]:
    """Return a view that calls a handler with the context of the request."""

    def view(**arguments: Any) -> Response:
        state = unwrap(g)
        context = RequestContext(
            server=server,
            request=unwrap(request),
            access=state.get("access", _NO_ACCESS),
            result_format=state.get("result_format", DEFAULT),
            request_id=state.request_id,
        )
        return handler(context, **arguments)

    return view


def unwrap(proxy: Any) -> Any:
    """Return the object behind one of Flask's proxies, for repeated use or other threads."""
    return proxy._get_current_object()  # noqa: SLF001 - Flask's documented way
