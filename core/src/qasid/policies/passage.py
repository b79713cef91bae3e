"""Every request on its way out: to the provider alone, counted, and its failures judged."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs

from qasid.effects import Flow, Request, Response
from qasid.errors import (
    ConnectFailed,
    Outcome,
    PluginError,
    ProtocolError,
    ProviderError,
    ProviderUnavailable,
    QasidError,
    RateLimited,
)

__all__ = ["Attempt", "at_home", "judged", "through"]

T = TypeVar("T")

_TRANSIENT: Final = (ProviderUnavailable, RateLimited)


@attrs.define
class Attempt:
    """One run of a provider's flow: how many of its requests may have changed something."""

    unsafe: int = 0

    def send(self, request: Request) -> Flow[Response]:
        """Let one request out, and count it unless it is safe or never reached the provider."""
        self.unsafe += not request.safe
        try:
            response: Response = yield request
        except ConnectFailed:
            self.unsafe -= not request.safe
            raise
        return response

    def outcome(self, error: ProviderError) -> Outcome:
        """Whether the act was performed, as far as is known now that `error` ended it."""
        if self.unsafe > 1:
            return Outcome.UNKNOWN  # an earlier request of the same flow was answered
        if error.outcome is not None:
            return error.outcome
        return Outcome.UNKNOWN if self.unsafe else Outcome.NOT_PERFORMED

    def may_repeat(self, error: ProviderError) -> bool:
        """Whether trying again may help and cannot do it twice."""
        harmless = not self.unsafe or error.outcome is Outcome.NOT_PERFORMED
        return harmless and isinstance(error, _TRANSIENT)


def through(flow: Flow[T], send: Callable[[Request], Flow[Response]]) -> Flow[T]:
    """Run a provider's flow, passing each of its requests through `send`."""
    try:
        effect = next(_generator(flow))
        while True:
            try:
                given = yield from send(_request(effect))
            except BaseException as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(given)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _generator(flow: object) -> Generator[Any, Any, Any]:
    if not isinstance(flow, Generator):
        raise PluginError(f"a hook must return a flow (a generator), not a {type(flow).__name__}")
    return flow


def _request(effect: object) -> Request:
    if not isinstance(effect, Request):
        raise PluginError(f"a provider's flow may yield requests only, not {type(effect).__name__}")
    return effect


def at_home(request: Request, base_url: str) -> Request:
    """The request itself, if it goes to the provider's own address and nowhere above it."""
    home = urlsplit(base_url)
    inside = request.path == home.path or request.path.startswith(home.path.rstrip("/") + "/")
    stays = not {".", ".."} & set(request.path.split("/"))
    if request.origin != f"{home.scheme}://{home.netloc}".lower() or not (inside and stays):
        raise PluginError(f"{request!r} does not go to the provider's own address {base_url}")
    return request


def judged(
    flow: Flow[T], attempt: Attempt, scrub: Callable[[Response | None], Response | None]
) -> Flow[T]:
    """Run `flow`; any failure of it says what became of the act, and tells no secret."""
    try:
        return (yield from flow)
    except ProviderError as error:
        error.outcome = attempt.outcome(error)
        error.response = scrub(error.response)
        raise
    except (QasidError, GeneratorExit):
        raise
    except Exception as error:
        failure = _foreign(error)
    failure.outcome = attempt.outcome(failure)
    raise failure


def _foreign(error: Exception) -> ProtocolError:
    """A plugin's own mistake. Its text is left out, as it may hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "nowhere"
    kind = type(error).__name__
    return ProtocolError(f"the provider's plugin failed: {kind} at {where}; tell its author")
