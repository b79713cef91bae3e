"""`Account.send` of the provider DeftSMS, which has no limits that would hold it up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import qasid
from benchmarks.job import Job
from benchmarks.message import TEXT, TO


def account(job: Job) -> dict[str, Any]:
    """The settings of the account: the server's address, and connections for all workers."""
    base_url = job.url.removesuffix("/sms/send/simple")
    pool = max(job.workers, 10)
    return {"username": "acme", "secret_key": "k" * 40, "base_url": base_url, "pool_size": pool}


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    with qasid.connect("deftsms", **account(job)) as connected:
        yield lambda: connected.send(qasid.TextMessage(to=TO, text=TEXT))
