"""The parts an expression is made of, as the parser hands them to the compiler."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SyntaxNode:
    """A part of an expression: where it begins, and how deep what is below it goes."""

    column: int = field(kw_only=True)
    depth: int = field(default=1, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class Literal(SyntaxNode):
    """A value that stands in the expression; None is the empty collection, `{}`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Identifier(SyntaxNode):
    """A child by its name, or at the head of an expression a type."""

    name: str


@dataclass(frozen=True, slots=True)
class EnvironmentVariable(SyntaxNode):
    """`%resource`, without the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class SpecialVariable(SyntaxNode):
    """One of `$this`, `$index` and `$total`, without the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class FunctionCall(SyntaxNode):
    """A function and what it is given."""

    name: str
    arguments: tuple[SyntaxNode, ...]


@dataclass(frozen=True, slots=True)
class Indexer(SyntaxNode):
    """`[0]`"""

    at: SyntaxNode


@dataclass(frozen=True, slots=True)
class Chain(SyntaxNode):
    """`head.step.step[0]`: each step starts from what the one before it found."""

    head: SyntaxNode
    steps: tuple[SyntaxNode, ...]


@dataclass(frozen=True, slots=True)
class Operation(SyntaxNode):
    """`a + b + c`: one sign between all of them, counted from left to right."""

    sign: str
    operands: tuple[SyntaxNode, ...]


@dataclass(frozen=True, slots=True)
class UnaryOperation(SyntaxNode):
    """`-a`"""

    sign: str
    operand: SyntaxNode


@dataclass(frozen=True, slots=True)
class TypeExpression(SyntaxNode):
    """`a is Quantity`, `a as Quantity`: the type's name may have a namespace."""

    sign: str
    operand: SyntaxNode
    type: str
