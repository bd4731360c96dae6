"""What every record has, and parts that several of them share."""

import msgspec
from msgspec.structs import force_setattr

from fhir_b12.datatypes import Backbone, CodeableConcept, Identifier, Json, Reference


def as_default(record: "Record", name: str, default: object) -> None:
    """An equal value becomes the default itself: equal records are then written alike."""
    value = getattr(record, name)
    if value is not default and value == default:
        force_setattr(record, name, default)


class Record(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False
):
    """What every record has."""

    id: str | None = None  #: the logical id on the server it came from
    language: str | None = None
    contained: tuple[Json, ...] = ()  #: resources that live inside this one, as they came
    extension: tuple[Json, ...] = ()  #: extensions, as they came


class Identified(Record, frozen=True, kw_only=True):
    """A record with business identifiers.

    The first is the record's own name in its clinic: other records refer to it, and a second
    sending of the same record is recognised by it.
    """

    identifier: tuple[Identifier, ...] = ()


class Part(Backbone, frozen=True, kw_only=True):
    """A part of a record that repeats."""


class Performer(Part, frozen=True, kw_only=True):
    """Who did it, as what."""

    function: CodeableConcept | None = None
    actor: Reference | None = None
    on_behalf_of: Reference | None = None
