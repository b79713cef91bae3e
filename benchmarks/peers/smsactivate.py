"""smsactivate: `SMSActivateAPI.getNumber`, as it rents and does not send.

Turned by its private attribute for the address, the only way there is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from smsactivate.api import SMSActivateAPI

from benchmarks.job import Job


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    api = SMSActivateAPI("0" * 32)
    api._SMSActivateAPI__api_url = f"{job.url}/stubs/handler_api.php"

    def send() -> None:
        if "phone" not in api.getNumber(service="tg", country=0):
            raise RuntimeError("smsactivate was refused")

    yield send
