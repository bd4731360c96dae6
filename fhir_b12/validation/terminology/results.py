"""What the validation of one coding gives, before it becomes findings at a path."""

import msgspec


class Unchecked(msgspec.Struct, frozen=True):
    """A value set or code system that could not be evaluated, and the reason."""

    canonical: str
    reason: str


class CodingProblem(msgspec.Struct, frozen=True):
    """One fault of a coding, whatever value set it is bound to."""

    rule: str  #: id of a rule in rules/terminology.toml
    step: str | None = None  #: the part of the coding: "code", "display"; None: the whole
    is_error: bool = False
    values: dict[str, str] = {}  #: for the placeholders of the rule's message


class CodingResult(msgspec.Struct, frozen=True):
    """The problems of one coding, and what could not be checked."""

    problems: tuple[CodingProblem, ...] = ()
    unchecked: Unchecked | None = None

    @property
    def is_invalid(self) -> bool:
        """True if a problem is an error; an invalid coding is in no value set."""
        return any(problem.is_error for problem in self.problems)
