"""The work behind `$export`: resources read in order and written to files, one for each type.

A job is a row of the store, so that any worker tells of it; its files lie in one folder.
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
from fhir_b12.server.errors import Refusal
from fhir_b12.server.fhir.context import Facade
from fhir_b12.server.search.criteria import in_compartment
from fhir_b12.server.store import Access, Version
from fhir_b12.server.wire.query import Pairs

DEAD = 60_000_000  #: µs without a sign of life after which a job is given up
_BEAT = 5_000  #: resources between two signs of life
_RUNNING = 2  #: jobs of a process at a time; the others wait
_MOST = 100  #: jobs that are kept


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be exported."""

    kinds: tuple[str, ...]
    filters: dict[str, list[Pairs]]
    since: int | None = None
    patients: list[str] | None = None  #: the ids of a group's; None: whoever it is


class _Ended(Exception):  # noqa: N818 - not an error: the client took the job back
    """Nobody wants the files any more."""


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_RUNNING, "export")


@cache
def _temporary() -> Path:
    """A folder that no other user can make first or read; it goes with the process."""
    made = Path(tempfile.mkdtemp(prefix="fhir-b12-export-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def folder(config: Config) -> Path:
    """Where the files of all jobs lie."""
    return Path(config.export_folder) if config.export_folder else _temporary()


def owner(access: Access) -> str:
    """Who may see a job: the client that began it."""
    return str(getattr(access, "client", ""))


def begin(here: Facade, allowed: Access, request: str, plan: Plan) -> str:
    """Note a job and set it going; its name."""
    _sweep(here)
    name = uuid.uuid4().hex
    # what is written later is found by the next export, with `_since`
    moment, now = here.store.commit_horizon(here.clock), here.clock()
    job = {
        "id": name, "owner": owner(allowed), "request": request, "state": "running",
        "moment": moment, "began": now, "beat": now, "done": 0, "kinds": len(plan.kinds),
        "kinds_done": 0, "output": [], "error": [],
        "expires": now + here.config.export_seconds * 1_000_000,
    }  # fmt: skip
    here.store.put_job(job)
    _workers().submit(_run, here, allowed, plan, job)
    return name


def forget(here: Facade, name: str) -> None:
    """Take a job back: whoever works on it ends, and its files go."""
    here.store.delete_job(name)
    shutil.rmtree(folder(here.config) / name, ignore_errors=True)


def _sweep(here: Facade) -> None:
    """Forget the jobs that are too old, and the oldest where there are too many."""
    jobs = sorted(here.store.jobs(), key=lambda job: int(job["began"]))
    for index, job in enumerate(jobs):
        if job["expires"] < here.clock() or index < len(jobs) - _MOST:
            forget(here, job["id"])


def _run(here: Facade, allowed: Access, plan: Plan, job: dict[str, Any]) -> None:
    try:
        _write(here, allowed, plan, job)
        job["state"] = "done"
        _beat(here, job)
    except _Ended:
        shutil.rmtree(folder(here.config) / job["id"], ignore_errors=True)
    except Exception as error:  # noqa: BLE001 - nobody else sees what a thread raises
        telemetry.defect(error)
        job["state"] = "failed"
        with suppress(Refusal):  # the server ends: that the job gives no sign of life tells as much
            here.store.put_job(job)


def _write(here: Facade, allowed: Access, plan: Plan, job: dict[str, Any]) -> None:
    """A file for each type of which there is something; one of errors where a type failed."""
    place = folder(here.config) / job["id"]
    place.mkdir(parents=True, mode=0o700)
    refused = []
    for kind in plan.kinds:
        path = place / f"{kind}.ndjson"
        try:
            count = _file(here, path, _wanted(here, allowed, plan, kind), job)
        except Refusal as error:
            refused += [*error.issues]
            count = 0
        if count:
            job["output"].append({"type": kind, "url": path.name, "count": count})
        else:
            path.unlink(missing_ok=True)
        job["kinds_done"] += 1
        _beat(here, job)
    if refused:
        (place / "errors.ndjson").write_bytes(b"".join(map(_told, refused)))
        row = {"type": "OperationOutcome", "url": "errors.ndjson", "count": len(refused)}
        job["error"].append(row)


def _told(issue: Issue) -> bytes:
    return dumps(outcome((issue,))) + b"\n"


def _file(here: Facade, path: Path, versions: Iterator[Version], job: dict[str, Any]) -> int:
    count = 0
    with path.open("wb") as stream:
        for version in versions:
            if version.body is None:
                continue
            stream.write(version.body)
            stream.write(b"\n")
            count += 1
            job["done"] += 1
            if job["done"] % _BEAT == 0:
                _beat(here, job)
    return count


def _beat(here: Facade, job: dict[str, Any]) -> None:
    """Show a sign of life; end where the job was taken back."""
    if here.store.job(job["id"]) is None:
        raise _Ended
    job["beat"] = here.clock()
    here.store.put_job(job)


def _wanted(here: Facade, allowed: Access, plan: Plan, kind: str) -> Iterator[Version]:
    """The resources of a type, each once."""
    if plan.patients is None and kind not in plan.filters:
        yield from here.store.scan((kind,), since=plan.since, access=allowed, limits=())
        return
    known: set[str] = set()
    groups: list[tuple[Any, ...]] = [()]
    if plan.patients is not None:
        groups = [(in_compartment("Patient", name),) for name in plan.patients]
    for pairs in plan.filters.get(kind, [[]]):
        for tests in groups:
            for version in here.pages(allowed, kind, pairs, *tests):
                if version.id not in known and version.last_updated >= (plan.since or 0):
                    known.add(version.id)
                    yield version
