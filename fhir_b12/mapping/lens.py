"""A table as a lens: `to_fhir` creates, `from_fhir` reads, `update` changes a resource."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from fhir_b12.caching import once
from fhir_b12.datatypes import convert
from fhir_b12.issues import Issue
from fhir_b12.mapping import compiled_table, guards, links, merge
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.choices import choice_names, repeated_choices
from fhir_b12.mapping.codecs import dump, load, pruned, same
from fhir_b12.mapping.ledger import Ledger, Row, account, plan, unread_rows
from fhir_b12.mapping.links import Resolve, Resource
from fhir_b12.mapping.table_check import hints
from fhir_b12.mapping.type_errors import MODIFIED, faults
from fhir_b12.models import as_resource
from fhir_b12.paths import at
from fhir_b12.records import Record


class MappingError(ValueError):
    """Error for a record that cannot be written, or a resource not changed; see `issues`."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__("; ".join(map(str, issues)))
        self.issues = issues


class Reading(msgspec.Struct, frozen=True, gc=False):
    """Result of reading one resource: the record, None if it cannot be read, and the issues."""

    record: Record | None
    issues: tuple[Issue, ...]
    resource: Resource
    lens: "Lens | None" = None
    #: field, location and reading of each linked resource
    linked: tuple[tuple[str, str, "Reading"], ...] = ()

    @property
    def ledger(self) -> Ledger:
        """The class of every leaf of the resource; computed on access."""
        return Ledger(tuple(self.account()))

    def account(self, prefix: str = "") -> list[Row]:
        """Return the rows of the ledger.

        Args:
            prefix: prepended to each path, e.g. `entry[0].resource.`

        Returns:
            Path, class, and field or reason of every leaf.

        """
        if self.lens is None or self.record is None:
            why = self.issues[0].message if self.issues else "not read"
            return unread_rows(self.resource, why, prefix)
        contained_rows = {
            location: links.linked_rows(field, inner.account(f"{prefix}{location}."))
            for field, location, inner in self.linked
            if links.is_contained(location)
        }
        rows = account(self.resource, self.lens.plan, contained_rows, prefix)
        for link in self.lens.table.links:
            if _linked_reading(self, link)[1] is not None:
                rows = links.reference_rows(link, rows, prefix)
        return rows


def _linked_reading(reading: Reading, link: tables.Link) -> tuple[str, Reading | None]:
    """Return location and reading of a linked resource, "" and None if there is none."""
    for field, location, inner in reading.linked:
        if field == link.field:
            return location, inner
    return "", None


class Lens:
    """A mapping table, compiled to functions that create, read and change resources."""

    def __init__(self, source: tables.Table) -> None:
        self.table = source
        self.reads = guards.compile_when(source.when)
        self.refused = guards.compile_refuse(source.refuse)
        self.plan = plan(source)
        self._keys = compiled_table.keys(source)
        self._elements = compiled_table.tree(source)
        self._targets = compiled_table.targets(source)
        parents = {way.path[:-1] for row in source.rows for way in row.ways} - {()}
        self._choices = choice_names(source, ())
        self._inner = [(parent, choice_names(source, parent)) for parent in sorted(parents)]
        self._fields = {key: field for field, key in self._keys.items()}
        ways = [way for row in source.rows for way in row.ways]
        self._routed = sorted({way.path for way in ways if way.codec is not None})
        self._defaults = _encode_defaults(source, self._keys)
        #: the value of a field whose default is absent from the resource
        self._absent: dict[str, Any] = {
            key: [] if value.startswith(b"[") else None for key, value in self._defaults.items()
        }

    def from_fhir(self, resource: Resource, resolve: Resolve | None = None) -> Reading:
        """Read one resource; if it cannot be read, the issues say why."""
        resource_type = resource.get("resourceType")
        if resource_type != self.table.resource:
            what = f"{self.table.name} reads {self.table.resource}, not this type of resource"
            return Reading(None, (Issue("error", "structure", "resourceType", what),), resource)
        if not self.reads(resource):
            what = f"not read by {self.table.name}: the resource meets none of its `when` blocks"
            return Reading(None, (Issue("error", "not-supported", resource_type, what),), resource)
        return self.read(resource, resolve)

    def read(self, resource: Resource, resolve: Resolve | None = None) -> Reading:
        """Read a resource for which `reads` is true."""
        issues = self._obstacles(resource)
        if not issues:
            values = compiled_table.gather(resource, self._elements, self._absent.copy())
            try:
                record: Record = convert(values, self.table.record)
            except msgspec.ValidationError:
                pass
            else:
                reading = Reading(record, (), resource, self)
                return self._follow(reading, resolve) if self.table.links else reading
        return Reading(None, (*issues, *self._type_issues(resource)), resource, self)

    def to_fhir(self, record: Record) -> Resource:
        """Return the resource of a record.

        A withdrawn record (`entered-in-error`) is written, although it cannot be read again.

        Raises:
            MappingError: this table would not read the resource back as the record, e.g. an
                infusion without intravenous route and without rate, or a result with two values.

        """
        resource = self.create(record)
        self._check(resource, record)
        return resource

    def _check(self, resource: Resource, record: Record) -> None:
        """Raise MappingError if a resource cannot be read back as its record."""
        issues = [*self._choice_issues(resource), *self._misread_issues(resource, record)]
        reader = lens_for(resource)
        if reader is not self:
            instead = f"{reader.table.name}.toml reads it" if reader else "no table reads it"
            what = f"{instead} instead of {self.table.name}.toml: add what its `when` requires"
            issues.append(Issue("error", "business-rule", self.table.resource, what))
        for link in self.table.links:
            issues += links.check_linked(record, link, self.table.resource)
        if issues:
            raise MappingError(tuple(issues))

    def create(self, record: Record) -> Resource:
        """Return the resource of a record; do not check that it reads back as the record."""
        resource = self._without_links(record)
        for link in self.table.links:
            linked_record = getattr(record, link.field)
            if linked_record is not None:
                links.add_contained(
                    resource, link, linked_record, lens(link.table).create(linked_record)
                )
        return resource

    def _without_links(self, record: Record) -> Resource:
        """Return the resource without linked resources and without empty objects and lists.

        Raises:
            MappingError: a number is NaN or infinite.

        """
        written = dump(record)
        try:
            values = load(written)
        except msgspec.DecodeError:
            what = "a number of the record is NaN or infinite: remove it"
            raise MappingError((Issue("error", "value", self.table.resource, what),)) from None
        for key, value in self._defaults.items():
            if key not in values:
                values[key] = load(value)
            elif values[key] is None:
                del values[key]
        if b"{}" in written or b"[]" in written:
            values = pruned(values) or {}
        for link in self.table.links:
            values.pop(link.field, None)
        return compiled_table.scatter(values, self._targets, {"resourceType": self.table.resource})

    def update(
        self, resource: Resource, record: Record, resolve: Resolve | None = None
    ) -> Resource:
        """Return the resource with the changes of the record; everything else stays as it is.

        Raises:
            MappingError: the resource cannot be read, or would not be read back as the record.

        """
        reading = self.from_fhir(resource, resolve)
        if reading.record is None:
            raise MappingError(reading.issues)
        if same(reading.record, record):
            return resource
        before, after = self._without_links(reading.record), self._without_links(record)
        changed = dict(resource)
        moved = [
            (link, *_linked_reading(reading, link))
            for link in self.table.links
            if links.is_changed(link, reading.record, record)
        ]
        for _, location, _ in moved:
            links.remove_contained(changed, location)
        for row in self.table.rows:
            if not same(getattr(reading.record, row.field), getattr(record, row.field)):
                self._change(changed, row, before, after)
        for link, location, old in moved:
            _relink(changed, link, record, location, old)
        self._check(changed, record)
        return changed

    def _obstacles(self, resource: Resource) -> list[Issue]:
        """Return the issues that make the resource unreadable regardless of its mapped elements."""
        issues = self._choice_issues(resource)
        resource_type = self.table.resource
        if "implicitRules" in resource:
            what = "implicit rules change the meaning of the resource, so it is not read"
            issues.append(Issue("error", "not-supported", f"{resource_type}.implicitRules", what))
        if "modifierExtension" in resource:
            issues.append(
                Issue("error", "extension", f"{resource_type}.modifierExtension", MODIFIED)
            )
        for parent, _ in self._inner:
            node, where = at(resource, parent), ".".join((resource_type, *parent))
            if node is not None and node.__class__ is not dict:
                issues.append(Issue("error", "structure", where, "write one JSON object"))
            elif node is not None and "modifierExtension" in node:
                issues.append(Issue("error", "extension", f"{where}.modifierExtension", MODIFIED))
        refused = self.refused(resource)
        if refused is not None:
            what = "this value withdraws the resource, so it is not read; handle it by its id"
            issues.append(Issue("error", "business-rule", f"{resource_type}.{refused}", what))
        return issues

    def _choice_issues(self, resource: Resource) -> list[Issue]:
        """Return an issue for each choice with two values.  https://hl7.org/fhir/R4/formats.html#choice"""
        issues = repeated_choices(resource, self._choices)
        for parent, choices in self._inner:
            node = at(resource, parent)
            if node.__class__ is dict:
                issues += repeated_choices(node, choices)
        return issues

    def _misread_issues(self, resource: Resource, record: Record) -> Iterator[Issue]:
        """Yield an issue for each value that a codec would read as another field."""
        for path in self._routed:
            value = at(resource, path)
            key = None if value is None else compiled_table.key_of(self._elements, path, value)
            field = self._fields.get(key or "")
            if field is not None and getattr(record, field) is None:
                where = ".".join((self.table.resource, *path))
                what = f"this value would be read as {field}: write it to that field"
                yield Issue("error", "business-rule", where, what)

    def _type_issues(self, resource: Resource) -> Iterator[Issue]:
        """Yield an issue for each required field without value and each value of wrong type."""
        types = hints(self.table.record)
        for row in self.table.rows:
            values = [
                (way, value) for way in row.ways if (value := at(resource, way.path)) is not None
            ]
            if row.required and not values:
                path = f"{self.table.resource}.{row.ways[0].element}"
                yield Issue("error", "required", path, f"{row.field} is missing: add a value")
            for way, value in values:
                key = compiled_table.key_of(self._elements, way.path, value)
                if way.codec is None and key == self._keys[row.field]:
                    path = f"{self.table.resource}.{way.element}"
                    yield from faults(value, types[row.field], path)

    def _follow(self, reading: Reading, resolve: Resolve | None) -> Reading:
        """Return a reading whose record includes the linked resources."""
        record, issues, linked = reading.record, list(reading.issues), list(reading.linked)
        assert record is not None
        for link in self.table.links:
            reference = getattr(record, link.instead_of)
            if reference is None or reference.reference is None:
                continue
            location, target = links.target(reading.resource, reference, resolve)
            inner = lens(link.table)
            if target is None or target.get("resourceType") != inner.table.resource:
                continue
            linked_reading = inner.from_fhir(target)
            linked.append((link.field, location, linked_reading))
            issues += [
                links.with_location(issue, f"{self.table.resource}.{location}")
                for issue in linked_reading.issues
            ]
            if linked_reading.record is not None:
                record = links.replace_reference(record, link, location, linked_reading.record)
        good = record if not any(issue.is_error for issue in issues) else None
        return Reading(good, tuple(issues), reading.resource, self, tuple(linked))

    def _change(
        self, changed: Resource, row: tables.Row, before: Resource, after: Resource
    ) -> None:
        """Change the elements of a row, and remove those that the record no longer has."""
        for way in row.ways:
            old, new, current = at(before, way.path), at(after, way.path), at(changed, way.path)
            if new is not None:
                known = old is not None and current is not None
                merge.put(changed, way.path, merge.merge(current, old, new) if known else new)
                merge.move_extensions(changed, way.path, current if old is None else old, new)
            elif current is not None:
                key = compiled_table.key_of(self._elements, way.path, current)
                if key == self._keys[row.field]:
                    merge.put(changed, way.path, None)
                    merge.move_extensions(changed, way.path, current, None)


def _relink(
    changed: Resource, link: tables.Link, record: Record, location: str, old: Reading | None
) -> None:
    """Write the linked resource of a record, without losing the elements that no table maps.

    Raises:
        MappingError: other references to the removed resource remain.

    """
    linked_record: Record | None = getattr(record, link.field)
    if linked_record is None:
        issues = links.unlink(changed, link, record, location, old.resource) if old else ()
        if issues:
            raise MappingError(issues)
    elif old is None:
        links.add_contained(changed, link, linked_record, lens(link.table).create(linked_record))
    elif links.is_contained(location) or not same(linked_record, old.record):
        written = lens(link.table).update(old.resource, linked_record)
        links.add_contained(changed, link, linked_record, written, location)


def _encode_defaults(source: tables.Table, keys: dict[str, str]) -> dict[str, bytes]:
    """Return the defaults of a record by key, e.g. the category of a laboratory result."""
    return {
        keys[field.name]: dump(field.default)
        for field in msgspec.structs.fields(source.record)
        if field.default not in (msgspec.NODEFAULT, None, ())
    }


@once
def lens(name: str) -> Lens:
    """Return the lens of `mappings/NAME.toml`, compiled once."""
    return Lens(tables.load(name))


@cache
def _by_resource() -> dict[str, tuple[Lens, ...]]:
    """Return the lenses of each resource type, in order of trial."""
    lenses: dict[str, tuple[Lens, ...]] = {}
    for name in tables.ORDER:
        compiled = lens(name)
        lenses[compiled.table.resource] = (*lenses.get(compiled.table.resource, ()), compiled)
    return lenses


@cache
def _by_record() -> dict[type[Record], Lens]:
    """Return the lens of each record class."""
    return {lens(name).table.record: lens(name) for name in tables.ORDER}


def lens_for(resource: Resource) -> Lens | None:
    """Return the lens of the first table that reads a resource, None if no table does."""
    resource_type = resource.get("resourceType")
    known = _by_resource().get(resource_type, ()) if resource_type.__class__ is str else ()
    for candidate in known:
        if candidate.reads(resource):
            return candidate
    return None


def to_fhir(record: Record) -> Resource:
    """Return the FHIR resource of a record.

    Args:
        record: one record, e.g. a LabResult.

    Returns:
        The resource as plain JSON, its decimals with all digits.

    Raises:
        MappingError: no table reads the resource back as this record.

    """
    return _by_record()[type(record)].to_fhir(record)


def from_fhir(resource: Any, resolve: Resolve | None = None) -> Reading:
    """Read one resource by the first table that reads it.

    Args:
        resource: plain JSON as `fhir_b12.loads` returns it, or a `fhir.resources` model.
        resolve: returns the resource that a reference refers to, None if unknown.

    Returns:
        The record, None if the resource cannot be read; then the issues say why.

    """
    resource = as_resource(resource)
    if resource.__class__ is not dict:
        what = "a FHIR resource is a JSON object: pass one"
        return Reading(None, (Issue("error", "structure", "$this", what),), resource)
    reader = lens_for(resource)
    if reader is not None:
        return reader.read(resource, resolve)
    if resource.get("resourceType").__class__ is not str:
        issue = Issue("error", "structure", "$this", "resourceType is missing: add it")
    else:
        issue = Issue("information", "not-supported", "$this", "no table reads this resource")
    return Reading(None, (issue,), resource)


def update(resource: Any, record: Record, resolve: Resolve | None = None) -> Resource:
    """Return a resource with the changes of its record; everything else stays as it is.

    Args:
        resource: plain JSON of the resource, or a `fhir.resources` model.
        record: the record with its changes.
        resolve: returns the resource that a reference refers to, None if unknown.

    Returns:
        The changed resource; the same object if nothing changes.

    Raises:
        MappingError: the resource cannot be read, or would not be read back as the record.

    """
    return _by_record()[type(record)].update(as_resource(resource), record, resolve)


__all__ = ["Lens", "MappingError", "Reading", "from_fhir", "lens", "lens_for", "to_fhir", "update"]
