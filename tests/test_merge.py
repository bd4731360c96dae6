"""What is changed changes, and what is unknown stays with what it belongs to."""

import copy

import pytest

from fhir_b12.mapping.merge import merge, put

A, B, C, D = ({"v": name} for name in "abcd")
XA, XB, XC = ({"v": name, "x": 1} for name in "abc")  # as they stand: with something unknown
YA = {"v": "a", "x": 2}
OTHER = {"v": "o"}
XOTHER = {"v": "o", "x": 1}

LISTS = {
    "an item that stays": ([XA, XB], [A, B], [A, B], [XA, XB]),
    "a changed item": ([XA, XB], [A, B], [A, OTHER], [XA, XOTHER]),
    "a changed item and one behind": ([XA, XB], [A, B], [OTHER, B, D], [XOTHER, XB, D]),
    "items in another order": ([XA, XB, XC], [A, B, C], [C, A, B], [XC, XA, XB]),
    "an item gone": ([XA, XB, XC], [A, B, C], [A, C], [XA, XC]),
    "an item gone and one changed": ([XA, XB, XC], [A, B, C], [OTHER, C], [OTHER, XC]),
    "an item put first": ([XA, XB], [A, B], [D, A, B], [D, XA, XB]),
    "equal items": ([XA, A], [A, A], [A, A], [XA, A]),
    "one of equal items gone": ([XA, A], [A, A], [A], [XA]),
    "all gone": ([XA], [A], [], []),
    "equal items with different unknown data": ([XA, YA], [A, A], [A, A], [XA, YA]),
    "equal items, one before them": ([XA, YA], [A, A], [B, A, A], [B, YA, XA]),
    "equal items, one between them": ([XA, YA], [A, A], [A, B, A], [XA, B, YA]),
    "equal items, the other between them moved": (
        [XA, XB, YA],
        [A, B, A],
        [B, A, A],
        [XB, XA, YA],
    ),
    "swapped and changed": (
        [{"s": "phone", "v": "1", "x": "p"}, {"s": "email", "v": "2", "x": "e"}],
        [{"s": "phone", "v": "1"}, {"s": "email", "v": "2"}],
        [{"s": "email", "v": "3"}, {"s": "phone", "v": "4"}],
        [{"s": "email", "v": "3", "x": "e"}, {"s": "phone", "v": "4", "x": "p"}],
    ),
    "one gone and the next changed": (
        [{"s": "a", "v": "1", "x": 1}, {"s": "b", "v": "2", "x": 2}],
        [{"s": "a", "v": "1"}, {"s": "b", "v": "2"}],
        [{"s": "b", "v": "3"}],
        [{"s": "b", "v": "3", "x": 2}],
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_items_keep_their_unknown_data(name):
    current, old, new, expected = LISTS[name]
    before = copy.deepcopy((current, old, new))
    assert merge(current, old, new) == expected
    assert (current, old, new) == before


COMPANIONS = {
    "a name gone": (["a", "b"], [None, {"id": "1"}], ["b"], [{"id": "1"}]),
    "the name with it gone": (["a", "b"], [None, {"id": "1"}], ["a"], None),
    "a name put first": (["a"], [{"id": "1"}], ["z", "a"], [None, {"id": "1"}]),
    "names in another order": (["a", "b"], [{"id": "1"}, None], ["b", "a"], [None, {"id": "1"}]),
    "a name changed": (["a", "b"], [None, {"id": "1"}], ["a", "c"], [None, {"id": "1"}]),
}


@pytest.mark.parametrize("name", COMPANIONS)
def test_an_extension_of_a_primitive_moves_with_it(name):
    names, companions, new_names, moved = COMPANIONS[name]
    current = {"given": names, "_given": companions, "family": "f"}
    merged = merge(current, {"given": names, "family": "f"}, {"given": new_names, "family": "f"})
    assert merged["given"] == new_names
    assert merged.get("_given") == moved


def test_a_unit_is_rewritten_only_with_its_value():
    current = {"value": 1, "unit": "K/ul", "x": 1}
    old = {"value": 1, "unit": "10*3/uL", "code": "10*3/uL"}
    new = {"value": 2, "unit": "10*3/uL", "code": "10*3/uL"}
    assert merge(current, old, new) == {**new, "x": 1}
    assert merge(current, old, old) is current


def test_a_long_list_is_merged_in_reasonable_time():
    old = [{"v": str(i)} for i in range(20_000)]
    current = [{**item, "x": 1} for item in old]
    assert merge(current, old, old[::-1]) == current[::-1]


def test_put_copies_parents_and_removes_empty_objects():
    inner = {"route": 1}
    resource = {"dosage": inner, "status": "x"}
    put(resource, ("dosage", "dose"), 2)
    assert resource["dosage"] == {"route": 1, "dose": 2}
    assert inner == {"route": 1}
    put(resource, ("dosage", "dose"), None)
    put(resource, ("dosage", "route"), None)
    assert resource == {"status": "x"}


def test_an_extension_is_removed_with_its_primitive_and_not_added_to_a_new_one():
    old, held = {"value": 1, "unit": "g"}, {"_value": {"id": "v"}, "_unit": {"id": "u"}}
    assert merge({**old, **held}, old, {"unit": "g"}) == {"unit": "g", "_unit": {"id": "u"}}
    absent = {"unit": "g", "_value": {"id": "unknown"}}
    assert merge(absent, {"unit": "g"}, {"unit": "g", "value": 5}) == {"unit": "g", "value": 5}
    assert merge({**old, **held}, old, {"value": 2, "unit": "g"}) == {
        "value": 2,
        "unit": "g",
        **held,
    }
