"""Checks built from other checks."""

from collections.abc import Callable
from typing import Any

from fhir_b12.validation.context import NeedsNormalization, ResourceContext
from fhir_b12.validation.findings import Findings, prepend_path

Check = Callable[[Any, ResourceContext, Findings], None]  #: appends the faults of a node


def check_nothing(_: Any, __: ResourceContext, ___: Findings) -> None:
    """Check nothing: the validator checks resources within resources with their own context."""


def check_all(checks: list[Check]) -> Check:
    """Return a check that runs several checks in their order."""
    first, *rest = checks
    if not rest:
        return first
    second = check_all(rest)

    def check(node: Any, context: ResourceContext, findings: Findings) -> None:
        first(node, context, findings)
        second(node, context, findings)

    return check


def check_items(check: Check) -> Check:
    """Return a check that runs a check on each item of a list that is not null."""

    def check_list(nodes: list[Any], context: ResourceContext, findings: Findings) -> None:
        mark = len(findings)
        for index, node in enumerate(nodes):
            if node is not None:
                check(node, context, findings)
                if len(findings) != mark:
                    prepend_path(findings, mark, index)
                    mark = len(findings)

    return check_list


def check_unless_malformed(is_malformed: Callable[[list[Any]], bool], check: Check) -> Check:
    """Return a check of a list that raises NeedsNormalization if the list is malformed."""

    def check_list(nodes: list[Any], context: ResourceContext, findings: Findings) -> None:
        if is_malformed(nodes):
            raise NeedsNormalization
        check(nodes, context, findings)

    return check_list


def count_extension_list(check: Check) -> Check:
    """Return a check of a list of extensions that the context counts."""

    def check_list(nodes: Any, context: ResourceContext, findings: Findings) -> None:
        context.extension_lists += 1
        check(nodes, context, findings)

    return check_list
