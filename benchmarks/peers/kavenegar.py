"""kavenegar: `KavenegarAPI.sms_send`. Turned by its attribute `host`; it knows HTTPS alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import kavenegar

from benchmarks.job import Job
from benchmarks.message import RECIPIENTS, TEXT


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    api = kavenegar.KavenegarAPI("0" * 64)
    api.host = urlsplit(job.url).netloc
    receptor = ",".join(RECIPIENTS[: job.recipients])  # it takes up to 200 of them
    yield lambda: api.sms_send({"receptor": receptor, "message": TEXT, "sender": "10004346"})
