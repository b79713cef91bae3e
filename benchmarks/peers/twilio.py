"""twilio: `client.messages.create`. Turned by the attribute `base_url` of `client.api`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from twilio.rest import Client

from benchmarks.job import Job
from benchmarks.message import TEXT, TO


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    client = Client("AC" + "0" * 32, "0" * 32)
    client.api.base_url = job.url
    yield lambda: client.messages.create(to=TO, from_="+15005550006", body=TEXT)
