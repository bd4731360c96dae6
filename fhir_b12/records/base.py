"""Base classes of records and of their parts."""

import inspect

import msgspec
from msgspec.structs import force_setattr

from fhir_b12.datatypes import Backbone, CodeableConcept, Identifier, Json, Reference


def as_default(record: "Record", name: str, default: object) -> None:
    """Replace a value that equals the default by the default, so that it is not written."""
    value = getattr(record, name)
    if value is not default and value == default:
        force_setattr(record, name, default)


_ATTRIBUTES = "Attributes:\n"


def inherit_attributes(struct: type[msgspec.Struct]) -> None:
    """Add the `Attributes:` of a class's base to its docstring, so that `help` shows all fields."""
    base = struct.__base__
    summary, own = _split(struct)
    inherited = _split(base)[1] if base is not None else {}
    if inherited or own:
        blocks = "".join({**inherited, **own}.values())
        struct.__doc__ = f"{summary}\n\n{_ATTRIBUTES}{blocks}"


def _split(struct: type) -> tuple[str, dict[str, str]]:
    """Return a docstring's text before `Attributes:`, and the lines of each attribute."""
    doc = inspect.cleandoc(struct.__dict__.get("__doc__") or "")
    summary, _, section = doc.partition(_ATTRIBUTES)
    blocks: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name = line.partition(":")[0].strip()
        if line.strip():
            blocks[name] = f"{blocks.get(name, '')}{line}\n"
    return summary.strip(), blocks


class Record(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False
):
    """Base class of all records.

    Attributes:
        id: Logical id on the server that the resource came from.
        language: Language of the resource, BCP 47.
        contained: Resources contained in this one, as JSON.
        extension: Extensions, as JSON.

    """

    id: str | None = None
    language: str | None = None
    contained: tuple[Json, ...] = ()
    extension: tuple[Json, ...] = ()

    def __init_subclass__(cls) -> None:
        """Complete the docstring of a record."""
        super().__init_subclass__()
        inherit_attributes(cls)


class Identified(Record, frozen=True, kw_only=True):
    """A record with business identifiers.

    Other records refer to a record by its first identifier, and a record that is sent twice is
    recognized by it.

    Attributes:
        identifier: Business identifiers; other records refer to this one by the first.

    """

    identifier: tuple[Identifier, ...] = ()


class Part(Backbone, frozen=True, kw_only=True):
    """Base class of the parts of records.

    Attributes:
        extension: Extensions, as JSON.
        modifier_extension: Always None; a part with a modifier extension is not read.

    """

    def __init_subclass__(cls) -> None:
        """Complete the docstring of a part."""
        super().__init_subclass__()
        inherit_attributes(cls)


class Performer(Part, frozen=True, kw_only=True):
    """Who did it, as what.

    Attributes:
        function: Type of performance.
        actor: Who performed the medication administration.
        on_behalf_of: Organization that the performer acted for.

    """

    function: CodeableConcept | None = None
    actor: Reference | None = None
    on_behalf_of: Reference | None = None
