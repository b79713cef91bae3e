"""ippanel: `Client.send`. Turned by an `HTTPClient` with another `base_url`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import ippanel

from benchmarks.job import Job
from benchmarks.message import RECIPIENTS, TEXT


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    key = "0" * 44
    client = ippanel.Client(key, ippanel.HTTPClient(key, f"{job.url}/api/v1/", 30))
    recipients = [*RECIPIENTS[: job.recipients]]
    yield lambda: client.send("+983000505", recipients, TEXT, "a code")
