"""Results to report: a hand-made sample, and strategies that generate any others."""

from hypothesis import strategies as st

from fhir_b12.issues import SEVERITIES, Issue
from fhir_b12.reports import Excerpt, FileFinding, FileResult, ResourcePart

R4 = "https://hl7.org/fhir/R4"
FIX = ({"op": "replace", "path": "/entry/1/resource/status", "value": "final"},)

STATUS = Issue(
    "error", "code-invalid", "Bundle.entry[1].resource.status", "the code is not in the value set",
    rule="required-binding", line=18, column=19, source=f"{R4}/terminologies.html",
    stage="terminology", pointer="/entry/1/resource/status", fix=FIX,
)  # fmt: skip
NARRATIVE = [
    Issue(
        "warning", "invariant", f"Bundle.entry[{i}].resource", "a resource should have narrative",
        rule="dom-6", line=line, column=19, source=f"{R4}/conformance-rules.html",
        stage="invariants", pointer=f"/entry/{i}/resource",
    )
    for i, line in enumerate((7, 16))
]  # fmt: skip
COMMA = Issue(
    "fatal", "structure", "Patient.id", "expected a comma", line=2, column=5, stage="json"
)
DOSE = Issue(
    "information", "business-rule", "Observation", "a dose & a <unit>", rule="dose", line=3
)
UNKNOWN = Issue("information", "incomplete", "Observation.code", "LOINC is not known offline")

SAMPLE = (
    FileResult(
        file="feed/bundle.json",
        findings=(
            FileFinding(
                issue=NARRATIVE[0],
                part=1,
                excerpt=Excerpt(line=7, text='      "resource": {', start=6, width=10),
            ),
            FileFinding(issue=NARRATIVE[1], part=2),
            FileFinding(
                issue=STATUS,
                part=2,
                excerpt=Excerpt(line=18, text='        "status": "…",', start=18, width=3),
            ),
        ),
        unchecked=(UNKNOWN, UNKNOWN),
        resources=3,
        parts=(
            ResourcePart(type="Bundle"),
            ResourcePart(location="entry[0]", type="Patient"),
            ResourcePart(location="entry[1]", type="Observation"),
        ),
        source=("{", '  "resourceType": "Bundle"', *[""] * 14, "}"),
        size=1000,
        seconds=0.25,
    ),
    FileResult(
        file="all.ndjson",
        findings=(FileFinding(issue=COMMA), FileFinding(issue=DOSE, part=1)),
        is_ndjson=True,
        resources=1,
        parts=(
            ResourcePart(location="line 2"),
            ResourcePart(location="line 3", type="Observation"),
        ),
    ),
    FileResult(file="clean.json", resources=1, parts=(ResourcePart(type="Patient"),), known=2),
    FileResult(file="absent.json", read_error="No such file or directory"),
)

TEXT = st.text(max_size=12) | st.sampled_from(
    ["</script><script>alert(1)</script>", "]]>", "\u202eabc", "\x1b[2J", "\0", "a\nb", "\ud800"]
)
ISSUES = st.builds(
    Issue,
    severity=st.sampled_from(SEVERITIES),
    code=st.sampled_from(["invalid", "structure"]),
    expression=TEXT | st.just("Observation.component[3].code"),
    message=TEXT,
    rule=st.none() | TEXT | st.just("obs-6"),
    line=st.none() | st.integers(1, 9),
    column=st.none() | st.integers(1, 9),
    source=st.none() | TEXT | st.just(f"{R4}/observation.html"),
    stage=st.none() | st.just("structure"),
    pointer=st.none() | TEXT,
    fix=st.just(()) | st.just(FIX),
)
FINDINGS = st.builds(
    FileFinding,
    issue=ISSUES,
    part=st.integers(0, 3),
    excerpt=st.none() | st.just(Excerpt(line=3, text='"status": "…"', start=10, width=3)),
)
FILE_RESULTS = st.builds(
    FileResult,
    file=TEXT.filter(bool),
    findings=st.lists(FINDINGS, max_size=4).map(tuple),
    unchecked=st.lists(ISSUES, max_size=2).map(tuple),
    resources=st.integers(0, 3),
    is_ndjson=st.booleans(),
    parts=st.lists(st.builds(ResourcePart, type=st.just("Patient")), max_size=3).map(tuple),
    source=st.lists(st.just('"status": "…"'), max_size=9).map(tuple),
    read_error=st.none() | TEXT,
)
RESULTS = st.lists(FILE_RESULTS, max_size=3)
