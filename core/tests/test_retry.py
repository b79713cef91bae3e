"""What may be repeated is; what may have been performed never is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.effects import Effect, Flow, Request, Response, Sleep
from qasid.errors import (
    ConnectFailed,
    InvalidRequest,
    NoAnswer,
    Outcome,
    ProtocolError,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
)
from qasid.hookspecs import hookimpl
from qasid.policies.retry import Retry
from qasid.reading import take
from qasid.values import Activation, Money, NumberOrder, TextMessage

from .acme import FACES, TO, Acme, Fault, Server, asked, blocking, played, reply

HELLO = TextMessage(to=TO, text="hello")

both_faces = pytest.mark.parametrize("opened", FACES)


def waits(retry: Retry, errors: Sequence[ProviderError]) -> list[float]:
    """How long it slept before each repetition, until it succeeded or gave up."""
    left, slept = list(errors), list[float]()

    def once() -> Flow[None]:
        if left:
            raise left.pop(0)
        yield from ()

    def answer(effect: Effect) -> None:
        assert isinstance(effect, Sleep)
        slept.append(effect.seconds)

    played(retry.run(once), answer)
    return slept


def failure(kind: type[ProviderError] = RateLimited, seconds: float | None = None) -> ProviderError:
    wait = None if seconds is None else timedelta(seconds=seconds)
    return kind("no", outcome=Outcome.NOT_PERFORMED, retry_after=wait)


def test_waits_double_from_half_a_second_to_twenty() -> None:
    """With full jitter of 1: 0.5 s, 1 s, 2 s, 4 s, 8 s, 16 s, 20 s, 20 s."""
    retry = Retry(max_wait=120.0, tries=9, jitter=lambda: 1.0)
    expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert expected == waits(retry, [failure() for _ in range(8)])


def test_jitter_takes_away_at_most_half() -> None:
    """Where chance says 0, half of each wait is left."""
    retry = Retry(max_wait=120.0, jitter=lambda: 0.0)
    assert [0.25, 0.5] == waits(retry, [failure(), failure()])


def test_the_providers_wish_is_heard() -> None:
    """It waits as long as it is asked to, where that is longer than its own wait."""
    retry = Retry(max_wait=120.0, jitter=lambda: 1.0)
    assert [7.0, 1.0] == waits(retry, [failure(seconds=7), failure(seconds=0.1)])


def test_a_wait_over_max_wait_raises_instead() -> None:
    """Nobody is made to wait longer than was allowed."""
    with pytest.raises(RateLimited):
        waits(Retry(max_wait=6.9), [failure(seconds=7)])


def test_after_the_last_try_the_error_is_raised() -> None:
    """Three runs are three runs."""
    with pytest.raises(ProviderUnavailable):
        waits(Retry(max_wait=120.0), [failure(ProviderUnavailable) for _ in range(3)])


def test_a_refusal_is_not_repeated() -> None:
    """What was understood and refused will be refused again."""
    with pytest.raises(InvalidRequest):
        waits(Retry(max_wait=120.0), [failure(InvalidRequest)])


# On the wire.

# Errors are made anew for each request, as the core writes on them.
FAULTS: dict[str, Callable[[], Fault]] = {
    "unreached": lambda: ConnectFailed("refused"),
    "unanswered": lambda: NoAnswer("cut"),
    "401": lambda: reply(401),
    "402": lambda: reply(402),
    "429": lambda: reply(429),
    "429 for a while": lambda: reply(429, Retry_After="3"),
    "500": lambda: reply(500),
    "502 in HTML": lambda: reply(502, b"<html>"),
    "HTML": lambda: reply(200, b"<html>"),
    "nothing in it": lambda: reply(200, b"[]"),
}


@both_faces
@pytest.mark.parametrize("fault", ["unreached", "unanswered", "429", "429 for a while", "500"])
def test_a_safe_request_is_repeated(opened: Any, fault: str) -> None:
    """Asking again for the balance does no harm."""
    server = Server(faults=[FAULTS[fault](), FAULTS[fault](), None])
    with opened(server) as account:
        assert Money("1.00", "USD") == account.balance()
    assert ["GET /balance"] * 3 == server.asked


@both_faces
def test_the_hook_is_held_as_long_as_the_provider_asked(opened: Any) -> None:
    """After `Retry-After: 3` nothing goes for three seconds."""
    server = Server(faults=[reply(429, Retry_After="3"), None])
    with opened(server) as account:
        account.balance()
    assert [0.0, 3.0] == pytest.approx(server.times)


@both_faces
@pytest.mark.parametrize("fault", ["unreached", "429", "429 for a while"])
def test_a_paid_request_is_repeated_where_it_was_surely_not_performed(
    opened: Any, fault: str
) -> None:
    """Never reached, or refused for its rate: once more is no second time."""
    server = Server(faults=[FAULTS[fault](), None])
    with opened(server) as account:
        assert account.send(HELLO).accepted
    assert ["POST /messages"] * 2 == server.asked
    assert [TO] == server.acts


@both_faces
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("unanswered", NoAnswer),
        ("500", ProviderUnavailable),
        ("502 in HTML", ProviderUnavailable),
        ("HTML", ProtocolError),
        ("nothing in it", ProtocolError),
    ],
)
def test_a_paid_request_is_never_repeated_where_its_outcome_is_unknown(
    opened: Any, fault: str, kind: type[ProviderError]
) -> None:
    """It may have been performed: one request, and an error that says so."""
    server = Server(faults=[FAULTS[fault]()])
    with opened(server) as account, pytest.raises(kind) as caught:
        account.send(HELLO)
    assert Outcome.UNKNOWN is caught.value.outcome
    assert ["POST /messages"] == server.asked


@both_faces
def test_a_refusal_of_a_paid_request_was_not_performed(opened: Any) -> None:
    """The provider said no, so nothing was bought."""
    server = Server(faults=[reply(402)])
    with opened(server) as account, pytest.raises(ProviderError) as caught:
        account.send(HELLO)
    assert Outcome.NOT_PERFORMED is caught.value.outcome


@attrs.frozen(eq=False, kw_only=True)
class Stepwise(Acme):
    """It rents in two requests, of which the second is a GET or a POST."""

    info: ClassVar = Acme.info
    second: str = "POST"

    @hookimpl
    def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
        found = yield from Acme.acquire_number(self, order)
        details = yield from asked(self, self.second, "/details")
        take({"details": details}, "details", dict)
        return found


@both_faces
@pytest.mark.parametrize("second", ["GET", "POST"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_flow_that_fails_after_a_paid_request_is_unknown_and_never_repeated(
    opened: Any, second: str, fault: str
) -> None:
    """Whatever the second answer says, the first request has been performed."""
    server = Server(faults=[None, FAULTS[fault]()])
    provider = Stepwise(second=second)
    with opened(server, provider) as account, pytest.raises(ProviderError) as caught:
        account.acquire_number("acme", "SA")
    assert Outcome.UNKNOWN is caught.value.outcome
    assert ["POST /numbers", f"{second} /details"] == server.asked


@both_faces
def test_a_flow_whose_first_safe_request_fails_was_not_performed(opened: Any) -> None:
    """No answer to a question is no unknown purchase."""

    class Careful(Acme):
        @hookimpl
        def acquire_number(self, order: NumberOrder) -> Flow[Sequence[Activation]]:
            yield from asked(self, "GET", "/rules")
            return (yield from Acme.acquire_number(self, order))

    server = Server(faults=[NoAnswer("cut") for _ in range(3)])
    with opened(server, Careful()) as account, pytest.raises(NoAnswer) as caught:
        account.acquire_number("acme", "SA")
    assert Outcome.NOT_PERFORMED is caught.value.outcome
    assert ["GET /rules"] * 3 == server.asked


def performed(server: Server, then: Response | None) -> Callable[[Request], Response]:
    """Do what is asked, and answer something else; nothing where it is None."""

    def handle(request: Request) -> Response:
        server.answer(request)
        if then is None:
            raise NoAnswer("cut")
        return then

    return handle


scripts = st.lists(
    st.sampled_from(
        [
            lambda server: ConnectFailed("refused"),
            lambda server: NoAnswer("cut"),
            lambda server: performed(server, None),
            lambda server: reply(500),
            lambda server: performed(server, reply(500)),
            lambda server: performed(server, reply(200, b"?")),
            lambda server: performed(server, reply(200, b'{"receipts": []}')),
            lambda server: performed(server, reply(201, b'{"numbers": null}')),
            lambda server: reply(429),
            lambda server: reply(429, Retry_After="2"),
            lambda server: reply(401),
            lambda server: reply(402),
            lambda server: None,
        ]
    ),
    max_size=8,
)
acts = st.sampled_from(
    [
        lambda account: account.send(HELLO),
        lambda account: account.send_many([HELLO]),
        lambda account: account.otp(TO),
        lambda account: account.acquire_number("acme", "SA"),
    ]
)


@given(scripts, acts, st.sampled_from([Acme(), Stepwise(), Stepwise(second="GET")]))
def test_no_script_of_failures_makes_it_pay_twice(
    script: list[Callable[[Server], Fault | None]], act: Callable[[Any], Any], provider: Acme
) -> None:
    """Whatever goes wrong and in whatever order, one call is one paid act at most."""
    server = Server()
    server.faults.extend(fault(server) for fault in script)
    with blocking(server, provider) as account:
        try:
            act(account)
        except ProviderError as error:
            if error.outcome is Outcome.NOT_PERFORMED:
                assert [] == server.acts
    assert len(server.acts) <= 1
