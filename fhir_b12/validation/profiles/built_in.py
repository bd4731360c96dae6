"""Our own profiles, known to every validator and made when one of them is first asked for."""

from collections.abc import Callable, Mapping
from functools import cache

from fhir_b12.definitions.packages import Package, of_resources


@cache
def package() -> Package:
    """What the guide defines: profiles, extensions, value sets, code systems, concept maps."""
    # needs the tables and their codes, which a validation of other data does not
    from fhir_b12.guide import profiles, terminology  # noqa: PLC0415

    return of_resources("fhir-b12", [*profiles(), *terminology()])


LATE: Mapping[str, Callable[[], Package]] = {"https://fhir-b12.org/": package}
