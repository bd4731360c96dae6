"""Text that is safe to print."""

import pytest

from fhir_b12.printable import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sørensen 1 µg", "Sørensen 1 µg"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_and_direction_characters_are_escaped(text, expected):
    assert printable(text) == expected
