"""What is wrong with an expression, said once and with its place."""


class FhirPathError(ValueError):
    """An expression that cannot be read, or cannot be evaluated on what it was given.

    `column` counts from 1 in the expression; 0 where no place can be named. Values of the data
    stand nowhere in the reason.
    """

    def __init__(self, reason: str, column: int = 0) -> None:
        super().__init__(f"column {column}: {reason}" if column else reason)
        self.reason = reason
        self.column = column

    def at(self, column: int) -> "FhirPathError":
        """The same with its place, unless it has one."""
        return self if self.column else FhirPathError(self.reason, column)
