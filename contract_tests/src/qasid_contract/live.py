"""A look at a real account: what costs nothing, then what does, one by one, each confirmed.

It proves nothing, and is no part of a verdict: a real provider has no back door to compare with.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import click

import qasid
from qasid.cli.session import open_rentals
from qasid.finding import implemented

__all__ = ["Sight", "look"]


@attrs.frozen
class Sight:
    """What was seen of one operation: `ok` is None where it was not tried."""

    hook: str
    ok: bool | None
    words: str


_MARKS: Final = {True: "ok", False: "FAILED", None: "not tried"}


def look(
    account: str,
    *,
    spend_cap: str | None = None,
    recipient: str | None = None,
    report: str | None = None,
) -> int:
    """Look, and tell. Gives 0, or 1 where something failed.

    Raises `ValueError` where the cap is no amount of money. A rented number is written down in the
    same book as those of `qasid rent`, and so is not lost if this is killed.
    """
    cap = None if spend_cap is None else qasid.Money.parse(spend_cap)
    options: dict[str, Any] = {} if cap is None else {"max_spend": cap}
    with (
        contextlib.closing(open_rentals()) as rentals,
        qasid.connect(account, max_open=1, rentals=rentals, **options) as opened,
    ):
        seen = [*_told(_free(opened)), *_told(_paid(opened, cap, recipient))]
    if report:
        document = {"live": {"account": account, "seen": [attrs.asdict(s) for s in seen]}}
        Path(report).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return int(any(sight.ok is False for sight in seen))


def _told(sights: Iterator[Sight]) -> Iterator[Sight]:
    for sight in sights:
        click.echo(f"{_MARKS[sight.ok]:9}  {sight.hook}: {sight.words}")
        yield sight


def _free(account: qasid.Account) -> Iterator[Sight]:
    calls: Mapping[str, Callable[[], object]] = {
        "authenticate": lambda: account.authenticate() and "let in",
        "balance": account.balance,
        "offers": lambda: f"{len(account.offers())} offers",
    }
    for hook in _able(account, calls):
        yield _tried(hook, calls[hook])


def _able(account: qasid.Account, hooks: Mapping[str, object]) -> list[str]:
    able = implemented(type(account.provider))
    return [hook for hook in hooks if hook in able]


def _paid(
    account: qasid.Account, cap: qasid.Money | None, recipient: str | None
) -> Iterator[Sight]:
    calls: Mapping[str, Callable[[str], object]] = {
        "acquire_number": lambda to: _rented(account),
        "send": lambda to: account.send(_text(to)).outcome or "accepted",
        "otp": lambda to: account.otp(to) and "on its way",
    }
    for hook in _able(account, calls):
        yield _asked(hook, calls[hook], cap, recipient)


def _asked(
    hook: str, call: Callable[[str], object], cap: qasid.Money | None, recipient: str | None
) -> Sight:
    to = "" if hook == "acquire_number" else recipient
    if cap is None:
        return Sight(hook, None, "it costs money: give --spend-cap")
    if to is None:
        return Sight(hook, None, "it needs a number of your own: give --recipient")
    if not _wanted(hook, cap):
        return Sight(hook, None, "not wanted")
    return _tried(hook, lambda: call(to))


def _wanted(hook: str, cap: qasid.Money) -> bool:
    most = f"up to {cap}" if hook == "acquire_number" else "how much is not known before"
    try:
        return click.confirm(f"{hook} costs money, {most}. Try it?", err=True)
    except click.Abort:  # Ctrl-C, or nobody is there to answer
        raise KeyboardInterrupt from None


def _tried(hook: str, call: Callable[[], object]) -> Sight:
    try:
        return Sight(hook, True, str(call()))
    except qasid.BudgetExceeded as error:  # before anything was sent for it
        return Sight(hook, None, str(error))
    except qasid.QasidError as error:
        if isinstance(error, qasid.InvalidRequest) and error.response is None:
            return Sight(hook, None, str(error))  # it asks for more than is known here
        return Sight(hook, False, f"{type(error).__name__}: {error}")


def _rented(account: qasid.Account) -> str:
    offer = _cheapest(account)
    activation = account.acquire_number(offer.service, offer.country)
    able = implemented(type(account.provider))
    try:
        read = account.fetch_sms(activation) if "fetch_sms" in able else []
    finally:
        given_back = "release" in able and account.release(activation)
    return f"{len(read)} messages; {'released' if given_back else 'it cannot be released'}"


def _cheapest(account: qasid.Account) -> qasid.Offer:
    listed = account.offers() if "offers" in implemented(type(account.provider)) else []
    priced = [offer for offer in listed if offer.price and offer.stock != 0]
    if not priced:
        raise qasid.BudgetExceeded("no number is in stock whose price is known", cap="max_spend")
    return min(priced, key=_price)


def _price(offer: qasid.Offer) -> Decimal:
    return offer.price.amount if offer.price else Decimal(0)


def _text(recipient: str) -> qasid.TextMessage:
    return qasid.TextMessage(to=recipient, text="A test of Qasid.")
