"""What the validator found, as reports for people and for programs.

`render(results, "sarif", Options(...))`. A report is a function of what was found and of how it is
to look. No report shows a patient's value unless `Options.show_values` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from fhir_b12.reports.file_results import Checked, Excerpt, Found, Options, Part, cleaned
from fhir_b12.reports.html_report import as_html
from fhir_b12.reports.json_reports import as_json, as_ndjson, as_outcome
from fhir_b12.reports.junit_report import as_junit
from fhir_b12.reports.sarif_report import as_sarif
from fhir_b12.reports.text_report import as_concise, as_text

__all__ = ["FORMATS", "Checked", "Excerpt", "Found", "Options", "Part", "render"]

FORMATS: Mapping[str, Callable[[Sequence[Checked], Options], str]] = MappingProxyType(
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


def render(results: Sequence[Checked], form: str, options: Options) -> str:
    """The report in one of `FORMATS`; KeyError for another."""
    return FORMATS[form]([cleaned(result) for result in results], options)
