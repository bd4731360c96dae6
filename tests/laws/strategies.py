"""Strategies for records of every type, used to test the laws of the lens."""

import types
import typing
from decimal import Decimal
from functools import cache

import msgspec
from hypothesis import strategies as st

from fhir_b12 import datatypes, records
from fhir_b12.dates import Date, DateTime, Instant
from fhir_b12.definitions import R4
from fhir_b12.mapping.codecs import builtins, per_one, result
from fhir_b12.mapping.lens import _by_record

TEXT = st.one_of(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6
    ),
    st.sampled_from(["µg", "½ Wirkung", "\u202eمريض", "𝔅𝟙𝟚", "é", "é", " ", "\U0001f9ec"]),
)
DECIMALS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.sampled_from([Decimal(t) for t in ("1.50", "0.10", "1E+2", "-0.0", "180", "1E-7", "0")]),
)
DAYS = st.dates().map(str)
OFFSETS = st.sampled_from(["Z", "+00:00", "-00:00", "+05:45", "-11:00", "+14:00"])
CLOCK = st.sampled_from(["T00:00:00", "T23:59:59.999", "T09:15:00.120", "T23:59:60"])
MOMENTS = st.builds("{}{}{}".format, DAYS, CLOCK, OFFSETS)
PARTIAL = st.one_of(DAYS, DAYS.map(lambda d: d[:7]), DAYS.map(lambda d: d[:4]))
EXTENSIONS = st.just({"url": "https://example.org/x", "valueDecimal": Decimal("1.10")})

SCALARS = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(-(2**31), 2**31 - 1),
    Decimal: DECIMALS,
    datatypes.Number: DECIMALS,
    DateTime: st.one_of(PARTIAL, MOMENTS).map(DateTime),
    Date: PARTIAL.map(Date),
    Instant: MOMENTS.map(Instant),
    type(None): st.none(),
    typing.Any: EXTENSIONS,
}


@cache
def draw_type(hint, depth=0):
    """Draw values of a type; nested values have fewer items with depth."""
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return draw_struct(hint, depth)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        # a null in a list only marks the position of a companion; records have no such value
        item = next(a for a in _without_none(arguments[0]))
        return st.lists(draw_type(item, depth + 1), max_size=2 if depth < 2 else 1).map(tuple)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(
            st.none(), *[draw_type(a, depth) for a in arguments if a is not type(None)]
        )
    raise TypeError(hint)


def _without_none(hint):
    return [a for a in typing.get_args(hint) if a is not type(None)] or [hint]


@cache
def draw_struct(record_type, depth=0):
    """Draw a data type or backbone element with at least one of its fields."""
    hints = typing.get_type_hints(record_type)
    fields = {
        name: draw_type(hints[name], depth + 1)
        for name in record_type.__struct_fields__
        if name != "modifier_extension" and (depth < 3 or not _has_structs(hints[name]))
    }
    chosen = st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=4, unique=True)
    return (
        chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))
        .map(lambda values: record_type(**values))
        .filter(lambda value: value != record_type())
    )


def _has_structs(hint):
    return any(
        isinstance(a, type) and issubclass(a, msgspec.Struct)
        for a in (
            hint,
            *typing.get_args(hint),
            *(b for a in typing.get_args(hint) for b in typing.get_args(a)),
        )
    )


def choice_of(lens):
    """Return field -> its choice element, such as `Observation.value[x]`; a bag is a medication."""
    choices = {}
    for row in lens.table.rows:
        for mapping in row.ways:
            choice = R4.element(f"{lens.table.resource}.{mapping.element}").defined
            if choice.endswith("[x]"):
                choices[row.field] = choice
    return choices | {link.field: choices[link.instead_of] for link in lens.table.links}


@cache
def draw_record(record_type):
    """Draw a record with at most one field of each choice, as FHIR requires."""
    hints = typing.get_type_hints(record_type)
    choices = choice_of(_by_record()[record_type])
    required = {f.name for f in msgspec.structs.fields(record_type) if f.required}
    fields = {n: draw_type(hints[n]) for n in record_type.__struct_fields__ if n not in OWN}
    always = {n: draw_type(_without_none(hints[n])[0]) for n in required}
    optional = {n: fields[n] for n in fields if n not in required}
    chosen = st.lists(
        st.sampled_from(sorted(optional)),
        max_size=12,
        unique_by=lambda name: choices.get(name, name),
    )
    values = chosen.flatmap(
        lambda names: st.fixed_dictionaries({**always, **{n: optional[n] for n in names}})
    )
    return values.map(lambda v: record_type(**{**v, **required_fields_of(record_type, v)})).map(
        remove_ambiguous_fields
    )


OWN = frozenset({"category", "contained", "language", "route"})
IV = datatypes.CodeableConcept(text="IV")


def required_fields_of(record_type, values):
    return {"route": IV} if record_type is records.Infusion else {}


def remove_ambiguous_fields(value):
    """Return the value without fields that read back differently (see the mapping's notes)."""
    changes = {}
    if (text := getattr(value, "value_string", None)) is not None and result(text) is not None:
        changes["value_string"] = None
    if (bag := getattr(value, "bag", None)) is not None:
        # FHIR does not allow nested contained resources
        changes["bag"] = msgspec.structs.replace(
            bag, contained=(), id=None if bag.id == "medication" else bag.id
        )
    ratio = getattr(value, "rate_ratio", None)
    if ratio is not None and per_one(builtins(ratio)) is not None:
        changes["rate_ratio"] = None
    return msgspec.structs.replace(value, **changes)
