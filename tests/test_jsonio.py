"""JSON is read exactly, written exactly, and refused with the place of every fault."""

import bz2
import gzip
import io
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import jsonio
from fhir_b12.jsonio import JsonError, dumps, loads, open_stream, positions, read_lines
from fhir_b12.jsonscan import MAX_FAULTS, Scan
from tests.conftest import fixtures_root
from tests.requirements import EXAMPLES, parameters_or_skip

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda number: abs(number.as_tuple().exponent) < 5000
)
# A whole decimal without an exponent is written as an integer is: 7 comes back as int.
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS | DECIMALS.map(lambda d: d.scaleb(-1))
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(TEXTS, v, max_size=4),
    max_leaves=12,
)
FRAGMENTS = (
    *'[]{},: \n"',
    *(
        '"a"',
        '"b":',
        '"a":',
        '"\\u0061":',
        "1.50",
        "-0",
        "01",
        "1e2",
        "1E+2",
        "1E+10000",
        "0E-12000",
    ),
    *(
        "null",
        "true",
        "NaN",
        "-Infinity",
        '"\\u0000"',
        '"\\\\u0000"',
        '"\\ud800"',
        '"\\ud83d\\ude00"',
    ),
    *('"\\/"', '"\\x"', '"\t"', "é", '"é"', "[[", "]]", "\ufeff", "1" * 4301, "'", "/**/"),
)


def exact(value):
    """The value with every digit, exponent, type and key order visible."""
    if isinstance(value, dict):
        return ("object", [(key, exact(member)) for key, member in value.items()])
    if isinstance(value, list):
        return ("array", [exact(item) for item in value])
    return (type(value).__name__, str(value))


def integers_plain(value):
    """Decimals that are written without point and exponent become integers, as reading has it."""
    if isinstance(value, dict):
        return {key: integers_plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [integers_plain(item) for item in value]
    whole = isinstance(value, Decimal) and str(value).lstrip("-").isdigit() and str(value) != "-0"
    return int(value) if whole else value


def refusal(data, **limits):
    with pytest.raises(JsonError) as caught:
        loads(data, **limits)
    return [(i.severity, i.code, i.expression, i.line, i.column) for i in caught.value.issues]


def issues_of(data):
    try:
        loads(data)
    except JsonError as error:
        return error.issues or ["refused without a reason"]
    return ()


def is_refused(text):
    return bool(issues_of(text))


# Laws


@given(VALUES)
def test_what_is_written_is_read_back_with_every_digit(value):
    assert exact(loads(dumps(value))) == exact(integers_plain(value))


@given(VALUES, st.sampled_from([None, 1, 2]), st.booleans())
def test_spelling_does_not_change_the_value(value, indent, ascii_only):
    plain = dumps(value, indent=indent)
    respelled = json.dumps(json.loads(plain, parse_float=str), ensure_ascii=ascii_only)
    strings_for_decimals = json.loads(dumps(value), parse_float=str)
    assert loads(respelled) == strings_for_decimals
    assert exact(loads(plain)) == exact(loads(dumps(value)))


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_all_readers_agree_on_what_is_json(text):
    raw = text.encode()
    faults = Scan(text).issues()
    assert is_refused(text) == bool(faults)
    if jsonio._read_verified(raw, 100) is not jsonio._UNVERIFIED:
        assert faults == ()
        assert exact(jsonio._read_verified(raw, 100)) == exact(jsonio._read_with_json(raw, 100))


@given(st.binary(max_size=30))
def test_no_bytes_bring_down_the_reader(data):
    for issue in issues_of(data):
        assert issue.line
        assert issue.column


@given(VALUES)
def test_every_value_has_a_position(value):
    def paths(node, path=()):
        yield path
        inside = node if isinstance(node, list) else ()
        for key, member in node.items() if isinstance(node, dict) else enumerate(inside):
            yield from paths(member, (*path, key))

    assert set(positions(dumps(value, indent=2))) == set(paths(value))


# Numbers


@pytest.mark.parametrize(
    ("text", "digits"),
    [("1.50", "1.50"), ("0.10", "0.10"), ("1E+2", "1E+2"), ("1e2", "1E+2"), ("-0", "-0"), ("-0.0", "-0.0"),
     ("180.00", "180.00"), ("1E-9999", "1E-9999"), ("0.0000001", "1E-7")],
)  # fmt: skip
def test_a_decimal_keeps_its_digits_and_exponent(text, digits):
    assert exact(loads(text)) == ("Decimal", digits)


def test_a_whole_number_is_an_integer_of_any_size():
    assert exact(loads("[7, -7, 123456789012345678901234567890]")) == exact(
        [7, -7, 123456789012345678901234567890]
    )
    assert loads("1" * 4300) == int("1" * 4300)


@pytest.mark.parametrize(
    "number", ["1" * 4301, "1." + "1" * 4300, "1e10000", "1E+10000", "0E-12000", "1e-99999999999999999999", "NaN", "-Infinity"]
)  # fmt: skip
def test_a_number_beyond_the_limits_is_refused(number):
    assert refusal(f'{{"resourceType":"Observation","value":[{number}]}}') == [
        ("error", "value", "Observation.value[0]", 1, 40)
    ]


# Faults


FAULTS = [
    ("", [("fatal", "structure", "$this", 1, 1)]),
    (" \n ", [("fatal", "structure", "$this", 2, 2)]),
    (b"\xef\xbb\xbf{}", [("fatal", "structure", "$this", 1, 1)]),
    (b'{"a": "\xe9"}', [("fatal", "structure", "$this.a", 1, 8)]),
    ('{"a": "\ud800"}', [("fatal", "structure", "$this.a", 1, 8)]),
    ('{"a": "\\ud800"}', [("error", "value", "$this.a", 1, 8)]),
    ('{"a": "\\ude00\\ud83d"}', [("error", "value", "$this.a", 1, 8), ("error", "value", "$this.a", 1, 14)]),
    ('{"a": "\\u0000"}', [("error", "value", "$this.a", 1, 8)]),
    ('{"\\u0000": 1}', [("error", "value", "$this", 1, 3)]),
    ('{"a": "\n"}', [("fatal", "structure", "$this.a", 1, 8)]),
    ('{"a": "\\x"}', [("fatal", "structure", "$this.a", 1, 8)]),
    ("[1,\n 2", [("fatal", "structure", "$this[1]", 2, 3)]),
    ("[1,\r\n 01,\r +1,]", [("fatal", "structure", "$this[1]", 2, 2), ("fatal", "structure", "$this[2]", 3, 2),
                             ("fatal", "structure", "$this", 3, 4)]),
    ("{} x", [("fatal", "structure", "$this", 1, 4)]),
    ('{"a b": NaN}', [("error", "value", "$this.`a b`", 1, 9)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "issues"), FAULTS)
def test_a_fault_is_named_with_its_place(text, issues):
    assert refusal(text) == issues


def test_every_repeated_key_is_listed():
    text = """{"resourceType": "Observation", "id": "a",
 "id": "b", "code": {"text": "x", "t\\u0065xt": "y"},
 "component": [{"code": 1, "code": 2}], "id": "c"}"""
    assert refusal(text) == [
        ("error", "structure", "Observation.id", 2, 2),
        ("error", "structure", "Observation.code.text", 2, 35),
        ("error", "structure", "Observation.component[0].code", 3, 28),
        ("error", "structure", "Observation.id", 3, 41),
    ]


def test_a_message_holds_no_value_of_the_text():
    with pytest.raises(JsonError) as caught:
        loads('{"name": "Secret\\u0000", "name": "Secret", "n": Secret}')
    assert len(caught.value.issues) == 3
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}")])
def test_a_hundred_levels_are_read_and_one_more_is_refused(opener, closer):
    assert not is_refused(opener * 99 + "[]" + closer * 99)
    assert is_refused(opener * 100 + "[]" + closer * 100)
    assert [issue[:2] for issue in refusal(opener * 100_000)] == [("fatal", "too-costly")]


def test_many_shallow_containers_are_not_deep():
    assert loads("[" + "{}," * 500 + "[1]]")[500] == [1]


@pytest.mark.parametrize("inside", ["}", "{", "[Mass/volume]", "]]", '\\"}', "\\n{"])
def test_brackets_in_strings_are_no_nesting(inside):
    def nested(levels):
        return f'{{"{inside}":' * levels + f'"{inside}"' + "}" * levels

    assert not is_refused(nested(100))
    assert is_refused(nested(101))
    assert not is_refused("[" + f'"{inside}",' * 300 + "1]")


def test_a_text_longer_than_allowed_is_refused():
    too_long = [("fatal", "too-long", "$this", 1, 1)]
    assert loads('"é"', max_bytes=4) == "é"
    assert refusal('"é"', max_bytes=3) == too_long
    assert refusal(b"[1,2]", max_bytes=4) == too_long


def test_the_list_of_faults_ends():
    faults = refusal("[" + ",".join(["NaN"] * 3000) + "]")
    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1][:2] == ("fatal", "too-costly")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind):
    assert loads(kind(b'{"b": 1, "a": 2}')) == {"b": 1, "a": 2}


def test_positions_are_those_of_the_values():
    assert positions('{"a":\n  [1, "é", {"b": null}]}') == {
        (): (1, 1), ("a",): (2, 3), ("a", 0): (2, 4), ("a", 1): (2, 7), ("a", 2): (2, 12), ("a", 2, "b"): (2, 18),
    }  # fmt: skip


# Writing


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1E+10000"),
              "\0", "\ud800", 10**4300],
    ids=lambda value: "10**4300" if isinstance(value, int) else repr(value),
)  # fmt: skip
def test_what_cannot_be_said_is_not_written(value):
    with pytest.raises(JsonError) as caught:
        dumps({"resourceType": "Observation", "a": [None, value]})
    assert [(i.code, i.expression) for i in caught.value.issues] == [("value", "Observation.a[1]")]


def test_a_value_within_itself_is_not_written():
    value = []
    value.append(value)
    with pytest.raises(JsonError):
        dumps(value)


def test_null_is_written_where_it_is_meant():
    assert dumps({"a": [None, Decimal("1.50")]}) == b'{"a":[null,1.50]}'
    assert dumps([1], indent=2) == b"[\n  1\n]"


# The public suite: https://github.com/nst/JSONTestSuite

SUITE = fixtures_root() / "json-parsing"
REFUSED_HERE = {  # JSON allows these; FHIR, or a reader that loses nothing, cannot
    "y_object_duplicated_key.json": "structure",
    "y_object_duplicated_key_and_value.json": "structure",
    "y_object_escaped_null_in_key.json": "value",
    "y_string_null_escape.json": "value",
}


def suite(letter):
    names = sorted(path.name for path in SUITE.glob(f"{letter}_*.json"))
    return parameters_or_skip(names, EXAMPLES, f"no folder {SUITE}")


@pytest.mark.parametrize("name", suite("y"))
def test_what_the_suite_accepts_is_read(name):
    data = (SUITE / name).read_bytes()
    if name in REFUSED_HERE:
        assert [issue[1] for issue in refusal(data)] == [REFUSED_HERE[name]]
    else:
        assert exact(loads(data)) == exact(loads(dumps(loads(data))))


@pytest.mark.parametrize("name", suite("n"))
def test_what_the_suite_refuses_is_refused_with_its_place(name):
    assert all(line and column for *_, line, column in refusal((SUITE / name).read_bytes()))


# Streams


def lines(stream, **limits):
    return [
        (
            number,
            [(i.code, i.line) for i in value.issues] if isinstance(value, JsonError) else value,
        )
        for number, value in read_lines(stream, **limits)
    ]


def test_a_bad_line_does_not_end_the_reading():
    stream = io.BytesIO(b'{"a":1}\n\n  \r\n{"a":\n[' + b"1," * 50 + b'1]\n{"a":2,"a":3}\r\n{"b":4}')
    assert lines(stream, max_line_bytes=40) == [
        (1, {"a": 1}), (4, [("structure", 4)]), (5, [("too-long", 5)]), (6, [("structure", 6)]), (7, {"b": 4}),
    ]  # fmt: skip


def test_lines_are_read_one_at_a_time():
    class Endless(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:4] = b"[1]\n"
            return 4

    reading = read_lines(io.BufferedReader(Endless()))
    assert [next(reading) for _ in range(3)] == [(1, [1]), (2, [1]), (3, [1])]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_a_stream_is_unpacked_by_what_it_begins_with(pack, tmp_path, monkeypatch):
    packed = pack(b"[1]\n[2]\n")
    path = tmp_path / "lines"
    path.write_bytes(packed)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed)))
    for source in (path, str(path), io.BytesIO(packed), "-"):
        with open_stream(source) as stream:
            assert lines(stream) == [(1, [1]), (2, [2])]


def test_a_stream_given_stays_open():
    given_stream = io.BytesIO(b"[1]")
    open_stream(given_stream).close()
    assert not given_stream.closed


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_corrupt_stream_is_a_json_error(pack):
    packed = pack(bytes(range(256)) * 40)
    middle = len(packed) // 2
    for broken in (
        packed[:-6],
        packed[:middle],
        packed[:12] + b"\xff" * 9 + packed[21:],
        packed[:3],
    ):
        with pytest.raises(JsonError):
            open_stream(io.BytesIO(broken)).read()
        assert lines(open_stream(io.BytesIO(broken)))[-1][1][0][0] in {"structure", "value"}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_stream_unfolds_no_further_than_allowed(pack):
    packed = pack(b" " * 100_000)
    assert len(open_stream(io.BytesIO(packed), max_bytes=100_000).read()) == 100_000
    assert lines(open_stream(io.BytesIO(packed), max_bytes=99_999)) == [(1, [("too-long", 1)])]
