"""A table as a lens: `to_fhir` creates, `from_fhir` reads, `update` changes and keeps the rest."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import msgspec

from fhir_b12.datatypes import Reference, from_json
from fhir_b12.issues import Issue
from fhir_b12.mapping import compiled, faults, guards, merge, twin
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.codecs import CODECS, builtins
from fhir_b12.mapping.ledger import Ledger, account
from fhir_b12.records import Medication, Record

Resource = dict[str, Any]
Resolve = Callable[[Reference], Resource | None]

_INLINE = "medication"  #: id of a contained resource whose record has none


class MappingError(ValueError):
    """A record or a resource that cannot be written as asked; `issues` say why."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__("; ".join(map(str, issues)))
        self.issues = issues


class Reading(msgspec.Struct, frozen=True):
    """What came of reading one resource: the record where that is safe, and what was wrong."""

    record: Record | None
    issues: tuple[Issue, ...]
    resource: Resource
    lens: "Lens | None" = None
    twin: msgspec.Struct | None = None
    linked: tuple[tuple[str, str, "Reading"], ...] = ()  #: field, where it lies, its reading

    @property
    def ledger(self) -> Ledger:
        """Where every leaf of the resource went; worked out when asked for."""
        return account(self)


class Lens:
    """One table, compiled once."""

    def __init__(self, source: tables.Table) -> None:
        self.table = source
        self.reads = guards.compile_when(source.when)
        self.refused = guards.compile_refuse(source.refuse)
        self.tree = twin.tree(source)
        self.twin = twin.build(source.record.__name__, self.tree, source.resource)
        self._build, self._shape = compiled.functions(source, self.tree, self.twin)
        self.links = {link.field: link for link in source.links}

    def from_fhir(self, resource: Resource, resolve: Resolve | None = None) -> Reading:
        """Read one resource. Bad data is in the issues; then there may be no record."""
        issues = tuple(self._obstacles(resource))
        if issues:
            return Reading(None, issues, resource, self)
        try:
            shape = msgspec.convert(resource, self.twin, dec_hook=from_json)
        except msgspec.ValidationError:
            good, found = faults.sift(resource, self.twin, self.table.resource)
            return Reading(None, tuple(found), resource, self, good)
        missing = tuple(self._missing(shape))
        if missing:
            return Reading(None, missing, resource, self, shape)
        record = self._build(shape)
        if not self.links:
            return Reading(record, (), resource, self, shape)
        return self._follow(Reading(record, (), resource, self, shape), resolve)

    def to_fhir(self, record: Record) -> Resource:
        """The resource that says what the record says.

        Raises:
            MappingError: this table could not read the result back, e.g. an infusion without
                intravenous route and without rate.

        """
        resource = self.create(record)
        if not self.reads(resource):
            what = f"{self.table.record.__name__}: {self.table.name}.toml would not read it back"
            raise MappingError((Issue("error", "business-rule", self.table.resource, what),))
        return resource

    def update(
        self, resource: Resource, record: Record, resolve: Resolve | None = None
    ) -> Resource:
        """The resource changed where the record says something else, all the rest kept.

        Raises:
            MappingError: the resource cannot be read, so what it says is not known.

        """
        reading = self.from_fhir(resource, resolve)
        if reading.record is None:
            raise MappingError(reading.issues)
        if reading.record == record:
            return resource
        before, after = self.create(reading.record), self.to_fhir(record)
        changed = dict(resource)
        for row in self.table.rows:
            if getattr(reading.record, row.field) != getattr(record, row.field):
                self._change(changed, row, before, after)
        for field in self.links:
            if getattr(reading.record, field) != getattr(record, field):
                self._relink(changed, field, reading, after)
        return changed

    def _obstacles(self, resource: Resource) -> Iterator[Issue]:
        kind = resource.get("resourceType")
        if kind != self.table.resource:
            what = f"{self.table.name} reads {self.table.resource}, not this type of resource"
            yield Issue("error", "structure", "resourceType", what)
            return
        refused = self.refused(resource)
        if refused is not None:
            what = "this value withdraws the resource, so it is not read; handle it by its id"
            yield Issue("error", "business-rule", f"{kind}.{refused}", what)
        if not self.reads(resource):
            what = f"not what {self.table.name} reads: none of its `when` blocks holds"
            yield Issue("error", "not-supported", kind, what)

    def _missing(self, shape: msgspec.Struct) -> Iterator[Issue]:
        for row in self.table.rows:
            if row.required and all(_at(shape, way.element) is None for way in row.ways):
                path = f"{self.table.resource}.{row.ways[0].element}"
                yield Issue("error", "required", path, f"{row.field} is missing: give it a value")

    def create(self, record: Record) -> Resource:
        """The resource, unchecked: whether the table would read it back is `to_fhir`'s question."""
        resource: Resource = builtins(self._shape(record))
        for field, link in self.links.items():
            held = getattr(record, field)
            if held is not None:
                _contain(resource, link.element, held, lens(link.table).create(held))
        return resource

    def _follow(self, reading: Reading, resolve: Resolve | None) -> Reading:
        record, issues, linked = reading.record, list(reading.issues), list(reading.linked)
        assert record is not None
        for field, link in self.links.items():
            row = next(row for row in self.table.rows if row.ways[0].element == link.element)
            reference = getattr(record, row.field)
            if reference is None or reference.reference is None:
                continue
            place, target = _target(reading.resource, reference, resolve)
            inner = lens(link.table)
            if target is None or target.get("resourceType") != inner.table.resource:
                continue
            found = inner.from_fhir(target)
            linked.append((field, place, found))
            issues += [_inside(issue, f"{self.table.resource}.{place}") for issue in found.issues]
            if found.record is not None:
                record = _hold(record, field, row.field, place, found.record)
        good = record if not any(issue.is_error for issue in issues) else None
        return Reading(good, tuple(issues), reading.resource, self, reading.twin, tuple(linked))

    def _change(
        self, changed: Resource, row: tables.Row, before: Resource, after: Resource
    ) -> None:
        for way in row.ways:
            path = tuple(way.element.split("."))
            old, new = guards.at(before, path), guards.at(after, path)
            current = guards.at(changed, path)
            if old == new and (current is None or new is not None):
                continue
            if old is None and current is not None and not _reads(row, way, current):
                continue
            merged = new if current is None else merge.merge(current, old, new)
            merge.put(changed, path, merged)

    def _relink(self, changed: Resource, field: str, reading: Reading, after: Resource) -> None:
        link = self.links[field]
        gone = [place for name, place, _ in reading.linked if name == field]
        if gone and gone[0].startswith("contained["):
            index = int(gone[0][len("contained[") : -1])
            kept = [item for i, item in enumerate(changed["contained"]) if i != index]
        else:
            kept = list(changed.get("contained", ()))
        held = after.get(link.element, {}).get("reference", "")
        kept += [r for r in after.get("contained", ()) if f"#{r.get('id')}" == held]
        merge.put(changed, ("contained",), kept or None)
        merge.put(changed, (link.element,), deepcopy(after.get(link.element)))


def _reads(row: tables.Row, way: tables.Way, current: Any) -> bool:
    """Whether this way reads what stands there, so that it is the row's to change."""
    if way.codec is None:
        return len(row.ways) > 1
    codec = CODECS[way.codec]
    try:
        return codec.decode(msgspec.convert(current, codec.wire, dec_hook=from_json)) is not None
    except msgspec.ValidationError:
        return False


def _inside(issue: Issue, place: str) -> Issue:
    expression = issue.expression.partition(".")[2]
    return msgspec.structs.replace(issue, expression=f"{place}.{expression}".rstrip("."))


def _target(
    resource: Resource, reference: Reference, resolve: Resolve | None
) -> tuple[str, Resource | None]:
    address = reference.reference or ""
    if not address.startswith("#"):
        return address, resolve(reference) if resolve is not None else None
    for index, item in enumerate(resource.get("contained", ())):
        if isinstance(item, dict) and item.get("id") == address[1:]:
            return f"contained[{index}]", item
    return address, None


def _hold(record: Record, field: str, link: str, place: str, found: Record) -> Record:
    changes: dict[str, Any] = {field: found, link: None}
    if place.startswith("contained["):
        index = int(place[len("contained[") : -1])
        changes["contained"] = record.contained[:index] + record.contained[index + 1 :]
        if found.id == _INLINE:
            changes[field] = msgspec.structs.replace(found, id=None)
    return msgspec.structs.replace(record, **changes)


def _contain(resource: Resource, element: str, held: Medication, written: Resource) -> None:
    written["id"] = held.id or _INLINE
    resource["contained"] = [*resource.get("contained", ()), written]
    resource[element] = {"reference": f"#{written['id']}"}


def _at(shape: msgspec.Struct, element: str) -> Any:
    node: Any = shape
    for name in element.split("."):
        node = None if node is None else getattr(node, f"{name}_")
    return node


@cache
def lens(name: str) -> Lens:
    """The lens of `mappings/NAME.toml`, compiled once."""
    return Lens(tables.load(name))


@cache
def _by_resource() -> dict[str, tuple[Lens, ...]]:
    found: dict[str, tuple[Lens, ...]] = {}
    for name in tables.ORDER:
        each = lens(name)
        found[each.table.resource] = (*found.get(each.table.resource, ()), each)
    return found


@cache
def _by_record() -> dict[type[Record], Lens]:
    return {lens(name).table.record: lens(name) for name in tables.ORDER}


def lens_for(resource: Resource) -> Lens | None:
    """The first table that reads this resource, or None."""
    kind = resource.get("resourceType")
    known = _by_resource().get(kind, ()) if kind.__class__ is str else ()
    return next((each for each in known if each.reads(resource)), None)


def to_fhir(record: Record) -> Resource:
    """The FHIR resource that says what a record says.

    Raises:
        MappingError: no table could read the result back.

    """
    return _by_record()[type(record)].to_fhir(record)


def from_fhir(resource: Resource, resolve: Resolve | None = None) -> Reading:
    """Read one resource by the first table that reads it; no table is an issue, no exception."""
    if resource.__class__ is not dict:
        what = "a FHIR resource is a JSON object: give one"
        return Reading(None, (Issue("error", "structure", "$this", what),), {"$this": resource})
    found = lens_for(resource)
    if found is not None:
        return found.from_fhir(resource, resolve)
    kind = resource.get("resourceType")
    if kind.__class__ is not str:
        issue = Issue("error", "structure", "$this", "resourceType is missing: name the type")
    else:
        issue = Issue("information", "not-supported", "$this", "no table reads this resource")
    return Reading(None, (issue,), resource)


def update(resource: Resource, record: Record, resolve: Resolve | None = None) -> Resource:
    """A resource changed where the record says something else; see `Lens.update`."""
    return _by_record()[type(record)].update(resource, record, resolve)


__all__ = ["Lens", "MappingError", "Reading", "builtins", "from_fhir", "lens", "lens_for",
           "to_fhir", "update"]  # fmt: skip
