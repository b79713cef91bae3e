"""Whatever comes back, or does not: an error of the tree that tells what became of the act."""

from __future__ import annotations

import functools
import json
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import UnionType
from typing import Any, Final, TypeAlias

import attrs

from qasid import values
from qasid.drivers.connection import MAX_BODY
from qasid.effects import Request, Response
from qasid.errors import (
    ConnectFailed,
    NoAnswer,
    Outcome,
    ProtocolError,
    ProviderUnavailable,
    RateLimited,
)
from qasid.hookspecs import PAID_HOOKS
from qasid_contract.case import HOOKS_THAT_ASK, Case
from qasid_contract.faults import (
    FLOOD,
    NO_ANSWER,
    NOT_REACHED,
    REDIRECT,
    SERVER_FAULTS,
    TOO_MANY,
    UNREADABLE,
    Fault,
)
from qasid_contract.rulebook import Path, rule
from qasid_contract.trials import Trial, trials

BOTH: Final = (Path.PLUGGED, Path.SOCKET)

_CLOSED, _CUT, _LATE = NO_ANSWER


def _some(case: Case, faults: Sequence[Fault], count: int = 1) -> Sequence[Fault]:
    """All of them where that is quick; over a socket a few will do."""
    return faults if case.path is Path.PLUGGED else faults[:count]


@rule("FAIL-1", any_of=HOOKS_THAT_ASK, paths=BOTH)
def an_unreadable_reply_is_an_error(case: Case) -> None:
    """A reply of status 200 that cannot be read is an error, and unknown where it was not safe.

    Only `send` may say *accepted, without an id*, and `release` and `cancel_scheduled` may be
    content with an empty body.

    Troubleshooting: read every reply with `Response.json` and `qasid.reading.take`, which raise
    `ProtocolError`; never give a default such as zero or an empty list for what could not be read.
    """
    for trial in trials(case, _some(case, UNREADABLE, 2)):
        if not _content(trial):
            trial.refused()


def _content(trial: Trial) -> bool:
    """Whether the call may have succeeded all the same."""
    reply = trial.fault.response
    if isinstance(trial.result, values.Receipt):
        return trial.result.accepted
    wordless = isinstance(trial.result, values.Released | values.Cancelled)
    return wordless and reply is not None and len(reply.body) < 3


@rule("FAIL-2", any_of=HOOKS_THAT_ASK, paths=BOTH)
def a_server_fault_is_no_refusal(case: Case) -> None:
    """A status of 500 or more is `ProviderUnavailable`, and unknown where it was not safe.

    Troubleshooting: look at the status before the body: a gateway's page or an empty body comes
    with it as well. Raise `ProviderUnavailable` and leave the outcome to the core.
    """
    for trial in trials(case, _some(case, SERVER_FAULTS)):
        trial.refused(ProviderUnavailable)


@rule("FAIL-3", any_of=HOOKS_THAT_ASK)
def too_many_requests_is_told_with_the_wait(case: Case) -> None:
    """A status of 429 is `RateLimited`, not performed, with the wait that `Retry-After` asks for.

    Troubleshooting: raise `RateLimited(…, retry_after=qasid.reading.retry_after(response))` for a
    429 before you read its body, which may be empty.
    """
    for trial in trials(case, TOO_MANY):
        error = trial.failed(RateLimited)
        assert Outcome.NOT_PERFORMED is error.outcome, f"{trial}: it was not performed"
        if trial.fault is TOO_MANY[0]:
            assert timedelta(seconds=7) == error.retry_after, f"{trial}: the wait is not told"


@rule("FAIL-4", any_of=HOOKS_THAT_ASK, paths=BOTH)
def a_redirect_is_not_followed(case: Case) -> None:
    """A redirect to another server is an error, and that server sees no request.

    Troubleshooting: a success is 2xx and nothing else. Do not read `Location`: keys and texts would
    go where it points.
    """
    strayed: list[Request] = []
    for trial in trials(case, [_redirect(case, strayed)]):
        trial.failed()
        home = trial.case.provider(**trial.case.settings()).base_url
        asked = {request.origin for request in trial.case.wire.sent}
        assert {Request(method="GET", url=home).origin} == asked, f"{trial}: it asked elsewhere"
        assert strayed == [], f"{trial}: the request went on to another server"


def _redirect(case: Case, strayed: list[Request]) -> Fault:
    if case.path is Path.PLUGGED:
        return REDIRECT

    def noted(request: Request) -> Response:
        strayed.append(request)
        return Response(status=200, body=b"{}")

    elsewhere = Response(status=307, headers={"Location": f"{case.listening(noted)}/"})
    return attrs.evolve(REDIRECT, response=elsewhere)


@rule("FAIL-5", any_of=HOOKS_THAT_ASK, paths=BOTH)
def silence_is_no_answer(case: Case) -> None:
    """Not reached is `ConnectFailed`, not performed; no answer is `NoAnswer`, unknown if unsafe.

    Troubleshooting: let what is thrown into your flow at a `yield` pass through. Of a lost answer
    you know nothing: an empty list or a guess would be a lie.
    """
    for trial in trials(case, [NOT_REACHED]):
        error = trial.failed(ConnectFailed)
        assert Outcome.NOT_PERFORMED is error.outcome, f"{trial}: it never got there"
    for trial in trials(case, [_CLOSED, _CUT]):
        trial.refused(NoAnswer)
    for trial in trials(case, [_LATE], _unrepeated(case)):
        trial.refused(NoAnswer)


def _unrepeated(case: Case) -> Sequence[str]:
    """One hook, if there can be one that the core does not repeat: this fault takes its time."""
    return [*(h for h in case.asking_hooks() if h in PAID_HOOKS), *case.asking_hooks()][:1]


@rule("FAIL-6", any_of=HOOKS_THAT_ASK)
def one_wrong_member_is_noticed(case: Case) -> None:
    """With any one member of a reply replaced there is a well-typed result or an honest error.

    Each member in turn is missing, null, of each other type, huge and negative. For what is paid,
    a reply that has no sense is unknown: it came after the act.

    Troubleshooting: the plugin took a member without looking: `data["x"]`, `int(…)`, `float(…)`,
    `for … in`. Take it with `qasid.reading.take` or `moment`; of a value class that checks what it
    is given (`Money`, `InboundMessage`) turn the ValueError into a `ProtocolError`.
    """
    for hook in case.asking_hooks():
        for place, kind in _places(case, hook):
            faults = [_Altered.of(place, value) for value in _OTHERS]
            for trial in trials(case, faults, [hook]):
                _judge_altered(trial, kind)


def _judge_altered(trial: Trial, kind: type) -> None:
    if trial.error is None:
        wrong = list(_ill_typed(trial.result))
        assert not wrong, f"{trial}: of a wrong type: {', '.join(wrong)}"
        return
    error = trial.failed()
    # A value of the right type may be how the provider says no. Nothing else can be.
    assert isinstance(trial.fault, _Altered)
    senseless = trial.hook in PAID_HOOKS and _kind(trial.fault.value) is not kind
    if senseless or isinstance(error, ProtocolError):
        trial.refused()


def _kind(value: object) -> type:
    """The JSON type: all numbers are of one."""
    return float if type(value) is int else type(value)


_Place: TypeAlias = tuple[str | int, ...]

_MANY: Final = 20
_MISSING: Final = object()
_OTHERS: Final[tuple[Any, ...]] = (
    _MISSING,
    None,
    "",
    "x",
    "۱۲",
    "9" * 400,
    0,
    -1,
    10**40,
    0.5,
    True,
    [],
    [None],
    {},
    {"a": 1},
)


@attrs.frozen(kw_only=True)
class _Altered(Fault):
    """The real reply with one member replaced."""

    place: _Place
    value: Any

    @classmethod
    def of(cls, place: _Place, value: Any) -> _Altered:
        where = ".".join(map(str, place))
        what = "missing" if value is _MISSING else f"a {type(value).__name__}: {value!r:.20}"
        return cls(name=f"{where} {what}", place=place, value=value)

    def plugged(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        reply = handle(request)
        return attrs.evolve(reply, body=_altered(reply.body, self.place, self.value))


def _altered(body: bytes, place: _Place, value: Any) -> bytes:
    try:
        data = inner = json.loads(body)
        for key in place[:-1]:
            inner = inner[key]
        if value is _MISSING:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
    except (ValueError, LookupError, TypeError):  # a reply that has no such member
        return body
    return json.dumps(data, ensure_ascii=False).encode()


@attrs.frozen(kw_only=True)
class _Heard(Fault):
    """No fault at all, but the replies are noted."""

    bodies: list[bytes]

    def plugged(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        reply = handle(request)
        self.bodies.append(reply.body)
        return reply


def _places(case: Case, hook: str) -> list[tuple[_Place, type]]:
    """Each member of the replies that a hook gets when all is well, with the type that it has."""
    heard = _Heard(name="all is well", bodies=[])
    for trial in trials(case, [heard], [hook]):
        assert trial.error is None, f"{trial}"
    found = [place for body in heard.bodies for place in _members(_loaded(body))]
    return list(dict.fromkeys(found))


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _members(data: Any, above: _Place = ()) -> Iterator[tuple[_Place, type]]:
    """Of a list the first item alone: the others are like it. So with an object of very many."""
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(data, Mapping):
        pairs = list(data.items())[:_MANY]
    elif isinstance(data, list):
        pairs = list(enumerate(data[:1]))
    for key, value in pairs:
        yield (*above, key), _kind(value)
        yield from _members(value, (*above, key))


def _ill_typed(value: Any) -> Iterator[str]:
    """The fields of a result, and of what is in it, that are not of their declared types."""
    for item in value if isinstance(value, list) else [value]:
        kinds = _hints(type(item))
        for field in attrs.fields(type(item)):
            if not _fits(getattr(item, field.name), kinds[field.name]):
                yield f"{type(item).__name__}.{field.name}"


_hints: Final[Callable[[type], dict[str, Any]]] = functools.cache(typing.get_type_hints)


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    plain = typing.get_origin(kind) or kind
    if plain is Mapping:
        return isinstance(value, Mapping) and all(
            _is_text(t) for pair in value.items() for t in pair
        )
    return isinstance(value, plain) and (plain is bool or not isinstance(value, bool))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@rule("FAIL-7", any_of=HOOKS_THAT_ASK, paths=BOTH)
def a_flood_is_cut_off(case: Case) -> None:
    """A body over the cap is a `ProtocolError`, unknown where it was not safe, and is not kept.

    Troubleshooting: the error is thrown into your flow at the `yield`. Do not catch it.
    """
    for trial in trials(case, [FLOOD]):
        error = trial.refused(ProtocolError)
        assert error.response is None or len(error.response.body) <= MAX_BODY
