"""Health checks and metrics: `/healthz`, `/readyz`, `/metrics`."""

from flask import Response

from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError


def healthz(context: RequestContext) -> Response:  # noqa: ARG001
    """Answer `GET /healthz`: the process is running."""
    return Response('{"status":"ok"}', mimetype="application/json")


def readyz(context: RequestContext) -> Response:
    """Answer `GET /readyz`: the store responds too.

    Raises:
        RequestError: 503 if it does not.

    """
    if not context.server.store.ready():
        raise RequestError(
            503, "transient", "the store does not respond: retry", headers={"Retry-After": "5"}
        )
    return healthz(context)


def metrics(context: RequestContext) -> Response:
    """Answer `GET /metrics` in the text format of Prometheus."""
    assert context.server.metrics is not None
    return Response(context.server.metrics.format(), mimetype="text/plain; version=0.0.4")
