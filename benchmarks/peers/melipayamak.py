"""melipayamak: `Rest.send`. Turned by the class's constant `PATH`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from melipayamak import Api
from melipayamak.sms import Rest

from benchmarks.job import Job
from benchmarks.message import RECIPIENTS, TEXT


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    Rest.PATH = f"{job.url}/api/SendSMS/%s"
    rest = Api("acme", "secret").sms()
    to = ",".join(RECIPIENTS[: job.recipients])  # it takes up to 100 of them

    def send() -> None:
        if rest.send(to, "5000", TEXT)["RetStatus"] != 1:
            raise RuntimeError("melipayamak was refused")

    yield send
