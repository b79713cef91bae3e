"""A hook computes. Whatever else there is to do, it asks for.

Hooks are called here without the core, with the arguments that the core would give them.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final, Protocol

import attrs

from qasid.drivers.aio import AsyncDriver
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.sync import SyncDriver
from qasid.drivers.virtual import virtual_driver
from qasid.effects import Flow, Request, Response
from qasid.errors import InvalidRequest, QasidError
from qasid_contract.case import Case
from qasid_contract.faults import Fault
from qasid_contract.rulebook import rule

#: A flow of more requests than this is no call of an API.
_MOST: Final = 100

_BUSY: Final = Fault(
    name="status 503 with Retry-After",
    response=Response(status=503, headers={"Retry-After": "2"}, body=b""),
)


# How hooks are called here.


def _ready(case: Case, hook: str) -> functools.partial[Flow[Any]]:
    """The provider's own hook with the arguments that the core would give it."""
    _pause(case)
    method = getattr(case.provider, hook)
    given: list[tuple[Any, ...]] = []

    @functools.wraps(method)
    def note(*arguments: Any) -> Flow[Any]:
        given.append(arguments)
        raise InvalidRequest("it is called later")

    provider = type("Noting", (case.provider,), {"__slots__": (), hook: note})
    call = case.prepared(hook, case.account_of(provider(**case.settings())))
    with contextlib.suppress(InvalidRequest):
        call()
    return functools.partial(method, *given[0])


def _pause(case: Case) -> None:
    """Wait until none of the provider's limits counts what was asked: here no core keeps them."""
    periods = [limit.period for limit in case.info.limits]
    case.advance(max(periods, default=timedelta()))


def _answer(case: Case, effect: object) -> Response | None:
    """What the emulator says to a request, and nothing to anything else."""
    if not isinstance(effect, Request):
        return None
    response = case.wire.handle(effect.encode())
    return attrs.evolve(response, received_at=case.clock.now())


class _During(Protocol):
    def __call__(self) -> contextlib.AbstractContextManager[object]: ...


def _driven(
    flow: Flow[Any],
    case: Case,
    during: _During = contextlib.nullcontext,
    seen: list[object] | None = None,
) -> None:
    """Run a flow, its own steps within `during`; what it yields goes to `seen`."""
    yielded = [] if seen is None else seen
    given = None
    for _ in range(_MOST):
        try:
            with during():
                effect = flow.send(given)
        except StopIteration:
            return
        yielded.append(effect)
        given = _answer(case, effect)
    raise AssertionError(f"a flow of more than {_MOST} requests")


def _watched(case: Case, during: _During) -> Iterator[str]:
    """Run each hook twice, the second time within `during`; give its name after that.

    The first time imports what is imported late.
    """
    for hook in case.asking_hooks():
        _driven(_ready(case, hook)(), case)
        _driven(_ready(case, hook)(), case, during)
        yield hook


# What they may do.


@rule("PURE-1")
def flows_yield_requests(case: Case) -> None:
    """A hook's flow yields requests and nothing else, also when the provider is busy.

    Troubleshooting: waiting and trying again are the core's: raise `ProviderUnavailable` or
    `RateLimited` with `retry_after`. `Sleep`, `Now` and `Call` are not for providers; the time is
    the response's `received_at`.
    """
    for hook in case.asking_hooks():
        seen: list[object] = []
        _driven(_ready(case, hook)(), case, seen=seen)
        flow = _ready(case, hook)()
        with case.failing(_BUSY), contextlib.suppress(QasidError):
            _driven(flow, case, seen=seen)
        strange = [type(effect).__name__ for effect in seen if not isinstance(effect, Request)]
        assert not strange, f"{hook} yields {', '.join(strange)}"


@attrs.define
class _Tape:
    """Keeps the emulator's replies of the first run and plays them to the others."""

    case: Case
    replies: list[Response] = attrs.field(factory=list)
    heard: list[Request] = attrs.field(factory=list)

    def record(self, request: Request) -> Response:
        self.heard.append(request)
        self.replies.append(self.case.wire.handle(request))
        return self.replies[-1]

    def play(self, request: Request) -> Response:
        self.heard.append(request)
        assert len(self.heard) <= len(self.replies), "it asks for more than before"
        return self.replies[len(self.heard) - 1]

    def taken(self) -> list[Request]:
        heard, self.heard = self.heard, []
        return heard


@rule("PURE-2")
def drivers_see_the_same_bytes(case: Case) -> None:
    """A hook called with the same arguments makes the same bytes, whichever driver runs it.

    Troubleshooting: something random or the machine's clock is in a request. What must be new each
    time comes from the provider (a token, `received_at`) or is a setting; what has no order, such
    as a set, is sorted first.
    """
    for hook in case.asking_hooks():
        make, tape = _ready(case, hook), _Tape(case)
        plug = Plug(tape.play, case.clock.now)
        SyncDriver(Plug(tape.record, case.clock.now), case.clock).run(make())
        first = tape.taken()
        asyncio.run(AsyncDriver(AsyncPlug(plug)).run(make()))
        assert first == tape.taken(), f"{hook}: other requests under the async driver"
        virtual_driver(tape.play, case.clock).run(make())
        assert first == tape.taken(), f"{hook}: other requests under the virtual driver"


_FORBIDDEN: Final = (
    "open",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.startfile",
    "os.system",
    "socket.",
    "sqlite3.connect",
    "subprocess.Popen",
    "_thread.start_new_thread",
)


class _Listener(threading.local):
    """What the interpreter tells of the thread that listens, while it does."""

    heard: list[str] | None = None

    def audit(self, event: str, arguments: object) -> None:
        if self.heard is not None and event.startswith(_FORBIDDEN):
            self.heard.append(event)

    def profile(self, frame: object, event: str, called: object) -> None:
        # Only from Python 3.13 on is sleeping audited.
        if self.heard is not None and event == "c_call" and called is time.sleep:
            self.heard.append("time.sleep")


_listener: Final = _Listener()


@functools.cache
def _install() -> None:
    # Once for all: an audit hook cannot be taken away again.
    sys.addaudithook(lambda event, arguments: _listener.audit(event, arguments))


@contextlib.contextmanager
def _listening(heard: list[str]) -> Iterator[None]:
    _install()
    usual = sys.getprofile()
    sys.setprofile(_listener.profile)
    _listener.heard = heard
    try:
        yield
    finally:
        _listener.heard = None
        sys.setprofile(usual)


@rule("PURE-3")
def hooks_leave_the_machine_alone(case: Case) -> None:
    """A hook does not sleep, open a socket or file, or start a thread or process by itself.

    Troubleshooting: yield a `Request` instead of sending one, and leave waiting to the core. Read
    what stands in a file when the module is imported, from the package's own data only.
    """
    heard: list[str] = []
    for hook in _watched(case, lambda: _listening(heard)):
        assert not heard, f"{hook}: {', '.join(heard)}"


@rule("PURE-4")
def hooks_are_quiet(case: Case) -> None:
    """A hook writes nothing to standard output or standard error.

    Troubleshooting: take the `print` out. Programs pipe the output of `qasid --json` into others.
    """
    page = io.StringIO()
    for hook in _watched(case, lambda: _printed_to(page)):
        assert not page.getvalue(), f"{hook} prints"


@contextlib.contextmanager
def _printed_to(page: io.StringIO) -> Iterator[None]:
    with contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
        yield


_read: Final[list[str]] = []


class _Environment(os._Environ[str]):
    """The environment, telling which names are read or written."""

    def __getitem__(self, name: str) -> str:
        _read.append(name)
        return super().__getitem__(name)

    def __setitem__(self, name: str, value: str) -> None:
        _read.append(name)
        super().__setitem__(name, value)

    def __iter__(self) -> Iterator[str]:
        _read.append("all of it")
        return super().__iter__()


@contextlib.contextmanager
def _recorded() -> Iterator[None]:
    # The object stays the same, so that whoever holds it is seen too.
    usual = type(os.environ)
    os.environ.__class__ = _Environment
    try:
        yield
    finally:
        os.environ.__class__ = usual


@rule("PURE-5")
def hooks_do_not_read_the_environment(case: Case) -> None:
    """A hook neither reads nor changes the environment: a provider's fields are its settings.

    Troubleshooting: make it a field. The core fills it from arguments, from the environment and
    from `qasid.toml`, in that order, and tells what is missing.
    """
    _read.clear()
    for hook in _watched(case, _recorded):
        assert not _read, f"{hook} reads {', '.join(_read)}"


@rule("PURE-6")
def hooks_change_nothing_that_they_are_given(case: Case) -> None:
    """A hook leaves its arguments, the credential and the provider itself as they were.

    Troubleshooting: values are shared with the caller, with a second try and with other threads.
    Make a new one with `attrs.evolve`, and keep nothing on the provider.
    """
    for hook in case.asking_hooks():
        make = _ready(case, hook)
        before = [_copied(argument) for argument in make.args]
        _driven(make(), case)
        for argument, was in zip(make.args, before, strict=True):
            assert _copied(argument) == was, f"{hook} changes the {type(argument).__name__}"


def _copied(value: Any) -> Any:
    """A value with all that is in it, for comparison."""
    if attrs.has(type(value)):
        return attrs.asdict(value)
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return copy.deepcopy(value)


@rule("PURE-7")
def closed_flows_end(case: Case) -> None:
    """A flow that is closed while it waits for an answer ends at once, without a word.

    Troubleshooting: a flow is closed where its caller has gone away, and nobody is left to answer.
    Do not catch `GeneratorExit` or `BaseException` around a `yield`, nor yield in a `finally`.
    """
    for hook in case.asking_hooks():
        make = _ready(case, hook)
        assert any(not _closed_at(hook, make(), case, step) for step in range(_MOST)), hook


def _closed_at(hook: str, flow: Flow[Any], case: Case, step: int) -> bool:
    """Close a flow at a request, counted from 0. False where it has no so many."""
    try:
        effect = next(flow)
        for _ in range(step):
            effect = flow.send(_answer(case, effect))
    except (StopIteration, QasidError):
        return False
    try:
        flow.close()
    except Exception as error:
        raise AssertionError(f"{hook}, closed at request {step + 1}: {error}") from error
    return True
