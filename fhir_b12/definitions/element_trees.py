"""Trees of the elements of a snapshot or differential.  https://hl7.org/fhir/R4/elementdefinition.html#interpretation

A StructureDefinition lists its elements. Their paths define parents and children, their slice names
the slices: `component:systolic` slices `component`, `component:systolic/left` slices that slice.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12.caching import known_to_msgspec
from fhir_b12.definitions.errors import DefinitionError

Json = dict[str, Any]
Step = tuple[str, str]  #: name below the parent, slice name ("" if not a slice)

MAX_ELEMENTS = 50_000  #: the largest published snapshot has a tenth of that
MAX_DEPTH = 40  #: steps of a path


class ElementNode:
    """An element of a snapshot, with its children and slices."""

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
        """Create a node; nodes share their children, so a node is never changed."""
        self.name = name  #: "value[x]"
        self.slice = slice_name
        self.element = element
        self.children = children
        self.slices = slices


class DifferentialElement:
    """Change of one element; `element` is None if the differential lists only its children."""

    __slots__ = ("children", "element", "is_implied", "is_short", "name", "path", "slice")

    def __init__(self, name: str, slice_name: str, path: str) -> None:
        self.name = name
        self.slice = slice_name
        self.path = path  #: as in the differential, for messages
        self.element: Json | None = None
        self.children: dict[Step, DifferentialElement] = {}
        self.is_short = False  #: `value[x]` of one type, named `valueQuantity`
        self.is_implied = False  #: only its children are changed


# --- fields of an element


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
    """Fields of an ElementDefinition whose types are checked; null is an error."""

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
    """Return the elements of a snapshot or differential after checking their fields.

    Args:
        definition: The StructureDefinition.
        view: "snapshot" or "differential".

    Raises:
        DefinitionError: An element is invalid, or there are no elements or too many.

    """
    name = definition.get("url", "a definition without url")
    rows = definition.get(view)
    elements = rows.get("element") if isinstance(rows, dict) else None
    if not isinstance(elements, list) or not elements:
        raise DefinitionError(f"{name}: {view}.element is missing or empty: add it")
    if len(elements) > MAX_ELEMENTS:
        raise DefinitionError(f"{name}: {view}: more than {MAX_ELEMENTS:,} elements (limit)")
    try:
        parsed = msgspec.convert(
            elements, known_to_msgspec(list[_Element]), builtin_types=(Decimal,)
        )
    except (msgspec.ValidationError, RecursionError) as error:
        raise DefinitionError(f"{name}: {view}: {error}") from error
    for element in parsed:
        steps = element.path.count(".") + 1
        if steps > MAX_DEPTH or "" in element.path.split("."):
            raise DefinitionError(
                f"{name}: {view}: path of an element is empty, invalid or deeper than {MAX_DEPTH}"
            )
        if element.max != "*" and not (element.max.isdecimal() and len(element.max) < 10):
            raise DefinitionError(f"{name}: {view}: {element.path}: max must be '*' or a number")
    return elements


# --- snapshots


def parse_snapshot(definition: Json) -> ElementNode:
    """Return the root of a snapshot's tree.

    Raises:
        DefinitionError: An element has no parent, or there are two roots.

    """
    elements = check_elements(definition, "snapshot")
    stack: list[_NodeBuilder] = []
    for element in elements:
        path = element["path"]
        depth = path.count(".")
        del stack[max(depth, 0) :]
        if len(stack) != depth or (stack and not path.startswith(stack[-1].path + ".")):
            raise DefinitionError(
                f"{definition.get('url')}: snapshot: {path} has no parent: add it"
            )
        node = _NodeBuilder(path, element)
        if stack:
            stack[-1].add(node)
        stack.append(node)
        if depth == 0 and element is not elements[0]:
            raise DefinitionError(
                f"{definition.get('url')}: snapshot: {path} is a second root: remove it"
            )
    return stack[0].build()


class _NodeBuilder:
    """Builder of a node to which children are still added."""

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
        outer, _, part = name.rpartition("/")
        owner = sliced.slices.get(outer) if part and outer else None
        if owner is not None:
            owner.slices[name] = node
        sliced.slices[name] = node

    def build(self) -> ElementNode:
        own = self.element.get("sliceName", "")
        slices = [
            part.build()
            for name, part in self.slices.items()
            if name.rpartition("/")[0] == own or name.rpartition("/")[0] not in self.slices
        ]
        return ElementNode(
            self.path.rpartition(".")[2],
            self.element,
            slice_name=own,
            children=[child.build() for child in self.children],
            slices=slices,
        )


def list_elements(root: ElementNode) -> Iterator[Json]:
    """Yield the elements of a tree in the order of a snapshot, with their ids and paths."""
    stack = [(root, "", "")]
    while stack:
        node, parent_id, parent_path = stack.pop()
        path = f"{parent_path}.{node.name}" if parent_path else node.name
        element_id = f"{parent_id}.{node.name}" if parent_id else node.name
        element = node.element
        if node.slice:
            element_id += f":{node.slice}"
            element = element | {"sliceName": node.slice}
        yield {"id": element_id, "path": path} | {
            key: value for key, value in element.items() if key not in {"id", "path"}
        }
        stack.extend((part, parent_id, parent_path) for part in reversed(node.slices))
        stack.extend((child, element_id, path) for child in reversed(node.children))


# --- differentials


def parse_differential(definition: Json) -> DifferentialElement:
    """Return the root of a differential's tree.

    A differential may omit the parents of an element. The slice of an element is that of its id; if
    the id has none, the last slice before it.

    Raises:
        DefinitionError: Two elements have different roots.

    """
    elements = check_elements(definition, "differential")
    first = elements[0]["path"].partition(".")[0]
    root = DifferentialElement(first, "", first)
    previous: list[Step] = []
    for element in elements:
        steps = _parse_steps(element, previous)
        if steps[0][0] != first:
            raise DefinitionError(
                f"{definition.get('url')}: differential: {element['path']}: path must begin with "
                f"{first}: correct it"
            )
        node = root
        for step in steps[1:]:
            if step not in node.children:
                node.children[step] = DifferentialElement(*step, f"{node.path}.{step[0]}")
            node = node.children[step]
        node.element = element if node.element is None else node.element | element
        previous = steps
    return root


def _parse_steps(element: Json, previous: list[Step]) -> list[Step]:
    """Return the steps from the root to an element; `previous` are those of the element before."""
    names = element["path"].split(".")
    own = element.get("sliceName", "")
    from_id = _parse_id(element.get("id", ""), names)
    if from_id:
        name, last = from_id[-1]
        return [*from_id[:-1], (name, own or last)]
    steps: list[Step] = []
    is_shared = True
    for number, name in enumerate(names[:-1]):
        is_shared = is_shared and number < len(previous) and previous[number][0] == name
        steps.append(previous[number] if is_shared else (name, ""))
    return [*steps, (names[-1], own)]


def _parse_id(element_id: str, names: list[str]) -> list[Step]:
    """Return the steps of an element's id; [] if the id does not match the path."""
    steps = [part.partition(":")[::2] for part in element_id.split(".")]
    if len(steps) != len(names):
        return []
    matches = all(
        step[0] == name or (step[0].endswith("[x]") and name.startswith(step[0][:-3]))
        for step, name in zip(steps, names, strict=True)
    )
    return [(step[0], step[1]) for step in steps] if matches else []
