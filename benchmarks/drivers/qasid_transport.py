"""`RequestsTransport.send` of the same request: no provider, no account, no policies."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl

from benchmarks.job import Job
from qasid.drivers.http_sync import RequestsTransport
from qasid.effects import Request


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    request = Request(method="POST", url=job.url, form=dict(parse_qsl(job.body)))
    transport = RequestsTransport(job.url)
    yield lambda: json.loads(transport.send(request).body)
    transport.close()
