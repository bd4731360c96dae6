"""Results to report: one set by hand, and any that hypothesis makes up."""

from hypothesis import strategies as st

from fhir_b12.issues import SEVERITIES, Issue
from fhir_b12.reports import Checked, Excerpt, Found, Part

R4 = "https://hl7.org/fhir/R4"
MENDED = ({"op": "replace", "path": "/entry/1/resource/status", "value": "final"},)

STATUS = Issue(
    "error", "code-invalid", "Bundle.entry[1].resource.status", "the code is none of R4",
    rule="required-binding", line=18, column=19, source=f"{R4}/terminologies.html",
    stage="terminology", pointer="/entry/1/resource/status", fix=MENDED,
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
    Checked(
        file="feed/bundle.json",
        found=(
            Found(
                issue=NARRATIVE[0],
                part=1,
                excerpt=Excerpt(line=7, text='      "resource": {', start=6, width=10),
            ),
            Found(issue=NARRATIVE[1], part=2),
            Found(
                issue=STATUS,
                part=2,
                excerpt=Excerpt(line=18, text='        "status": "…",', start=18, width=3),
            ),
        ),
        unchecked=(UNKNOWN, UNKNOWN),
        resources=3,
        parts=(
            Part(type="Bundle"),
            Part(place="entry[0]", type="Patient"),
            Part(place="entry[1]", type="Observation"),
        ),
        source=("{", '  "resourceType": "Bundle"', *[""] * 14, "}"),
        size=1000,
        seconds=0.25,
    ),
    Checked(
        file="all.ndjson",
        found=(Found(issue=COMMA), Found(issue=DOSE, part=1)),
        by_line=True,
        resources=1,
        parts=(Part(place="line 2"), Part(place="line 3", type="Observation")),
    ),
    Checked(file="clean.json", resources=1, parts=(Part(type="Patient"),), known=2),
    Checked(file="absent.json", trouble="No such file or directory"),
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
    fix=st.just(()) | st.just(MENDED),
)
FOUND = st.builds(
    Found,
    issue=ISSUES,
    part=st.integers(0, 3),
    excerpt=st.none() | st.just(Excerpt(line=3, text='"status": "…"', start=10, width=3)),
)
CHECKED = st.builds(
    Checked,
    file=TEXT.filter(bool),
    found=st.lists(FOUND, max_size=4).map(tuple),
    unchecked=st.lists(ISSUES, max_size=2).map(tuple),
    resources=st.integers(0, 3),
    by_line=st.booleans(),
    parts=st.lists(st.builds(Part, type=st.just("Patient")), max_size=3).map(tuple),
    source=st.lists(st.just('"status": "…"'), max_size=9).map(tuple),
    trouble=st.none() | TEXT,
)
RESULTS = st.lists(CHECKED, max_size=3)
