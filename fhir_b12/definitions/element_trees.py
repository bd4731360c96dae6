"""The elements of a snapshot or a differential as a tree.  https://hl7.org/fhir/R4/elementdefinition.html#interpretation

A StructureDefinition lists its elements; what hangs together is told by their paths, and the slices
of an element by their names: `component:systolic` slices `component`, `component:systolic/left`
slices that slice.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12.caching import known_to_msgspec
from fhir_b12.definitions.errors import DefinitionError

Json = dict[str, Any]
Step = tuple[str, str]  #: name below the parent, slice ("" where it is none)

MAX_ELEMENTS = 50_000  #: the largest published snapshot has a tenth of that
MAX_DEPTH = 40  #: steps of a path


class ElementNode:
    """An element of a snapshot, with what stands below it and the slices it is cut into."""

    __slots__ = ("children", "element", "name", "slice", "slices")

    def __init__(
        self,
        name: str,
        element: Json,
        *,
        slice_name: str = "",
        children: "Sequence[ElementNode]" = (),
        slices: "Sequence[ElementNode]" = (),
    ) -> None:
        """`children` of nodes are shared, so a node is never changed once it is made."""
        self.name = name  #: "value[x]"
        self.slice = slice_name
        self.element = element
        self.children = children
        self.slices = slices


class DifferentialElement:
    """What a differential says of one element; `element` is None where it only leads below."""

    __slots__ = ("children", "element", "is_implied", "is_short", "name", "path", "slice")

    def __init__(self, name: str, slice_name: str, path: str) -> None:
        self.name = name
        self.slice = slice_name
        self.path = path  #: as the differential names it, for those who read of it
        self.element: Json | None = None
        self.children: dict[Step, DifferentialElement] = {}
        self.is_short = False  #: was named `valueQuantity`, for `value[x]` of that type
        self.is_implied = False  #: only what stands below it is spoken of


# --- what may stand in an element


class _Type(msgspec.Struct):
    code: str
    extension: list[dict[str, Any]] = []
    profile: list[str] = []
    targetProfile: list[str] = []  # noqa: N815 (FHIR's name)


class _Constraint(msgspec.Struct):
    key: str
    severity: str = ""
    expression: str = ""
    human: str = ""
    source: str = ""


class _Discriminator(msgspec.Struct):
    type: str
    path: str


class _Slicing(msgspec.Struct):
    rules: str = "open"
    ordered: bool = False
    discriminator: list[_Discriminator] = []


class _Binding(msgspec.Struct):
    strength: str = ""
    extension: list[dict[str, Any]] = []
    valueSet: str = ""  # noqa: N815 (FHIR's name)


class _Base(msgspec.Struct):
    path: str = ""
    min: int = 0
    max: str = "*"


class _Element(msgspec.Struct):
    """Those parts of an ElementDefinition on which something rests; none may be null."""

    path: str
    id: str = ""
    sliceName: str = ""  # noqa: N815 (FHIR's name)
    min: int = 0
    max: str = "*"
    type: list[_Type] = []
    constraint: list[_Constraint] = []
    slicing: _Slicing = msgspec.field(default_factory=_Slicing)
    binding: _Binding = msgspec.field(default_factory=_Binding)
    contentReference: str = ""  # noqa: N815 (FHIR's name)
    maxLength: int = 0  # noqa: N815 (FHIR's name)
    mustSupport: bool = False  # noqa: N815 (FHIR's name)
    condition: list[str] = []
    extension: list[dict[str, Any]] = []
    base: _Base = msgspec.field(default_factory=_Base)


def check_elements(definition: Json, view: str) -> list[Json]:
    """The elements of a snapshot or differential, of which each part is of the kind it must be.

    Raises:
        DefinitionError: one is not, there are none, or too many.

    """
    name = definition.get("url", "a definition without url")
    rows = definition.get(view)
    elements = rows.get("element") if isinstance(rows, dict) else None
    if not isinstance(elements, list) or not elements:
        raise DefinitionError(f"{name}: has no {view} with elements")
    if len(elements) > MAX_ELEMENTS:
        raise DefinitionError(f"{name}: has more than {MAX_ELEMENTS:,} elements")
    try:
        parsed = msgspec.convert(
            elements, known_to_msgspec(list[_Element]), builtin_types=(Decimal,)
        )
    except (msgspec.ValidationError, RecursionError) as error:
        raise DefinitionError(f"{name}: {view}: {error}") from error
    for each in parsed:
        steps = each.path.count(".") + 1
        if steps > MAX_DEPTH or "" in each.path.split("."):
            raise DefinitionError(f"{name}: {view}: an element's path is empty, broken or too long")
        if each.max != "*" and not (each.max.isdecimal() and len(each.max) < 10):
            raise DefinitionError(f"{name}: {view}: {each.path}: max must be * or a number")
    return elements


# --- snapshots


def parse_snapshot(definition: Json) -> ElementNode:
    """The elements of a snapshot below its root.

    Raises:
        DefinitionError: they do not hang together.

    """
    elements = check_elements(definition, "snapshot")
    stack: list[_NodeBuilder] = []
    for element in elements:
        path = element["path"]
        depth = path.count(".")
        del stack[max(depth, 0) :]
        if len(stack) != depth or (stack and not path.startswith(stack[-1].path + ".")):
            raise DefinitionError(
                f"{definition.get('url')}: snapshot: {path} stands below nothing: name its parent"
            )
        node = _NodeBuilder(path, element)
        if stack:
            stack[-1].add(node)
        stack.append(node)
        if depth == 0 and element is not elements[0]:
            raise DefinitionError(f"{definition.get('url')}: snapshot: has two roots")
    return stack[0].build()


class _NodeBuilder:
    """A node to which children are still added."""

    __slots__ = ("children", "element", "last", "path", "slices")

    def __init__(self, path: str, element: Json) -> None:
        self.path = path
        self.element = element
        self.children: list[_NodeBuilder] = []
        self.last: dict[str, _NodeBuilder] = {}  #: the child of that name that may be sliced
        self.slices: dict[str, _NodeBuilder] = {}

    def add(self, node: "_NodeBuilder") -> None:
        name = node.element.get("sliceName", "")
        sliced = self.last.get(node.path) if name else None
        if sliced is None:
            self.children.append(node)
            self.last[node.path] = node
            return
        merge_differential, _, part = name.rpartition("/")
        owner = sliced.slices.get(merge_differential) if part and merge_differential else None
        if owner is not None:
            owner.slices[name] = node
        sliced.slices[name] = node

    def build(self) -> ElementNode:
        own = self.element.get("sliceName", "")
        slices = [
            each.build()
            for name, each in self.slices.items()
            if name.rpartition("/")[0] == own or name.rpartition("/")[0] not in self.slices
        ]
        return ElementNode(
            self.path.rpartition(".")[2],
            self.element,
            slice_name=own,
            children=[each.build() for each in self.children],
            slices=slices,
        )


def list_elements(root: ElementNode) -> Iterator[Json]:
    """The elements of a tree in a snapshot's order, with the ids and paths they have there."""
    ahead = [(root, "", "")]
    while ahead:
        node, above, path = ahead.pop()
        here = f"{path}.{node.name}" if path else node.name
        name = f"{above}.{node.name}" if above else node.name
        element = node.element
        if node.slice:
            name += f":{node.slice}"
            element = element | {"sliceName": node.slice}
        yield {"id": name, "path": here} | {
            key: value for key, value in element.items() if key not in {"id", "path"}
        }
        ahead.extend((each, above, path) for each in reversed(node.slices))
        ahead.extend((each, name, here) for each in reversed(node.children))


# --- differentials


def parse_differential(definition: Json) -> DifferentialElement:
    """What a differential changes, below its root.

    Its elements may leave out those above them. Where their ids say which slice they stand in, that
    counts; else it is the one last named.

    Raises:
        DefinitionError: two elements have different roots.

    """
    elements = check_elements(definition, "differential")
    first = elements[0]["path"].partition(".")[0]
    root = DifferentialElement(first, "", first)
    before: list[Step] = []
    for element in elements:
        steps = _steps(element, before)
        if steps[0][0] != first:
            raise DefinitionError(
                f"{definition.get('url')}: differential: {element['path']} is of another type"
            )
        here = root
        for step in steps[1:]:
            if step not in here.children:
                here.children[step] = DifferentialElement(*step, f"{here.path}.{step[0]}")
            here = here.children[step]
        here.element = element if here.element is None else here.element | element
        before = steps
    return root


def _steps(element: Json, before: list[Step]) -> list[Step]:
    """The way from the root to the element, with the slices on it."""
    names = element["path"].split(".")
    own = element.get("sliceName", "")
    told = _steps_from_id(element.get("id", ""), names)
    if told:
        name, last = told[-1]
        return [*told[:-1], (name, own or last)]
    steps: list[Step] = []
    together = True
    for number, name in enumerate(names[:-1]):
        together = together and number < len(before) and before[number][0] == name
        steps.append(before[number] if together else (name, ""))
    return [*steps, (names[-1], own)]


def _steps_from_id(name: str, names: list[str]) -> list[Step]:
    """What an id says of the slices; nothing where it does not go with the path."""
    steps = [part.partition(":")[::2] for part in name.split(".")]
    if len(steps) != len(names):
        return []
    fitting = all(
        step[0] == each or (step[0].endswith("[x]") and each.startswith(step[0][:-3]))
        for step, each in zip(steps, names, strict=True)
    )
    return [(step[0], step[1]) for step in steps] if fitting else []
