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
_TOO_DEEP = f"the expression is nested more than {MAX_DEPTH} levels deep"
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
    """Parser that reads tokens from left to right; `current` is the next token."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.current = tokens[0]
        self.nesting = 0  #: calls of `expression` that have not returned

    def take(self) -> Token:
        """Consume and return the next token; the `end` token stays."""
        token = self.current
        if token.type != "end":
            self.position += 1
            self.current = self.tokens[self.position]
        return token

    def take_sign(self, text: str) -> bool:
        """Consume the next token if it is this sign; return True if so."""
        if self.current.type == "sign" and self.current.text == text:
            self.take()
            return True
        return False

    def require_sign(self, text: str) -> None:
        """Consume the next token, which must be this sign.

        Raises:
            FhirPathError: It is another one.

        """
        if not self.take_sign(text):
            raise self.unexpected(f"{text!r}")

    def unexpected(self, expected: str) -> FhirPathError:
        """Return the error for a token that cannot be here."""
        problem = (
            "the expression ends"
            if self.current.type == "end"
            else f"there is {self.current.text!r}"
        )
        return FhirPathError(f"{problem} where {expected} is expected", self.current.column)

    def expression(self, precedence: int) -> SyntaxNode:
        """Parse operators that bind more tightly than `precedence`.

        Raises:
            FhirPathError: The expression is invalid or nested too deep.

        """
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise FhirPathError(_TOO_DEEP, self.current.column)
        left = self.operand()
        while (
            self.current.type in {"sign", "name"}
            and (power := _PRECEDENCE.get(self.current.text, 0)) > precedence
        ):
            token = self.take()
            if token.text in {"is", "as"}:
                left = TypeExpression(
                    token.text,
                    left,
                    self.type_name(),
                    column=token.column,
                    depth=_depth_above(token.column, left),
                )
            else:
                left = _combine(token, left, self.expression(power))
        self.nesting -= 1
        return left

    def operand(self) -> SyntaxNode:
        """Parse a term with its steps, or a sign and its operand."""
        column = self.current.column
        if self.current.type == "sign" and self.current.text in {"+", "-"}:
            sign = self.take().text
            operand = self.expression(_UNARY_PRECEDENCE)
            return UnaryOperation(sign, operand, column=column, depth=_depth_above(column, operand))
        head = self.term()
        steps: list[SyntaxNode] = []
        while True:
            if self.take_sign("."):
                steps.append(self.step())
            elif self.current.type == "sign" and self.current.text == "[":
                steps.append(self.indexer())
            else:
                break
        if not steps:
            return head
        return Chain(head, tuple(steps), column=column, depth=_depth_above(column, head, *steps))

    def indexer(self) -> SyntaxNode:
        """Parse an index in brackets."""
        column = self.take().column
        index = self.expression(0)
        self.require_sign("]")
        return Indexer(index, column=column, depth=_depth_above(column, index))

    def step(self) -> SyntaxNode:
        """Parse a name, a function call or a special variable; after a dot any word is a name."""
        if self.current.type in {"name", "quoted"}:
            return self.name_or_call()
        if self.current.type == "special":
            return self.special_variable()
        raise self.unexpected("a name")

    def name_or_call(self) -> SyntaxNode:
        """Parse a name; with parentheses after it, a function call."""
        token = self.take()
        if not (token.type == "name" and self.take_sign("(")):
            return Identifier(token.text, column=token.column)
        arguments: list[SyntaxNode] = []
        if not self.take_sign(")"):
            arguments.append(self.expression(0))
            while self.take_sign(","):
                arguments.append(self.expression(0))
            self.require_sign(")")
        depth = _depth_above(token.column, *arguments)
        return FunctionCall(token.text, tuple(arguments), column=token.column, depth=depth)

    def special_variable(self) -> SyntaxNode:
        """Parse `$this`, `$index` or `$total`.

        Raises:
            FhirPathError: The variable is another one.

        """
        token = self.take()
        if token.text not in {"$this", "$index", "$total"}:
            raise FhirPathError(
                f"unknown variable {token.text}: use $this, $index or $total", token.column
            )
        return SpecialVariable(token.text[1:], column=token.column)

    def term(self) -> SyntaxNode:
        """Parse a literal, a name, a function call, a variable, or an expression in parentheses."""
        token = self.current
        column = token.column
        if token.type == "name" and token.text in {"true", "false"}:
            self.take()
            return Literal(token.text == "true", column=column)
        if token.type in {"name", "quoted", "special"}:
            return self.step()
        if token.type == "text":
            return Literal(self.take().text, column=column)
        if token.type == "number":
            return Literal(self.number(), column=column)
        if token.type == "temporal":
            return Literal(_parse_temporal_literal(self.take()), column=column)
        if token.type == "external":
            return EnvironmentVariable(self.take().text, column=column)
        if self.take_sign("("):
            inner = self.expression(0)
            self.require_sign(")")
            return _parenthesize(inner)
        if self.take_sign("{"):
            self.require_sign("}")
            return Literal(None, column=column)
        raise self.unexpected("a term")

    def number(self) -> int | Decimal | Quantity:
        """Parse a number, or a quantity with a unit: `4 days`, `4.5 'mg'`.

        Raises:
            FhirPathError: The integer is too large.

        """
        token = self.take()
        if self.current.type == "text":
            return Quantity(Decimal(token.text), self.take().text)
        if self.current.type == "name" and self.current.text in DURATIONS:
            return Quantity(Decimal(token.text), DURATIONS[self.take().text])
        if "." in token.text:
            return Decimal(token.text)
        if len(token.text) > 12 or int(token.text) > MAX_INTEGER:
            raise FhirPathError(f"the integer is larger than {MAX_INTEGER}", token.column)
        return int(token.text)

    def type_name(self) -> str:
        """Parse the name of a type: `Quantity` or `FHIR.Quantity`."""
        name = self.type_name_part()
        return f"{name}.{self.type_name_part()}" if self.take_sign(".") else name

    def type_name_part(self) -> str:
        """Parse a namespace, or the name of a type without it."""
        if self.current.type not in {"name", "quoted"}:
            raise self.unexpected("the name of a type")
        return self.take().text


def _combine(token: Token, left: SyntaxNode, right: SyntaxNode) -> Operation:
    """Return the operation of a binary operator; `a + b` and `c` become `a + b + c`."""
    operands: tuple[SyntaxNode, ...] = (left, right)
    if isinstance(left, Operation) and left.sign == token.text and token.text in _ASSOCIATIVE:
        operands = (*left.operands, right)
    depth = _depth_above(token.column, *operands)
    return Operation(token.text, operands, column=token.column, depth=depth)


def _parenthesize(inner: SyntaxNode) -> SyntaxNode:
    """Wrap a parenthesized node: `a - (b - c)` is not `a - b - c`, `(a).b` not `a.b`."""
    if isinstance(inner, Operation | Identifier):
        return Chain(inner, (), column=inner.column, depth=inner.depth)
    return inner


def _depth_above(column: int, *nodes: SyntaxNode) -> int:
    """Return the depth of a node above others, one more than that of the deepest.

    Raises:
        FhirPathError: The tree is too deep.

    """
    depth = 1 + max((node.depth for node in nodes), default=0)
    if depth > MAX_DEPTH:
        raise FhirPathError(_TOO_DEEP, column)
    return depth


def _parse_temporal_literal(token: Token) -> Temporal:
    temporal = Temporal.literal(token.text)
    if temporal is None:
        raise FhirPathError(f"{token.text} is not a valid date or time", token.column)
    return temporal
