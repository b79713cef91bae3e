"""Phone numbers become E.164, or are refused without being shown."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.errors import InvalidRecipient, Outcome
from qasid.phone import e164, iranian_mobile

PERSIAN: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
ARABIC: Final = str.maketrans("0123456789", "".join(chr(0x660 + digit) for digit in range(10)))
LATIN: Final = str.maketrans("", "")

#: The nine digits after the 9 of an Iranian mobile.
REST: Final = st.text("0123456789", min_size=9, max_size=9)
CODED: Final = ["+989{}", "00989{}", "0989{}", "989{}", "+9809{}", "009809{}"]
BARE: Final = ["09{}", "9{}"]
SCRIPTS: Final = st.sampled_from([LATIN, PERSIAN, ARABIC])

#: What people put between digits.
ORNAMENTS: Final = st.sampled_from(["", " ", "-", " (", ") ", ".", "\u200e", "\u202a", "\u2011"])

#: Texts that look like numbers, and texts that do not.
ANY: Final = st.text() | st.text("+0123456789 -()۱۲۳", max_size=18)

FOREIGN: Final = [
    ("+966 50 123 4567", None, "+966501234567"),
    ("00966501234567", None, "+966501234567"),
    ("+٩٦٦٥٠١٢٣٤٥٦٧", None, "+966501234567"),
    ("\uff0b966501234567", None, "+966501234567"),
    ("+966 (0) 50 123 4567", None, "+966501234567"),
    ("050 123 4567", "SA", "+966501234567"),
    ("050 123 4567", "sa", "+966501234567"),
    ("966501234567", "SA", "+966501234567"),
    ("+966501234567", "GB", "+966501234567"),
    ("020 7946 0958", "GB", "+442079460958"),
    ("(201) 555-0123", "US", "+12015550123"),
    ("9121234567", "IN", "+919121234567"),
    ("021 8844 1200", "IR", "+982188441200"),
    ("09121112233", "IR", "+989121112233"),
    ("0989121112233", "SA", "+989121112233"),
]

REFUSED: Final = [
    ("", None),
    ("+", None),
    ("hello", None),
    ("0912111223a", None),
    ("+98912111223", None),
    ("+9891211122334", None),
    ("12", "SA"),
    ("123", "SA"),
    ("+999123456789", None),
    ("+966101234567890", None),
    ("0501234567", None),
    ("966501234567", None),
    ("0501234567", "XX"),
    ("0501234567", ""),
    ("09121112233", "SA"),
    ("02188441200", None),
    ("+98912+1112233", None),
    ("0912111２２３½", None),
]


@given(REST, st.sampled_from(CODED + BARE), SCRIPTS, ORNAMENTS)
def test_every_form_of_an_iranian_mobile_gives_the_same(
    rest: str, form: str, script: dict[int, int], ornament: str
) -> None:
    """Form, digits and ornaments do not matter."""
    written = f"{form.format(rest[:2])}{ornament}{rest[2:5]}{ornament}{rest[5:]}"
    assert f"+989{rest}" == e164(written.translate(script))


@given(REST, st.sampled_from(CODED), st.sampled_from(["SA", "US", "IR", None]))
def test_the_iranian_country_code_stands_above_the_region(
    rest: str, form: str, region: str | None
) -> None:
    """A number with its country code is read alike in every region."""
    assert f"+989{rest}" == e164(form.format(rest), region=region)


@pytest.mark.parametrize(("text", "region", "expected"), FOREIGN)
def test_a_number_of_any_country_is_read(text: str, region: str | None, expected: str) -> None:
    """With a plus or 00 everywhere, and in national form with its region."""
    assert expected == e164(text, region=region)


@pytest.mark.parametrize(("text", "region"), REFUSED)
def test_what_is_no_number_is_refused(text: str, region: str | None) -> None:
    """Letters, wrong lengths, unknown countries and regions, and forms that need a region."""
    with pytest.raises(InvalidRecipient):
        e164(text, region=region)


def test_a_number_longer_than_e164_allows_is_refused() -> None:
    """German tables know numbers of 16 digits; no provider could send to one."""
    with pytest.raises(InvalidRecipient):
        e164("+4922446700847047")


@given(ANY, st.sampled_from([None, "IR", "SA", "US", "DE", "GB"]))
def test_any_text_gives_e164_or_is_refused(text: str, region: str | None) -> None:
    """Nothing but E.164 comes out, and nothing but `InvalidRecipient` is raised."""
    try:
        result = e164(text, region=region)
    except InvalidRecipient:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", result)


@given(ANY, st.sampled_from([None, "IR", "SA", "US", "DE", "GB"]))
def test_e164_of_e164_is_itself(text: str, region: str | None) -> None:
    """A number that was accepted is accepted again, unchanged."""
    try:
        once = e164(text, region=region)
    except InvalidRecipient:
        return
    assert once == e164(once)


@pytest.mark.parametrize("refuse", [e164, iranian_mobile])
@pytest.mark.parametrize("text", ["+98912111223", "0501234567", "77334455x", "+999987654321"])
def test_a_refusal_names_the_field_and_not_the_number(text: str, refuse: object) -> None:
    """The message says 'to' and what to write, and holds no digits of the recipient's."""
    with pytest.raises(InvalidRecipient, match=r"^'to' .*; write it as ") as caught:
        refuse(text)  # type: ignore[operator]
    assert set(re.findall(r"\d\d+", str(caught.value))) <= {"09"}


def test_a_refusal_says_that_nothing_was_sent() -> None:
    """A recipient is refused before any request."""
    with pytest.raises(InvalidRecipient) as caught:
        e164("hello")
    assert caught.value.outcome is Outcome.NOT_PERFORMED


def test_a_refusal_hides_what_the_library_said() -> None:
    """The traceback does not show the error of another library, which may hold the number."""
    with pytest.raises(InvalidRecipient) as caught:
        e164("+999987654321")
    assert caught.value.__suppress_context__


@given(REST, st.sampled_from(CODED + BARE), SCRIPTS)
def test_an_iranian_mobile_is_given_as_its_providers_want_it(
    rest: str, form: str, script: dict[int, int]
) -> None:
    """Eleven ASCII digits that begin with 09, from any form."""
    assert f"09{rest}" == iranian_mobile(form.format(rest).translate(script))


@pytest.mark.parametrize("number", ["+966501234567", "02188441200", "+982188441200", "", "0912"])
def test_other_numbers_are_no_iranian_mobiles(number: str) -> None:
    """Foreign numbers and land lines are refused, valid or not."""
    with pytest.raises(InvalidRecipient):
        iranian_mobile(number)


def test_an_iranian_mobile_needs_no_tables() -> None:
    """Neither the import nor an Iranian mobile loads `phonenumbers`."""
    program = (
        "import sys; from qasid.phone import e164, iranian_mobile\n"
        "e164('+989121112233'); e164('09121112233'); iranian_mobile('9121112233')\n"
        "sys.exit('phonenumbers' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode
