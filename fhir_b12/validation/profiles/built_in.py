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


def file_of(url: str) -> str | None:
    """Return the file of `profiles/` that defines a url: "profiles/X.json"; None if none does."""
    from fhir_b12.guide import profiles  # noqa: PLC0415 - as in `package`

    for profile in profiles():
        if profile["url"] == url:
            return f"profiles/StructureDefinition-{profile.get('id')}.json"
    return None


LATE: Mapping[str, Callable[[], Package]] = {"https://fhir-b12.org/": package}
