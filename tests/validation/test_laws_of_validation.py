"""What holds of every validation, whatever it is given."""

import copy
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import jsonio
from fhir_b12.validation import Report, Validator, locations, validator
from fhir_b12.validation.structure import normalization, quick_check
from tests.conformance.mutations import mutant

VALIDATOR = Validator()
THOROUGH = Validator()
_NAMES = st.sampled_from(
    [
        "_given",
        "answer",
        "birthDate",
        "code",
        "coding",
        "component",
        "contained",
        "end",
        "entry",
        "extension",
        "fullUrl",
        "given",
        "id",
        "identifier",
        "item",
        "meta",
        "name",
        "parameter",
        "part",
        "period",
        "reference",
        "resource",
        "resourceType",
        "start",
        "status",
        "subject",
        "system",
        "text",
        "type",
        "url",
        "value",
        "valueQuantity",
        "valueString",
    ]
) | st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=20,
)
TYPES = st.sampled_from(
    ["Patient", "Observation", "Bundle", "Parameters", "Questionnaire", "MedicationAdministration"]
)


def told(report: Report):
    return [(i.severity, i.rule, i.expression, i.pointer, i.message) for i in report]


def thoroughly(value, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(validator, "is_well_shaped", lambda _: False)
        return THOROUGH.validate(value)


@pytest.fixture(scope="module")
def resources(fixtures):
    files = sorted((fixtures / "r4-examples").rglob("*.json"))
    texts = [file.read_bytes() for file in files if file.stat().st_size < 12_000]
    return [jsonio.loads(text) for text in texts]


@pytest.fixture(scope="module")
def mutants(resources):
    draw = random.Random("mutants")
    made = [mutant(draw.choice(resources), draw) for _ in range(1500)]
    return [each[2] for each in made if each is not None]


@given(st.dictionaries(_NAMES, JSON, max_size=6), TYPES)
def test_any_json_gets_a_report(members, kind):
    assert isinstance(VALIDATOR.validate({**members, "resourceType": kind}), Report)


@given(JSON)
def test_anything_at_all_gets_a_report(value):
    assert isinstance(VALIDATOR.validate(value), Report)


def test_the_quick_way_says_what_the_thorough_way_says(resources, mutants, monkeypatch):
    for value in resources[::3] + mutants[:400]:
        assert told(VALIDATOR.validate(value)) == told(thoroughly(value, monkeypatch))


def test_what_fits_is_well_shaped_or_turns_out_misshapen(mutants):
    for value in mutants:
        if not quick_check.is_well_shaped(value):
            continue
        normalizer = normalization.Normalizer()
        normalized = normalizer.normalize(value)
        if normalizer.findings:  # then structure must see what `is_well_shaped` cannot
            rules = {finding.rule for finding in normalizer.findings}
            assert rules <= {
                "second-choice", "empty-list", "empty-object", "null-alone", "wrong-kind",
                "not-simple", "not-null",
            }  # fmt: skip
        else:
            assert normalized == value


def test_threads_may_meet_a_type_for_the_first_time_together():
    code = """if True:
        import sys, threading
        from fhir_b12.validation.structure import quick_check
        sys.setswitchinterval(1e-6)
        kinds, found = ["Observation", "Patient", "Encounter", "Device"] * 4, []
        together = threading.Barrier(len(kinds))
        def work(kind):
            together.wait()
            found.append(quick_check.is_well_shaped({"resourceType": kind, "text": {"div": 1}}))
        threads = [threading.Thread(target=work, args=(kind,)) for kind in kinds]
        [each.start() for each in threads]
        [each.join() for each in threads]
        print(found == [False] * len(kinds))
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "True\n")


def test_validation_does_not_change_what_it_is_given(mutants):
    for value in mutants[:500]:
        before = copy.deepcopy(value)
        VALIDATOR.validate(value)
        assert value == before


def test_issues_stand_in_the_order_of_the_document_each_once(mutants):
    for value in mutants:
        report = VALIDATOR.validate(value)
        orders = [locations.order(value, _steps(issue.pointer, value)) for issue in report]
        assert orders == sorted(orders)
        assert len(set(told(report))) == len(report)


def test_a_pointer_leads_to_the_place_or_to_what_lacks_it(mutants):
    for value in mutants:
        for issue in VALIDATOR.validate(value):
            *above, _last = [None, *_steps(issue.pointer, value)]
            node = value
            for step in above[1:]:
                node = node[step]


def _steps(pointer, value):
    steps, node = [], value
    for part in (pointer or "").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        step = int(name) if isinstance(node, list) else name
        steps.append(step)
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            node = None
    return tuple(steps)


def test_no_message_holds_a_value(mutants):
    canary = "Xq7Canary"

    def marked(node, key=""):
        if isinstance(node, dict):
            return {name: marked(part, name) for name, part in node.items()}
        if isinstance(node, list):
            return [marked(part, key) for part in node]
        kept = key in {"resourceType", "url", "system", "profile", "type"}
        return node if kept or not isinstance(node, str) else f"{canary} {node}"

    for value in mutants[:300]:
        for issue in VALIDATOR.validate(marked(value)):
            assert canary not in issue.message
            assert canary not in issue.expression
            assert "{" not in issue.message.replace("{score}", "")


def test_a_text_and_its_value_get_the_same_report(mutants):
    for value in mutants[:300]:
        text = jsonio.dumps(value)
        assert told(VALIDATOR.validate(text)) == told(VALIDATOR.validate(jsonio.loads(text)))


@pytest.mark.slow
def test_a_hundred_thousand_mutants_get_a_report(resources):
    draw = random.Random("many mutants")
    for _ in range(100_000):
        made = mutant(draw.choice(resources), draw)
        if made is not None:
            assert isinstance(VALIDATOR.validate(made[2]), Report)
