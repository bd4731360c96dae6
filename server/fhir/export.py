"""`$export`: all resources of a server, of its patients or of a group, as NDJSON files.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from collections.abc import Callable
from typing import Any

from flask import Response, send_file

from fhir_b12.definitions import R4
from fhir_b12.jsonio import dumps
from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir import export_job
from fhir_b12.server.fhir.everything import parse_types
from fhir_b12.server.fhir.lookup import NotFoundError, existing_version
from fhir_b12.server.fhir.parameters import OperationParameters, read_parameters
from fhir_b12.server.fhir.responses import parse_version
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.wire.prefer import parse_prefer
from fhir_b12.server.wire.query import Pairs, parse_query_string
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.timestamps import format_http_date, format_instant, parse_timestamp

_PARAMETERS = ("_outputFormat", "_since", "_type", "_typeFilter")
_FORMATS = {None, "application/fhir+ndjson", "application/ndjson", "ndjson"}
_COMPARTMENT_TYPES = tuple(name for name in TYPES if name in R4.compartment("Patient"))


def export_system(context: RequestContext) -> JsonResponse:
    """Answer `GET or POST $export`: every resource that the client may read."""
    return _begin(context, read_parameters(context, _PARAMETERS), TYPES)


def export_patients(context: RequestContext) -> JsonResponse:
    """Answer `GET or POST Patient/$export`: the types of the patient compartment."""
    return _begin(context, read_parameters(context, _PARAMETERS), _COMPARTMENT_TYPES)


def export_group(context: RequestContext, resource_id: str) -> JsonResponse:
    """Answer `GET or POST Group/id/$export`: the compartments of the group's active patients."""
    parameters = read_parameters(context, _PARAMETERS)
    group = parse_version(existing_version(context, "Group", resource_id))
    references = (
        member.get("entity", {}).get("reference")
        for member in group.get("member", [])
        if not member.get("inactive")
    )
    patients = [
        reference.partition("/")[2]
        for reference in references
        if isinstance(reference, str) and reference.startswith("Patient/")
    ]
    return _begin(context, parameters, _COMPARTMENT_TYPES, patients)


def _begin(
    context: RequestContext,
    parameters: OperationParameters,
    resource_types: tuple[str, ...],
    patients: list[str] | None = None,
) -> JsonResponse:
    """Start an export job, and respond with the URL of its status.

    Raises:
        RequestError: 400 if the request is not asynchronous or invalid, 403 if no type may be read.

    """
    access = context.access
    if "respond-async" not in parse_prefer(context.request.headers.get("Prefer", "")):
        message = "an export is asynchronous: send Prefer: respond-async"
        raise RequestError(400, "required", message)
    if parameters.text("_outputFormat") not in _FORMATS:
        message = "_outputFormat is not supported: use application/fhir+ndjson"
        raise RequestError(400, "not-supported", message)
    filters = _parse_type_filters(context, parameters)
    requested = parse_types(parameters.text("_type"))
    allowed = tuple(
        name
        for name in resource_types
        if name in requested and access.limits(name, "r") is not None
    )
    if not allowed:
        message = "the access token allows reading none of these types: request other scopes"
        raise RequestError(403, "forbidden", message)
    since = parameters.text("_since")
    plan = export_job.Plan(
        resource_types=allowed,
        filters=filters,
        since=None if since is None else parse_timestamp(since, "_since"),
        patients=patients,
    )
    base = context.config.base
    request_url = base + context.request.full_path.removeprefix("/fhir").rstrip("?")
    job_id = export_job.begin(context.server, access, request_url, plan)
    return json_response(b"", 202, {"Content-Location": f"{base}/$export-status/{job_id}"})


def _parse_type_filters(
    context: RequestContext, parameters: OperationParameters
) -> dict[str, list[Pairs]]:
    """Return the searches of `_typeFilter` by type; a resource must match one of its type.

    Raises:
        RequestError: 400 if a search is malformed.

    """
    filters: dict[str, list[Pairs]] = {}
    for text in parameters.all("_typeFilter"):
        for part in str(text).split(","):
            resource_type, _, query = part.partition("?")
            if resource_type not in TYPES or not query:
                message = "_typeFilter must be searches, TYPE?QUERY, separated by commas"
                raise RequestError(400, "value", message)
            pairs = parse_query_string(query, context.config)
            context.parse_search(resource_type, pairs, strict=True)
            filters.setdefault(resource_type, []).append(pairs)
    return filters


# --- status and files  https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request


def export_status(context: RequestContext, job_id: str) -> Response:
    """Answer `GET $export-status/job`: 202 with the progress, or 200 with the files.

    Raises:
        RequestError: 404 unknown or expired job, 500 if the export failed.

    """
    job = _own_job(context, job_id)
    if job["state"] == "failed":
        raise RequestError(500, "exception", "the export failed: start it again")
    if job["state"] == "running":
        if context.now - job["beat"] > export_job.DEAD:
            message = "the export was interrupted by a restart of the server: start it again"
            raise RequestError(500, "exception", message)
        progress = f"{job['done']} resources, {job['kinds_done']} of {job['kinds']} types"
        return json_response(b"", 202, {"X-Progress": progress, "Retry-After": "1"})
    files = f"{context.config.base}/$export-file/{job_id}"
    manifest = {
        "transactionTime": format_instant(job["moment"]),
        "request": job["request"],
        "requiresAccessToken": not context.config.open,
        "output": [row | {"url": f"{files}/{row['url']}"} for row in job["output"]],
        "error": [row | {"url": f"{files}/{row['url']}"} for row in job["error"]],
    }
    response = json_response(dumps(manifest), 200)
    response.mimetype = "application/json"
    response.headers["Expires"] = format_http_date(job["expires"] // 1_000_000)
    return response


def cancel_export(context: RequestContext, job_id: str) -> Response:
    """Answer `DELETE $export-status/job`: end the job and delete its files."""
    _own_job(context, job_id)
    export_job.delete(context.server, job_id)
    return json_response(b"", 202)


def export_file(context: RequestContext, job_id: str, file_name: str) -> Response:
    """Answer `GET $export-file/job/Observation.ndjson`.

    Raises:
        NotFoundError: unknown or expired job, unknown file.

    """
    job = _own_job(context, job_id)
    names = {row["url"] for row in (*job["output"], *job["error"])}
    path = export_job.folder(context.config) / job_id / file_name
    if file_name not in names or not path.is_file():
        raise NotFoundError("file of this export")
    return send_file(path, mimetype="application/fhir+ndjson", conditional=True)


def _own_job(context: RequestContext, job_id: str) -> dict[str, Any]:
    """Return a job of the client, or raise 404 if it is another's, unknown or expired.

    Raises:
        NotFoundError: the job is another client's, unknown or expired.

    """
    job = context.server.store.job(job_id)
    if job is None or job["owner"] != context.client:
        raise NotFoundError("export")
    if job["expires"] < context.now:
        export_job.delete(context.server, job_id)
        raise NotFoundError("export")
    return job


def _operation(rule: str, handler: Callable[..., Response], definition: str) -> Route:
    url = f"http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{definition}"
    return Route("$export", ("GET", "POST"), rule, handler, url)


ROUTES = (
    _operation("$export", export_system, "export"),
    _operation("Patient/$export", export_patients, "patient-export"),
    _operation("Group/<resource_id>/$export", export_group, "group-export"),
    Route("export-status", ("GET",), "$export-status/<job_id>", export_status),
    Route("export-status", ("DELETE",), "$export-status/<job_id>", cancel_export),
    Route("export-file", ("GET",), "$export-file/<job_id>/<file_name>", export_file),
)
