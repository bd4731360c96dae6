"""Why a profile is unknown: another version is loaded, or its url is misspelled."""

from difflib import get_close_matches
from typing import Any
from weakref import WeakKeyDictionary

from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.profiles import built_in

_MAX_DIAGNOSES = (
    50  #: misspelled urls that are compared with all others, for one set of definitions
)
_MAX_SUGGESTIONS = 3
_SIMILARITY = 0.85  #: of the last segments, as difflib counts it


def explain_unknown_profile(canonical: str, canonicals: Canonicals) -> str:
    """Return the message for a profile that is not loaded, with the remedy.

    Args:
        canonical: The url that was asked for, with or without `|version`.
        canonicals: The definitions that do not have it.

    Returns:
        A message that names the version that is loaded, if the url is known in another one, and
        else urls that are spelled alike, if there are any.

    """
    url, _, version = canonical.partition("|")
    loaded = _loaded_version(url, version, canonicals)
    if loaded is not None:
        return (
            f"profile {url} is loaded in version {loaded}, not in version {version}: "
            f"load a package with version {version}, or ask for {url}|{loaded}"
        )
    hint = _hint(similar_profiles(url, canonicals))
    return f"profile {canonical} is not known{hint}: load the package that defines it"


def unknown_profile_finding(canonical: str, canonicals: Canonicals, *path: str | int) -> Finding:
    """Return the finding for a declared profile that is not loaded."""
    url, _, version = canonical.partition("|")
    loaded = _loaded_version(url, version, canonicals)
    if loaded is not None:
        return Finding(
            "profile-version-unknown", *path, profile=url, version=version, loaded=loaded
        )
    hint = _hint(_limited_similar_profiles(url, canonicals))
    return Finding("profile-unknown", *path, profile=canonical, hint=hint)


def similar_profiles(url: str, canonicals: Canonicals) -> tuple[str, ...]:
    """Return the urls of loaded profiles whose last segment is spelled like that of a url.

    Args:
        url: A url, or only its last segment: "us-core-patint".
        canonicals: The definitions that are loaded.

    Returns:
        Up to three urls, the most similar first.

    """
    built_in_urls = [entry.url for entry in built_in.package().archive.entries]
    by_segment: dict[str, str] = {}
    for known in (*canonicals.urls("StructureDefinition"), *built_in_urls):
        by_segment.setdefault(_last_segment(known), known)
    matches = get_close_matches(_last_segment(url), by_segment, _MAX_SUGGESTIONS, _SIMILARITY)
    return tuple(by_segment[segment] for segment in matches)


def _last_segment(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2].lower()[:100]


def _loaded_version(url: str, version: str, canonicals: Canonicals) -> str | None:
    """Return the version of a profile that is loaded in another one than the version asked for."""
    if not version:
        return None
    try:
        definition = canonicals.find(url, "StructureDefinition")
    except DefinitionError:
        return None
    return None if definition is None else str(definition.get("version") or "without number")


def _hint(suggestions: tuple[str, ...]) -> str:
    return f" (did you mean {' or '.join(suggestions)}?)" if suggestions else ""


#: Suggestions for the urls that data declared, so that hostile data cannot ask for many.
_suggestions: WeakKeyDictionary[Any, dict[str, tuple[str, ...]]] = WeakKeyDictionary()


def _limited_similar_profiles(url: str, canonicals: Canonicals) -> tuple[str, ...]:
    """Return `similar_profiles`, for a limited number of urls."""
    known = _suggestions.setdefault(canonicals, {})
    if url not in known:
        if len(known) >= _MAX_DIAGNOSES:
            return ()
        known[url] = similar_profiles(url, canonicals)
    return known[url]
