"""Rented numbers: acquired, waited for, read and given back."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

import attrs

from qasid.account import Account
from qasid.effects import Request, Response
from qasid.errors import (
    InsufficientCredit,
    InvalidRequest,
    NoNumbersAvailable,
    NumberExpired,
    NumberNotFound,
    Outcome,
    ProviderError,
)
from qasid.operations import GONE
from qasid.values import Activation, Money
from qasid_contract.case import CODE_TEXT, TEXT, Case
from qasid_contract.faults import Fault
from qasid_contract.refusals import refusal
from qasid_contract.rulebook import rule

_RENTS: Final = frozenset({"acquire_number"})
_READS: Final = frozenset({"acquire_number", "fetch_sms"})
_RELEASES: Final = frozenset({"acquire_number", "release"})

_MANGLED: Final = '  "Acme":\n<b>4711</b> &amp; %41 + 1; \\n ی\u200cک 👍\u200f '
_NOTHING: Final = r"\Ano message says this\Z"

#: Ids that a caller may have from anywhere.
_HOSTILE: Final = (
    *("", " ", ".", "..", "../balance", "a/b", "/", "//", "\\..\\a", "?x=1", "&x=1", "#f", ";a"),
    *("%2e%2e", "%2F", "%", "%00", "\0", "a\nb", "a\r\nX-A: b", "\u0627", "\ud800", "9" * 5000),
)


@rule("NUM-1", needs=_RENTS)
def acquire_gives_what_was_ordered(case: Case) -> None:
    """`acquire_number` rents one number, and tells of it what was ordered and what was given.

    Troubleshooting: compare the activation with the emulator's books. The id is the one that later
    calls need; a number of digits begins with a plus sign; `acquired_at` is the `received_at` of
    the reply; `expires_at` is in UTC, or None where the provider does not tell.
    """
    account = case.account()
    service, country = case.offered(account)
    activation = account.acquire_number(service, country)
    books = case.emulator.activations()
    assert len(books) == 1, f"{len(books)} numbers were rented"
    assert (activation.service, activation.country) == (service, country)
    assert activation.id == books[0].id, "not the id that the emulator's books have"
    assert activation.number.lstrip("+") == books[0].number.lstrip("+")
    assert not activation.number.isdecimal(), "a number in E.164 begins with a plus sign"
    assert activation.acquired_at == case.clock.now()
    assert activation.expires_at is None or activation.expires_at > activation.acquired_at


@rule("NUM-2", needs=_READS)
def messages_arrive_as_they_are(case: Case) -> None:
    """A message arrives with its text and code unchanged; several in order, none of them twice.

    Troubleshooting: pass the text on as it came: no strip, no unescaping, no other digits. Where
    the document does not say in which order messages come, sort them by time, oldest first.
    """
    account = case.account()
    activation = case.rented(account)
    case.emulator.deliver(activation.id, CODE_TEXT)
    assert account.fetch_sms(activation)[-1].code == "471108"
    case.advance(timedelta(seconds=1))
    case.emulator.deliver(activation.id, _MANGLED)
    texts = [message.text for message in account.fetch_sms(activation)]
    # Not every provider keeps more than one message, nor the same one.
    assert texts in ([CODE_TEXT, _MANGLED], [_MANGLED], [CODE_TEXT]), f"{len(texts)} messages"


@rule("NUM-3", needs=_READS)
def no_message_yet_is_no_error(case: Case) -> None:
    """As long as no message has come, `fetch_sms` gives an empty list.

    Troubleshooting: many providers say "nothing yet" with an error code or an empty text. That is
    neither an error nor a message.
    """
    account = case.account()
    messages = account.fetch_sms(case.rented(account))
    assert messages == [], f"{len(messages)} messages, before any came"


@rule("NUM-4", needs=_RELEASES)
def release_frees_the_number(case: Case) -> None:
    """`release` gives the number back: the books say so, and nothing more is charged for it.

    Troubleshooting: compare the state in `activations()` before and after. A reply with status 200
    may still be a refusal.
    """
    account = case.account()
    activation = case.rented(account)
    before, credit = case.emulator.activations()[0].state, case.emulator.balance()
    assert account.release(activation).activation_id == activation.id
    assert case.emulator.activations()[0].state != before, f"it is {before} as before"
    if "fetch_sms" in case.implemented:
        with contextlib.suppress(*GONE):
            account.fetch_sms(activation)
    assert case.emulator.balance() >= credit, "it was charged for"


@rule("NUM-5", needs=_RENTS)
def out_of_stock_says_so(case: Case) -> None:
    """Where no number is in stock it is `NoNumbersAvailable`, and nothing is charged.

    Troubleshooting: this is not `ProviderUnavailable`, however the provider words it ("try again
    later"): the order was understood, and refused.
    """
    account = case.account()
    service, country = case.offered(account)
    case.emulator.stock(service, country, 0)
    _check_refused(case, account, (service, country), NoNumbersAvailable)


@rule("NUM-6", needs=_RENTS)
def no_credit_says_so(case: Case) -> None:
    """Where the credit does not cover the number it is `InsufficientCredit`.

    Troubleshooting: see how the provider says it in an answer to an order; it may be with a code,
    and not with status 402.
    """
    account = case.account()
    offer = case.offered(account)
    case.emulator.fund(Money(0, case.emulator.balance().currency))
    _check_refused(case, account, offer, InsufficientCredit)


def _check_refused(
    case: Case, account: Account, offer: tuple[str, str], kind: type[ProviderError]
) -> None:
    credit = case.emulator.balance()
    error = refusal(lambda: account.acquire_number(*offer), kind)
    assert error.outcome is Outcome.NOT_PERFORMED
    assert case.emulator.balance() == credit, "it was charged for"
    assert not case.emulator.activations(), "a number was rented"


@rule("NUM-7", needs=_READS)
def an_unknown_activation_says_so(case: Case) -> None:
    """An activation that the provider never gave is `NumberNotFound`, and is not released.

    Troubleshooting: an empty list means that the number is there and waits. Some providers answer
    for a number of somebody else's that it may not be released; that is `ReleaseRefused`.
    """
    account = case.account()
    unknown = _another(case.rented(account))
    refusal(lambda: account.fetch_sms(unknown), NumberNotFound)
    if "release" in case.implemented:
        refusal(lambda: account.release(unknown), *GONE)


def _another(activation: Activation) -> Activation:
    """The same with an id of the same form, which stands for nothing."""
    last = "1" if activation.id[-1] != "1" else "2"
    return attrs.evolve(activation, id=activation.id[:-1] + last)


@rule("NUM-8", needs=_READS)
def waiting_ends_with_the_number(case: Case) -> None:
    """Waiting ends in `NumberExpired` when the number's life is over, and no sooner.

    Troubleshooting: `expires_at` is the end that the provider tells, in UTC. Where it tells none,
    `info.activation_lifetime` is how long its document says that a number lives.
    """
    account = case.account()
    activation = case.rented(account)
    ends = _end(case, activation)
    left = ends - case.clock.now()
    case.advance(left - min(left / 10, timedelta(minutes=1)))
    refusal(lambda: account.wait_for_sms(activation, pattern=_NOTHING, timeout=3600), NumberExpired)
    assert case.clock.now() >= ends, f"{ends - case.clock.now()} too early"
    if "release" in case.implemented:  # where that is not over, it can be given back
        refusal(lambda: account.release(activation), *GONE)


def _end(case: Case, activation: Activation) -> datetime:
    return activation.expires_at or activation.acquired_at + case.info.activation_lifetime


@rule("NUM-9", needs=_READS)
def an_activation_survives_a_restart(case: Case) -> None:
    """An activation that was written down can be read and released by another process.

    Troubleshooting: what later calls need stands in `Activation.extra`, as text. A provider
    remembers nothing, and has no activations of a class of its own.
    """
    account = case.account()
    read, freed = (case.rented(account) for _ in range(2))
    case.emulator.deliver(read.id, TEXT)
    later = case.account()
    assert [m.text for m in later.fetch_sms(_restored(read))] == [TEXT]
    if "release" in case.implemented:
        assert later.release(_restored(freed)).activation_id == freed.id


def _restored(activation: Activation) -> Activation:
    restored = Activation.load(activation.dump())
    assert restored == activation, "it is not what was written down"
    return restored


@rule("NUM-10", needs=_READS)
def an_id_cannot_leave_its_place(case: Case) -> None:
    """Whatever an id holds, it is refused before the wire or stays one value in one place.

    Troubleshooting: put an id into a path with `qasid.effects.segment`, into a query or a body as
    it is, and never convert it: it is text.
    """
    account = case.account()
    activation = case.rented(account)
    _check_places(case, activation, account.fetch_sms)
    if "release" in case.implemented:
        _check_places(case, activation, account.release)


def _check_places(case: Case, real: Activation, hook: Callable[[Activation], Any]) -> None:
    places = _places(case, real, hook)
    for name in _HOSTILE:
        found = _places(case, attrs.evolve(real, id=name), hook)
        assert found <= places, f"the id {name[:20]!r} left its place: {found - places}"


def _places(case: Case, activation: Activation, hook: Callable[[Activation], Any]) -> set[Any]:
    case.wire.forget()
    with contextlib.suppress(InvalidRequest, *GONE):
        hook(activation)
    return {_place(request, activation.id) for request in case.wire.requests}


def _place(request: Request, name: str) -> object:
    """The request with the id taken out: where it goes, and the names of what it holds."""
    parts = [unquote(part) == name != "" or part for part in request.path.split("/")]
    return request.method, *parts, frozenset(request.params()), frozenset(request.payload())


@rule("NUM-11", needs=_READS)
def waiting_keeps_the_pace(case: Case) -> None:
    """Waiting looks no more often than the provider allows, and ends as soon as a message is there.

    Troubleshooting: `info.poll_interval` is the shortest time between two looks, and `info.limits`
    are the document's. One call of `fetch_sms` is one look: do not wait or repeat in it.
    """
    account = case.account()
    activation = case.rented(account)
    pace = case.info.poll_interval
    watch = _Watch(name="none", case=case, activation=activation, due=case.clock.now() + 3.5 * pace)
    with case.failing(watch):
        message = account.wait_for_sms(activation, pattern="brown fox", timeout=3600)
    assert message.text == TEXT
    assert 429 not in watch.statuses, "the provider's server found it too often"
    gaps = watch.gaps()
    assert min(gaps) >= pace - timedelta(milliseconds=1), f"two looks within {min(gaps)}"
    assert case.clock.now() - watch.due <= max(gaps), "a look that should have found it did not"


@attrs.frozen(kw_only=True, eq=False)
class _Watch(Fault):
    """No fault at all: it looks on, and lets a message come in when it is due."""

    case: Case
    activation: Activation
    due: datetime
    looks: dict[object, list[datetime]] = attrs.field(factory=dict)
    statuses: list[int] = attrs.field(factory=list)
    delivered: list[str] = attrs.field(factory=list)

    def plugged(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        """Note the request and its time; answer it."""
        now = self.case.clock.now()
        if now >= self.due and not self.delivered:
            self.case.emulator.deliver(self.activation.id, TEXT)
            self.delivered.append(TEXT)
        self.looks.setdefault((request.url, request.content), []).append(now)
        response = handle(request)
        self.statuses.append(response.status)
        return response

    def gaps(self) -> Sequence[timedelta]:
        """The times between two equal requests."""
        return [b - a for at in self.looks.values() for a, b in itertools.pairwise(at)]
