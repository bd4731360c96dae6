"""A law of `--fix`: it makes nothing worse, and loses nothing but what is empty."""

import json
import random

import pytest

from fhir_b12.cli.json_edits import apply
from fhir_b12.jsonio import dumps, loads
from fhir_b12.validation import Validator
from fhir_b12.validation.terminology.system_aliases import canonical_system
from tests.conformance.mutations import mutant

VALIDATOR = Validator(plausibility=False)


def texts(value):
    """Return every primitive as text, sorted; case and known spellings of systems do not matter."""
    left, found = [value], []
    while left:
        node = left.pop()
        if isinstance(node, dict):
            left += node.values()
        elif isinstance(node, list):
            left += node
        elif node is not None:
            text = str(node).strip()
            found.append((canonical_system(text) or text).lower())
    return sorted(found)


@pytest.fixture(scope="module")
def mutants(fixtures):
    draw = random.Random(1)
    files = sorted((fixtures / "r4-examples").rglob("*.json"))
    sources = [json.loads(each.read_text("utf-8")) for each in draw.sample(files, 60)]
    sources = [each for each in sources if len(json.dumps(each)) < 20_000]
    made = (mutant(draw.choice(sources), draw) for _ in range(1500))
    return [each for each in made if each is not None]


def test_a_remedy_takes_its_finding_away_and_brings_no_other_that_was_not_hidden(mutants):
    worse, mended = [], 0
    for operator, path, resource in mutants:
        text = dumps(loads(json.dumps(resource)), indent=2).decode()
        before = VALIDATOR.validate(text)
        patches = [issue.fix for issue in before if issue.fix]
        if not patches:
            continue
        changed, count = apply(text, patches)
        after = VALIDATOR.validate(changed)
        mended += count
        errors = [sum(each.is_error for each in report) for report in (before, after)]
        if errors[1] > errors[0] or texts(loads(changed)) != texts(loads(text)):
            worse.append((operator, path, errors))
    assert mended > 100
    assert worse == []
