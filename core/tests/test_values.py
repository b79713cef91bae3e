"""Values are exact, in UTC, survive a restart, and do not show what must not be seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid import values
from qasid.errors import InvalidRecipient, NoAnswer, Outcome
from qasid.values import (
    Activation,
    Credential,
    DeliveryReport,
    DeliveryState,
    InboundMessage,
    InboxQuery,
    Limit,
    Money,
    NumberOrder,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    ProviderInfo,
    Receipt,
    Support,
    SupportLevel,
    TemplateMessage,
    TextMessage,
)

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
TEHRAN: Final = timezone(timedelta(hours=3, minutes=30))
SECRET: Final = "hush-hush"

AMOUNTS: Final = st.decimals(allow_nan=False, allow_infinity=False)
MONEY: Final = st.builds(Money, AMOUNTS, st.sampled_from(["IRR", "SAR", "USD"]))
MOMENTS: Final = st.datetimes(timezones=st.just(UTC))
ACTIVATIONS: Final = st.builds(
    Activation,
    id=st.text(),
    number=st.text(),
    service=st.text(),
    country=st.text(),
    acquired_at=MOMENTS,
    expires_at=st.none() | MOMENTS,
    cost=st.none() | MONEY,
    extra=st.dictionaries(st.text(), st.text()),
)
JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def activation(**members: Any) -> Activation:
    """An activation, but for what is given."""
    usual = {"id": "7", "number": "+9661", "service": "acme", "country": "SA", "acquired_at": NOW}
    return Activation(**{**usual, **members})


# Money.


@pytest.mark.parametrize("amount", [0.5, True])
def test_money_refuses_what_is_not_exact(amount: Any) -> None:
    """A float has lost its digits already."""
    with pytest.raises(TypeError, match="never a"):
        Money(amount, "USD")


@pytest.mark.parametrize(
    "amount", ["", "five", "1,5", "NaN", "-Infinity", None, [1], "1e99999999999999999999"]
)
def test_money_refuses_what_is_no_number(amount: Any) -> None:
    """Or no finite one."""
    with pytest.raises(ValueError, match="an amount is a"):
        Money(amount, "USD")


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDT", "تومان"[:3], "U1D", "$$$", None, 3])
def test_a_currency_is_three_capital_letters(currency: Any) -> None:
    """A toman has no code, and so is no currency."""
    with pytest.raises(ValueError, match="three capital letters"):
        Money(1, currency)


@given(MONEY)
def test_money_is_read_as_it_is_written(money: Money) -> None:
    """By `str` and `parse`."""
    assert money == Money.parse(str(money))


@pytest.mark.parametrize("text", ["5.00 USD", " 5.00   USD "])
def test_money_is_an_amount_and_a_currency(text: str) -> None:
    """With as much room as one likes."""
    assert Money(Decimal("5.00"), "USD") == Money.parse(text)


@pytest.mark.parametrize("text", ["", "5.00", "USD", "USD 5.00", "5.00USD", "5.00 USD 1"])
def test_what_is_not_money_is_refused(text: str) -> None:
    """Whichever half is missing."""
    with pytest.raises(ValueError, match=r"amount|currency"):
        Money.parse(text)


def test_money_is_written_without_an_exponent() -> None:
    """For people."""
    assert "100 USD" == str(Money("1e2", "USD"))


def test_money_of_one_currency_adds_up_and_compares() -> None:
    """Exactly."""
    tenth, fifth = Money("0.1", "USD"), Money("0.2", "USD")
    assert (Money("0.3", "USD"), tenth) == (tenth + fifth, fifth - tenth)
    assert [True] * 4 == [tenth < fifth, tenth <= fifth, fifth > tenth, fifth >= tenth]
    assert [tenth, fifth] == sorted([fifth, tenth])
    assert Money("0.10", "USD") == tenth


@pytest.mark.parametrize(
    "operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"]
)
def test_money_of_two_currencies_does_not_mix(operation: str) -> None:
    """It says which two."""
    with pytest.raises(ValueError, match="USD and IRR"):
        getattr(Money(1, "USD"), operation)(Money(1, "IRR"))


# What a provider says of itself.


def test_support_is_implemented_wholly_or_in_part() -> None:
    """The other two levels cannot be called."""
    both = [Support.full(), Support.partial("no schedule")]
    neither = [Support.unsupported(), Support.not_implemented("no time")]
    assert [True, True, False, False] == [one.implemented for one in [*both, *neither]]
    assert list(SupportLevel) == [one.level for one in [*both, *neither]]
    assert ["", "no schedule", "", "no time"] == [one.note for one in [*both, *neither]]


def test_a_hook_that_is_not_named_is_unsupported() -> None:
    """And one that is named is as declared."""
    table = {"balance": Support.full()}
    info = ProviderInfo(title="T", contract="1.0", homepage="", support=table)
    assert [Support.full(), Support.unsupported()] == [
        info.supports("balance"),
        info.supports("otp"),
    ]


def test_the_support_of_a_provider_cannot_be_changed_from_outside() -> None:
    """The table is a copy."""
    table = {"balance": Support.full()}
    info = ProviderInfo(title="T", contract="1.0", homepage="", support=table)
    table.clear()
    assert Support.full() == info.supports("balance")


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [((), [True, True]), (["send"], [True, False]), ("send", [True, False])],
)
def test_a_limit_is_for_the_hooks_named_or_for_all(hooks: Any, expected: list[bool]) -> None:
    """One text is one hook."""
    limit = Limit(requests=5, period=timedelta(seconds=1), hooks=hooks)
    assert expected == [limit.applies_to("send"), limit.applies_to("otp")]


@pytest.mark.parametrize(("requests", "burst"), [(1, 1), (9, 1), (10, 1), (600, 60)])
def test_a_burst_is_a_tenth_unless_told(requests: int, burst: int) -> None:
    """And one at least."""
    assert burst == Limit(requests=requests, period=timedelta(1)).burst


@pytest.mark.parametrize(
    "members",
    [{"requests": 0}, {"period": timedelta(0)}, {"burst": 0}, {"burst": 6}],
    ids=str,
)
def test_a_limit_that_cannot_be_is_refused(members: dict[str, Any]) -> None:
    """Nothing in no time, or a burst beyond it."""
    with pytest.raises(ValueError, match=next(iter(members))):
        Limit(**{"requests": 5, "period": timedelta(1), **members})


# Moments.


@pytest.mark.parametrize(
    ("kind", "name", "members"),
    [
        (Activation, "acquired_at", attrs.asdict(activation())),
        (Activation, "expires_at", attrs.asdict(activation())),
        (Credential, "expires_at", {"token": "t"}),
        (DeliveryReport, "at", {"receipt_id": "1", "state": DeliveryState.PENDING}),
        (InboundMessage, "received_at", {"text": "t"}),
        (InboxQuery, "since", {}),
        (InboxQuery, "until", {}),
        (OtpTicket, "expires_at", {"to": "+1"}),
    ],
)
@pytest.mark.parametrize("moment", [NOW.replace(tzinfo=None), NOW.astimezone(TEHRAN)], ids=str)
def test_a_moment_is_in_utc_or_refused(
    kind: type[Any], name: str, members: dict[str, Any], moment: datetime
) -> None:
    """Neither without a zone nor in another."""
    assert NOW == getattr(kind(**{**members, name: NOW}), name)
    with pytest.raises(ValueError, match=f"{name} must be an aware datetime in UTC"):
        kind(**{**members, name: moment})


@pytest.mark.parametrize(
    "message", [TextMessage(to="+1", text="t"), TemplateMessage(to="+1", template="t")], ids=repr
)
def test_a_schedule_is_kept_in_utc(message: Any) -> None:
    """Whatever the zone it was given in; none at all is refused."""
    scheduled = attrs.evolve(message, send_at=NOW.astimezone(TEHRAN))
    assert (NOW, UTC) == (scheduled.send_at, scheduled.send_at.tzinfo)
    with pytest.raises(ValueError, match="send_at has no time zone"):
        attrs.evolve(message, send_at=NOW.replace(tzinfo=None))


def test_a_schedule_in_an_hour_that_does_not_exist_is_refused() -> None:
    """On 22 March 2022 clocks in Tehran went from midnight to one; it is said, and not guessed."""
    skipped = datetime(2022, 3, 22, 0, 30, tzinfo=ZoneInfo("Asia/Tehran"))
    with pytest.raises(ValueError, match="send_at does not exist"):
        TextMessage(to="+1", text="t", send_at=skipped)
    twice = datetime(2022, 9, 21, 23, 30, tzinfo=ZoneInfo("Asia/Tehran"), fold=1)
    expected = datetime(2022, 9, 21, 20, 0, tzinfo=UTC)
    assert expected == TextMessage(to="+1", text="t", send_at=twice).send_at


# What must not be seen.


@pytest.mark.parametrize(
    "value",
    [
        Credential(token=SECRET, refresh_token=SECRET),
        InboundMessage(text=SECRET),
        TextMessage(to="+1", text=SECRET),
        TemplateMessage(to="+1", template="t", values={"code": SECRET}),
        OtpOrder(to="+1", code="4711471147"),
        OtpTicket(to="+1", code=SECRET),
        NumberOrder(services=["acme"], country="SA", callback_url=f"https://my.example/{SECRET}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_texts_codes_and_tokens_are_not_shown(value: object) -> None:
    """Neither by `repr` nor by `str`."""
    shown = f"{value!r}{value}"
    assert (False, False) == (SECRET in shown, "4711" in shown)


# Activations survive a restart.


@given(ACTIVATIONS)
def test_an_activation_is_loaded_as_it_was_dumped(value: Activation) -> None:
    """Every member of it, in one line of ASCII."""
    dumped = value.dump()
    assert value == Activation.load(dumped)
    assert (1, True) == (len(dumped.splitlines()), dumped.isascii())


def test_half_a_character_survives_too() -> None:
    """A provider's id is kept as it came."""
    value = activation(id="\ud83d")
    assert value == Activation.load(value.dump())


@given(st.text() | JSON_VALUES.map(json.dumps))
def test_garbage_is_no_activation(text: str) -> None:
    """It is a ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"^this is not a stored activation$"):
        Activation.load(text)


@given(st.sampled_from([*attrs.fields_dict(Activation)]), JSON_VALUES)
def test_an_activation_of_which_one_member_is_garbage_is_read_or_refused(
    member: str, garbage: Any
) -> None:
    """With a ValueError; what is read has the types that it should have."""
    data = {**json.loads(activation(cost=Money(1, "USD")).dump()), member: garbage}
    try:
        value = Activation.load(json.dumps(data))
    except ValueError as error:
        assert "this is not a stored activation" == str(error)  # noqa: PT017, either will do
    else:
        texts = [value.id, value.number, value.service, value.country]
        assert all(isinstance(text, str) for text in texts)
        assert NOW == value.acquired_at


@pytest.mark.parametrize(
    "change",
    [
        {"acquired_at": None},
        {"acquired_at": "2026-01-01T00:00:00"},
        {"acquired_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "soon"},
        {"cost": []},
        {"cost": {"amount": 0.5, "currency": "USD"}},
        {"cost": {"amount": "1"}},
        {"cost": {"amount": "1", "currency": "usd"}},
        {"extra": None},
        {"id": 7},
    ],
    ids=str,
)
def test_an_activation_with_a_damaged_member_is_refused(change: dict[str, Any]) -> None:
    """And not half read."""
    with pytest.raises(ValueError, match=r"^this is not a stored activation$"):
        Activation.load(json.dumps({**json.loads(activation().dump()), **change}))


def test_text_of_endless_depth_is_refused() -> None:
    """As any other garbage."""
    with pytest.raises(ValueError, match=r"^this is not a stored activation$"):
        Activation.load("[" * 100_000)


def test_what_a_later_version_added_is_left_out() -> None:
    """So that an older one can still release the number."""
    data = {**json.loads(activation().dump()), "colour": "blue"}
    assert activation() == Activation.load(json.dumps(data))


def test_extra_cannot_be_changed_from_outside() -> None:
    """It is a copy."""
    given_extra = {"token": "t"}
    value = activation(extra=given_extra)
    given_extra.clear()
    assert {"token": "t"} == value.extra


# Orders and messages.


@pytest.mark.parametrize("services", ["acme", ["acme"], iter(["acme"])])
def test_an_order_is_for_one_service_or_several(services: Any) -> None:
    """One text is one service."""
    assert ("acme",) == NumberOrder(services=services, country="SA").services


@pytest.mark.parametrize(
    ("services", "country", "name"),
    [
        ("", "SA", "services"),
        ([], "SA", "services"),
        (["a", ""], "SA", "services"),
        ("a", "", "country"),
    ],
)
def test_an_order_says_what_and_where(services: Any, country: str, name: str) -> None:
    """Nothing in it is empty."""
    with pytest.raises(ValueError, match=f"{name} must not be empty"):
        NumberOrder(services=services, country=country)


@pytest.mark.parametrize("members", [{"limit": 0}, {"offset": -1}], ids=str)
def test_a_page_has_a_size_and_a_place(members: dict[str, Any]) -> None:
    """Both count upwards."""
    with pytest.raises(ValueError, match=next(iter(members))):
        InboxQuery(**members)


def test_a_message_tells_its_code() -> None:
    """In ASCII digits."""
    assert "123456" == InboundMessage(text="کد شما: ۱۲۳۴۵۶").code


def test_a_receipt_without_an_error_was_accepted() -> None:
    """And has no outcome to ask for."""
    assert (True, None) == (Receipt(to="+1").accepted, Receipt(to="+1").outcome)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(InvalidRecipient("no"), Outcome.NOT_PERFORMED), (NoAnswer("?"), Outcome.UNKNOWN)],
)
def test_a_receipt_with_an_error_tells_whether_it_may_have_gone(
    error: Any, outcome: Outcome
) -> None:
    """As the error does."""
    receipt = Receipt(to="+1", error=error)
    assert (False, outcome) == (receipt.accepted, receipt.outcome)


# One-time passwords.


@pytest.mark.parametrize("code", ["0042", None])
def test_a_code_is_digits_or_left_to_the_provider(code: str | None) -> None:
    """A leading zero is a digit."""
    assert code == OtpOrder(to="+1", code=code).code


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"code": ""}, "code must be ASCII digits"),
        ({"code": "12a4"}, "code must be ASCII digits"),
        ({"code": "۱۲۳۴"}, "code must be ASCII digits"),
        ({"length": 2}, "length must be between 3 and 10 digits"),
        ({"length": 11}, "length must be between 3 and 10 digits"),
        ({"lifetime": timedelta(0)}, "lifetime must be longer than nothing"),
    ],
)
def test_an_otp_that_cannot_be_is_refused(members: dict[str, Any], problem: str) -> None:
    """Without being shown."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        OtpOrder(to="+1", **members)


@pytest.mark.parametrize("length", [3, 10])
def test_an_otp_has_three_to_ten_digits(length: int) -> None:
    """Both included."""
    assert length == OtpOrder(to="+1", length=length).length


def test_a_verdict_is_true_where_the_code_was_right() -> None:
    """And false where it was not, whatever the reason."""
    assert (True, False) == (bool(OtpVerdict(accepted=True)), bool(OtpVerdict(accepted=False)))


def test_every_value_is_frozen() -> None:
    """And of no room for more."""
    kinds = [kind for kind in map(vars(values).get, values.__all__) if attrs.has(kind)]  # type: ignore[arg-type]
    assert 15 < len(kinds)
    assert all("__slots__" in vars(kind) and hasattr(kind, "__attrs_attrs__") for kind in kinds)


def test_all_names_are_in_order() -> None:
    """And are there."""
    assert sorted(values.__all__) == values.__all__
    assert all(hasattr(values, name) for name in values.__all__)


def test_a_batch_holds_at_least_one_message() -> None:
    """With none, a bulk would never end."""
    with pytest.raises(ValueError, match="max_batch"):
        ProviderInfo(title="T", contract="1.0", homepage="", support={}, max_batch=0)
