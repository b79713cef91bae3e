"""An account's line to its provider: every call of a hook goes through here."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

from qasid import finding, hookspecs
from qasid.effects import Call, Flow, Request, Response, Whole
from qasid.errors import (
    AuthenticationFailed,
    Outcome,
    PluginError,
    ProviderError,
    QasidError,
    RateLimited,
    UnsupportedOperation,
)
from qasid.policies.authorisation import Credentials
from qasid.policies.passage import Attempt, at_home, judgement, through
from qasid.policies.rates import Limiter
from qasid.policies.redaction import redact, secrets_of
from qasid.policies.retry import Retry
from qasid.settings import Resolved
from qasid.values import Acquired, Credential, ProviderInfo, Receipt

if TYPE_CHECKING:
    from qasid.login import AuthorizationCode
    from qasid.vault import Vault

__all__ = ["Line"]

T = TypeVar("T")

_log = logging.getLogger("qasid")
_SEVERAL: Final = (list, tuple)


class Line:
    """Calls the hooks of one account. Holds its limits and its credential."""

    def __init__(
        self, resolved: Resolved, wrappers: Iterable[object] = (), vault: Vault | None = None
    ) -> None:
        self.account = resolved.account
        self.provider_name = resolved.provider_name
        self.provider = resolved.provider
        self.info: ProviderInfo = resolved.provider.info
        hooks = _hooks(resolved, wrappers)
        self._calls = {hook: _call(getattr(hooks, hook)) for hook in hookspecs.HOOKS}
        self._implemented = finding.implemented(type(resolved.provider))
        self._with_credential = self._wanting_credential(hooks)
        self._limiter = Limiter(self.info.limits, max_wait=resolved.options.max_wait)
        self._retry = Retry(max_wait=resolved.options.max_wait)
        self.vault = vault
        self._credentials = Credentials(self._renew, vault)

    def ask(self, hook: str, attempts: list[Attempt] | None = None, **arguments: Any) -> Flow[Any]:
        """Is it there? · credential · retry · limits · the provider's flow. Notes each attempt."""
        self.require(hook)
        if hook not in self._with_credential:
            return self._run(hook, attempts, {"credential": None, **arguments})
        return self._credentials.run(
            lambda credential: self._run(hook, attempts, {"credential": credential, **arguments})
        )

    def require(self, hook: str) -> None:
        """Raise `UnsupportedOperation` unless the provider implements the hook."""
        if hook not in self._implemented:
            others = ", ".join(finding.providers_with(hook)) or "none"
            raise UnsupportedOperation(
                f"{self.provider_name} has no {hook}; installed providers that have: {others}"
            )

    def can(self, hook: str) -> bool:
        """Whether the provider implements the hook."""
        return hook in self._implemented

    def wait(self, hook: str, now: float) -> float:
        """Seconds until the limits let a request of that hook go. Books nothing."""
        return self._limiter.wait(hook, now)

    def _wanting_credential(self, hooks: Any) -> frozenset[str]:
        """The hooks that name a credential, where the provider hands one out."""
        if not self.can("authenticate"):
            return frozenset()
        return frozenset(
            hook for hook in hookspecs.HOOKS if _names_credential(getattr(hooks, hook))
        )

    def _run(
        self, hook: str, attempts: list[Attempt] | None, arguments: dict[str, Any]
    ) -> Flow[Any]:
        def once() -> Flow[Any]:
            attempt = Attempt()
            if attempts is not None:
                attempts.append(attempt)
            return self._attempt(hook, self._calls[hook], arguments, attempt, hide)

        def hide(error: QasidError) -> None:
            self._hide(hook, error, arguments["credential"])

        return self._retry.run(once)

    def _attempt(
        self,
        hook: str,
        call: Callable[..., Flow[Any]],
        arguments: dict[str, Any],
        attempt: Attempt,
        hide: Callable[[QasidError], None],
    ) -> Flow[Any]:
        """Run what `call` gives as a flow of the provider's, counted as that hook.

        Any failure of it, or of the call itself, says what became of the act, and tells no secret.
        """
        send = functools.partial(self._send, hook, attempt)
        try:
            given = yield from through(call(**arguments), send)
        except Exception as error:
            failure = judgement(error, attempt, hide)
        else:
            for refusal in _errors_in(given):
                refusal.outcome = refusal.outcome or Outcome.UNKNOWN
                hide(refusal)
            return given
        yield from self._heed(hook, failure)
        raise failure  # out here, so that a foreign error is not dragged along

    def _heed(self, hook: str, failure: QasidError) -> Flow[None]:
        if isinstance(failure, RateLimited) and failure.retry_after is not None:
            yield from self._limiter.hold(hook, failure.retry_after.total_seconds())
        if isinstance(failure, AuthenticationFailed):
            # A provider that tells the remedy does not know the account's own name.
            ours, theirs = f"qasid login {self.account}", f"qasid login {self.provider_name}"
            failure.args = tuple(str(arg).replace(theirs, ours) for arg in failure.args)

    def _send(self, hook: str, attempt: Attempt, request: Request) -> Flow[Response]:
        attempt.begin()
        at_home(request, self.provider.base_url)
        if self._limiter.binds(hook):
            yield from self._limiter.admission(hook)
        response = yield from attempt.send(request)
        _log.debug("%s %s: %s %d", self.account, hook, request.method, response.status)
        return response

    def _hide(self, hook: str, error: QasidError, credential: Credential | None = None) -> None:
        """Take the secrets out of an error: they are only gathered when there is one."""
        secrets = secrets_of(self.provider, credential)
        redact(error, secrets, brings_token=hook == "authenticate")

    def _renew(self, old: Credential | None) -> Flow[Credential]:
        given = yield from self._run("authenticate", None, {"credential": old})
        return _credential("authenticate", given)

    def credential(self) -> Flow[Credential]:
        """The account's credential, obtained if there is none."""
        self.require("authenticate")
        return self._credentials.obtain()

    # What the account's owner grants, and takes back.

    def authorize_url(self, state: str) -> str:
        """The address for the owner's browser. Raises `UnsupportedOperation`."""
        return self._owned().authorize_url(state)

    def _owned(self) -> AuthorizationCode:
        from qasid.login import AuthorizationCode  # late: few providers have one

        if not isinstance(self.provider, AuthorizationCode):
            raise UnsupportedOperation(
                f"{self.provider_name} has no login; the account's settings let it in"
            )
        return self.provider

    def exchange(self, code: str) -> Flow[Credential]:
        """Change the owner's code for tokens, and keep those: by then the vault must be usable."""
        run = functools.partial(self._exchanged, self._owned().exchange_code, code)
        if self.vault is None:
            return run()
        return self.vault.alone(lambda: _whole(run()))

    def _exchanged(self, call: Callable[..., Flow[Any]], code: str) -> Flow[Credential]:
        secrets = secrets_of(self.provider, None) | {code}
        hide = functools.partial(redact, secrets=secrets, brings_token=True)

        def once() -> Flow[Any]:
            return self._attempt("authenticate", call, {"code": code}, Attempt(), hide)

        credential = _credential("exchange_code", (yield from self._retry.run(once)))
        problem = yield from self._credentials.keep(credential)
        if problem is not None:
            raise problem
        return credential

    def forget(self) -> Flow[bool]:
        """Throw away what the owner granted; whether there was any."""
        self._owned()
        self._credentials.forget()
        if self.vault is None:
            return False
        forget = self.vault.forget
        return (yield from self.vault.alone(lambda: _called(forget)))

    def parse_webhook(self, request: Request) -> Any:
        """The one hook that is no flow."""
        self.require("parse_webhook")
        try:
            return self._calls["parse_webhook"](request=request)
        except Exception as error:
            hide = functools.partial(self._hide, "parse_webhook")
            failure = judgement(error, Attempt(), hide)
        raise failure


def _hooks(resolved: Resolved, wrappers: Iterable[object]) -> Any:
    """A plugin manager of this account alone, so that no other provider can answer for it."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        for plugin in (resolved.provider, *wrappers):
            manager.register(plugin)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"{resolved.provider_name!r} is broken: {error}") from None
    return manager.hook


def _names_credential(caller: pluggy.HookCaller) -> bool:
    return any("credential" in found.argnames for found in caller.get_hookimpls())


def _call(caller: pluggy.HookCaller) -> Callable[..., Any]:
    """What calls a hook with all its arguments by their names.

    Where there are no wrappers it is the provider's own method: pluggy's caller would give the
    same, and take many times as long.
    """
    found = caller.get_hookimpls()
    if len(found) != 1 or found[0].wrapper or found[0].hookwrapper:
        return caller
    method, names = found[0].function, found[0].argnames
    return lambda **arguments: method(*[arguments[name] for name in names])


def _credential(source: str, given: object) -> Credential:
    if not isinstance(given, Credential):
        raise PluginError(f"{source} gave a {type(given).__name__}, not a Credential")
    return given


def _whole(flow: Flow[T]) -> Flow[T]:
    given: T = yield Whole(flow)
    return given


def _called(function: Callable[[], T]) -> Flow[T]:
    given: T = yield Call(function)
    return given


def _errors_in(given: object) -> list[ProviderError]:
    """What a bulk gave back in its receipts, or beside its numbers, instead of raising it."""
    if isinstance(given, Acquired):
        return [*given.failures.values()]
    if not isinstance(given, _SEVERAL):
        return []
    return [item.error for item in given if isinstance(item, Receipt) and item.error is not None]
