"""Every request on its way out: to the provider alone, counted, and its failures judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from types import GeneratorType
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import attrs

from qasid.effects import Effect, Flow, Request, Response
from qasid.errors import (
    ConnectFailed,
    Outcome,
    PluginError,
    ProtocolError,
    ProviderError,
    QasidError,
)

__all__ = [
    "Attempt",
    "at_home",
    "judgement",
    "relayed",
    "surely_not_performed",
    "through",
    "whereabouts",
]

T = TypeVar("T")


@attrs.define
class Attempt:
    """One run of a provider's flow: how many of its requests may have changed something."""

    unsafe: int = 0
    earlier: bool = False

    def begin(self) -> None:
        """Note that the flow asks for its next request, and whether an unsafe one went before."""
        self.earlier = self.unsafe > 0

    def send(self, request: Request) -> Flow[Response]:
        """Let one request out, and count it unless it is safe or never reached the provider."""
        self.unsafe += not request.safe
        try:
            response: Response = yield request
        except ConnectFailed:
            self.unsafe -= not request.safe
            raise
        return response

    def judge(self, error: ProviderError) -> None:
        """Write on the error that ended this run whether the act was performed."""
        error.outcome = self._outcome(error)
        if error.outcome is Outcome.NOT_PERFORMED:
            self.unsafe = 0

    def _outcome(self, error: ProviderError) -> Outcome:
        if not self.unsafe:
            return Outcome.NOT_PERFORMED
        if self.earlier:  # the error tells of the last request alone
            return Outcome.UNKNOWN
        return error.outcome or Outcome.UNKNOWN


def surely_not_performed(error: BaseException, attempts: Sequence[Attempt]) -> bool:
    """Whether what ended with this error, after these attempts at it, left nothing to be paid."""
    refused = isinstance(error, ProviderError) and error.outcome is Outcome.NOT_PERFORMED
    return refused or not any(attempt.unsafe for attempt in attempts)


def through(flow: Flow[T], send: Callable[[Request], Flow[Response]]) -> Flow[T]:
    """Run a provider's flow, passing each of its requests through `send`."""
    return relayed(_generator(flow), lambda effect: send(_request(effect)))


def relayed(flow: Flow[T], relay: Callable[[Effect], Flow[Any]]) -> Flow[T]:
    """Run `flow`; what `relay` makes of each of its effects gives the answer, or raises it."""
    try:
        effect = next(flow)
        while True:
            try:
                given = yield from relay(effect)
            except BaseException as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(given)
    except StopIteration as stop:
        result: T = stop.value
        return result


#: The usual one first: to ask an abstract class takes long.
_GENERATOR: Final = (GeneratorType, Generator)


def _generator(flow: Flow[T]) -> Flow[T]:
    if not isinstance(flow, _GENERATOR):
        raise PluginError(f"a hook must return a flow (a generator), not a {type(flow).__name__}")
    return flow


def _request(effect: object) -> Request:
    if not isinstance(effect, Request):
        raise PluginError(f"a provider's flow may yield requests only, not {type(effect).__name__}")
    return effect


def at_home(request: Request, base_url: str) -> Request:
    """The request itself, if it goes to the provider's own address and nowhere above it.

    The error does not show the request's address: some providers want their key in it.
    """
    plain = request.url.startswith(f"{base_url}/") and _PLAIN.fullmatch(request.url, len(base_url))
    problem = None if plain else _astray(urlsplit(request.url), urlsplit(base_url))
    if problem:
        raise PluginError(f"the provider's plugin asks for {problem}; its address is {base_url}")
    return request


def _astray(asked: SplitResult, home: SplitResult) -> str | None:
    if (asked.scheme, asked.netloc.lower()) != (home.scheme, home.netloc.lower()):
        return "another server"
    if asked.path != home.path and not asked.path.startswith(home.path.rstrip("/") + "/"):
        return "a path outside its own"
    if _DOTS.search(asked.path):
        return "a path with dot segments"
    return None


# The rest of most addresses: nothing is encoded, and no segment begins with a dot.
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
# Encoded dots too: clients and servers resolve them all the same.
_DOTS: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)


def judgement(
    error: Exception, attempt: Attempt, redact: Callable[[QasidError], None]
) -> QasidError:
    """What to raise for an error that ended `attempt`."""
    failure = error if isinstance(error, QasidError) else _foreign(error)
    if isinstance(failure, ProviderError):
        attempt.judge(failure)
    redact(failure)
    return failure


def _foreign(error: Exception) -> ProtocolError:
    """A plugin's own mistake."""
    return ProtocolError(f"the provider's plugin failed: {whereabouts(error)}; tell its author")


def whereabouts(error: BaseException) -> str:
    """An error's class and place. Its text is left out, as it may hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "nowhere"
    return f"{type(error).__name__} at {where}"
