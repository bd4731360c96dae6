"""Tests of a search: which rows of the index there must be.  https://hl7.org/fhir/R4/search.html

A condition is SQL about one row of an index, `{t}`; its values are always parameters of the
statement.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search import values
from fhir_b12.server.search.parameters import Parameter, Path, key_of
from fhir_b12.server.search.values import clip, folded, plain, split

COUNTED = {"date", "quantity", "number"}  #: whose rows are ranges
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_LAST = "\U0010ffff"  #: after every text
_DAY = 86_400_000_000
_MOST_CODES = 1_000


class WrongError(Exception):
    """A value that cannot be understood; the message says what to write."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Test(msgspec.Struct, frozen=True):
    """Something that a resource must fulfil."""


class Match(Test, frozen=True):
    """A row of an index."""

    table: str  #: text or range
    keys: tuple[int, ...]
    where: str = ""
    args: tuple[Any, ...] = ()


class Column(Test, frozen=True):
    """Something about the resource's own columns, `{r}`."""

    where: str
    args: tuple[Any, ...] = ()


class Linked(Test, frozen=True):
    """It refers to a resource of a type that passes a test."""

    key: int
    type: str
    test: Test


class Reverse(Test, frozen=True):
    """A resource of a type that passes a test refers to it."""

    type: str
    keys: tuple[int, ...]
    test: Test


class Together(Test, frozen=True):
    """Rows that belong to one part of the resource."""

    matches: tuple[Match, ...]


class Within(Test, frozen=True):
    """It is in a compartment."""

    owner: str
    name: str


class AnyOf(Test, frozen=True):
    """One of these."""

    criteria: tuple[Test, ...]


class Not(Test, frozen=True):
    """None of this."""

    test: Test


NOTHING = Column("1 = 0")


def any_of(tests: Iterable[Test]) -> Test:
    """One of several tests; rows of the same keys are asked for at once."""
    found = list(tests)
    first = found[0] if found else NOTHING
    if len(found) < 2:
        return first
    if isinstance(first, Match) and all(
        isinstance(each, Match) and (each.table, each.keys) == (first.table, first.keys)
        for each in found
    ):
        matches = [each for each in found if isinstance(each, Match)]
        where = " OR ".join(f"({each.where})" for each in matches)
        args = tuple(arg for each in matches for arg in each.args)
        return Match(first.table, first.keys, f"({where})", args)
    return AnyOf(tuple(found))


def present(known: Parameter) -> Test:
    """It has a value of the parameter."""
    table = "range" if known.kind in COUNTED else "text"
    if known.kind == "composite":
        raise WrongError("a composite cannot be missing")
    return any_of(_of_target(table, path) for path in known.paths)


def _of_target(table: str, path: Path) -> Match:
    if not path.target:
        return Match(table, (path.key,), "1 = 1")
    # `0` comes after `/`
    return Match(
        table, (path.key,), "{t}.value >= ? AND {t}.value < ?",
        (f"{path.target}/", f"{path.target}0"),
    )  # fmt: skip


def test(known: Parameter, modifier: str, asked: Sequence[str], base: str) -> Test:
    """The test of a parameter: one of its values must be found."""
    if known.kind == "composite":
        if modifier:
            raise WrongError("a composite has no modifier")
        return any_of(_composite(known, each) for each in asked)
    made: Callable[..., Test] | None = _MODIFIED.get((known.kind, modifier))
    if modifier and known.kind == "reference" and modifier in STORED:
        return any_of(_reference(known, f"{modifier}/{plain(each)}", base) for each in asked)
    if made is None:
        raise WrongError("this modifier is not one of the parameter")
    found = [made(known, each, base) for each in asked]
    return Not(any_of(found)) if modifier in {"not", "not-in"} else any_of(found)


def _at(known: Parameter, where: str, *args: Any, aspect: str = "", table: str = "text") -> Match:
    keys = known.keys
    if aspect:
        keys = tuple(key_of(path.text, path.kind, aspect) for path in known.paths)
    return Match(table, keys, where, args)


# --- tokens  https://hl7.org/fhir/R4/search.html#token


def _token(known: Parameter, text: str, _: str) -> Match:
    parts = [plain(each) for each in split(text, "|")]
    if len(parts) > 2:
        raise WrongError("write code, system|code, |code or system|")
    if len(parts) == 1:
        return _at(known, "{t}.value = ?", clip(parts[0]))
    system, code = map(clip, parts)
    if not code:
        return _at(known, "{t}.extra = ?", system)
    return _at(known, "{t}.value = ? AND {t}.extra = ?", code, system)


def _token_text(known: Parameter, text: str, _: str) -> Match:
    return _beginning(known, folded(plain(text)), "text")


def _of_type(known: Parameter, text: str, _: str) -> Match:
    parts = [plain(each) for each in split(text, "|")]
    if len(parts) != 3:
        raise WrongError("write system|code|value")
    return _at(known, "{t}.value = ?", clip("|".join(parts)), aspect="of-type")


def _in(known: Parameter, text: str, _: str) -> Test:
    codes = _expanded(plain(text))
    if codes is None:
        raise WrongError("this value set is not known here, or has no list of its codes")
    found = [(system, code) for system, listed in codes.items() for code in sorted(listed)]
    if len(found) > _MOST_CODES:
        raise WrongError(f"the value set has more than {_MOST_CODES} codes")
    return any_of(_at(known, "{t}.value = ? AND {t}.extra = ?", c, s) for s, c in found)


@cache
def _expanded(url: str) -> Any:
    from fhir_b12.validation import Validator  # noqa: PLC0415 - most searches need none

    return Validator().terminology.expand(url)


# --- texts  https://hl7.org/fhir/R4/search.html#string


def _beginning(known: Parameter, text: str, aspect: str = "") -> Match:
    where = "{t}.value >= ? AND {t}.value < ?"
    return _at(known, where, text, text + _LAST, aspect=aspect)


def _string(known: Parameter, text: str, _: str) -> Match:
    return _beginning(known, folded(plain(text)))


def _exact(known: Parameter, text: str, _: str) -> Match:
    return _at(known, "{t}.value = ? AND {t}.extra = ?", folded(plain(text)), clip(plain(text)))


def _contains(known: Parameter, text: str, _: str) -> Match:
    wanted = re.sub(r"([\\%_])", r"\\\1", folded(plain(text)))
    return _at(known, "{t}.value LIKE ? ESCAPE '\\'", f"%{wanted}%")


def _uri(known: Parameter, text: str, _: str) -> Match:
    return _at(known, "{t}.value = ?", clip(plain(text)))


# --- references  https://hl7.org/fhir/R4/search.html#reference


def _reference(known: Parameter, text: str, base: str) -> Test:
    whole = plain(text).removeprefix(f"{base}/")
    name, _, version = whole.partition("/_history/")
    found = []
    for path in known.paths:
        for each in _names(known, path, name):
            if not path.target or each.startswith(f"{path.target}/"):
                where, args = "{t}.value = ?", (clip(each),)
                if version:
                    where, args = f"{where} AND {{t}}.extra = ?", (*args, version)  # type: ignore[assignment]
                found.append(Match("text", (path.key,), where, args))
    return any_of(found)


def _names(known: Parameter, path: Path, name: str) -> list[str]:
    if "/" in name or ":" in name:
        url, _, _ = name.partition("|")
        return [url]
    return [f"{kind}/{name}" for kind in known.targets if path.target in {"", kind}]


def _identified(known: Parameter, text: str, _: str) -> Match:
    match = _token(known, text, "")
    keys = tuple(key_of(path.text, path.kind, "identifier") for path in known.paths)
    return msgspec.structs.replace(match, keys=keys)


# --- ranges  https://hl7.org/fhir/R4/search.html#prefix


def _prefixed(text: str) -> tuple[str, str]:
    found = _PREFIX.fullmatch(text)
    assert found is not None
    return found[1] or "eq", found[2]


_WITHIN = "({low} >= ? AND {high} <= ?)"
_DATES = {
    "eq": (_WITHIN, "ab"), "ne": (f"NOT {_WITHIN}", "ab"), "gt": ("{high} > ?", "b"),
    "lt": ("{low} < ?", "a"), "ge": (f"({{high}} > ? OR {_WITHIN})", "bab"),
    "le": (f"({{low}} < ? OR {_WITHIN})", "aab"), "sa": ("{low} >= ?", "b"),
    "eb": ("{high} <= ?", "a"), "ap": ("({low} < ? AND {high} > ?)", "zy"),
}  # fmt: skip


def _moments(text: str, low: str, high: str) -> tuple[str, tuple[int, ...]]:
    prefix, asked = _prefixed(plain(text).replace(" ", "+"))
    known = values.moments(asked)
    if known is None:
        raise WrongError("write a date, 2026-03-09 or 2026-03-09T09:15:00Z, after eq, ge, lt, ...")
    first, last = known
    where, order = _DATES[prefix]
    named = {"a": first, "b": last, "y": first - _DAY, "z": last + _DAY}
    return where.format(low=low, high=high), tuple(named[each] for each in order)


def _date(known: Parameter, text: str, _: str) -> Match:
    where, args = _moments(text, "{t}.low", "{t}.high")
    return _at(known, where, *args, table="range")


def updated(text: str) -> Column:
    """When the resource was last changed."""
    return Column(*_moments(text, "{r}.updated", "({r}.updated + 1)"))


_NUMBERS = {
    "eq": ("({t}.low >= ? AND {t}.high < ?)", "ab"),
    "ne": ("NOT ({t}.low >= ? AND {t}.high < ?)", "ab"),
    "gt": ("{t}.high > ?", "v"), "lt": ("{t}.low < ?", "v"), "ge": ("{t}.high >= ?", "v"),
    "le": ("{t}.low <= ?", "v"), "sa": ("{t}.low > ?", "v"), "eb": ("{t}.high < ?", "v"),
    "ap": ("({t}.low <= ? AND {t}.high >= ?)", "zy"),
}  # fmt: skip


def _amount(known: Parameter, text: str, _: str) -> Match:
    number, *unit = [plain(each) for each in split(text, "|")]
    prefix, digits = _prefixed(number)
    found = values.precision(digits)
    if found is None or len(unit) not in {0, 2}:
        raise WrongError("write a number, or number|system|code, after eq, ge, lt, ...")
    name, factor = _unit(*unit) if unit else ("", 1.0)
    value, low, high = (each * factor for each in found)
    width = abs(value) / 10
    named = {"v": value, "a": low, "b": high, "y": value - width, "z": value + width}
    where, order = _NUMBERS[prefix]
    args = (name, *(named[each] for each in order))
    return _at(known, f"{{t}}.unit = ? AND {where}", *args, table="range")


def _unit(system: str, code: str) -> tuple[str, float]:
    if not code:
        return "", 1.0
    if system == values.UCUM and (known := values.canonical(code)):
        return known[0].unit, known[0].factor
    return clip(f"{system}|{code}"), 1.0


def _composite(known: Parameter, text: str) -> Test:
    """https://hl7.org/fhir/R4/search.html#combining"""
    parts = list(split(text, "$"))
    if len(parts) != len(known.components):
        raise WrongError(f"write {len(known.components)} values with $ between them")
    matches = []
    for component, part in zip(known.components, parts, strict=True):
        found = test(component, "", [part], "")
        if not isinstance(found, Match):
            raise WrongError("a part of it cannot be searched for")
        matches.append(found)
    return Together(tuple(matches))


_MODIFIED: dict[tuple[str, str], Callable[[Parameter, str, str], Test]] = {
    ("token", ""): _token,
    ("token", "not"): _token,
    ("token", "text"): _token_text,
    ("token", "of-type"): _of_type,
    ("token", "in"): _in,
    ("token", "not-in"): _in,
    ("string", ""): _string,
    ("string", "exact"): _exact,
    ("string", "contains"): _contains,
    ("uri", ""): _uri,
    ("reference", ""): _reference,
    ("reference", "identifier"): _identified,
    ("date", ""): _date,
    ("quantity", ""): _amount,
    ("number", ""): _amount,
}
