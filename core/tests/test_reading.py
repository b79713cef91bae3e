"""Foreign JSON becomes a value of the type asked for, or a `ProtocolError` that shows no value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qasid.effects import Response
from qasid.errors import ProtocolError
from qasid.reading import filled, moment, retry_after, take

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
KINDS: Final = (str, int, bool, Decimal, list, dict, NoneType)
SAMPLES: Final[tuple[Any, ...]] = (
    "text", "4711", "", 0, 7, True, False, Decimal("0.5"), [], [1], {}, {"a": 1}, None,
)  # fmt: skip

#: Which sample is taken as what; a whole number is a number too.
TAKEN: Final = {
    str: ("text", "4711", ""),
    int: (0, 7),
    bool: (True, False),
    Decimal: (0, 7, Decimal("0.5")),
    list: ([], [1]),
    dict: ({}, {"a": 1}),
    NoneType: (None,),
}
WORDS: Final = {
    str: "text",
    int: "whole number",
    bool: "truth value",
    Decimal: "number",
    list: "list",
    dict: "object",
    NoneType: "null",
}


def _fits(sample: object, kind: type) -> bool:
    return any(
        sample is one or (sample == one and type(sample) is type(one)) for one in TAKEN[kind]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_a_member_is_of_exactly_the_type_asked_for(sample: Any, kind: type) -> None:
    """Else the error names the member and both types."""
    if _fits(sample, kind):
        found: object = take({"id": sample}, "id", kind)
        assert (sample, True) == (found, isinstance(found, kind))
    else:
        words = f"^'id' is a {WORDS[type(sample)]}, not a {WORDS[kind]}$"
        with pytest.raises(ProtocolError, match=words):
            take({"id": sample}, "id", kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_a_default_stands_for_null_and_never_for_a_wrong_type(sample: Any, kind: type) -> None:
    """The matrix again, with a default."""
    if sample is None:
        assert "default" == take({"id": sample}, "id", kind, "default")
    elif _fits(sample, kind):
        assert sample == take({"id": sample}, "id", kind, "default")
    else:
        with pytest.raises(ProtocolError):
            take({"id": sample}, "id", kind, "default")


def test_a_default_stands_for_what_is_absent() -> None:
    """Also where the default is None."""
    assert None is take({}, "id", str, None)


def test_a_missing_member_is_named() -> None:
    """And what it should have been."""
    with pytest.raises(ProtocolError, match=r"^'id' is missing, not a text$"):
        take({}, "id", str)


@pytest.mark.parametrize("body", [None, [], "id", 7, True, Decimal(1)], ids=repr)
def test_a_member_is_looked_for_in_an_object_alone(body: object) -> None:
    """Also with a default: then, too, the reply is not what was expected."""
    with pytest.raises(ProtocolError, match=r"^'id' was looked for in a .*, not in an object$"):
        take(body, "id", str, None)


def test_a_type_without_a_word_is_named_as_in_python() -> None:
    """As no reply has it, only a caller could have put it there."""
    with pytest.raises(ProtocolError, match=r"^'id' is a float, not a bytes$"):
        take({"id": 0.5}, "id", bytes)


@given(st.text(min_size=6), st.sampled_from([int, bool, Decimal, list, dict]))
def test_no_value_is_shown(value: str, kind: type) -> None:
    """It may be a code or a token."""
    with pytest.raises(ProtocolError) as caught:
        take({"id": value}, "id", kind)
    assert f"'id' is a text, not a {WORDS[kind]}" == str(caught.value)


@pytest.mark.parametrize(
    "value", [Decimal("1e100"), 10**100, Decimal("1e-101"), Decimal("-1e999999")]
)
def test_a_number_beyond_all_measure_is_refused(value: Decimal | int) -> None:
    """Written out it would fill the memory."""
    with pytest.raises(ProtocolError, match="beyond all measure"):
        take({"price": value}, "price", Decimal)


@pytest.mark.parametrize("value", [Decimal("9e99"), Decimal("1e-100"), Decimal(0)])
def test_any_number_that_is_meant_is_taken(value: Decimal) -> None:
    """The largest and the smallest, and nothing."""
    assert value == take({"price": value}, "price", Decimal)


# Moments.


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00Z", "2026-01-01T03:30:00+03:30", "2026-01-01 00:00:00.000000+00:00"],
)
def test_a_moment_is_in_utc(text: str) -> None:
    """Whatever its zone was."""
    found = moment({"at": text}, "at")
    assert (NOW, UTC) == (found, found.tzinfo)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2026-01-01T00:00:00", "has no time zone"),
        ("soon", "is not an ISO 8601 moment"),
        ("", "is not an ISO 8601 moment"),
        ("0001-01-01T00:00:00+14:00", "is no moment of this world"),
        (1767225600, "is a whole number, not a text"),
    ],
)
def test_what_is_no_moment_is_refused(value: object, problem: str) -> None:
    """Naming the member, not the value."""
    with pytest.raises(ProtocolError, match=f"^'at' {problem}$"):
        moment({"at": value}, "at")


# How long to wait.


def _asked(headers: dict[str, str], reset: str | None = None) -> float | None:
    response = Response(status=429, headers=headers, received_at=NOW)
    found = retry_after(response, reset=reset)
    return None if found is None else found.total_seconds()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 1.0),
        ("86401", 86_400.0),
        ("9" * 500, 86_400.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00", 60.0),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
        ("Thu Jan  1 00:01:00 2026", 60.0),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 1.0),
        ("Thu, 01 Jan 2099 00:00:00 GMT", 86_400.0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    """Seconds or any of HTTP's dates, between a second and a day; garbage is nothing."""
    assert seconds == _asked({"Retry-After": text})


def test_an_answer_that_asks_for_nothing_gives_nothing() -> None:
    """Also where a header was named that is not there."""
    assert (None, None) == (_asked({}), _asked({}, "X-Reset"))


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [(60, 60.0), (-60, 1.0), (10**12, 86_400.0)],
)
def test_a_reset_header_is_a_unix_time(reset: int, seconds: float) -> None:
    """Counted from when the answer came."""
    text = str(int(NOW.timestamp()) + reset)
    assert seconds == _asked({"X-Reset": text}, "X-Reset")


def test_retry_after_goes_before_the_reset_header() -> None:
    """And garbage in it does not hide the other."""
    reset = str(int(NOW.timestamp()) + 60)
    assert 5.0 == _asked({"Retry-After": "5", "X-Reset": reset}, "X-Reset")
    assert 60.0 == _asked({"Retry-After": "soon", "X-Reset": reset}, "X-Reset")


@given(st.text(), st.text())
@example(text="", reset="0\x1f")
def test_a_wait_is_always_sane(text: str, reset: str) -> None:
    """Whatever the headers say."""
    asked = _asked({"Retry-After": text, "X-Reset": reset}, "X-Reset")
    assert asked is None or 1.0 <= asked <= timedelta(days=1).total_seconds()


def test_an_id_is_never_empty() -> None:
    """An empty text is no id."""
    assert "a1" == filled({"id": "a1"}, "id")
    with pytest.raises(ProtocolError, match="'id' is empty"):
        filled({"id": ""}, "id")
