"""Listeners are told what became of each act, and can harm none."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import pytest

from qasid import finding
from qasid.account import Account
from qasid.drivers.virtual import virtual_driver
from qasid.effects import Call, Effect, Flow, Now, Tick
from qasid.errors import (
    BudgetExceeded,
    InsufficientCredit,
    NoAnswer,
    PluginError,
    ProviderError,
    ProviderUnavailable,
)
from qasid.events import EVENTS, Listeners, Performed, listens
from qasid.hookspecs import hookimpl
from qasid.operations import Operations
from qasid.routing import Route, Tolerance
from qasid.values import Acquired, Activation, Money, NumberOrder, OtpOrder, Receipt, TextMessage

from . import acme
from .acme import KEY, TO, Acme, Server, reply
from .commandline import install
from .routes import Ear

both_faces = pytest.mark.parametrize("opened", acme.FACES)
HELLO: Final = TextMessage(to=TO, text="open sesame")


@both_faces
def test_what_was_performed_is_told_once(opened: Any) -> None:
    """A message, a code and a number; with the ids, by which the caller knows whose it is."""
    ear = Ear()
    with opened(Server(), listeners=[ear]) as account:
        account.send(HELLO)
        account.otp(TO)
        account.acquire_number("shop", "SA")
    told = [(event.operation, event.count, event.ids) for _, event in ear.heard]
    assert [("send", 1, ("m1",)), ("otp", 1, ()), ("acquire_number", 1, ("n3",))] == told
    assert {"on_performed"} == set(ear.names)
    assert ("work", "acme") == (ear.heard[0][1].account, ear.heard[0][1].provider)


@both_faces
def test_a_refusal_and_an_unknown_are_told_as_what_they_are(opened: Any) -> None:
    """With the error's class, the provider's code, how long to wait, and how long it took."""
    ear, server = Ear(), Server(faults=[reply(429, Retry_After="300"), NoAnswer("cut")])
    with opened(server, listeners=[ear]) as account:
        for _ in range(2):
            with pytest.raises(ProviderError):
                account.send(HELLO)
            server.clock.sleep(300)
    assert ["on_refused", "on_unknown"] == ear.names
    refused, unknown = (event for _, event in ear.heard)
    assert ("RateLimited", timedelta(seconds=300)) == (refused.error, refused.retry_after)
    assert ("NoAnswer", None, None) == (unknown.error, unknown.retry_after, unknown.provider_code)
    assert timedelta(0) == refused.elapsed


@both_faces
def test_a_bulk_is_told_batch_by_batch_and_by_what_became_of_it(opened: Any) -> None:
    """Equal failures are one event with their number."""

    @attrs.frozen(eq=False, kw_only=True)
    class Half(Acme):
        info: ClassVar = acme.info(max_batch=4)

        @hookimpl
        def send(self, messages: Any) -> Flow[list[Receipt]]:
            yield from acme.asked(self, "POST", "/messages", json=[])
            refused = [
                Receipt(to=m.to, error=ProviderError("no", code="E7", outcome=None))
                for m in messages[1:]
            ]
            return [Receipt(to=messages[0].to, id="m1"), *refused]

    ear = Ear()
    with opened(Server(), Half(), listeners=[ear]) as account:
        account.send_many([HELLO] * 5)
    told = [(name, event.count) for name, event in ear.heard]
    assert [("on_performed", 1), ("on_refused", 3), ("on_performed", 1)] == told
    assert "E7" == ear.only("on_refused").provider_code


@both_faces
def test_of_a_batch_that_failed_each_message_counts(opened: Any) -> None:
    """They were all in it."""
    ear = Ear()
    with opened(Server(faults=[reply(500)]), listeners=[ear]) as account:
        account.send_many([HELLO] * 2)
    assert 2 == ear.only("on_unknown").count


@both_faces
def test_an_order_of_which_a_part_was_had_is_told_in_parts(opened: Any) -> None:
    """The numbers, and the services without one."""

    @attrs.frozen(eq=False, kw_only=True)
    class Partly(Acme):
        @hookimpl
        def acquire_number(self, order: NumberOrder) -> Flow[Acquired]:
            found: Sequence[Activation] = yield from Acme.acquire_number(self, order)
            return Acquired(found[:1], {"mail": ProviderError("none left")})

    ear = Ear()
    with opened(Server(), Partly(), listeners=[ear]) as account:
        assert 1 == len(account.acquire_numbers(["shop", "mail"], "SA"))
    assert ["on_performed", "on_refused"] == ear.names


@both_faces
def test_a_budget_that_says_no_is_told(opened: Any) -> None:
    """Nothing was sent, and somebody may want to raise it."""
    ear = Ear()
    over = pytest.raises(BudgetExceeded)
    with opened(Server(), listeners=[ear], max_open=0) as account, over:
        account.acquire_number("shop", "SA")
    assert "BudgetExceeded" == ear.only("on_refused").error


@both_faces
@pytest.mark.parametrize(("low", "told"), [("1.01 USD", 1), ("1.00 USD", 0)])
def test_a_balance_that_is_low_is_told_when_it_is_asked_for(
    opened: Any, low: str, told: int
) -> None:
    """It is 1.00 USD, and less than what is low."""
    ear = Ear()
    with opened(Server(), listeners=[ear], low_balance=Money.parse(low)) as account:
        account.balance()
    assert ["on_low_balance"] * told == ear.names
    for _, event in ear.heard:
        assert Money("1.00", "USD") == event.balance


@both_faces
def test_a_balance_in_other_money_is_never_low_and_a_warning_says_so(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not compare, and the question is answered all the same."""
    ear = Ear()
    with opened(Server(), listeners=[ear], low_balance=Money("5", "IRR")) as account:
        assert Money("1.00", "USD") == account.balance()
    assert [] == ear.heard
    assert "low_balance is in IRR, the balance in USD" in caplog.text


@both_faces
def test_no_credit_is_told_as_a_low_balance(opened: Any) -> None:
    """Of which nothing more is known."""
    ear = Ear()
    broke = pytest.raises(InsufficientCredit)
    with opened(Server(faults=[reply(402)]), listeners=[ear]) as account, broke:
        account.send(HELLO)
    assert ["on_refused", "on_low_balance"] == ear.names
    assert ear.only("on_low_balance").balance is None


class Raising:
    """A listener that fails, with what it should not say."""

    @listens
    def on_performed(self, event: Performed) -> None:
        raise ValueError(f"secret {KEY}")


@both_faces
def test_a_listener_that_raises_harms_nothing(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The message is sent, the next listener is told, and the log has the place and no text."""
    ear = Ear()
    with opened(Server(), listeners=[Raising(), ear]) as account:
        assert account.send(HELLO).accepted
    assert ["on_performed"] == ear.names
    assert "a listener failed in on_performed: ValueError at " in caplog.text
    assert "test_events" in caplog.text
    assert KEY not in caplog.text


@both_faces
def test_events_hold_no_secret_no_text_and_no_recipient(opened: Any) -> None:
    """Neither of what was done nor of what failed."""
    ear, server = Ear(), Server(faults=[None, reply(422, body=TO.encode())])
    with opened(server, listeners=[ear]) as account:
        account.otp(TO, code="0815")
        with pytest.raises(ProviderError):
            account.send(HELLO)
    for hidden in (KEY, TO, TO[3:], "0815", "open sesame"):
        assert hidden not in repr(ear.heard)


def test_a_listener_may_leave_out_the_event() -> None:
    """As a hook may leave out what it does not use."""

    class Counting:
        count = 0

        @listens
        def on_performed(self) -> None:
            self.count += 1

    counting = Counting()
    with acme.blocking(Server(), listeners=[counting]) as account:
        account.send(HELLO)
    assert 1 == counting.count


class Misspelt:
    """It would never be called."""

    @listens
    def on_perfomed(self, event: Performed) -> None:
        raise AssertionError(event)


class Unmarked:
    """It would never be called either."""

    def on_performed(self, event: Performed) -> None:
        raise AssertionError(event)


@pytest.mark.parametrize(
    ("listener", "words"), [(Misspelt(), "on_perfomed"), (Unmarked(), "@listens")]
)
def test_a_listener_that_would_never_be_told_is_refused(listener: object, words: str) -> None:
    """When the account is opened."""
    with pytest.raises(PluginError, match=words):
        Listeners([listener])


SOURCE: Final = """
from qasid.events import listens

class Loud:
    heard = []

    @listens
    def on_performed(self, event):
        self.heard.append(event)

loud = Loud()
"""


@pytest.mark.parametrize("name", ["Loud", "loud"])
def test_an_installed_listener_is_told_by_every_account(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An entry point names a class or an object."""
    entry = f"loud = loud_{name}:{name}"
    install(monkeypatch, tmp_path, f"loud-{name}", entry, SOURCE, group=finding.LISTENERS)
    with acme.blocking(Server()) as account:
        account.send(HELLO)
    assert 1 == len(finding.listener("loud").heard)
    monkeypatch.undo()
    finding.forget()


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ("bad = bad_import:Bad", "raise ValueError('boom')"),
        ("bad = bad_deaf:Bad", "class Bad: pass"),
        ("bad = bad_making:Bad", "class Bad:\n    def __init__(self): raise ValueError('boom')"),
    ],
)
def test_an_installed_listener_that_is_broken_stops_no_account(
    entry: str,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged and left out."""
    install(monkeypatch, tmp_path, "bad", entry, source, group=finding.LISTENERS)
    with caplog.at_level(logging.WARNING, "qasid"), acme.blocking(Server()) as account:
        assert account.send(HELLO).accepted
    assert "the installed listener 'bad' is left out" in caplog.text
    monkeypatch.undo()
    finding.forget()


@contextlib.contextmanager
def nothing_installed() -> Iterator[None]:
    """What is opened in here finds no installed listener, whatever this environment has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [])
        finding.forget()
        yield
    finding.forget()


def just(effect: Effect) -> Flow[Any]:
    """A flow of one effect, which gives what that gives."""
    return (yield effect)


def effects_of(made: Operations) -> Counter[type]:
    """How many effects of each kind one password takes."""
    server, counted = Server(), Counter[type]()
    driver = virtual_driver(server.handle, server.clock)

    def perform(effect: Effect) -> Any:
        counted[type(effect)] += 1
        return driver.run(just(effect))

    acme.played(made.otp(OtpOrder(to=TO)), perform)
    return counted


def test_where_nobody_listens_an_act_takes_no_effect_more() -> None:
    """A listener costs two looks at the clock, one at the calendar, and a call."""
    with nothing_installed():
        unheard = acme.operations()
    heard = acme.operations(listeners=[Ear()])
    assert {Tick: 2, Now: 1, Call: 1} == effects_of(heard) - effects_of(unheard)


def test_where_nobody_listens_a_breaker_moves_in_silence() -> None:
    """It opens all the same."""
    server = Server(faults=[NoAnswer("cut")])
    with nothing_installed():
        account = Account(acme.operations(), virtual_driver(server.handle, server.clock))
        route = Route("alerts", [account], tolerance=Tolerance(failures=1), close_accounts=True)
    with route:
        for words in ("cut", "breaker open"):
            with pytest.raises(ProviderUnavailable, match=words):
                route.send(HELLO)


def test_every_event_has_its_specification() -> None:
    """In the order of the page."""
    from qasid import events

    written = [name for name in vars(events) if name.startswith("on_")]
    assert sorted(EVENTS) == sorted(written)
