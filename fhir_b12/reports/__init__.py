"""Validation reports for people and for programs.

    render([FileResult(file="a.json", findings=...)], "sarif", ReportOptions(version="0.1.0"))

A report depends only on the results and the options. No report shows a patient's value unless
`ReportOptions.show_values` is set.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from fhir_b12.reports.file_results import (
    Excerpt,
    FileFinding,
    FileResult,
    ReportOptions,
    ResourcePart,
    sanitize,
)
from fhir_b12.reports.html_report import as_html
from fhir_b12.reports.json_reports import as_json, as_ndjson, as_outcome
from fhir_b12.reports.junit_report import as_junit
from fhir_b12.reports.sarif_report import as_sarif
from fhir_b12.reports.text_report import as_concise, as_text

__all__ = [
    "FORMATS",
    "Excerpt",
    "FileFinding",
    "FileResult",
    "ReportOptions",
    "ResourcePart",
    "render",
]

FORMATS: Mapping[str, Callable[[Sequence[FileResult], ReportOptions], str]] = MappingProxyType(
    {
        "text": as_text,
        "concise": as_concise,
        "json": as_json,
        "ndjson": as_ndjson,
        "outcome": as_outcome,
        "sarif": as_sarif,
        "junit": as_junit,
        "html": as_html,
    }
)


def render(results: Sequence[FileResult], report_format: str, options: ReportOptions) -> str:
    """Return the report of some files in one format.

    Control characters in file names and messages are escaped, so a report is safe to print.

    Args:
        results: the result of each validated file, in the order of the report.
        report_format: a key of `FORMATS`: text, concise, json, ndjson, outcome, sarif, junit, html.
        options: whether values are shown, colours, folding, and the version of the tool.

    Returns:
        The report as text; it ends with a line break unless it is empty.

    Raises:
        KeyError: the format is not in `FORMATS`.

    """
    write = FORMATS[report_format]
    return write([sanitize(result) for result in results], options)
