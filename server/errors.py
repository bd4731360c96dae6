"""The one error of every layer, and what it says.  https://hl7.org/fhir/R4/http.html#Status-Codes"""

from collections.abc import Iterable

from fhir_b12.issues import Issue


class Refusal(Exception):  # noqa: N818 - what is refused need not be anybody's error
    """A request that cannot be done: its HTTP status, all that is wrong, headers of the answer.

    Raised by store, search, auth and interactions alike; one place turns it into an answer.
    """

    def __init__(
        self, status: int, issues: Iterable[Issue], headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.issues = tuple(issues)
        self.headers = headers or {}
        super().__init__(status, self.issues)

    def __str__(self) -> str:
        return "\n".join([str(self.status), *map(str, self.issues)])


def refuse(status: int, code: str, message: str, expression: str = "", **headers: str) -> Refusal:
    """The refusal for one reason, to be raised.

    `code` is of https://hl7.org/fhir/R4/valueset-issue-type.html; `Retry_After="5"` becomes the
    header `Retry-After`.
    """
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Refusal(status, [Issue("error", code, expression, message)], named)
