"""Syntax tree of an expression, from the parser to the compiler."""

from typing import Any

import msgspec


class SyntaxNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the syntax tree, with its column and the depth of its subtree."""

    column: int
    depth: int = 1


class Literal(SyntaxNode, frozen=True):
    """A literal value; None is the empty collection, `{}`."""

    value: Any


class Identifier(SyntaxNode, frozen=True):
    """A child element by name, or a type at the head of an expression."""

    name: str


class EnvironmentVariable(SyntaxNode, frozen=True):
    """An environment variable, `%resource`; its name is without the percent sign."""

    name: str


class SpecialVariable(SyntaxNode, frozen=True):
    """`$this`, `$index` or `$total`; its name is without the dollar sign."""

    name: str


class FunctionCall(SyntaxNode, frozen=True):
    """A function call with its arguments."""

    name: str
    arguments: tuple[SyntaxNode, ...]


class Indexer(SyntaxNode, frozen=True):
    """An indexer, `[0]`."""

    index: SyntaxNode


class Chain(SyntaxNode, frozen=True):
    """`head.step.step[0]`: each step is evaluated on the result of the previous one."""

    head: SyntaxNode
    steps: tuple[SyntaxNode, ...]


class Operation(SyntaxNode, frozen=True):
    """One operator with two or more operands, evaluated from left to right: `a + b + c`."""

    sign: str
    operands: tuple[SyntaxNode, ...]


class UnaryOperation(SyntaxNode, frozen=True):
    """A sign before an operand, `-a`."""

    sign: str
    operand: SyntaxNode


class TypeExpression(SyntaxNode, frozen=True):
    """`a is Quantity` or `a as Quantity`; the name of the type may have a namespace."""

    sign: str
    operand: SyntaxNode
    type: str
