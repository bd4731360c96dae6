"""The profiles of this project, known to every validator and built on first use."""

from collections.abc import Callable, Mapping
from functools import cache

from fhir_b12.definitions.packages import Package, of_resources


@cache
def package() -> Package:
    """Return the guide's profiles, extensions, value sets, code systems and concept maps."""
    # loads the mapping tables, which validation of other data does not need
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
