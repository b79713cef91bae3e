"""Who gets in, and what it costs in requests."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

import attrs

from qasid.effects import Request
from qasid.errors import AuthenticationFailed, Outcome, ProviderError
from qasid.fields import is_secret
from qasid_contract.case import HOOKS_THAT_ASK, Case
from qasid_contract.refusals import refusal
from qasid_contract.rulebook import rule

_THREADS: Final = 20

#: A provider that is not told when a token ends may count on as little as an eighth of its life.
_LIVES: Final = 8


@rule("AUTH-1", any_of=HOOKS_THAT_ASK)
def wrong_secrets_do_not_get_in(case: Case) -> None:
    """The settings get in; with any secret changed it is `AuthenticationFailed`, not performed.

    Troubleshooting: find out how the provider says that a key, a password or a token is wrong, also
    where it says so with status 200 or 400, and raise `AuthenticationFailed` for that. A secret
    that no request needs is no setting.
    """
    hook = case.asking_hooks()[0]
    case.perform(hook)
    for name in _secret_names(case):
        account = case.account(**{name: _changed(case.settings()[name])})
        error = refusal(case.bare_calls(account)[hook], AuthenticationFailed)
        assert error.outcome is Outcome.NOT_PERFORMED, f"wrong {name}: {error.outcome}"


def _secret_names(case: Case) -> list[str]:
    """The secrets that the emulator's settings hold."""
    fields = attrs.fields(case.provider)
    return [f.name for f in fields if is_secret(f) and f.name in case.emulator.settings]


def _changed(text: str) -> str:
    """Another text of the same form."""
    return text[:-1] + ("1" if text[-1] != "1" else "2")


@rule("AUTH-2", needs={"authenticate"})
def a_token_that_has_run_out_is_renewed(case: Case) -> None:
    """A call with a token that the server lets run out succeeds, with one more token request.

    Troubleshooting: the answer to an old token must become `AuthenticationFailed`; then the core
    asks for a new one and calls the hook again. It must not become `PermissionDenied`.
    """
    login, account = _login(case), case.account()
    call = case.prepared(_guarded(case), account)
    credential = account.authenticate()
    case.wire.forget()
    ends = credential.expires_at or case.clock.now() + timedelta(days=1)
    asked, lives = 0, _LIVES if credential.expires_at else 1
    while lives and not asked:
        case.emulator.advance(ends - case.clock.now() + timedelta(seconds=1))
        call()
        asked, lives = _count(login, case.wire.requests), lives - 1
    # A token of which nobody says when it ends may still be good.
    assert asked == 1 or (asked == 0 and credential.expires_at is None), f"{asked} token requests"


@rule("AUTH-3")
def nothing_is_asked_for_that_is_not_needed(case: Case) -> None:
    """A token is asked for once, by many calls and threads alike, and never by a hook itself.

    Troubleshooting: leave it to the core to call `authenticate`: name an argument `credential` in
    the hooks that need one. `Credential.expires_at` is the moment at which the token ends, in UTC.
    With no `authenticate` no hook may begin with a request that is not its own.
    """
    if "authenticate" in case.implemented:
        _check_one_token(case)
    openings = {hook: requests for hook, requests in _openings(case) if requests}
    first = {(r[0].method, r[0].url, r[0].content) for r in openings.values()}
    assert len(openings) < 2 or len(first) > 1, "all hooks begin with the same request"


def _check_one_token(case: Case) -> None:
    login = _login(case)
    bare = case.bare_calls(case.account())[_guarded(case)]

    def call() -> None:
        with contextlib.suppress(ProviderError):  # what it asks for need not be there
            bare()

    with ThreadPoolExecutor(_THREADS) as pool:
        for made in [pool.submit(call) for _ in range(_THREADS)]:
            made.result()
    for _ in range(3):
        call()
    assert _count(login, case.wire.requests) == 1, "more than one token was asked for"
    for hook, requests in _openings(case):
        assert not _count(login, requests), f"{hook} asks for a token by itself"


def _openings(case: Case) -> Iterator[tuple[str, Sequence[Request]]]:
    """Each hook, and what it sends where there is a token already."""
    account = case.account()
    calls = case.bare_calls(account)
    if "authenticate" in case.implemented:
        account.authenticate()
    for hook in case.asking_hooks():
        if hook != "authenticate":
            case.wire.forget()
            with contextlib.suppress(ProviderError):
                calls[hook]()
            yield hook, list(case.wire.requests)


def _login(case: Case) -> tuple[str, str]:
    """The method and path of the request that brings a token."""
    case.account().authenticate()
    last = case.wire.requests[-1]
    case.wire.forget()
    return last.method, last.path


def _count(login: tuple[str, str], requests: Sequence[Request]) -> int:
    return sum((request.method, request.path) == login for request in requests)


def _guarded(case: Case) -> str:
    """The first hook that wants a token."""
    for hook in case.asking_hooks():
        named = inspect.signature(getattr(case.provider, hook)).parameters
        if hook != "authenticate" and "credential" in named:
            return hook
    raise AssertionError("no hook names an argument `credential`: what is the token for?")
