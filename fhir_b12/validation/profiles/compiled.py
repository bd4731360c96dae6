"""A compiled profile: what it adds to R4, element by element.  https://hl7.org/fhir/R4/profiling.html

A `Part` is what is said of one value, a `Group` what is said of all values of one name: how many,
and which slice each belongs to. Paths are built only where something is wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, prepend_path
from fhir_b12.validation.profiles.discriminators import Item, Test, pairs
from fhir_b12.validation.profiles.value_checks import Found, ValueTest

Entry = tuple[str, int | None, Item]  #: JSON name, index in its list, the value


class Part:
    """What is said of one value."""

    __slots__ = ("groups", "kinds", "label", "linked", "max", "min", "profile", "quiet", "tests")

    def __init__(self, profile: str, label: str) -> None:
        self.profile = profile  #: url, to be named in findings
        self.label = label  #: its place in the profile: "Observation.component:systolic.code"
        self.min = 0
        self.max: int | None = None
        self.kinds: tuple[str, ...] = ()  #: types that are left of R4's; none where all are
        self.quiet = False  #: whether another check tells of a value of the wrong type
        self.linked = False  #: whether its groups are those of a part that is not yet complete
        self.tests: list[ValueTest] = []
        self.groups: list[Group] = []

    def is_empty(self) -> bool:
        """True where it adds nothing to R4, how many aside."""
        return not (self.tests or self.groups or self.kinds or self.linked)

    def check_whole(self, item: Item, context: ResourceContext, found: Found) -> None:
        """A value that stands for itself; the paths of what is found start at it."""
        for test in self.tests:
            test(item, context, found)
        if isinstance(item.value, dict):
            for group in self.groups:
                group.check(item.value, context, found)

    def check(self, entry: Entry, context: ResourceContext, found: Found) -> None:
        """One value, its parts included; the paths of what is found start at its parent."""
        name, index, item = entry
        if self.kinds and item.kind not in self.kinds:
            self._misfit(entry, found)
            return
        mark = len(found)
        for test in self.tests:
            test(item, context, found)
        inside = item.value
        if self.groups and not isinstance(inside, dict):
            if len(found) > mark:
                _place(found, mark, name, index)
            # a primitive without companion may lack an extension that it must have
            mark, name, inside = len(found), f"_{name}", item.companion or {}
        if isinstance(inside, dict):
            for group in self.groups:
                group.check(inside, context, found)
        if len(found) > mark:
            _place(found, mark, name, index)

    def _misfit(self, entry: Entry, found: Found) -> None:
        """A value of a type the profile leaves out, and what the right type has no place for."""
        name, index, item = entry
        wanted = ", ".join(self.kinds)
        told: dict[str, Any] = {
            "wanted": wanted,
            "kind": item.kind,
            "place": self.label,
            "profile": self.profile,
        }
        if len(self.kinds) > 1:  # the reference tells this of the parent
            found.append(Finding("profile-types", **told))
            return
        mark = len(found)
        if not self.quiet:
            found.append(Finding("profile-type", **told))
        if not (isinstance(item.value, dict) and "resourceType" in item.value):
            self._misread(item.value, told, found)
        _place(found, mark, name, index)

    def _misread(self, value: Any, told: dict[str, Any], found: Found) -> None:
        """What is wrong with a value where it is read as one of the right type."""
        kind = self.kinds[0]
        parts = dict.fromkeys(key.removeprefix("_") for key in value) if type(value) is dict else {}
        if R4.is_primitive(kind):
            if "value" in parts:
                found.append(Finding("profile-not-allowed", name="value", **told))
                del parts["value"]
        else:
            elements = ((each, R4.element(f"{kind}.{each}")) for each in R4.children(kind))
            found += [
                Finding("profile-min", name=each, least=1, count=0, **told)
                for each, element in elements
                if element is not None and element.min > 0 and each not in parts
            ]
        allowed = {*R4.children(kind), "id", "extension"}
        found += [
            Finding("profile-not-allowed", each, name=each, **told)
            for each in parts
            if each not in allowed
        ]


def _place(found: Found, mark: int, name: str, index: int | None) -> None:
    if index is None:
        prepend_path(found, mark, name)
    else:
        prepend_path(found, mark, name, index)


class Group:
    """What is said of all values of one name below an element."""

    __slots__ = ("_by_name", "base_max", "base_min", "keys", "name", "slicing", "whole")

    def __init__(self, name: str, keys: Sequence[tuple[str, str]], whole: Part) -> None:
        self.name = name  #: "component", "value[x]"
        #: JSON name, that of its companion, and type, of each spelling
        self.keys = [(key, f"_{key}", kind) for key, kind in keys]
        self._by_name = {each: row for row in self.keys for each in row[:2]}
        self.whole = whole
        self.slicing: Slicing | None = None
        self.base_min = 0
        self.base_max: int | None = None

    def check(self, node: dict[str, Any], context: ResourceContext, found: Found) -> None:
        """All values of this name in an object; paths start at the object."""
        here = self._entries(node)
        whole, count = self.whole, len(here)
        told: dict[str, Any] = {"name": self.name, "place": whole.label, "profile": whole.profile}
        if self.base_min <= count < whole.min:
            found.append(Finding("profile-min", least=whole.min, count=count, **told))
        elif whole.max is not None and whole.max < count <= (self.base_max or count):
            found.append(Finding("profile-max", most=whole.max, count=count, **told))
        if here and (whole.tests or whole.groups or whole.kinds):
            for entry in here:
                whole.check(entry, context, found)
        if self.slicing is not None:
            self.slicing.check(here, context, found)

    def _entries(self, node: dict[str, Any]) -> list[Entry]:
        here: list[Entry] = []
        for name, beside, kind in self._present(node):
            value, companion = node.get(name), node.get(beside)
            if companion is None:
                if value is None:
                    continue
                if kind == "Resource":
                    here += _resources(name, value)
                elif isinstance(value, list):
                    here += [
                        (name, index, Item(each, None, kind)) for index, each in enumerate(value)
                    ]
                else:
                    here.append((name, None, Item(value, None, kind)))
            elif isinstance(value, list) or isinstance(companion, list):
                here += [
                    (name, index, Item(each, other, kind))
                    for index, (each, other) in enumerate(pairs(value, companion))
                ]
            else:
                here.append((name, None, Item(value, companion, kind)))
        return here

    def _present(self, node: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
        """The spellings that may be in an object."""
        if len(self.keys) == 1:
            return self.keys
        return {self._by_name[name]: None for name in node if name in self._by_name}


def _resources(name: str, value: Any) -> Iterator[Entry]:
    """Resources within another, each of the type it says."""
    many = isinstance(value, list)
    for index, each in enumerate(value if many else [value]):
        kind = each.get("resourceType", "Resource") if isinstance(each, dict) else "Resource"
        yield name, index if many else None, Item(each, None, kind)


class Slice:
    """One slice: what it says of its values, and what tells that a value is one of them."""

    __slots__ = ("fault", "name", "part", "tests")

    def __init__(self, name: str, part: Part) -> None:
        self.name = name
        self.part = part
        self.tests: list[Test] = []
        self.fault: str | None = None  #: why nothing tells its values from others

    def matches(self, item: Item, context: ResourceContext) -> bool:
        """True where a value belongs to this slice."""
        return all(test(item, context) for test in self.tests)


Match = Callable[[Item, ResourceContext], list[int]]


class Slicing:
    """The slices of one element, and what is to be done with values that belong to none.

    https://hl7.org/fhir/R4/profiling.html#slicing
    """

    __slots__ = (
        *("faulty", "match", "needed", "ordered", "places"),
        *("profile", "rules", "slices", "where"),
    )

    def __init__(self, profile: str, where: str, rules: str, *, ordered: bool) -> None:
        self.profile = profile
        self.where = where
        self.rules = rules  #: open, closed, openAtEnd
        self.ordered = ordered
        self.slices: list[Slice] = []
        self.match: Match = self._each
        self.places: list[range] | None = None  #: of each slice, where position tells them
        self.faulty: Slice | None = None
        self.needed = False  #: whether a slice must be there

    def check(self, here: list[Entry], context: ResourceContext, found: Found) -> None:
        """All values of the element."""
        if not here and not self.needed:
            return
        if self.faulty is not None and here:
            self._tell_fault(self.faulty, here, found)
            return
        counts = [0] * len(self.slices)
        order: list[int | None] = []
        for entry in here:
            chosen = self._choose(entry, context, found)
            order.append(chosen)
            if chosen is not None:
                self._count(chosen, counts)
                part = self.slices[chosen].part
                if part.tests or part.groups or part.kinds:
                    part.check(entry, context, found)
            elif self.rules == "closed":
                _tell(found, entry, self._finding("profile-no-slice"))
        for each, count in zip(self.slices, counts, strict=True):
            most = each.part.max
            if count < each.part.min or (most is not None and count > most):
                self._tell_count(each, count, found)
        if self.ordered or self.rules == "openAtEnd":
            self._check_order(here, order, found)

    def _finding(self, rule: str, **values: Any) -> Finding:
        return Finding(rule, where=self.where, profile=self.profile, **values)

    def _tell_fault(self, fault: Slice, here: list[Entry], found: Found) -> None:
        for entry in here:
            told = self._finding("profile-slicing", slice=fault.name, reason=fault.fault)
            _tell(found, entry, told)

    def _tell_count(self, each: Slice, count: int, found: Found) -> None:
        part = each.part
        few = count < part.min
        found.append(
            Finding(
                "profile-slice-min" if few else "profile-slice-max",
                slice=each.name,
                place=part.label,
                limit=part.min if few else part.max,
                count=count,
                profile=part.profile,
            )
        )

    def _each(self, item: Item, context: ResourceContext) -> list[int]:
        return [index for index, each in enumerate(self.slices) if each.matches(item, context)]

    def _choose(self, entry: Entry, context: ResourceContext, found: Found) -> int | None:
        """The slice of a value, the narrowest of those within one another."""
        if self.places is not None:
            at = entry[1] or 0
            return next((index for index, each in enumerate(self.places) if at in each), None)
        matching = self.match(entry[2], context)
        chosen: int | None = None
        for index in matching:
            if chosen is None or self.slices[index].name.startswith(self.slices[chosen].name + "/"):
                chosen = index
            elif not self.slices[chosen].name.startswith(self.slices[index].name + "/"):
                one, other = self.slices[chosen].name, self.slices[index].name
                _tell(found, entry, self._finding("profile-two-slices", one=one, other=other))
        return chosen

    def _count(self, chosen: int, counts: list[int]) -> None:
        counts[chosen] += 1
        name = self.slices[chosen].name
        if "/" in name:
            for index, each in enumerate(self.slices):
                if name.startswith(each.name + "/"):
                    counts[index] += 1

    def _check_order(self, here: list[Entry], order: list[int | None], found: Found) -> None:
        for index in range(1, len(order)):
            before, after = order[index - 1], order[index]
            if after is None:
                continue
            if before is None:
                if self.rules == "openAtEnd":
                    _tell(found, here[index - 1], self._finding("profile-slice-end"))
            elif self.ordered and after < before:
                _tell(found, here[index], self._finding("profile-slice-order"))


def _tell(found: Found, entry: Entry, finding: Finding) -> None:
    found.append(finding)
    _place(found, len(found) - 1, entry[0], entry[1])
