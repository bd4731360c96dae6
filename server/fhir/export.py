"""`$export`: all of a server, of its patients or of a group, as NDJSON, made in the background.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from typing import Any

from flask import Response, request, send_file

from fhir_b12.definitions import R4
from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import export_job, responses
from fhir_b12.server.fhir.context import Route, access, facade, parse
from fhir_b12.server.fhir.everything import wanted_types
from fhir_b12.server.fhir.parameters import Inputs, inputs
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.prefer import parse_prefer
from fhir_b12.server.wire.query import Pairs, parse_query_string
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.timestamps import format_http_date, format_instant, parse_timestamp

_KNOWN = ("_outputFormat", "_since", "_type", "_typeFilter")
_FORMATS = {None, "application/fhir+ndjson", "application/ndjson", "ndjson"}
_OF_PATIENTS = tuple(name for name in TYPES if name in R4.compartment("Patient"))


def export_all() -> JsonResponse:
    """`GET or POST $export`: every resource that the sender may read."""
    return _begun(inputs(_KNOWN), TYPES)


def export_patients() -> JsonResponse:
    """`GET or POST Patient/$export`: the types of which a patient's compartment is made."""
    return _begun(inputs(_KNOWN), _OF_PATIENTS)


def export_group(name: str) -> JsonResponse:
    """`GET or POST Group/id/$export`: the compartments of the group's patients."""
    asked = inputs(_KNOWN)
    group = facade().store.read("Group", name, access()) if is_id(name) else None
    if group is None:
        raise responses.unknown("Group")
    if group.body is None:
        raise responses.gone(group)
    members: Any = responses.as_value(group).get("member", [])
    patients = [
        text.partition("/")[2]
        for each in members
        if not each.get("inactive")
        and isinstance(text := each.get("entity", {}).get("reference"), str)
        and text.startswith("Patient/")
    ]
    return _begun(asked, _OF_PATIENTS, patients)


def _begun(
    asked: Inputs, kinds: tuple[str, ...], patients: list[str] | None = None
) -> JsonResponse:
    """Note the job, set it going, and say where its state is told."""
    here, allowed = facade(), access()
    if "respond-async" not in parse_prefer(request.headers.get("Prefer", "")):
        raise refuse(400, "required", "an export is asynchronous; send Prefer: respond-async")
    if asked.text("_outputFormat") not in _FORMATS:
        raise refuse(400, "not-supported", "_outputFormat is application/fhir+ndjson here")
    filters = _filters(asked)
    chosen = wanted_types(asked.text("_type")) if "_type" in asked else frozenset(TYPES)
    wanted = [kind for kind in kinds if kind in chosen and allowed.limits(kind, "r") is not None]
    if not wanted:
        raise refuse(403, "forbidden", "none of these types may be exported with this token")
    since = asked.text("_since")
    plan = export_job.Plan(
        kinds=tuple(wanted),
        filters=filters,
        since=None if since is None else parse_timestamp(since, "_since"),
        patients=patients,
    )
    asked_for = here.config.base + request.full_path.removeprefix("/fhir").rstrip("?")
    name = export_job.begin(here, allowed, asked_for, plan)
    return json_response(
        b"", 202, {"Content-Location": f"{here.config.base}/$export-status/{name}"}
    )


def _filters(asked: Inputs) -> dict[str, list[Pairs]]:
    """The searches of `_typeFilter` by type; a resource is exported if one of its type finds it."""
    found: dict[str, list[Pairs]] = {}
    for text in asked.every("_typeFilter"):
        for part in str(text).split(","):
            kind, _, query = part.partition("?")
            if kind not in TYPES or not query:
                raise refuse(400, "value", "_typeFilter is searches, Type?query, by commas")
            pairs = parse_query_string(query, facade().config)
            parse(kind, pairs, strict=True)
            found.setdefault(kind, []).append(pairs)
    return found


# --- what becomes of it  https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request


def status(name: str) -> Response:
    """`GET $export-status/job`: 202 with how far it is, or 200 with its files."""
    job = _mine(name)
    here = facade()
    if job["state"] == "failed":
        raise refuse(500, "exception", "the export failed; ask for it anew")
    if job["state"] == "running":
        if here.clock() - job["beat"] > export_job.DEAD:
            raise refuse(500, "exception", "the export was ended with its server; ask for it anew")
        told = f"{job['done']} resources, {job['kinds_done']} of {job['kinds']} types"
        return json_response(b"", 202, {"X-Progress": told, "Retry-After": "1"})
    files = f"{here.config.base}/$export-file/{name}"
    manifest = {
        "transactionTime": format_instant(job["moment"]),
        "request": job["request"],
        "requiresAccessToken": not here.config.open,
        "output": [each | {"url": f"{files}/{each['url']}"} for each in job["output"]],
        "error": [each | {"url": f"{files}/{each['url']}"} for each in job["error"]],
    }
    answer = json_response(dumps(manifest), 200)
    answer.mimetype = "application/json"
    answer.headers["Expires"] = format_http_date(job["expires"] // 1_000_000)
    return answer


def cancel(name: str) -> Response:
    """`DELETE $export-status/job`: ends it, and takes its files away."""
    _mine(name)
    export_job.forget(facade(), name)
    return json_response(b"", 202)


def file(name: str, part: str) -> Response:
    """`GET $export-file/job/Observation.ndjson`, as it lies on the disk."""
    job = _mine(name)
    known = {each["url"] for each in (*job["output"], *job["error"])}
    path = export_job.folder(facade().config) / name / part
    if part not in known or not path.is_file():
        raise responses.unknown("file")
    return send_file(path, mimetype="application/fhir+ndjson", conditional=True)


def _mine(name: str) -> dict[str, Any]:
    """The job, if the one who asks began it and it is not too old."""
    here = facade()
    job = here.store.job(name)
    if job is None or job["owner"] != export_job.owner(access()):
        raise responses.unknown("export")
    if job["expires"] < here.clock():
        export_job.forget(here, name)
        raise responses.unknown("export")
    return job


def _routes(rule: str, handler: Any, definition: str) -> Route:
    url = f"http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{definition}"
    return Route("$export", ("GET", "POST"), rule, handler, url)


ROUTES = (
    _routes("$export", export_all, "export"),
    _routes("Patient/$export", export_patients, "patient-export"),
    _routes("Group/<name>/$export", export_group, "group-export"),
    Route("export-status", ("GET",), "$export-status/<name>", status),
    Route("export-status", ("DELETE",), "$export-status/<name>", cancel),
    Route("export-file", ("GET",), "$export-file/<name>/<part>", file),
)
