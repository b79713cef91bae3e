"""`Stream` and `AsyncStream`: any number of messages, sent while they are taken from their source.

What is taken, what is under way and which receipt is next is decided by a window, once for both.
It waits for nothing: threads or tasks carry its batches, and whoever iterates turns it on. So a
slow consumer slows the source, and what is held of both never grows: see `Stream`.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
from collections import Counter, deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Self, TypeAlias

import attrs

from qasid.drivers.aio import AsyncDriver
from qasid.drivers.sync import SyncDriver
from qasid.effects import Call, Flow
from qasid.errors import Outcome, SettingsError
from qasid.operations import Message, Sending
from qasid.policies.course import not_sent
from qasid.values import Receipt, TemplateMessage, TextMessage

__all__ = ["AsyncStream", "Progress", "Stream"]

Tell: TypeAlias = Callable[[list[Receipt]], object]


@attrs.frozen(kw_only=True)
class Progress:
    """How far a stream is, counted in messages: `taken` from the source, and what became of them.

    `refused` were not performed; of the `unknown` nobody knows. The others are still under way.
    """

    taken: int
    accepted: int
    refused: int
    unknown: int


class _Step(enum.Enum):
    """What a window wants next: give a receipt, take a message, wait for a batch, or nothing."""

    GIVE = enum.auto()
    TAKE = enum.auto()
    WAIT = enum.auto()
    END = enum.auto()


@attrs.define(eq=False)
class _Window:
    """What is between the source and the consumer: at most `places` batches of `size` messages.

    A batch has its place until its receipts are `_ready`; nothing is taken before they are given.
    """

    size: int
    places: int
    ordered: bool
    over: bool = False  # nothing more is taken
    taken: int = 0
    counts: Counter[Outcome | None] = attrs.field(factory=Counter)
    untold: list[Receipt] = attrs.field(factory=list)
    _begun: int = 0
    _batch: list[Message] = attrs.field(factory=list)
    _under_way: dict[int, list[Message]] = attrs.field(factory=dict)
    _out_of_turn: dict[int, list[Receipt]] = attrs.field(factory=dict)
    _ready: deque[Receipt] = attrs.field(factory=deque)

    @property
    def room(self) -> bool:
        return not (self.over or self._ready) and len(self._under_way) < self.places

    @property
    def step(self) -> _Step:
        if self._ready:
            return _Step.GIVE
        if self.room:
            return _Step.TAKE
        return _Step.WAIT if self._under_way else _Step.END

    def take(self, message: Message) -> bool:
        """Add it to the batch; whether that is full. Raises `TypeError` for anything else."""
        if not isinstance(message, TextMessage | TemplateMessage):
            kind = type(message).__name__
            raise TypeError(
                f"the source gave a {kind} where a TextMessage or TemplateMessage is due"
            )
        self.taken += 1
        self._batch.append(message)
        return len(self._batch) == self.size

    def begin(self) -> dict[int, list[Message]]:
        """The batch by its ticket, from now on under way; nothing where none is taken."""
        if not self._batch:
            return {}
        self._begun += 1
        # At one stroke: Python lets an interrupt in between calls, and here is none.
        self._under_way[self._begun], self._batch = self._batch, []
        return {self._begun: self._under_way[self._begun]}

    def came(self, ticket: int, receipts: list[Receipt]) -> None:
        """Note what became of a batch, at one stroke: an interrupt comes before it or after it."""
        under_way, ready = dict(self._under_way), deque(self._ready)
        out_of_turn = {**self._out_of_turn, ticket: receipts}
        while (turn := self._turn(under_way, ticket)) in out_of_turn:
            del under_way[turn]
            ready.extend(out_of_turn.pop(turn))
        counts = self.counts + Counter(receipt.outcome for receipt in receipts)
        untold = [*self.untold, *receipts]
        self._under_way, self._out_of_turn, self._ready = under_way, out_of_turn, ready
        self.counts, self.untold = counts, untold

    def _turn(self, under_way: Mapping[int, object], ticket: int) -> int:
        return next(iter(under_way), ticket) if self.ordered else ticket

    def left(self) -> dict[int, list[Message]]:
        """The batches of which it is not noted what became of them."""
        waiting = self._under_way.items()
        return {ticket: batch for ticket, batch in waiting if ticket not in self._out_of_turn}

    def give(self) -> Receipt:
        return self._ready.popleft()


class _Shared:
    """What both kinds of stream know of themselves."""

    def __init__(
        self,
        sending: Sending,
        concurrency: int | None,
        ordered: bool,
        tell: Tell | None,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._sending = sending
        self._window = _Window(sending.size, _places(sending, concurrency), ordered)
        self._tell = tell
        self._progress = progress
        self._ends: dict[int, list[Receipt] | BaseException] = {}
        self._error: BaseException | None = None

    @property
    def concurrency(self) -> int:
        """How many batches may be under way at once."""
        return self._window.places

    @property
    def progress(self) -> Progress:
        """How far it is."""
        counts = self._window.counts
        return Progress(
            taken=self._window.taken,
            accepted=counts[None],
            refused=counts[Outcome.NOT_PERFORMED],
            unknown=counts[Outcome.UNKNOWN],
        )

    def _stop(self) -> None:
        """Take nothing more, and send nothing that has not been sent."""
        self._window.over = True
        self._sending.course.stopped = True

    def _fail(self, error: BaseException) -> None:
        """Take nothing more; the first such error is raised at the end."""
        self._window.over = True
        self._error = self._error or error

    def _note(self, ticket: int) -> None:
        """Note how a batch ended; one that was never begun was not sent."""
        end = self._ends.get(ticket)
        if end is None:
            end = [Receipt(to=m.to, error=not_sent()) for m in self._window.left()[ticket]]
        if isinstance(end, BaseException):
            self._fail(end)
            end = []
        self._window.came(ticket, end)
        self._ends.pop(ticket, None)

    def _note_rest(self) -> None:
        """Note all that was taken, when nothing is under way any more."""
        self._window.begin()
        for ticket in self._window.left():
            self._note(ticket)

    def _told(self) -> None:
        untold, self._window.untold = self._window.untold, []
        if self._tell is not None and untold:
            self._tell(untold)
        if self._progress is not None and untold:
            self._progress(self.progress)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


class Stream(_Shared):
    """Receipts of messages that are sent while they are taken from a source; iterate it once.

    Nothing is taken before a receipt is asked for, and then in the thread that asks: messages for
    one batch in each of `concurrency` places, where threads send them. So at most ``concurrency *
    max_batch`` messages are taken and have no receipt, and as many receipts wait at the most.

    **Each message that was taken has one receipt.** Leaving the loop, and `close`, take and send
    nothing more, wait for what is under way, and tell of it; so does an interrupt. A receipt that
    was told and not given can then be had by iterating on.

    What the source raises is raised when what came before it is sent and its receipts are given. So
    is an error that is no refusal of messages, such as a `SettingsError` for a reference that no
    journal keeps; the batch that raised it has no receipts.
    """

    def __init__(
        self,
        messages: Iterable[Message],
        sending: Sending,
        driver: SyncDriver,
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        tell: Tell | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        super().__init__(sending, concurrency, ordered, tell, progress)
        self._source = iter(messages)
        self._driver = driver
        self._threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix="qasid-stream")
        self._marks: dict[int, Future[None]] = {}
        self._done: SimpleQueue[int] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Receipt]:
        try:
            while (step := self._window.step) is not _Step.END:
                if step is _Step.GIVE:
                    yield self._window.give()
                elif step is _Step.TAKE:
                    self._take()
                else:
                    self._hear(self._done.get())
        finally:
            self.close()
        self._raise()

    def close(self) -> None:
        """Send nothing more, wait for what is under way, and tell of it. May be done again."""
        self._stop()
        futures.wait([mark for mark in self._marks.values() if not mark.cancel()])
        self._threads.shutdown(wait=False)
        self._note_rest()
        self._told()

    def _hear(self, ticket: int) -> None:
        self._note(ticket)
        del self._marks[ticket]
        self._told()

    def _take(self) -> None:
        """Take one message; begin with the batch where it is full, or the last."""
        full = True
        try:
            full = self._window.take(next(self._source))
        except StopIteration:
            self._window.over = True
        except Exception as error:  # the source's own
            self._fail(error)
        if full:
            self._begin()

    def _begin(self) -> None:
        # An interrupt may hide whether a thread got the batch: its mark tells, and can be undone.
        for ticket, batch in self._window.begin().items():
            mark = self._marks[ticket] = Future()
            context = contextvars.copy_context()
            self._threads.submit(context.run, self._carry, ticket, batch, mark)

    def _carry(self, ticket: int, batch: list[Message], mark: Future[None]) -> None:
        """Send one batch, in a thread. What it ends with is kept before that is said."""
        if not mark.set_running_or_notify_cancel():
            return
        try:
            self._ends[ticket] = self._driver.run(self._sending.send(batch))
        except BaseException as error:
            self._ends[ticket] = error
        mark.set_result(None)
        self._done.put(ticket)


class AsyncStream(_Shared):
    """A `Stream` for ``async for``, whose batches are tasks. Its source may be async.

    All of an async source runs in one task, which waits where there is no place; receipts go on
    coming while the source lets it wait, and a batch more may be taken then. `tell` and `progress`
    are plain functions, called in a thread. Use ``async with``, or `close` it: else a loop that was
    left is ended some time later.
    """

    def __init__(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        sending: Sending,
        driver: AsyncDriver,
        *,
        concurrency: int | None = None,
        ordered: bool = False,
        tell: Tell | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        super().__init__(sending, concurrency, ordered, tell, progress)
        self._source = messages if isinstance(messages, AsyncIterable) else _each(iter(messages))
        self._driver = driver
        self._feeder: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: asyncio.Queue[int | None] = asyncio.Queue()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Receipt]:
        if self._feeder is None and not self._window.over:
            self._feeder = self._spawn(self._feed())
        try:
            while (step := self._window.step) is not _Step.END:
                if step is _Step.GIVE:
                    yield self._window.give()
                else:
                    self._changed.set()
                    await self._hear(await self._done.get())
        finally:
            await self.close()
        self._raise()

    async def close(self) -> None:
        """See `Stream.close`."""
        self._stop()
        if self._feeder is not None:
            self._feeder.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._note_rest()
        await self._retold()

    async def _hear(self, ticket: int | None) -> None:
        if ticket is not None:
            self._note(ticket)
            await self._retold()

    async def _feed(self) -> None:
        """Take messages, and begin with batches, as long as there is room for them."""
        try:
            async for message in self._source:
                if self._window.take(message):
                    self._begin()
                    await self._room()
        except Exception as error:  # the source's own
            self._fail(error)
        self._window.over = True
        self._begin()
        self._done.put_nowait(None)  # perhaps that was the end

    async def _room(self) -> None:
        while not self._window.room:
            self._changed.clear()
            await self._changed.wait()

    def _begin(self) -> None:
        for ticket, batch in self._window.begin().items():
            self._spawn(self._carry(ticket, batch))

    async def _carry(self, ticket: int, batch: list[Message]) -> None:
        """See `Stream._carry`."""
        try:
            self._ends[ticket] = await self._driver.run(self._sending.send(batch))
        except BaseException as error:
            self._ends[ticket] = error
        self._done.put_nowait(ticket)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _retold(self) -> None:
        if self._tell is None and self._progress is None:
            self._told()
        else:
            await self._driver.run(_called(self._told))


async def _each(messages: Iterator[Message]) -> AsyncIterator[Message]:
    for message in messages:
        yield message


def _called(function: Callable[[], None]) -> Flow[None]:
    yield Call(function)


def _places(sending: Sending, concurrency: int | None) -> int:
    places = sending.places if concurrency is None else concurrency
    if 1 <= places <= sending.most:
        return places
    raise SettingsError(
        f"is {places}, and the account has {sending.most} connections",
        account=sending.account,
        field="concurrency",
        remedy="give a number from 1 to pool_size, or a larger pool_size",
    )
