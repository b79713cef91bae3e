"""`requests.Session.post` of the same bytes, as its documentation has it.

With several threads its pool is made large enough for them; by default it holds ten connections.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import requests
from requests.adapters import HTTPAdapter

from benchmarks.job import Job


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    with requests.Session() as session:
        if job.workers > 10:
            session.mount(job.url, HTTPAdapter(pool_maxsize=job.workers))

        def send() -> None:
            answer = session.post(job.url, data=job.body, headers=job.headers)
            answer.raise_for_status()
            answer.json()

        yield send
