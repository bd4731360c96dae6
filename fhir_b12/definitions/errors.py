"""Errors in definitions and packages, which are the user's tools and not the data."""


class DefinitionError(ValueError):
    """A definition that cannot be used: the message names it, the reason and the remedy."""


class PackageError(ValueError):
    """A package that cannot be opened: the message names it, the reason and the remedy."""
