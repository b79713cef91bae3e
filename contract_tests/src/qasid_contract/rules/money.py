"""Amounts: exact, of the right currency, and what the back door says."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from qasid.values import Money
from qasid_contract.case import Case
from qasid_contract.rulebook import rule

# The last one has more digits than a float holds.
_AMOUNTS: Final = ("0", "0.1", "45.75", "1000", "329263930", "12345678901234567")


@rule("MONEY-1", needs={"balance"})
def the_balance_is_exact(case: Case) -> None:
    """The balance is the account's credit to the last digit, in the account's currency.

    Troubleshooting: read amounts with `take(body, key, Decimal)`, or as text into `Money`. A float
    has 16 digits, and is never exact. A toman is ten rials.
    """
    account, currency = case.account(), case.emulator.balance().currency
    for amount in _AMOUNTS:
        if _funded(case, Money(amount, currency)):
            told, due = account.balance(), case.emulator.balance()
            assert type(told.amount) is Decimal, "an amount is a Decimal"
            assert told == due, f"{told}, where {due} is there"


def _funded(case: Case, credit: Money) -> bool:
    """Whether the provider has such amounts."""
    try:
        case.emulator.fund(credit)
    except ValueError:
        return False
    return True


@rule("MONEY-2", needs={"acquire_number"})
def what_was_spent_is_what_is_told(case: Case) -> None:
    """The cost, the refund and the balance that are told are what the emulator's books say.

    Troubleshooting: leave `cost` and `refund` out where the answer does not tell them; a price of
    the price list is not what was paid. Mind the unit: rial or toman, whole or hundredths.
    """
    account = case.account()
    offer = case.offered(account)
    full, told = case.emulator.balance(), _told(case)
    activation = account.acquire_number(*offer)
    left = case.emulator.balance()
    assert activation.cost in (None, full - left), f"cost {activation.cost}, spent {full - left}"
    assert told is None or told - account.balance() == full - left, "the balance tells otherwise"
    if "release" in case.implemented:
        refund, back = account.release(activation).refund, case.emulator.balance() - left
        assert refund in (None, back), f"refund {refund}, paid back {back}"


def _told(case: Case) -> Money | None:
    return case.account().balance() if "balance" in case.implemented else None


@rule("MONEY-3", needs={"offers", "acquire_number"})
def the_price_is_what_is_charged(case: Case) -> None:
    """The price that is offered, where there is one, is the price that is charged.

    Troubleshooting: see whether the price list has another unit than the balance, or holds several
    prices; the caps on spending trust it.
    """
    account = case.account()
    service, country = case.offered(account)
    prices = [offer.price for offer in account.offers(service, country) if offer.price is not None]
    full = case.emulator.balance()
    account.acquire_number(service, country)
    spent = full - case.emulator.balance()
    assert not prices or spent in prices, f"offered for {', '.join(map(str, prices))}, cost {spent}"
