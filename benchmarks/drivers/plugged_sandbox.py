"""`Account.send` of the sandbox with the transport taken away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import qasid
from benchmarks.job import Job
from benchmarks.message import TEXT, TO
from benchmarks.plugged import sandbox


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    with sandbox() as account:
        yield lambda: account.send(qasid.TextMessage(to=TO, text=TEXT))
