"""JSON Patches applied to text preserve every other byte; positions are found in the text."""

import json
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.cli.json_edits import EditError, apply_patches
from fhir_b12.cli.source_positions import SourceText
from fhir_b12.jsonio import dumps, loads, positions
from fhir_b12.jsonscan import MAX_DEPTH

TEXT = """{
  "a" : 1.00,
  "b": [1, 2,3 ],
  "c": {},
  "d": {
    "e/f": "\\u00e9"
  }
}
"""

#: name: the patch, the text that it replaces in TEXT, the replacement
PATCHES = {
    "replace a value": ([{"op": "replace", "path": "/a", "value": Decimal("2.50")}], "1.00", "2.50"),
    "replace a value by an object": (
        [{"op": "replace", "path": "/d/e~1f", "value": {"x": [1]}}],
        '"\\u00e9"',
        '{\n      "x": [\n        1\n      ]\n    }',
    ),
    "remove the first member": ([{"op": "remove", "path": "/a"}], '"a" : 1.00,\n  ', ""),
    "remove the last member": (
        [{"op": "remove", "path": "/d"}], ',\n  "d": {\n    "e/f": "\\u00e9"\n  }', "",
    ),
    "remove the only member": ([{"op": "remove", "path": "/d/e~1f"}], '\n    "e/f": "\\u00e9"\n  ', ""),
    "remove an item": ([{"op": "remove", "path": "/b/0"}], "1, 2,3 ", "2,3 "),
    "remove the last item": ([{"op": "remove", "path": "/b/2"}], "2,3 ", "2 "),
    "add a member": (
        [{"op": "add", "path": "/g", "value": "ö"}], '"\\u00e9"\n  }', '"\\u00e9"\n  },\n  "g": "ö"',
    ),
    "add a member to an empty object": ([{"op": "add", "path": "/c/g", "value": 1}], "{}", '{"g": 1}'),
    "add a member that exists": ([{"op": "add", "path": "/a", "value": 7}], "1.00", "7"),
    "add an item at the end": ([{"op": "add", "path": "/b/-", "value": 4}], "3 ", "3,4 "),
    "insert an item": ([{"op": "add", "path": "/b/0", "value": 0}], "[1,", "[0,1,"),
    "rename": ([{"op": "move", "from": "/a", "path": "/z"}], '"a"', '"z"'),
    "rename by remove and add": (
        [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/z", "value": Decimal("1.00")}],
        '"a"', '"z"',
    ),
    "test, then replace": (
        [{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2}],
        "1.00", "2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("patch", "old", "new"), PATCHES.values(), ids=PATCHES)
def test_a_patch_changes_only_its_target(patch, old, new):
    assert TEXT.count(old) == 1
    changed, count = apply_patches(TEXT, [patch])
    assert (changed, count) == (TEXT.replace(old, new), 1)
    loads(changed)


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/x", "value": 1}],
        [{"op": "replace", "path": "/a/b", "value": 1}],
        [{"op": "remove", "path": "/b/3"}],
        [{"op": "replace", "path": "/b/3", "value": 1}],
        [{"op": "move", "from": "/d/e~1f", "path": "/z"}],
        [{"op": "remove", "path": "/b/x"}],
        [{"op": "add", "path": "/a/x", "value": 1}],
        [{"op": "move", "from": "/a", "path": "/c"}],
        [{"op": "move", "from": "/a", "path": "/c/a"}],
        [{"op": "test", "path": "/a", "value": 3}, {"op": "remove", "path": "/a"}],
        [{"op": "replace", "path": "/a", "value": 3}, {"op": "remove", "path": "/x"}],
        [{"op": "copy", "from": "/a", "path": "/z"}],
        [{"op": "remove"}],
        [],
    ],
    ids=str,
)
def test_a_patch_that_does_not_fit_changes_nothing(patch):
    assert apply_patches(TEXT, [patch]) == (TEXT, 0)


def test_of_two_overlapping_patches_the_first_is_applied():
    first = [{"op": "replace", "path": "/d/e~1f", "value": 1}]
    assert apply_patches(TEXT, [first, [{"op": "remove", "path": "/d"}], first]) == (
        TEXT.replace('"\\u00e9"', "1"),
        1,
    )


def test_patches_that_do_not_overlap_are_all_applied():
    patches = [
        [{"op": "remove", "path": "/a"}],
        [{"op": "replace", "path": "/b/1", "value": "x"}],
        [{"op": "add", "path": "/c/y", "value": {}}],
    ]
    changed, count = apply_patches(TEXT, patches)
    assert count == 3
    assert list(loads(changed)) == ["b", "c", "d"]
    assert loads(changed)["b"] == [1, "x", 3]


def test_a_value_that_changes_with_its_name_is_removed_and_added():
    patch = [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/z", "value": 5}]
    assert apply_patches('{"a": 1, "b": 2}', [patch]) == ('{"b": 2, "z": 5}', 1)


def test_a_value_can_move_to_another_object():
    patch = [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/c/z", "value": 1}]
    assert apply_patches('{"a": 1, "c": {}}', [patch]) == ('{"c": {"z": 1}}', 1)


def test_of_two_insertions_at_one_offset_the_first_is_applied():
    first, second = ([{"op": "add", "path": "/b/-", "value": value}] for value in (4, 5))
    assert apply_patches('{"b": [3]}', [first, second]) == ('{"b": [3,4]}', 1)


def test_a_value_becomes_a_list_of_itself_with_its_digits_and_white_space():
    patch = [{"op": "replace", "path": "/a", "value": [Decimal("1.00")]}]
    assert apply_patches('{"a" :  1.00 }', [patch]) == ('{"a" :  [1.00] }', 1)
    other = [{"op": "replace", "path": "/a", "value": [Decimal("1.50")]}]
    assert apply_patches('{"a": 1.00}', [other]) == ('{"a": [1.50]}', 1)
    longer = [{"op": "replace", "path": "/a", "value": [1, 2]}]
    assert apply_patches('{"a": 1}', [longer]) == ('{"a": [1,2]}', 1)


def test_an_item_can_be_inserted_before_the_last():
    patch = [{"op": "add", "path": "/2", "value": 9}]
    assert apply_patches("[1,2,3]", [patch]) == ("[1,2,9,3]", 1)


def test_an_escaped_pointer_is_resolved_and_a_name_is_written_as_it_is():
    assert apply_patches('{"~1": 1}', [[{"op": "replace", "path": "/~01", "value": 2}]]) == (
        '{"~1": 2}',
        1,
    )
    assert apply_patches("{}", [[{"op": "add", "path": "/é", "value": 1}]]) == ('{"é": 1}', 1)


def test_positions_count_every_line_break_and_skip_leading_white_space():
    text = SourceText(b' \n {"a":\r1,\r\n"b": 2}')
    pointers = ("", "/a", "/b")
    assert [text.position(pointer) for pointer in pointers] == [(2, 2), (3, 1), (4, 6)]
    assert [text.line(number) for number in (1, 2, 3, 4)] == [" ", ' {"a":', "1,", '"b": 2}']


def test_a_new_object_is_indented_by_four_spaces_if_the_text_is():
    patch = [{"op": "add", "path": "/b", "value": {"x": 1}}]
    assert apply_patches('{\n    "a": 1\n}', [patch])[0] == (
        '{\n    "a": 1,\n    "b": {\n        "x": 1\n    }\n}'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested too deeply"),
        ('{"a" 1', "not valid JSON"),
        ("[1 2]", "not valid JSON"),
        ("{1: 2}", "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_a_text_that_cannot_be_parsed_raises_edit_error(text, message):
    with pytest.raises(EditError, match=message):
        apply_patches(text, [])


KEYS = st.text('ab/~"\\é', min_size=1, max_size=3)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text('a"\\{[,:é', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
INDENTS = st.sampled_from([None, 0, 1, 2, 4])


def nodes(node, pointer=""):
    yield pointer
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, child in items:
        part = str(key).replace("~", "~0").replace("/", "~1")
        yield from nodes(child, f"{pointer}/{part}")


def patch_value(node, pointer, value):
    """Apply the patch to the value instead of the text; None removes."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    last = int(last) if isinstance(node, list) else last
    if value is None:
        del node[last]
    else:
        node[last] = value


@given(TREES, INDENTS, st.data())
def test_patching_the_text_equals_patching_the_value(tree, indent, data):
    text = json.dumps(tree, indent=indent)
    pointer = data.draw(st.sampled_from(list(nodes(tree))))
    if not pointer:
        return
    op = data.draw(st.sampled_from(["remove", "replace"]))
    expected = deepcopy(tree)
    patch_value(expected, pointer, None if op == "remove" else "new")
    changed, count = apply_patches(text, [[{"op": op, "path": pointer, "value": "new"}]])
    assert (json.loads(changed), count) == (expected, 1)


@given(TREES, INDENTS)
def test_positions_equal_those_of_a_walk_over_the_whole_text(tree, indent):
    raw = json.dumps(tree, indent=indent, ensure_ascii=False).encode()
    text = SourceText(raw)
    expected = positions(raw)
    assert [text.position(pointer) for pointer in nodes(tree)] == list(expected.values())


def test_a_missing_element_has_the_position_of_its_parent():
    text = SourceText(dumps({"a": {"b": [1]}}, indent=2))
    assert [text.position(pointer) for pointer in ("/a/x", "/a/b/7", "/a/b/0/y", "/x/y")] == [
        (2, 8), (3, 10), (4, 7), (1, 1),
    ]  # fmt: skip


def test_a_text_that_is_not_valid_json_has_lines():
    text = SourceText(b'{"a": \r\n[1,')
    assert (len(text), text.line(1), text.line(2), text.position("/a/0")) == (
        2,
        '{"a": ',
        "[1,",
        (1, 1),
    )
