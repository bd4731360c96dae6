"""The application factory.  https://flask.palletsprojects.com/en/stable/patterns/appfactories/"""

from collections.abc import Callable

from flask import Flask

from fhir_b12.server import health, therapy
from fhir_b12.server.auth.audit import AuditRecorder, create_audit_recorder
from fhir_b12.server.auth.authorizer import Authorizer, create_authorizer
from fhir_b12.server.config import Config
from fhir_b12.server.context import Route, ServerContext, current_time
from fhir_b12.server.fhir import (
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
from fhir_b12.server.fhir.validation_policy import ValidationPolicy
from fhir_b12.server.middleware import Middleware
from fhir_b12.server.open_store import open_store
from fhir_b12.server.rate_limit import create_rate_limiter
from fhir_b12.server.routing import (
    Application,
    add_converters,
    add_fhir_routes,
    add_public_route,
    add_route,
)
from fhir_b12.server.store import Store
from fhir_b12.server.telemetry import Metrics
from fhir_b12.server.wire.response import JsonResponse

#: one module per interaction; the CapabilityStatement is built from their ROUTES
INTERACTIONS = (
    metadata, read, write, history, search, transaction, validate, terminology, everything, export,
)  # fmt: skip
_HEALTH = {"healthz": health.healthz, "readyz": health.readyz}


def create_app(
    config: Config,
    store: Store | None = None,
    *,
    authorizer: Authorizer | None = None,
    audit_recorder: AuditRecorder | None = None,
    clock: Callable[[], int] = current_time,
) -> Flask:
    """Build a WSGI application.

    Args:
        config: the settings.
        store: where resources are stored; by default the one that the settings name.
        authorizer: by default the one that the settings ask for.
        audit_recorder: by default the one that the settings ask for.
        clock: returns µs since 1970.

    Raises:
        ConfigError: the database of the settings cannot be opened.

    """
    store = store or open_store(config)
    app = Application("fhir_b12.server", static_folder=None, template_folder="therapy")
    app.response_class = JsonResponse
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    server = ServerContext(
        config=config,
        store=store,
        authorizer=authorizer or create_authorizer(config, store, clock),
        audit_recorder=audit_recorder or create_audit_recorder(config, store, clock),
        policy=ValidationPolicy(config),
        routes=tuple(route for module in INTERACTIONS for route in module.ROUTES),
        rate_limiter=create_rate_limiter(config),
        metrics=Metrics() if config.metrics else None,
        clock=clock,
        dispatch=app.dispatch_environ,
    )
    app.extensions["fhir_b12"] = server
    add_converters(app)
    add_fhir_routes(app, server)
    for route in therapy.ROUTES:
        add_route(app, server, route, f"{route.code} {route.handler.__name__}")
    for public_route in server.authorizer.routes:
        add_public_route(app, public_route)
    probes = _HEALTH | ({"metrics": health.metrics} if server.metrics else {})
    for name, handler in probes.items():
        add_route(app, server, Route(name, ("GET",), f"/{name}", handler, is_public=True), name)
    Middleware(server).install(app)
    return app
