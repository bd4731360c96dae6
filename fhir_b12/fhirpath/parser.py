"""Parser from tokens to a syntax tree, by operator precedence.

http://hl7.org/fhirpath/N1/#operator-precedence
"""

from decimal import Decimal

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.lexer import Token, tokenize
from fhir_b12.fhirpath.syntax_tree import (
    Chain,
    EnvironmentVariable,
    FunctionCall,
    Identifier,
    Indexer,
    Literal,
    Operation,
    SpecialVariable,
    SyntaxNode,
    TypeExpression,
    UnaryOperation,
)
from fhir_b12.fhirpath.temporal import DURATIONS, Temporal
from fhir_b12.fhirpath.values import MAX_INTEGER, Quantity

MAX_DEPTH = 80  #: nested nodes; each needs some frames of Python's stack
_PRECEDENCE = {
    "implies": 1,
    **dict.fromkeys(("or", "xor"), 2),
    "and": 3,
    **dict.fromkeys(("in", "contains"), 4),
    **dict.fromkeys(("=", "~", "!=", "!~"), 5),
    **dict.fromkeys(("<=", "<", ">", ">="), 6),
    "|": 7,
    **dict.fromkeys(("is", "as"), 8),
    **dict.fromkeys(("+", "-", "&"), 9),
    **dict.fromkeys(("*", "/", "div", "mod"), 10),
}
_UNARY_PRECEDENCE = 11
#: Operators of which `a ? b ? c` becomes one operation with three operands.
_ASSOCIATIVE = frozenset({"or", "and", "|", "+", "-", "&", "*"})


def parse(expression: str) -> SyntaxNode:
    """Parse an expression into a syntax tree.

    Raises:
        FhirPathError: The syntax is invalid or nested too deeply.

    """
    if not expression.strip():
        raise FhirPathError("the expression is empty", 1)
    parser = _Parser(tokenize(expression))
    tree = parser.expression(0)
    if parser.current.type != "end":
        raise parser.unexpected("an operator or the end")
    return tree


class _Parser:
    """Reads words from left to right.  `now` is the word that comes next."""

    def __init__(self, tokens: list[Token]) -> None:
        self.words = tokens
        self.at = 0
        self.current = tokens[0]
        self.open = 0

    def take(self) -> Token:
        word = self.current
        if word.type != "end":
            self.at += 1
            self.current = self.words[self.at]
        return word

    def unexpected(self, expected: str) -> FhirPathError:
        problem = (
            "the expression ends"
            if self.current.type == "end"
            else f"there is {self.current.text!r}"
        )
        return FhirPathError(f"{problem} where {expected} is expected", self.current.column)

    def sign(self, text: str) -> bool:
        """Consume the next token if it is this sign; return True if so."""
        if self.current.type == "sign" and self.current.text == text:
            self.take()
            return True
        return False

    def close(self, text: str) -> None:
        if not self.sign(text):
            raise self.unexpected(f"{text!r}")

    def expression(self, precedence: int) -> SyntaxNode:
        """Parse operators that bind more tightly than `precedence`.

        Raises:
            FhirPathError: The expression is invalid or nested too deep.

        """
        self.open += 1
        if self.open > MAX_DEPTH:
            raise FhirPathError(
                f"the expression is nested more than {MAX_DEPTH} levels deep", self.current.column
            )
        left = self.operand()
        while (
            self.current.type in {"sign", "name"}
            and (power := _PRECEDENCE.get(self.current.text, 0)) > precedence
        ):
            word = self.take()
            if word.text in {"is", "as"}:
                type_name = self.type_name()
                left = TypeExpression(
                    word.text,
                    left,
                    type_name,
                    column=word.column,
                    depth=_depth_above(word.column, left),
                )
            else:
                left = self.operation(word, left, self.expression(power))
        self.open -= 1
        return left

    def operation(self, word: Token, left: SyntaxNode, right: SyntaxNode) -> SyntaxNode:
        operands: tuple[SyntaxNode, ...] = (left, right)
        if isinstance(left, Operation) and left.sign == word.text and word.text in _ASSOCIATIVE:
            operands = (*left.operands, right)
        depth = _depth_above(word.column, *operands)
        return Operation(word.text, operands, column=word.column, depth=depth)

    def operand(self) -> SyntaxNode:
        """Parse a term with its steps and leading signs."""
        column = self.current.column
        if self.current.type == "sign" and self.current.text in {"+", "-"}:
            word = self.take()
            children_named = self.expression(_UNARY_PRECEDENCE)
            return UnaryOperation(
                word.text, children_named, column=column, depth=_depth_above(column, children_named)
            )
        head = self.term()
        steps: list[SyntaxNode] = []
        while True:
            if self.sign("."):
                steps.append(self.step())
            elif self.current.type == "sign" and self.current.text == "[":
                steps.append(self.index())
            else:
                break
        if not steps:
            return head
        return Chain(head, tuple(steps), column=column, depth=_depth_above(column, head, *steps))

    def index(self) -> SyntaxNode:
        column = self.take().column
        at = self.expression(0)
        self.close("]")
        return Indexer(at, column=column, depth=_depth_above(column, at))

    def step(self) -> SyntaxNode:
        """Parse what follows a dot, where any word is a name."""
        if self.current.type in {"name", "quoted"}:
            return self.named()
        if self.current.type == "special":
            return self.special()
        raise self.unexpected("a name")

    def named(self) -> SyntaxNode:
        word = self.take()
        if not (word.type == "name" and self.sign("(")):
            return Identifier(word.text, column=word.column)
        arguments: list[SyntaxNode] = []
        if not self.sign(")"):
            arguments.append(self.expression(0))
            while self.sign(","):
                arguments.append(self.expression(0))
            self.close(")")
        depth = _depth_above(word.column, *arguments)
        return FunctionCall(word.text, tuple(arguments), column=word.column, depth=depth)

    def special(self) -> SyntaxNode:
        word = self.take()
        if word.text not in {"$this", "$index", "$total"}:
            raise FhirPathError(
                f"unknown variable {word.text}: use $this, $index or $total", word.column
            )
        return SpecialVariable(word.text[1:], column=word.column)

    def term(self) -> SyntaxNode:
        word = self.current
        column = word.column
        if word.type == "name" and word.text in {"true", "false"}:
            self.take()
            return Literal(word.text == "true", column=column)
        if word.type in {"name", "quoted", "special"}:
            return self.step()
        if word.type == "text":
            return Literal(self.take().text, column=column)
        if word.type == "number":
            return Literal(self.number(), column=column)
        if word.type == "moment":
            return Literal(_parse_temporal_literal(self.take()), column=column)
        if word.type == "external":
            return EnvironmentVariable(self.take().text, column=column)
        if self.sign("("):
            inner = self.expression(0)
            self.close(")")
            return _parenthesize(inner)
        if self.sign("{"):
            self.close("}")
            return Literal(None, column=column)
        raise self.unexpected("a term")

    def number(self) -> int | Decimal | Quantity:
        """Parse a number, or a quantity with a unit: `4 days`, `4.5 'mg'`.

        Raises:
            FhirPathError: The integer is too large.

        """
        word = self.take()
        if self.current.type == "text":
            return Quantity(Decimal(word.text), self.take().text)
        if self.current.type == "name" and self.current.text in DURATIONS:
            return Quantity(Decimal(word.text), DURATIONS[self.take().text])
        if "." in word.text:
            return Decimal(word.text)
        if len(word.text) > 12 or int(word.text) > MAX_INTEGER:
            raise FhirPathError(f"the integer is larger than {MAX_INTEGER}", word.column)
        return int(word.text)

    def type_name(self) -> str:
        """Parse the name of a type: `Quantity` or `FHIR.Quantity`."""
        names = [self.take().text] if self.current.type in {"name", "quoted"} else []
        if names and self.sign("."):
            if self.current.type not in {"name", "quoted"}:
                raise self.unexpected("the name of a type")
            names.append(self.take().text)
        if not names:
            raise self.unexpected("the name of a type")
        return ".".join(names)


def _parenthesize(inner: SyntaxNode) -> SyntaxNode:
    """Wrap a parenthesized node: `a - (b - c)` is not `a - b - c`, `(a).b` not `a.b`."""
    if isinstance(inner, Operation | Identifier):
        return Chain(inner, (), column=inner.column, depth=inner.depth)
    return inner


def _depth_above(column: int, *nodes: SyntaxNode) -> int:
    depth = 1 + max((node.depth for node in nodes), default=0)
    if depth > MAX_DEPTH:
        raise FhirPathError(f"the expression is nested more than {MAX_DEPTH} levels deep", column)
    return depth


def _parse_temporal_literal(word: Token) -> Temporal:
    temporal = Temporal.literal(word.text)
    if temporal is None:
        raise FhirPathError(f"{word.text} is not a valid date or time", word.column)
    return temporal
