"""Any order of events: a model of what must be so, against the emulator's books."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import attrs
from hypothesis import stateful
from hypothesis import strategies as st

from qasid.errors import (
    InsufficientCredit,
    InvalidRequest,
    NoNumbersAvailable,
    NumberExpired,
    NumberNotFound,
    Outcome,
    ProviderError,
    RateLimited,
)
from qasid.operations import GONE
from qasid.values import Activation, Money, Released
from qasid_contract.case import Case
from qasid_contract.faults import NO_ANSWER, SERVER_FAULTS, Fault
from qasid_contract.rulebook import rule

_FAILED: Final = attrs.evolve(SERVER_FAULTS[0], name="status 500, not performed", performed=False)
#: Mostly none, or there would be nothing to see.
_FAULTS: Final = st.sampled_from((*[None] * 6, NO_ANSWER[0], SERVER_FAULTS[0], _FAILED))
_SOLD_OUT: Final = (InsufficientCredit, NoNumbersAvailable, RateLimited)


@rule("LIFE-1", needs={"acquire_number", "fetch_sms", "release"}, examples=True)
def any_order_of_events(case: Case) -> None:
    """Whatever happens in whatever order, the account's view and the emulator's books agree.

    Troubleshooting: the steps that are told are the shortest that show it. Put them into a test of
    your own, and compare the books after each of them.
    """
    case.effort.for_machine(lambda: _Lifecycle(case))


@attrs.define(eq=False)
class _Number:
    """What must be so of one rented number. In doubt: a release of it was never answered."""

    activation: Activation
    texts: list[str] = attrs.field(factory=list)
    in_doubt: bool = False
    released: bool = False
    refunded: bool = False


class _Lifecycle(stateful.RuleBasedStateMachine):
    numbers = stateful.Bundle("numbers")

    def __init__(self, parent: Case) -> None:
        super().__init__()
        self.case = Case(parent.contract, parent.path)
        self.books = self.case.emulator
        self.account = self.case.account()
        self.offer = self.case.offered(self.account)
        self.credit = self.books.balance()
        self.price: Money | None = None
        self.delivered: list[str] = []

    def teardown(self) -> None:
        self.case.__exit__()

    @stateful.rule(target=numbers, fault=_FAULTS)
    def acquire(self, fault: Fault | None) -> object:
        known = {book.id for book in self.books.activations()}
        result = self._tried(fault, lambda: self.account.acquire_number(*self.offer))
        new = [book.id for book in self.books.activations() if book.id not in known]
        assert len(new) <= 1, f"{len(new)} numbers were rented at once"
        self._check_spent(len(new))
        if isinstance(result, Activation):
            assert new == [result.id], "a number that the books do not have"
            return _Number(result)
        assert fault or isinstance(result, _SOLD_OUT), f"{type(result).__name__} without a fault"
        assert not new or result.outcome is Outcome.UNKNOWN, "rented, and said not to be"
        return stateful.multiple()

    def _check_spent(self, count: int) -> None:
        spent = self.credit - self.books.balance()
        if count and self.price is None:
            self.price = spent
        due = self.price if count and self.price else Money(0, self.credit.currency)
        assert spent == due, f"{count} numbers were rented for {spent}"
        self.credit = self.books.balance()

    @stateful.rule(number=numbers)
    def deliver(self, number: _Number) -> None:
        if self._lives(number):
            text = f"Acme: {4000 + len(self.delivered)} is your code"
            self.books.deliver(number.activation.id, text)
            self.delivered.append(text)
            number.texts.append(text)
            self.case.advance(timedelta(seconds=1))

    @stateful.rule(number=numbers, fault=_FAULTS)
    def fetch(self, number: _Number, fault: Fault | None) -> None:
        result = self._tried(fault, lambda: self.account.fetch_sms(number.activation))
        lives = self._lives(number)
        if isinstance(result, ProviderError):
            assert fault or not lives, f"{type(result).__name__} of a number that lives"
            return
        texts = [message.text for message in result if message.text in self.delivered]
        assert _within(texts, number.texts), "not the messages that came for it, in order"
        assert texts or not (number.texts and lives), "its messages are lost"

    @stateful.rule(number=numbers, fault=_FAULTS)
    def release(self, number: _Number, fault: Fault | None) -> None:
        result = self._tried(fault, lambda: self.account.release(number.activation))
        self._check_refund(number)
        if isinstance(result, Released):
            assert not number.released, "released a second time"
            number.released = True
        elif fault:
            number.in_doubt = True
        else:
            self._check_refusal(number, result)

    def _check_refund(self, number: _Number) -> None:
        nothing, back = Money(0, self.credit.currency), self.books.balance() - self.credit
        assert back >= nothing, "a release was charged for"
        if back > nothing:
            assert not number.refunded, "paid back a second time"
            number.refunded = True
        self.credit = self.books.balance()

    def _check_refusal(self, number: _Number, error: Exception) -> None:
        assert isinstance(error, (InvalidRequest, *GONE)), f"{type(error).__name__} of a release"
        lost = isinstance(error, NumberExpired | NumberNotFound)
        assert not (lost and self._lives(number)), f"{type(error).__name__} of a number that lives"

    @stateful.rule(minutes=st.sampled_from((1, 1, 5, 30)))
    def let_time_pass(self, minutes: int) -> None:
        self.case.advance(timedelta(minutes=minutes))

    @stateful.invariant()
    def nothing_else_is_charged(self) -> None:
        assert self.books.balance() == self.credit, "the credit changed by itself"

    def _tried(self, fault: Fault | None, call: Callable[[], Any]) -> Any:
        """What the call gives or, of the errors that it may raise, the one that it raised."""
        if fault is None:
            return _result(call)
        with self.case.failing(fault):
            return _result(call)

    def _lives(self, number: _Number) -> bool:
        """Whether it must be there: neither given back, as far as is known, nor over."""
        activation = number.activation
        life = self.case.info.activation_lifetime
        ends = activation.expires_at or activation.acquired_at + life
        return not (number.released or number.in_doubt) and self.case.clock.now() < ends


def _result(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ProviderError as error:
        return error


def _within(texts: Sequence[str], whole: Iterable[str]) -> bool:
    """Whether the texts are some of the whole, in its order, none of them twice."""
    rest = iter(whole)
    return all(text in rest for text in texts)
