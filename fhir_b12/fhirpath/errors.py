"""Error in an expression, with its column."""


class FhirPathError(ValueError):
    """An expression that cannot be compiled, or cannot be evaluated on the given data.

    `column` counts from 1; it is 0 if unknown. The reason contains no values of the data.
    """

    def __init__(self, reason: str, column: int = 0) -> None:
        super().__init__(f"column {column}: {reason}" if column else reason)
        self.reason = reason
        self.column = column

    def at(self, column: int) -> "FhirPathError":
        """Return the error with a column, unless it already has one."""
        return self if self.column else FhirPathError(self.reason, column)
