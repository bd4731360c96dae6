"""Syntax tree of an expression, from the parser to the compiler."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SyntaxNode:
    """A node of the syntax tree, with its column and the depth of the tree below it."""

    column: int = field(kw_only=True)
    depth: int = field(default=1, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class Literal(SyntaxNode):
    """A literal value; None is the empty collection, `{}`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Identifier(SyntaxNode):
    """A child element by name, or a type at the head of an expression."""

    name: str


@dataclass(frozen=True, slots=True)
class EnvironmentVariable(SyntaxNode):
    """An environment variable, `%resource`, without the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class SpecialVariable(SyntaxNode):
    """Variable `$this`, `$index` or `$total`, without the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class FunctionCall(SyntaxNode):
    """A function call with its arguments."""

    name: str
    arguments: tuple[SyntaxNode, ...]


@dataclass(frozen=True, slots=True)
class Indexer(SyntaxNode):
    """An indexer, `[0]`."""

    index: SyntaxNode


@dataclass(frozen=True, slots=True)
class Chain(SyntaxNode):
    """`head.step.step[0]`: each step is evaluated on the result of the previous one."""

    head: SyntaxNode
    steps: tuple[SyntaxNode, ...]


@dataclass(frozen=True, slots=True)
class Operation(SyntaxNode):
    """One operator with two or more operands, evaluated from left to right: `a + b + c`."""

    sign: str
    operands: tuple[SyntaxNode, ...]


@dataclass(frozen=True, slots=True)
class UnaryOperation(SyntaxNode):
    """A sign before an operand, `-a`."""

    sign: str
    operand: SyntaxNode


@dataclass(frozen=True, slots=True)
class TypeExpression(SyntaxNode):
    """`a is Quantity` or `a as Quantity`; the name of the type may have a namespace."""

    sign: str
    operand: SyntaxNode
    type: str
