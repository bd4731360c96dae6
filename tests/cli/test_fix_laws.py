"""Fixes add no errors and lose no values except empty ones, on random mutants."""

import json
import random

import pytest

from fhir_b12.cli.json_edits import apply_patches
from fhir_b12.jsonio import dumps, loads
from fhir_b12.validation import Validator
from fhir_b12.validation.terminology.system_aliases import canonical_system
from tests.conformance.mutations import mutant

VALIDATOR = Validator(plausibility=False)


def primitives(value):
    """Return every primitive as text, sorted; case and known spellings of systems do not matter."""
    pending, texts = [value], []
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending += node.values()
        elif isinstance(node, list):
            pending += node
        elif node is not None:
            text = str(node).strip()
            texts.append((canonical_system(text) or text).lower())
    return sorted(texts)


@pytest.fixture(scope="module")
def mutants(fixtures):
    draw = random.Random(1)
    files = sorted((fixtures / "r4-examples").rglob("*.json"))
    sources = [json.loads(file.read_text("utf-8")) for file in draw.sample(files, 60)]
    sources = [source for source in sources if len(json.dumps(source)) < 20_000]
    candidates = (mutant(draw.choice(sources), draw) for _ in range(1500))
    return [candidate for candidate in candidates if candidate is not None]


def test_fixes_add_no_errors_and_lose_no_values(mutants):
    worse, fixed = [], 0
    for operator, path, resource in mutants:
        text = dumps(loads(json.dumps(resource)), indent=2).decode()
        before = VALIDATOR.validate(text)
        patches = [issue.fix for issue in before if issue.fix]
        if not patches:
            continue
        changed, count = apply_patches(text, patches)
        after = VALIDATOR.validate(changed)
        fixed += count
        errors = [sum(issue.is_error for issue in report) for report in (before, after)]
        if errors[1] > errors[0] or primitives(loads(changed)) != primitives(loads(text)):
            worse.append((operator, path, errors))
    assert fixed > 100
    assert worse == []
