"""From words to parts, each operator binding as tightly as the grammar says.

http://hl7.org/fhirpath/N1/#operator-precedence
"""

from decimal import Decimal

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.lexer import Token, tokens
from fhir_b12.fhirpath.syntax_tree import (
    Call,
    Chain,
    External,
    Index,
    Literal,
    Name,
    Operation,
    Part,
    Sign,
    Special,
    TypeTest,
)
from fhir_b12.fhirpath.temporal import DURATIONS, Temporal
from fhir_b12.fhirpath.values import MAX_INTEGER, Measure

DEEPEST = 80  #: parts within parts; each costs some frames of Python's stack
_BINDS = {
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
_SIGN_BINDS = 11
#: Signs of which `a ? b ? c` is kept as one operation with three operands.
_IN_A_ROW = frozenset({"or", "and", "|", "+", "-", "&", "*"})


def parse(expression: str) -> Part:
    """The tree of an expression.

    Raises:
        FhirPathError: it is none of FHIRPath, or nested too deeply.

    """
    if not expression.strip():
        raise FhirPathError("the expression is empty", 1)
    parser = _Parser(tokens(expression))
    tree = parser.expression(0)
    if parser.now.kind != "end":
        raise parser.unexpected("an operator or the end")
    return tree


class _Parser:
    """Reads words from left to right.  `now` is the word that comes next."""

    def __init__(self, words: list[Token]) -> None:
        self.words = words
        self.at = 0
        self.now = words[0]
        self.open = 0

    def take(self) -> Token:
        word = self.now
        if word.kind != "end":
            self.at += 1
            self.now = self.words[self.at]
        return word

    def unexpected(self, wanted: str) -> FhirPathError:
        what = "the expression ends" if self.now.kind == "end" else f"there is {self.now.text!r}"
        return FhirPathError(f"{what} where {wanted} is expected", self.now.column)

    def sign(self, text: str) -> bool:
        """Whether the next word is this sign; then it is taken."""
        if self.now.kind == "sign" and self.now.text == text:
            self.take()
            return True
        return False

    def close(self, text: str) -> None:
        if not self.sign(text):
            raise self.unexpected(f"{text!r}")

    def expression(self, least: int) -> Part:
        """All that binds tighter than `least`."""
        self.open += 1
        if self.open > DEEPEST:
            raise FhirPathError(f"nested more than {DEEPEST} deep", self.now.column)
        left = self.operand()
        while self.now.kind in {"sign", "name"} and (power := _BINDS.get(self.now.text, 0)) > least:
            word = self.take()
            if word.text in {"is", "as"}:
                kind = self.type_name()
                left = TypeTest(
                    word.text, left, kind, column=word.column, depth=_above(word.column, left)
                )
            else:
                left = self.joined(word, left, self.expression(power))
        self.open -= 1
        return left

    def joined(self, word: Token, left: Part, right: Part) -> Part:
        operands: tuple[Part, ...] = (left, right)
        if isinstance(left, Operation) and left.sign == word.text and word.text in _IN_A_ROW:
            operands = (*left.operands, right)
        depth = _above(word.column, *operands)
        return Operation(word.text, operands, column=word.column, depth=depth)

    def operand(self) -> Part:
        """A term with its steps, and the signs before it."""
        column = self.now.column
        if self.now.kind == "sign" and self.now.text in {"+", "-"}:
            word = self.take()
            below = self.expression(_SIGN_BINDS)
            return Sign(word.text, below, column=column, depth=_above(column, below))
        head = self.term()
        steps: list[Part] = []
        while True:
            if self.sign("."):
                steps.append(self.step())
            elif self.now.kind == "sign" and self.now.text == "[":
                steps.append(self.index())
            else:
                break
        if not steps:
            return head
        return Chain(head, tuple(steps), column=column, depth=_above(column, head, *steps))

    def index(self) -> Part:
        column = self.take().column
        at = self.expression(0)
        self.close("]")
        return Index(at, column=column, depth=_above(column, at))

    def step(self) -> Part:
        """What follows a dot: any word is a name there."""
        if self.now.kind in {"name", "quoted"}:
            return self.named()
        if self.now.kind == "special":
            return self.special()
        raise self.unexpected("a name")

    def named(self) -> Part:
        word = self.take()
        if not (word.kind == "name" and self.sign("(")):
            return Name(word.text, column=word.column)
        given: list[Part] = []
        if not self.sign(")"):
            given.append(self.expression(0))
            while self.sign(","):
                given.append(self.expression(0))
            self.close(")")
        depth = _above(word.column, *given)
        return Call(word.text, tuple(given), column=word.column, depth=depth)

    def special(self) -> Part:
        word = self.take()
        if word.text not in {"$this", "$index", "$total"}:
            raise FhirPathError(
                f"there is no {word.text}: $this, $index and $total are", word.column
            )
        return Special(word.text[1:], column=word.column)

    def term(self) -> Part:
        word = self.now
        column = word.column
        if word.kind == "name" and word.text in {"true", "false"}:
            self.take()
            return Literal(word.text == "true", column=column)
        if word.kind in {"name", "quoted", "special"}:
            return self.step()
        if word.kind == "text":
            return Literal(self.take().text, column=column)
        if word.kind == "number":
            return Literal(self.number(), column=column)
        if word.kind == "moment":
            return Literal(_moment(self.take()), column=column)
        if word.kind == "external":
            return External(self.take().text, column=column)
        if self.sign("("):
            inner = self.expression(0)
            self.close(")")
            return _grouped(inner)
        if self.sign("{"):
            self.close("}")
            return Literal(None, column=column)
        raise self.unexpected("a term")

    def number(self) -> int | Decimal | Measure:
        """A number, or with a unit after it a quantity: `4 days`, `4.5 'mg'`."""
        word = self.take()
        if self.now.kind == "text":
            return Measure(Decimal(word.text), self.take().text)
        if self.now.kind == "name" and self.now.text in DURATIONS:
            return Measure(Decimal(word.text), DURATIONS[self.take().text])
        if "." in word.text:
            return Decimal(word.text)
        if len(word.text) > 12 or int(word.text) > MAX_INTEGER:
            raise FhirPathError(f"an integer is at most {MAX_INTEGER}", word.column)
        return int(word.text)

    def type_name(self) -> str:
        """`Quantity` or `FHIR.Quantity`"""
        names = [self.take().text] if self.now.kind in {"name", "quoted"} else []
        if names and self.sign("."):
            if self.now.kind not in {"name", "quoted"}:
                raise self.unexpected("the name of a type")
            names.append(self.take().text)
        if not names:
            raise self.unexpected("the name of a type")
        return ".".join(names)


def _grouped(inner: Part) -> Part:
    """What stands in parentheses: `a - (b - c)` is not `a - b - c`, `(a).b` not `a.b`."""
    if isinstance(inner, Operation | Name):
        return Chain(inner, (), column=inner.column, depth=inner.depth)
    return inner


def _above(column: int, *below: Part) -> int:
    depth = 1 + max((each.depth for each in below), default=0)
    if depth > DEEPEST:
        raise FhirPathError(f"nested more than {DEEPEST} deep", column)
    return depth


def _moment(word: Token) -> Temporal:
    found = Temporal.literal(word.text)
    if found is None:
        raise FhirPathError(f"{word.text} is no real day or time", word.column)
    return found
