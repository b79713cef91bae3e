"""`http.client` of the standard library, one connection."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from benchmarks.job import Job


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    parts = urlsplit(job.url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    connection = kinds[parts.scheme](parts.netloc)

    def send() -> None:
        connection.request("POST", parts.path, job.body, job.headers)
        with connection.getresponse() as answer:
            if answer.status != 200 or not json.loads(answer.read()):
                raise RuntimeError("the server did not answer 200")

    with contextlib.closing(connection):
        yield send
