"""The parts an expression is made of, as the parser hands them to the compiler."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression: where it begins, and how deep what is below it goes."""

    column: int = field(kw_only=True)
    depth: int = field(default=1, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class Literal(Part):
    """A value that stands in the expression; None is the empty collection, `{}`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Part):
    """A child by its name, or at the head of an expression a type."""

    name: str


@dataclass(frozen=True, slots=True)
class External(Part):
    """`%resource`, without the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Special(Part):
    """One of `$this`, `$index` and `$total`, without the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Call(Part):
    """A function and what it is given."""

    name: str
    given: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Index(Part):
    """`[0]`"""

    at: Part


@dataclass(frozen=True, slots=True)
class Chain(Part):
    """`head.step.step[0]`: each step starts from what the one before it found."""

    head: Part
    steps: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Operation(Part):
    """`a + b + c`: one sign between all of them, counted from left to right."""

    sign: str
    operands: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sign(Part):
    """`-a`"""

    sign: str
    operand: Part


@dataclass(frozen=True, slots=True)
class TypeTest(Part):
    """`a is Quantity`, `a as Quantity`: the type's name may have a namespace."""

    sign: str
    operand: Part
    type: str
