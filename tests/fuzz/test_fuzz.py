"""Whatever comes in, nothing escapes but what is documented, and the laws hold.

Values are spoilt by `mutants`, grown by hypothesis, and judged by `laws`. A chunk is a seed: it is
spoilt the same way each time, on any machine and on its own.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_b12.definitions import R4
from fhir_b12.jsonio import dumps
from fhir_b12.mapping import table as tables
from tests.fuzz import laws, mutants, sources

CHUNK = 500  #: inputs of one test of the slow suite
TYPES = sorted({tables.load(name).resource for name in tables.ORDER})


def hunt(law, source, seeds):
    """Spoil one value of the source for each seed; fail with the first that breaks the law."""
    for seed in seeds:
        rng = Random(seed)
        name, value = rng.choice(source)
        if isinstance(value, bytes):
            spoilt = mutants.mutate_text(value, rng.choice(source)[1], rng)
        else:
            spoilt = mutants.mutate(value, rng)
        judge(law, spoilt, seed, name)


def judge(law, value, seed, name):
    """Fail with a small value that breaks the law as this one does."""
    found = laws.first_broken(law, value, seed)
    if found is None:
        return
    small = value if isinstance(value, bytes) else dumps(laws.shrunk(law, value, seed, found))
    pytest.fail(
        f"{found}\nlaw {law.__name__}, seed {seed}, source {name!r}:\n{small.decode(errors='replace')}"
    )


def chunks(count):
    return pytest.mark.parametrize("chunk", range(count))


def seeds(chunk):
    return range(chunk * CHUNK, (chunk + 1) * CHUNK)


@pytest.mark.parametrize("law", [laws.of_resource, laws.of_bundle], ids=lambda law: law.__name__)
def test_a_few_hundred_spoilt_values_keep_the_laws(law):
    hunt(law, sources.own(), range(400))


def test_a_few_spoilt_records_in_plain_json_are_read_or_refused():
    hunt(laws.of_plain, sources.plain(), range(150))


def test_a_few_hundred_spoilt_texts_are_read_or_refused():
    hunt(laws.of_text, sources.own_texts(), range(600))
    hunt(laws.of_command, sources.own_texts(), range(150))


@pytest.mark.slow
@chunks(40)
def test_spoilt_resources_keep_the_laws(chunk):
    hunt(laws.of_resource, sources.own(), seeds(chunk))


@pytest.mark.slow
@chunks(60)
def test_spoilt_public_resources_keep_the_laws(fixtures, chunk):
    hunt(laws.of_resource, sources.public(), seeds(chunk))


@pytest.mark.slow
@chunks(20)
def test_spoilt_bundles_keep_the_laws(chunk):
    hunt(laws.of_bundle, sources.own(), seeds(chunk))


@pytest.mark.slow
@chunks(20)
def test_spoilt_public_bundles_keep_the_laws(fixtures, chunk):
    hunt(laws.of_bundle, sources.public(), seeds(chunk))


@pytest.mark.slow
@chunks(16)
def test_spoilt_records_in_plain_json_are_read_or_refused(chunk):
    hunt(laws.of_plain, sources.plain(), seeds(chunk))


@pytest.mark.slow
@chunks(12)
def test_spoilt_texts_are_read_or_refused(chunk):
    hunt(laws.of_text, sources.own_texts(), seeds(chunk))


@pytest.mark.slow
@chunks(12)
def test_spoilt_public_texts_are_read_or_refused(fixtures, chunk):
    hunt(laws.of_text, sources.public_texts(), seeds(chunk))


@pytest.mark.slow
@chunks(10)
def test_spoilt_texts_given_to_a_command_end_well(chunk):
    hunt(laws.of_command, sources.own_texts(), seeds(chunk))


@pytest.mark.slow
@chunks(10)
def test_spoilt_public_texts_given_to_a_command_end_well(fixtures, chunk):
    hunt(laws.of_command, sources.public_texts(), seeds(chunk))


NAMES = st.sampled_from(
    (
        "coding",
        "code",
        "system",
        "value",
        "unit",
        "reference",
        "identifier",
        "text",
        "start",
        "id",
        "x",
    )
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.sampled_from(["http://loinc.org", "2026-02-23", "final", "#x", "pg/mL", "<150"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


def grown(kind):
    """A resource of a type, its elements holding anything."""
    elements = st.sampled_from(sorted(R4.children(kind)))
    return st.dictionaries(elements, JSON, max_size=5).map(
        lambda members: {"resourceType": kind, **members}
    )


@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
@settings(max_examples=12)
def test_a_few_grown_resources_keep_the_laws(kind, data):
    judge(laws.of_bundle, data.draw(grown(kind)), 0, "hypothesis")


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
@settings(max_examples=500)
def test_grown_resources_keep_the_laws(kind, data):
    judge(laws.of_resource, data.draw(grown(kind)), 0, "hypothesis")
