"""The background job of `$export`: it writes the resources to files, one per type.

A job is a row in the store, so that every process can report its status; its files are in a folder
that all processes share.
"""

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import dumps
from fhir_b12.server import telemetry
from fhir_b12.server.config import Config
from fhir_b12.server.context import ServerContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.criteria import InCompartment
from fhir_b12.server.store import Access, Version
from fhir_b12.server.wire.query import Pairs

Job = dict[str, Any]
DEAD = 60_000_000  #: µs without a heartbeat after which a job counts as interrupted
_HEARTBEAT = 5_000  #: resources between two heartbeats
_MAX_RUNNING = 2  #: jobs of a process at a time; others wait
_MAX_JOBS = 100  #: jobs that are stored


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to export."""

    resource_types: tuple[str, ...]
    filters: dict[str, list[Pairs]]  #: searches by type; a resource must match one of its type
    since: int | None = None  #: µs since 1970
    patients: list[str] | None = None  #: ids of the patients of a group; None for all


class _CancelledError(Exception):
    """The client cancelled the job."""


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_RUNNING, "export")


@cache
def _temporary_folder() -> Path:
    """Create a folder that other users cannot read; it is deleted with the process."""
    path = Path(tempfile.mkdtemp(prefix="fhir-b12-export-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def folder(config: Config) -> Path:
    """Return the folder of the files of all jobs."""
    return Path(config.export_folder) if config.export_folder else _temporary_folder()


def begin(server: ServerContext, access: Access, request_url: str, plan: Plan) -> str:
    """Store a job, start it in the background and return its id."""
    _delete_old_jobs(server)
    job_id = uuid.uuid4().hex
    # resources written later are exported next time, with `_since`
    moment, now = server.store.commit_horizon(server.clock), server.clock()
    job = {
        "id": job_id, "owner": str(getattr(access, "client", "")), "request": request_url,
        "state": "running", "moment": moment, "began": now, "beat": now, "done": 0,
        "kinds": len(plan.resource_types), "kinds_done": 0, "output": [], "error": [],
        "expires": now + server.config.export_seconds * 1_000_000,
    }  # fmt: skip
    server.store.put_job(job)
    _executor().submit(_run, server, access, plan, job)
    return job_id


def delete(server: ServerContext, job_id: str) -> None:
    """Delete a job and its files; its thread ends at the next heartbeat."""
    server.store.delete_job(job_id)
    shutil.rmtree(folder(server.config) / job_id, ignore_errors=True)


def _delete_old_jobs(server: ServerContext) -> None:
    """Delete expired jobs, and the oldest ones if there are too many."""
    jobs = sorted(server.store.jobs(), key=lambda job: int(job["began"]))
    for index, job in enumerate(jobs):
        if job["expires"] < server.clock() or index < len(jobs) - _MAX_JOBS:
            delete(server, job["id"])


def _run(server: ServerContext, access: Access, plan: Plan, job: Job) -> None:
    try:
        _write_files(server, access, plan, job)
        job["state"] = "done"
        _send_heartbeat(server, job)
    except _CancelledError:
        shutil.rmtree(folder(server.config) / job["id"], ignore_errors=True)
    except Exception as error:  # noqa: BLE001 - an exception of a thread is lost otherwise
        telemetry.log_defect(error)
        job["state"] = "failed"
        with suppress(RequestError):  # the server is stopping: the missing heartbeat says the same
            server.store.put_job(job)


def _write_files(server: ServerContext, access: Access, plan: Plan, job: Job) -> None:
    """Write a file per type that has resources, and one with the errors of types that failed."""
    path = folder(server.config) / job["id"]
    path.mkdir(parents=True, mode=0o700)
    issues: list[Issue] = []
    for resource_type in plan.resource_types:
        file = path / f"{resource_type}.ndjson"
        try:
            versions = _versions(server, access, plan, resource_type)
            count = _write_file(server, file, versions, job)
        except RequestError as refusal:
            issues += refusal.issues
            count = 0
        if count:
            job["output"].append({"type": resource_type, "url": file.name, "count": count})
        else:
            file.unlink(missing_ok=True)
        job["kinds_done"] += 1
        _send_heartbeat(server, job)
    if issues:
        lines = (dumps(outcome((issue,))) + b"\n" for issue in issues)
        (path / "errors.ndjson").write_bytes(b"".join(lines))
        row = {"type": "OperationOutcome", "url": "errors.ndjson", "count": len(issues)}
        job["error"].append(row)


def _write_file(server: ServerContext, file: Path, versions: Iterator[Version], job: Job) -> int:
    """Write resources to a file; return how many."""
    count = 0
    with file.open("wb") as stream:
        for version in versions:
            if version.body is None:
                continue
            stream.write(version.body)
            stream.write(b"\n")
            count += 1
            job["done"] += 1
            if job["done"] % _HEARTBEAT == 0:
                _send_heartbeat(server, job)
    return count


def _send_heartbeat(server: ServerContext, job: Job) -> None:
    """Store the progress of a job, or raise _CancelledError if the job was deleted.

    Raises:
        _CancelledError: the job was deleted.

    """
    if server.store.job(job["id"]) is None:
        raise _CancelledError
    job["beat"] = server.clock()
    server.store.put_job(job)


def _versions(
    server: ServerContext, access: Access, plan: Plan, resource_type: str
) -> Iterator[Version]:
    """Yield the resources of a type to export, each once."""
    if plan.patients is None and resource_type not in plan.filters:
        yield from server.store.scan((resource_type,), since=plan.since, access=access, limits=())
        return
    exported: set[str] = set()
    compartments: list[tuple[Any, ...]] = [()]
    if plan.patients is not None:
        compartments = [(InCompartment("Patient", patient_id),) for patient_id in plan.patients]
    for pairs in plan.filters.get(resource_type, [[]]):
        for criteria in compartments:
            for version in server.search_all(access, resource_type, pairs, *criteria):
                if version.id not in exported and version.last_updated >= (plan.since or 0):
                    exported.add(version.id)
                    yield version
