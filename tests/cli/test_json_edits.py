"""A JSON Patch changes what it speaks of and not a byte besides; places are found in the text."""

import json
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.cli.json_edits import apply
from fhir_b12.cli.source_positions import Text
from fhir_b12.jsonio import dumps, loads, positions

TEXT = """{
  "a" : 1.00,
  "b": [1, 2,3 ],
  "c": {},
  "d": {
    "e/f": "\\u00e9"
  }
}
"""

#: name: the patch, what is replaced in TEXT, and by what
PATCHES = {
    "a value": ([{"op": "replace", "path": "/a", "value": Decimal("2.50")}], "1.00", "2.50"),
    "a value by an object": (
        [{"op": "replace", "path": "/d/e~1f", "value": {"x": [1]}}],
        '"\\u00e9"',
        '{\n      "x": [\n        1\n      ]\n    }',
    ),
    "the first member leaves": ([{"op": "remove", "path": "/a"}], '"a" : 1.00,\n  ', ""),
    "the last member leaves": (
        [{"op": "remove", "path": "/d"}], ',\n  "d": {\n    "e/f": "\\u00e9"\n  }', "",
    ),
    "the only member leaves": ([{"op": "remove", "path": "/d/e~1f"}], '\n    "e/f": "\\u00e9"\n  ', ""),
    "an item leaves": ([{"op": "remove", "path": "/b/0"}], "1, 2,3 ", "2,3 "),
    "the last item leaves": ([{"op": "remove", "path": "/b/2"}], "2,3 ", "2 "),
    "a member comes last": (
        [{"op": "add", "path": "/g", "value": "ö"}], '"\\u00e9"\n  }', '"\\u00e9"\n  },\n  "g": "ö"',
    ),
    "a member into nothing": ([{"op": "add", "path": "/c/g", "value": 1}], "{}", '{"g": 1}'),
    "a member that is there": ([{"op": "add", "path": "/a", "value": 7}], "1.00", "7"),
    "an item comes last": ([{"op": "add", "path": "/b/-", "value": 4}], "3 ", "3,4 "),
    "an item comes first": ([{"op": "add", "path": "/b/0", "value": 0}], "[1,", "[0,1,"),
    "a new name": ([{"op": "move", "from": "/a", "path": "/z"}], '"a"', '"z"'),
    "a new name in two steps": (
        [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/z", "value": Decimal("1.00")}],
        '"a"', '"z"',
    ),
    "only if it is so": (
        [{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2}],
        "1.00", "2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("patch", "old", "new"), PATCHES.values(), ids=PATCHES)
def test_a_patch_changes_its_place_alone(patch, old, new):
    assert TEXT.count(old) == 1
    changed, count = apply(TEXT, [patch])
    assert (changed, count) == (TEXT.replace(old, new), 1)
    loads(changed)


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/x", "value": 1}],
        [{"op": "replace", "path": "/a/b", "value": 1}],
        [{"op": "remove", "path": "/b/3"}],
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
def test_a_patch_without_a_place_changes_nothing(patch):
    assert apply(TEXT, [patch]) == (TEXT, 0)


def test_of_two_patches_at_one_place_the_first_is_taken():
    first = [{"op": "replace", "path": "/d/e~1f", "value": 1}]
    assert apply(TEXT, [first, [{"op": "remove", "path": "/d"}], first]) == (
        TEXT.replace('"\\u00e9"', "1"),
        1,
    )


def test_patches_at_different_places_are_all_taken():
    patches = [
        [{"op": "remove", "path": "/a"}],
        [{"op": "replace", "path": "/b/1", "value": "x"}],
        [{"op": "add", "path": "/c/y", "value": {}}],
    ]
    changed, count = apply(TEXT, patches)
    assert count == 3
    assert list(loads(changed)) == ["b", "c", "d"]
    assert loads(changed)["b"] == [1, "x", 3]


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
    for key, each in items:
        step = str(key).replace("~", "~0").replace("/", "~1")
        yield from nodes(each, f"{pointer}/{step}")


def put(node, pointer, value):
    """The value-level patch, by the book."""
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for step in way:
        node = node[int(step) if isinstance(node, list) else step]
    last = int(last) if isinstance(node, list) else last
    if value is None:
        del node[last]
    else:
        node[last] = value


@given(TREES, INDENTS, st.data())
def test_the_changed_text_is_the_changed_value(tree, indent, data):
    text = json.dumps(tree, indent=indent)
    pointer = data.draw(st.sampled_from(list(nodes(tree))))
    if not pointer:
        return
    op = data.draw(st.sampled_from(["remove", "replace"]))
    expected = deepcopy(tree)
    put(expected, pointer, None if op == "remove" else "new")
    changed, count = apply(text, [[{"op": op, "path": pointer, "value": "new"}]])
    assert (json.loads(changed), count) == (expected, 1)


@given(TREES, INDENTS)
def test_a_place_is_found_where_a_walk_over_the_whole_text_finds_it(tree, indent):
    raw = json.dumps(tree, indent=indent, ensure_ascii=False).encode()
    text = Text(raw)
    walked = positions(raw)
    found = [text.place(pointer) for pointer in nodes(tree)]
    assert found == list(walked.values())


def test_what_is_absent_has_the_place_of_what_would_hold_it():
    text = Text(dumps({"a": {"b": [1]}}, indent=2))
    assert [text.place(each) for each in ("/a/x", "/a/b/7", "/a/b/0/y", "/x/y")] == [
        (2, 8), (3, 10), (4, 7), (1, 1),
    ]  # fmt: skip


def test_a_text_that_is_no_json_has_lines_all_the_same():
    text = Text(b'{"a": \r\n[1,')
    assert (len(text), text.line(1), text.line(2), text.place("/a/0")) == (
        2,
        '{"a": ',
        "[1,",
        (1, 1),
    )
