"""The context of the nodes of one resource: its container, its Bundle, what it can resolve."""

from typing import Any, Protocol

from fhir_b12.validation.findings import Finding


class NeedsNormalization(Exception):  # noqa: N818  # no error: the resource is checked again
    """A malformed value that the quick check of shapes cannot detect.

    The validator catches it, normalizes the resource and checks the result.
    """


class ResourceContext:
    """The resource that a node belongs to, and what surrounds that resource.

    Checks only see well-shaped nodes: every element is known to its type, is a list exactly where
    R4 requires one, and is an object or a JSON value of the right type. Malformed parts have been
    reported and removed before. Values may still be wrong: a date may be no date.
    """

    __slots__ = (
        "_contained",
        "bundle_entries",
        "cache",
        "container",
        "extension_holders",
        "extension_lists",
        "fast",
        "full_url",
        "referenced_ids",
        "resource",
        "type",
        "validator",
    )

    def __init__(
        self,
        resource: dict[str, Any],
        validator: "ValidationServices",
        *,
        container: "ResourceContext | None" = None,
        bundle_entries: "BundleEntries | None" = None,
        full_url: str | None = None,
        fast: bool = False,
    ) -> None:
        self.fast = fast  #: the resource was not normalized; checks may raise NeedsNormalization
        self.resource = resource  #: %resource
        self.type: str = resource["resourceType"]
        self.container = container  #: context of the container; None unless contained
        self.bundle_entries = bundle_entries  #: the Bundle's entries; None unless in a Bundle
        self.full_url = full_url  #: fullUrl of the entry
        self.referenced_ids: set[str] = set()  #: ids of contained resources referenced from here
        self.extension_lists = 0  #: number of lists of extensions met so far
        #: id() of every object that has an extension or contains such an object
        self.extension_holders: set[int] = set()
        self.validator = validator
        self.cache: dict[Any, Any] = {}  #: results of checks of this resource, by their own keys
        self._contained: dict[str, ResourceContext] | None = None

    @property
    def root(self) -> "ResourceContext":
        """%rootResource: the container of a contained resource, else the resource itself."""
        return self.container or self

    def contained(self) -> "dict[str, ResourceContext]":
        """Return the contained resources of the root by id."""
        if self.container is not None:
            return self.container.contained()
        if self._contained is None:
            self._contained = {}
            for resource in self.resource.get("contained", ()):
                if isinstance(resource_id := resource.get("id"), str):
                    context = ResourceContext(
                        resource,
                        self.validator,
                        container=self,
                        bundle_entries=self.bundle_entries,
                        full_url=self.full_url,
                        fast=self.fast,
                    )
                    self._contained.setdefault(resource_id, context)
        return self._contained

    def resolve(self, reference: str) -> "ResourceContext | None":
        """Return the target of a reference, contained or in the same Bundle; None if not here.

        https://hl7.org/fhir/R4/references.html and https://hl7.org/fhir/R4/bundle.html#references
        """
        if reference.startswith("#"):
            return self.container if reference == "#" else self.contained().get(reference[1:])
        if self.bundle_entries is None:
            return None
        return self.bundle_entries.find(reference, self.root.full_url)


class BundleEntries(Protocol):
    """The entries of a Bundle."""

    @property
    def type(self) -> str | None:
        """Bundle.type."""
        ...

    def find(self, reference: str, base: str | None) -> ResourceContext | None:
        """Return the entry a reference resolves to, from an entry with the fullUrl `base`."""
        ...


class ValidationServices(Protocol):
    """The parts of the validator that checks use."""

    @property
    def canonicals(self) -> Any:
        """Definitions of R4 and of the packages: `definitions.canonicals.Canonicals`."""
        ...

    @property
    def terminology(self) -> Any:
        """Code systems and value sets: `validation.terminology.service.Terminology`."""
        ...

    @property
    def compiled_profiles(self) -> Any:
        """Compiled profiles and extensions: `validation.profiles.registry.ProfileRegistry`."""
        ...

    def conforms(
        self, context: ResourceContext, profile: str, findings: list[Finding]
    ) -> bool | None:
        """Validate a whole resource against a profile; None if the profile is unknown."""
        ...
