"""Records of every kind, with all their fields, for the laws."""

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
def of(hint, depth=0):
    """Values of a type; nested ones get thinner the deeper they lie."""
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return struct(hint, depth)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        # a null inside a list only stands for an extension's place; it is no value of ours
        item = next(a for a in _plain(arguments[0]))
        return st.lists(of(item, depth + 1), max_size=2 if depth < 2 else 1).map(tuple)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(st.none(), *[of(a, depth) for a in arguments if a is not type(None)])
    raise TypeError(hint)


def _plain(hint):
    return [a for a in typing.get_args(hint) if a is not type(None)] or [hint]


@cache
def struct(kind, depth=0):
    """A data type or part with some of its fields; never wholly empty, which FHIR cannot write."""
    hints = typing.get_type_hints(kind)
    fields = {
        name: of(hints[name], depth + 1)
        for name in kind.__struct_fields__
        if name != "modifier_extension" and (depth < 3 or not _deep(hints[name]))
    }
    chosen = st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=4, unique=True)
    return (
        chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))
        .map(lambda values: kind(**values))
        .filter(lambda value: value != kind())
    )


def _deep(hint):
    return any(
        isinstance(a, type) and issubclass(a, msgspec.Struct)
        for a in (
            hint,
            *typing.get_args(hint),
            *(b for a in typing.get_args(hint) for b in typing.get_args(a)),
        )
    )


def choice_of(lens):
    """field -> the choice it spells, e.g. `Observation.value[x]`; a held bag is a medication."""
    found = {}
    for row in lens.table.rows:
        for way in row.ways:
            spelled = R4.element(f"{lens.table.resource}.{way.element}").defined
            if spelled.endswith("[x]"):
                found[row.field] = spelled
    return found | {link.field: found[link.instead_of] for link in lens.table.links}


@cache
def record(kind):
    """A record that FHIR can say: of the fields that spell one choice there is one at most."""
    hints = typing.get_type_hints(kind)
    choices = choice_of(_by_record()[kind])
    required = {f.name for f in msgspec.structs.fields(kind) if f.required}
    fields = {n: of(hints[n]) for n in kind.__struct_fields__ if n not in OWN}
    always = {n: of(_plain(hints[n])[0]) for n in required}
    optional = {n: fields[n] for n in fields if n not in required}
    chosen = st.lists(
        st.sampled_from(sorted(optional)),
        max_size=12,
        unique_by=lambda name: choices.get(name, name),
    )
    values = chosen.flatmap(
        lambda names: st.fixed_dictionaries({**always, **{n: optional[n] for n in names}})
    )
    return values.map(lambda v: kind(**{**v, **extra(kind, v)})).map(sayable)


OWN = frozenset({"category", "contained", "language", "route"})
IV = datatypes.CodeableConcept(text="IV")


def extra(kind, values):
    return {"route": IV} if kind is records.Infusion else {}


def sayable(value):
    """Without the few spellings that read as another one, each named in the mapping's notes."""
    changes = {}
    if (text := getattr(value, "value_string", None)) is not None and result(text) is not None:
        changes["value_string"] = None
    if (bag := getattr(value, "bag", None)) is not None:
        # what a bag itself contains would have to stand beside it: FHIR has no nested containment
        changes["bag"] = msgspec.structs.replace(
            bag, contained=(), id=None if bag.id == "medication" else bag.id
        )
    ratio = getattr(value, "rate_ratio", None)
    if ratio is not None and per_one(builtins(ratio)) is not None:
        changes["rate_ratio"] = None
    return msgspec.structs.replace(value, **changes)
