"""Dates keep their text, precision and offset, and compare by interval."""

import pytest

from fhir_b12.dates import Date, DateTime, Instant, utc_parts


@pytest.mark.parametrize(
    "text",
    ["2026", "2026-02", "2024-02-29", "2026-03-09T09:15:00+01:00", "2026-03-09T09:15:00.120Z",
     "2016-12-31T23:59:60Z", "0001-01-01"],
)  # fmt: skip
def test_a_valid_datetime_keeps_its_text(text):
    assert str(DateTime(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "26", "2026-13", "2026-02-30", "2023-02-29", "2026-03-09T09:15:00", "2026-03-09T09:15Z",
     "2026-03-09T24:00:00Z", "2026-03-09T09:15:00+15:00", "2026-03-09T09:15:00+01:60", "0000",
     "2026-3-9", "2026-03-09 09:15:00Z", "２０２６", "2026\n", "2026-03-09T09:60:00Z"],
)  # fmt: skip
def test_an_invalid_datetime_is_an_error_without_the_text_in_its_message(text):
    with pytest.raises(ValueError, match="not a FHIR dateTime") as error:
        DateTime(text)
    assert not text.strip() or text not in str(error.value)


def test_a_date_has_no_time_and_an_instant_must_have_one():
    with pytest.raises(ValueError, match="not a FHIR date"):
        Date("2026-03-09T09:15:00Z")
    with pytest.raises(ValueError, match="not a FHIR instant"):
        Instant("2026-03-09")


def test_times_with_offsets_are_compared_in_utc():
    assert DateTime("2026-03-09T09:15:00+01:00") < DateTime("2026-03-09T09:15:00Z")
    assert DateTime("2026-03-09T10:15:00+01:00").overlaps(DateTime("2026-03-09T09:15:00Z"))
    assert DateTime("2026-03-09T10:15:00+01:00") != DateTime("2026-03-09T09:15:00Z")


def test_a_partial_date_is_neither_before_nor_after_a_date_within_it():
    year, day = DateTime("2026"), DateTime("2026-06-01")
    assert not year < day
    assert not day < year
    assert year.overlaps(day)
    assert DateTime("2024") < day
    assert day > DateTime("2024")


def test_a_date_overlaps_that_day_in_every_time_zone():
    noon = DateTime("2026-03-09T23:30:00-11:00")
    assert noon.overlaps(DateTime("2026-03-09"))
    assert noon.overlaps(DateTime("2026-03-10"))


def test_a_datetime_has_precision_and_offset():
    assert [DateTime(t).precision for t in ("2026", "2026-03", "2026-03-09")] == [
        "year",
        "month",
        "day",
    ]
    assert DateTime("2026-03-09T09:15:00-00:00").offset == "-00:00"
    assert DateTime("2026").offset is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("2026", (2026,)),
        ("2026-03", (2026, 3)),
        ("2026-03-09", (2026, 3, 9)),
        ("2026-03-09T00:15:30.1239+01:00", (2026, 3, 8, 23, 15, 30, 123)),
        ("2016-12-31T23:59:60Z", (2017, 1, 1, 0, 0, 0, 0)),
        ("2026-03-09T10:00:00", (2026, 3, 9, 10, 0, 0, 0)),
        ("2026-03-09T10:00:00+23:59", (2026, 3, 8, 10, 1, 0, 0)),
        ("2026-03-09T10:00:00+24:00", None),
        ("2026-02-30", None),
        ("2026-03-09T24:00:00Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("9999-12-31T23:59:60Z", None),
        ("junk", None),
    ],
)
def test_utc_parts_are_as_many_as_the_text_has_and_end_with_milliseconds(text, parts):
    assert utc_parts(text) == parts
