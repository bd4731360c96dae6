"""The laws of merging lists: unknown data of an item stays with it, and only with it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.mapping.merge import merge

#: Few values, so that equal items are common.
ITEMS = st.lists(st.sampled_from("aab").map(lambda value: {"v": value}), max_size=6)


def marked(items):
    """Return the items as they are in the resource: each with unknown data of its own."""
    return [{**item, "x": number} for number, item in enumerate(items)]


def known(items):
    return [{"v": item["v"]} for item in items]


def values_by_mark(items):
    return {item["x"]: item["v"] for item in items if "x" in item}


@given(ITEMS, st.data())
def test_unknown_data_survives_any_reordering_of_equal_and_unequal_items(old, data):
    new = data.draw(st.permutations(old))
    merged = merge(marked(old), old, new)
    assert known(merged) == new
    assert sorted(values_by_mark(merged).items()) == sorted(values_by_mark(marked(old)).items())


@given(ITEMS)
def test_unmoved_items_keep_their_own_unknown_data(old):
    current = marked(old)
    assert merge(current, [*old, {"v": "z"}][:-1], list(old)) == current


@given(ITEMS, ITEMS)
def test_unknown_data_is_never_duplicated_and_stays_with_equal_items(old, new):
    merged = merge(marked(old), old, new)
    assert known(merged) == new
    marks = [item["x"] for item in merged if "x" in item]
    assert len(marks) == len(set(marks))
    with_own_data = Counter(
        item["v"] for item in merged if values_by_mark(marked(old)).get(item.get("x")) == item["v"]
    )
    remaining = Counter(item["v"] for item in old) & Counter(item["v"] for item in new)
    assert with_own_data >= remaining


@given(ITEMS, st.data())
def test_an_inserted_item_has_no_unknown_data(old, data):
    position = data.draw(st.integers(0, len(old)))
    new = [*old[:position], {"v": "new"}, *old[position:]]
    merged = merge(marked(old), old, new)
    assert merged[position] == {"v": "new"}
    assert sorted(values_by_mark(merged)) == list(range(len(old)))


@given(ITEMS.filter(bool), st.data())
def test_removing_an_item_removes_only_its_own_unknown_data(old, data):
    position = data.draw(st.integers(0, len(old) - 1))
    new = [*old[:position], *old[position + 1 :]]
    merged = merge(marked(old), old, new)
    assert len(values_by_mark(merged)) == len(old) - 1
    by_value = Counter(item["v"] for item in merged if "x" in item)
    assert by_value == Counter(item["v"] for item in new)
