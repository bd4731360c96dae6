"""Compile a snapshot into what it adds to R4.  https://hl7.org/fhir/R4/profiling.html

What R4's base rules say already is left out here and checked elsewhere; where nothing is left of an
element it has no part at all.
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from fhir_b12.definitions import R4, Element
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.profiles import errata
from fhir_b12.validation.profiles import value_checks as values
from fhir_b12.validation.profiles.compiled import Group, Part, Slice, Slicing
from fhir_b12.validation.profiles.discriminators import Item, SlicingError, criterion
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE, Facts, Raw, Snapshots, type_name
from fhir_b12.validation.profiles.value_checks import Found

_MAX_VALUE_SET = STRUCTURE + "elementdefinition-maxValueSet"
_BEST_PRACTICE = STRUCTURE + "elementdefinition-bestpractice"
#: what is of a slice by its pattern need not be held to the pattern again
_BY_PATTERN = [("pattern", "$this")]

Keys = list[tuple[str, str]]  #: the JSON names of an element and the type of each


class Judges(Protocol):
    """Who checks what a profile says of another profile."""

    def check(self, item: Item, url: str, context: ResourceContext, found: Found) -> bool | None:
        """An item against a profile; None where the profile is not known."""
        ...

    def judge(self, item: Item, url: str, context: ResourceContext) -> bool:
        """Whether an item conforms to a profile."""
        ...


class Compiler:
    """Compiles one structure."""

    def __init__(
        self, url: str, root: Raw, snapshots: Snapshots, judges: Judges, *, vital_sign: bool
    ) -> None:
        self._url = url
        self._vital_sign = vital_sign  #: whether errata of R4's vital signs are to be minded
        self._root = root
        self._snapshots = snapshots
        self._judges = judges
        self._linked: dict[str, Part] = {}  #: parts that content references lead to, by path

    def compile(self, type_: str) -> Part:
        """The part of the whole structure, which is of that type."""
        return self._part(self._root, R4.element(type_), type_, None)

    # --- one element

    def _part(self, raw: Raw, base: Element | None, path: str | None, whole: Raw | None) -> Part:
        """What an element says beyond `base`, R4's element.

        `path` is where its parts stand in R4, `whole` the element that it is a slice of.
        """
        part = Part(self._url, str(raw.facts.get("id") or raw.facts.get("path")))
        facts = raw.facts
        part.min, part.max = _least(facts), _most(facts)
        self._add_types(part, raw, base, whole)
        self._add_values(part, raw, whole)
        self._add_binding(part, raw, base, whole)
        self._add_constraints(part, raw, base, whole)
        self._add_groups(part, raw, path)
        return part

    def _add_types(self, part: Part, raw: Raw, base: Element | None, whole: Raw | None) -> None:
        if base is not None:
            part.kinds = _left(raw.types, base.types)
            part.quiet = raw.parent is self._root and base.defined.startswith("Extension.value")
        profiled: dict[str, list[str]] = {}
        for each in raw.typed():
            kind = type_name(each)
            if kind == "Reference":
                self._add_targets(part, each, base, whole)
            elif kind != "Extension":
                wanted = [url for url in each.get("profile", ()) if not _is_base(url, base)]
                if wanted:
                    profiled.setdefault(kind, []).extend(wanted)
        if profiled and (whole is None or raw.profiles != whole.profiles):
            part.tests.append(values.profiled(profiled, self._judges.check))

    def _add_targets(
        self, part: Part, facts: Facts, base: Element | None, whole: Raw | None
    ) -> None:
        urls = list(facts.get("targetProfile", ()))
        if whole is not None and urls == whole.targets:
            return
        own = {f"{STRUCTURE}{name}" for name in base.targets} if base is not None else set()
        modes = tuple(facts.get("aggregation", ()))
        if modes:
            part.tests.append(values.aggregated(modes, self._url))
        if not values.allows_any_target(urls) and set(urls) != own:
            part.tests.append(
                values.targets(urls, self._snapshots.type_of, self._judges.judge, self._url)
            )

    def _add_values(self, part: Part, raw: Raw, whole: Raw | None) -> None:
        for stem, test in (("fixed", values.fixed), ("pattern", values.pattern)):
            wanted = raw.choice(stem)
            if wanted is None or (whole is not None and whole.choice(stem) == wanted):
                continue
            if stem == "fixed" or whole is None or _discriminators(whole) != _BY_PATTERN:
                part.tests.append(test(wanted, self._url))
        most = raw.facts.get("maxLength")
        if isinstance(most, int) and most > 0:
            part.tests.append(values.length(most, self._url))
        for stem in ("minValue", "maxValue"):
            bound = raw.choice(stem)
            if bound is not None:
                part.tests.append(values.limit(bound, self._url, upper=stem == "maxValue"))

    def _add_binding(self, part: Part, raw: Raw, base: Element | None, whole: Raw | None) -> None:
        told = _binding(raw.facts)
        if told is None or (whole is not None and _binding(whole.facts) == told):
            return
        strength, value_set, ceiling = told
        path = str(raw.facts.get("path"))
        strength = errata.strength(strength, value_set, path, vital_sign=self._vital_sign)
        if base is not None and (base.strength, base.binding, base.ceiling) == (
            strength,
            value_set.partition("|")[0],
            ceiling.partition("|")[0] if ceiling else None,
        ):
            return
        if strength != "example" or ceiling:
            part.tests.append(values.bound(strength, value_set, ceiling))

    def _add_constraints(
        self, part: Part, raw: Raw, base: Element | None, whole: Raw | None
    ) -> None:
        known = _base_keys(raw, base)
        beside = {each.get("key") for each in whole.facts.get("constraint", ())} if whole else set()
        for each in raw.facts.get("constraint", ()):
            key = each.get("key")
            if key in known or key in beside or _is_advice(each):
                continue
            source = str(each.get("source") or self._url)
            test = values.constraint(each, source, vital_sign=self._vital_sign)
            if test is not None:
                part.tests.append(test)

    # --- what stands below it

    def _add_groups(self, part: Part, raw: Raw, path: str | None) -> None:
        reference = raw.facts.get("contentReference")
        if isinstance(reference, str) and not raw.children:
            self._link(part, reference)
            return
        for _, rows in groupby(raw.children, key=lambda each: each.name):
            group = self._group([*rows], path)
            if group is not None:
                part.groups.append(group)

    def _link(self, part: Part, reference: str) -> None:
        """Below a content reference stands what stands below the element it names.

        One that names R4's own structure means what that says, not what this profile adds.
        """
        structure, _, place = reference.rpartition("#")
        target = self._linked.get(place)
        if target is not None and structure in {"", self._url}:
            part.groups = target.groups
            part.linked = target.linked

    def _group(self, rows: Sequence[Raw], parent: str | None) -> Group | None:
        first = rows[0]
        head = first if first.slice is None or "slicing" in first.facts else None
        keys, base = _spellings(parent, first.name)
        if base is None:
            return None
        bare = head or Raw({"path": first.facts.get("path")})
        group = Group(first.name, keys, self._whole(bare, base, _place(parent, keys, bare)))
        group.base_min, group.base_max = base.min, base.max
        slices = [each for each in rows if each is not head]
        if slices:
            group.slicing = self._slicing(bare, slices, base, parent, keys)
        return group if _adds(group) else None

    def _whole(self, head: Raw, base: Element, path: str | None) -> Part:
        own = str(head.facts.get("path"))
        if head.slice is not None or own in self._linked:
            return self._part(head, base, path, None)
        # known before its parts are compiled: those may refer to it
        known = self._linked[own] = Part(self._url, own)
        known.linked = True
        part = self._part(head, base, path, None)
        known.linked = False
        if part.linked:
            return part
        if all(each.whole.groups is known.groups and not _adds_own(each) for each in part.groups):
            part.groups.clear()
        known.groups += part.groups
        part.groups = known.groups
        return part

    # --- slices

    def _slicing(
        self, head: Raw, rows: Sequence[Raw], base: Element, parent: str | None, keys: Keys
    ) -> Slicing | None:
        facts: Facts = head.facts.get("slicing") or {}
        slicing = Slicing(
            self._url,
            str(rows[0].facts.get("path")),
            str(facts.get("rules", "open")),
            ordered=facts.get("ordered") is True,
        )
        for index, row in enumerate(rows):
            part = self._part(row, base, _place(parent, keys, row), head)
            slicing.slices.append(Slice(row.slice or str(index), part))
        slicing.needed = any(each.part.min > 0 for each in slicing.slices)
        told = _discriminators(head)
        if not facts and rows[0].name.endswith("[x]"):
            told = [("type", "$this")]
        if told == [("position", "$this")] or [kind for kind, _ in told] == ["position"]:
            slicing.places = _places(slicing.slices)
        elif told != [("value", "url")] or not self._match_by_url(slicing, rows):
            known = {row.slice: (row, each) for row, each in zip(rows, slicing.slices, strict=True)}
            for row, each in known.values():
                outer = known.get((row.slice or "").rpartition("/")[0])
                inner = _discriminators(outer[0]) if outer else []
                self._add_tests(each, row, inner or told)
                if outer and inner:  # a slice of a slice: it must be of that one too
                    each.tests = [*outer[1].tests, *each.tests]
                if each.fault is not None and slicing.faulty is None:
                    slicing.faulty = each
        return slicing if _slices(slicing) else None

    def _add_tests(self, each: Slice, row: Raw, told: Sequence[tuple[str, str]]) -> None:
        """What tells the values of a slice. Without a discriminator none is of it."""
        try:
            found = [
                criterion(row, kind, path, self._snapshots, self._judges.judge)
                for kind, path in told
            ]
        except (SlicingError, DefinitionError) as error:
            each.fault = str(error)
            return
        each.tests = [test for test in found if test is not None]
        if not told:
            each.tests = [lambda _item, _context: False]
        elif not each.tests:
            paths = ", ".join(path for _, path in told)
            each.fault = f"it says nothing of {paths} that tells its values from others"

    def _match_by_url(self, slicing: Slicing, rows: Sequence[Raw]) -> bool:
        """Extensions are told by their urls at once, however many slices there are."""
        known: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            fixed = (each.choice("fixed") for each in row.children if each.name == "url")
            url = next(fixed, None) or next(iter(row.profiles), None)
            if not isinstance(url, str):
                return False
            known.setdefault(url.partition("|")[0], []).append(index)
        slicing.match = lambda item, _: known.get(item.value.get("url"), [])
        return True


def _places(slices: Sequence[Slice]) -> list[range]:
    """By position: each slice begins where those before it have ended."""
    places, start = [], 0
    for each in slices:
        most = each.part.max
        places.append(range(start, sys.maxsize if most is None else start + most))
        if most != each.part.min:
            break  # where the next begins cannot be told
        start += each.part.min
    return places


# --- facts


def _least(facts: Facts) -> int:
    least = facts.get("min", 0)
    return least if isinstance(least, int) else 0


def _most(facts: Facts) -> int | None:
    most = str(facts.get("max", "*"))
    return int(most) if most.isdecimal() and len(most) < 10 else None


def _binding(facts: Facts) -> tuple[str, str, str | None] | None:
    binding = facts.get("binding")
    if not isinstance(binding, dict):
        return None
    value_set = binding.get("valueSet")
    ceiling = next(
        (
            each.get("valueCanonical") or each.get("valueUri")
            for each in binding.get("extension", ())
            if each.get("url") == _MAX_VALUE_SET
        ),
        None,
    )
    if not isinstance(value_set, str):
        return None
    return str(binding.get("strength", "example")), value_set, ceiling


def _base_keys(raw: Raw, base: Element | None) -> set[str]:
    """The invariants that R4 itself has for an element and its types."""
    names = {*raw.types, "Element"}
    if base is not None:
        names |= {*base.types, *base.profiles, base.defined.partition(".")[0]}
    return {each.key for name in names for each in R4.invariants(name)}


def _is_advice(constraint: Facts) -> bool:
    """True of a best practice, which the reference leaves out unless it is asked."""
    return any(
        each.get("url") == _BEST_PRACTICE and each.get("valueBoolean") is True
        for each in constraint.get("extension", ())
    )


def _is_base(url: str, base: Element | None) -> bool:
    name = url.removeprefix(STRUCTURE)
    return base is not None and name in base.profiles


def _spellings(parent: str | None, name: str) -> tuple[Keys, Element | None]:
    """The JSON names of an element and the type of each, and what R4 says of it."""
    where = parent or "Element"
    known = R4.element(where)
    if known is not None and any(map(R4.is_primitive, known.types)):
        where = "Element"  # what a primitive has beside its value stands in its companion
    base = R4.element(f"{where}.{name}")
    if base is None:
        return [], None
    if not name.endswith("[x]"):
        return [(name, _inner(f"{where}.{name}", base))], base
    stem = name.removesuffix("[x]")
    spelled = [(f"{stem}{kind[0].upper()}{kind[1:]}", kind) for kind in base.types]
    return spelled, base


def _inner(path: str, base: Element) -> str:
    """The type of what stands at a path, or the path where R4 defines its parts there."""
    if base.content:
        return base.content
    kind = base.types[0] if base.types else "Element"
    return path if kind in {"BackboneElement", "Element"} else kind


def _place(parent: str | None, keys: Keys, raw: Raw) -> str | None:
    """Where in R4 the parts of a row stand; None of a choice that is still open."""
    where = parent or "Element"
    if len(keys) == 1:
        return f"{where}.{keys[0][0]}"
    types = raw.types
    return next((f"{where}.{key}" for key, kind in keys if types == (kind,)), None)


def _discriminators(head: Raw) -> list[tuple[str, str]]:
    """Type and path of each discriminator of a sliced element."""
    slicing: Facts = head.facts.get("slicing") or {}
    return [
        (str(each.get("type")), str(each.get("path", "$this")))
        for each in slicing.get("discriminator", ())
    ]


def _left(names: tuple[str, ...], base: tuple[str, ...]) -> tuple[str, ...]:
    """The types a profile leaves of R4's; none where it leaves all."""
    if base == ("Resource",):
        return () if "Resource" in names else names
    left = tuple(name for name in names if name not in {"Element", "BackboneElement"})
    return left if left and set(left) < set(base) else ()


def _adds(group: Group) -> bool:
    """True of a group that says more than R4."""
    return _adds_own(group) or not group.whole.is_empty()


def _adds_own(group: Group) -> bool:
    """True where it says more than R4 of how many there are, of slices or of each value itself."""
    whole = group.whole
    less = whole.max is not None and (group.base_max is None or whole.max < group.base_max)
    return (
        less
        or whole.min > group.base_min
        or group.slicing is not None
        or bool(whole.tests or whole.kinds)
    )


def _slices(slicing: Slicing) -> bool:
    """True of slicing that can find something."""
    return (
        slicing.rules != "open"
        or slicing.ordered
        or slicing.faulty is not None
        or any(
            each.part.min > 0 or each.part.max is not None or not each.part.is_empty()
            for each in slicing.slices
        )
    )
